"""The recurrence of DRQ, written out level by level and image by image."""

import numpy as np


def quantise(x, codebook, scales, offset, temperature):
    """Return soft and hard prefix sums, (L, B, D), and codes (L, B)."""
    n_levels, (n_items, dim) = len(scales), x.shape
    soft, hard = np.zeros((n_levels, n_items, dim)), np.zeros((n_levels, n_items, dim))
    codes = np.zeros((n_levels, n_items), dtype=int)
    for n in range(n_items):
        residual, soft_sum, hard_sum = x[n] - offset, offset.copy(), offset.copy()
        for level in range(n_levels):
            words = scales[level] * codebook
            sq_distances = ((residual - words) ** 2).sum(axis=1)
            p = np.exp(-(sq_distances - sq_distances.min()) / temperature)
            p /= p.sum()
            k = int(np.argmin(sq_distances))
            soft_sum, hard_sum = soft_sum + p @ words, hard_sum + words[k]
            residual = residual - words[k]
            soft[level, n], hard[level, n], codes[level, n] = soft_sum, hard_sum, k
    return soft, hard, codes
