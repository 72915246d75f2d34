"""The steps of fitting a shared codebook: greedy encoding with statistics, closed-form updates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anybit.baselines.features import BLOCK_ROWS
from anybit.types import Float32Array

__all__ = [
    "Encoding",
    "Moments",
    "code_sums",
    "encode_prefixes",
    "moments",
    "normal_matrix",
    "scale_system",
    "solve_codebook",
    "solve_scales",
]

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Encoding:
    """Greedy codes of centred vectors, and what the encoder learned on the way.

    Parameters
    ----------
    codes : ndarray of shape (M, N), int64
    distortions : ndarray of shape (M,), float64
        Mean squared error of every prefix, summed over D.
    projections : ndarray of shape (M,), float64
        Sum over the vectors of ``<x, C[code]>``, unscaled codewords.
    errors : ndarray of shape (N,), float32
        Squared error of each vector at full length.
    """

    codes: NDArray[np.int64]
    distortions: Float64Array
    projections: Float64Array
    errors: Float32Array


@dataclass(frozen=True)
class Moments:
    """What the closed-form updates need of codes (M, N) and vectors (N, D).

    Parameters
    ----------
    pairs : ndarray of shape (M, M, K, K), float64
        ``pairs[i, j, k, l]``: items with code k at level i and l at level j.
    tails : ndarray of shape (M,), float64
        Sum of the weights of the prefixes that hold a level: ``tails[i] = sum_{t >= i} w_t``.
    """

    pairs: Float64Array
    tails: Float64Array

    @property
    def weights(self) -> Float64Array:
        """``tails[max(i, j)]``, (M, M): the weight of the prefixes that hold both levels."""
        level = np.arange(len(self.tails))
        return np.asarray(self.tails[np.maximum(level[:, None], level[None, :])])


def encode_prefixes(
    features: Float32Array, codebook: Float32Array, scales: Float64Array
) -> Encoding:
    """Encode greedily with the codewords ``scales[m] * codebook``.

    Notes
    -----
    ``<residual, c> = <x, c> - sum_i s_i <c_i, c>``: one product of the vectors with the codebook
    serves all levels, the Gram matrix of the codewords does the rest. Eight levels cost little
    more than one.
    """
    n_levels, n_items = len(scales), len(features)
    gram = codebook @ codebook.T  # (K, K)
    half_sq_norms = np.float32(0.5) * np.diag(gram)  # (K,)
    factors = scales.astype(np.float32)
    codes = np.empty((n_levels, n_items), dtype=np.int64)
    totals = np.zeros(n_levels)
    projections = np.zeros(n_levels)
    all_errors = np.empty(n_items, dtype=np.float32)
    for start in range(0, n_items, BLOCK_ROWS):
        block = features[start : start + BLOCK_ROWS]
        rows = np.arange(len(block))
        raw = block @ codebook.T  # (n, K)
        products = raw.copy()  # <residual, c>
        errors = np.einsum("nd,nd->n", block, block)
        scores = np.empty_like(products)
        for level, factor in enumerate(factors):
            # |r - s c|^2 = |r|^2 - 2 (s <r, c> - s^2 |c|^2 / 2)
            np.multiply(products, factor, out=scores)
            scores -= factor * factor * half_sq_norms
            chosen = np.argmax(scores, axis=1)
            errors -= 2 * scores[rows, chosen]
            totals[level] += errors.sum(dtype=np.float64)
            projections[level] += raw[rows, chosen].sum(dtype=np.float64)
            codes[level, start : start + BLOCK_ROWS] = chosen
            if level + 1 < n_levels:
                products -= (factor * gram)[chosen]
        all_errors[start : start + BLOCK_ROWS] = errors
    return Encoding(codes, totals / n_items, projections, all_errors)


def moments(codes: NDArray[np.int64], n_codewords: int, level_weights: Float64Array) -> Moments:
    """Count the pairs of codes of every two levels."""
    n_levels = len(codes)
    pairs = np.empty((n_levels, n_levels, n_codewords, n_codewords))
    for first in range(n_levels):
        for second in range(first, n_levels):
            joint = codes[first] * n_codewords + codes[second]
            counts = np.bincount(joint, minlength=n_codewords**2)
            pairs[first, second] = counts.reshape(n_codewords, n_codewords)
            pairs[second, first] = pairs[first, second].T
    tails = np.cumsum(level_weights[::-1])[::-1]
    return Moments(pairs, tails)


def code_sums(
    features: Float32Array, codes: NDArray[np.int64], factors: Float64Array, n_codewords: int
) -> Float64Array:
    """Return ``sum_n sum_i factors[i] e_{codes[i, n]} x_n``, (K, D), as one product a block."""
    sums = np.zeros((n_codewords, features.shape[1]))
    weights = factors.astype(np.float32)
    for start in range(0, len(features), BLOCK_ROWS):
        block = features[start : start + BLOCK_ROWS]
        rows = np.arange(len(block))
        design = np.zeros((len(block), n_codewords), dtype=np.float32)
        for level, weight in enumerate(weights):
            design[rows, codes[level, start : start + BLOCK_ROWS]] += weight
        sums += design.T @ block
    return sums


def normal_matrix(stats: Moments, scales: Float64Array) -> Float64Array:
    """Return the (K, K) matrix of the codebook's weighted normal equations over all prefixes."""
    factors = stats.weights * np.outer(scales, scales)  # (M, M)
    return np.asarray(np.einsum("ij,ijkl->kl", factors, stats.pairs))


def scale_system(codebook: Float32Array, stats: Moments) -> Float64Array:
    """Return the (M, M) matrix of the scales' weighted normal equations over all prefixes."""
    gram = codebook.astype(np.float64) @ codebook.T.astype(np.float64)  # (K, K)
    return np.asarray(stats.weights * np.einsum("ijkl,kl->ij", stats.pairs, gram))


def solve_codebook(
    features: Float32Array,
    codes: NDArray[np.int64],
    scales: Float64Array,
    stats: Moments,
    codebook: Float32Array,
) -> Float32Array:
    """Return the codebook of least weighted squared error over all prefixes, codes given.

    Prefix t of item n is the row ``sum_{i <= t} s_i e_{b_i}`` of a design matrix with K columns;
    its normal equations are a (K, K) system. Codewords that no item uses keep their values.
    """
    n_codewords = len(codebook)
    matrix = normal_matrix(stats, scales)
    sums = code_sums(features, codes, stats.tails * scales, n_codewords)
    diagonal = np.diag(matrix)
    is_used = diagonal > 1e-9 * diagonal.max()
    # A little ridge towards the present codebook: pairs that only occur together are undecided.
    ridge = 1e-6 * np.where(is_used, diagonal, diagonal.max())
    matrix += np.diag(ridge)
    sums += ridge[:, None] * codebook
    return np.linalg.solve(matrix, sums).astype(np.float32)


def solve_scales(
    codebook: Float32Array, projections: Float64Array, stats: Moments, scales: Float64Array
) -> Float64Array:
    """Return the scales of least weighted squared error over all prefixes, entry 0 fixed to 1.

    `projections` are those of `codebook` and the codes that `stats` counted.
    """
    if len(scales) == 1:
        return scales
    matrix = scale_system(codebook, stats)  # (M, M)
    target = stats.tails * projections - matrix[:, 0]  # s_0 = 1 moves to the right
    matrix, target = matrix[1:, 1:].copy(), target[1:]
    ridge = 1e-9 * np.trace(matrix) / len(matrix)
    matrix[np.diag_indices_from(matrix)] += ridge
    rest = np.linalg.solve(matrix, target + ridge * scales[1:])
    return np.concatenate([[1.0], rest])
