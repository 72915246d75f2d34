"""Slow, obvious design matrices of the recurrent quantiser's least squares."""

import numpy as np


def codebook_by_lstsq(features, codes, scales, weights, n_codewords):
    """Solve min sum_t w_t sum_n |x_n - sum_{i<=t} s_i C[codes[i, n]]|^2 for C, row by row."""
    rows, targets = [], []
    for level, weight in enumerate(weights):
        for item, vector in enumerate(features):
            row = np.zeros(n_codewords)
            for inner in range(level + 1):
                row[codes[inner, item]] += scales[inner]
            rows.append(np.sqrt(weight) * row)
            targets.append(np.sqrt(weight) * vector)
    return np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)[0]


def scales_by_lstsq(features, codes, codebook, weights):
    """Solve the same for the scales, the first fixed to 1."""
    rows, targets = [], []
    for level, weight in enumerate(weights):
        for item, vector in enumerate(features):
            for axis, value in enumerate(vector):
                row = np.zeros(len(codes) - 1)
                for inner in range(1, level + 1):
                    row[inner - 1] = codebook[codes[inner, item], axis]
                rows.append(np.sqrt(weight) * row)
                targets.append(np.sqrt(weight) * (value - codebook[codes[0, item], axis]))
    rest = np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)[0]
    return np.concatenate([[1.0], rest])


def objective(features, codes, codebook, scales, weights):
    """Weighted sum over prefixes of the mean squared error, in a plain loop."""
    total = 0.0
    for level, weight in enumerate(weights):
        for item, vector in enumerate(features):
            rebuilt = sum(scales[i] * codebook[codes[i, item]] for i in range(level + 1))
            total += weight * float(((vector - rebuilt) ** 2).sum())
    return total / len(features)
