"""The steps of fitting a shared codebook: greedy encoding with statistics, closed-form updates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anybit.codes import BeamRule, CodewordTables, SharedEncoder, beam_encode
from anybit.quantizers.features import BLOCK_ROWS
from anybit.types import Float32Array

__all__ = [
    "Encoding",
    "Moments",
    "code_sums",
    "encode_by_beam",
    "encode_prefixes",
    "moments",
    "normal_matrix",
    "scale_system",
    "solve_codebook",
    "solve_powers",
    "solve_scales",
]

Float64Array = NDArray[np.float64]

# 128 starts, then 40 golden sections: w to 1e-10.
_GRID, _SECTIONS, _GOLDEN = 128, 40, (5**0.5 - 1) / 2


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
    """What the closed-form updates need to know of the codes.

    Parameters
    ----------
    codes : ndarray of shape (M, N), int64
    tails : ndarray of shape (M,), float64
        Sum of the weights of the prefixes that hold a level: ``tails[i] = sum_{t >= i} w_t``.
        Both of two levels are in the prefixes from the later one on.
    """

    codes: NDArray[np.int64]
    tails: Float64Array


def encode_by_beam(
    features: Float32Array, codebook: Float32Array, scales: Float64Array, rule: BeamRule
) -> Encoding:
    """Encode with the codewords ``scales[m] * codebook`` by a beam."""
    factors = scales.astype(np.float32)
    planes = np.empty((len(scales), len(features)), dtype=np.uint8)
    beam_encode(features, CodewordTables(codebook, factors), rule, planes)
    codes, left = planes.astype(np.int64), features.copy()
    errors = np.einsum("nd,nd->n", features, features)
    totals, projections = np.zeros(len(scales)), np.zeros(len(scales))
    for level, plane in enumerate(codes):
        chosen = codebook[plane]
        projections[level] = np.einsum("nd,nd->n", features, chosen).sum(dtype=np.float64)
        left -= factors[level] * chosen
        errors = np.einsum("nd,nd->n", left, left)
        totals[level] = errors.sum(dtype=np.float64)
    return Encoding(codes, totals / len(features), projections, errors)


def encode_prefixes(
    features: Float32Array, codebook: Float32Array, scales: Float64Array
) -> Encoding:
    """Encode greedily with the codewords ``scales[m] * codebook``."""
    n_levels, n_items = len(scales), len(features)
    gram = codebook @ codebook.T  # (K, K)
    codes = np.empty((n_levels, n_items), dtype=np.int64)
    totals = np.zeros(n_levels)
    projections = np.zeros(n_levels)
    all_errors = np.empty(n_items, dtype=np.float32)
    for start in range(0, n_items, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        encoder = SharedEncoder(features[block], codebook, gram)
        raw = encoder.products.copy()  # (n, K)
        rows = np.arange(len(raw))
        for level, factor in enumerate(scales.astype(np.float32)):
            chosen = encoder.extend(factor)
            totals[level] += encoder.errors.sum(dtype=np.float64)
            projections[level] += raw[rows, chosen].sum(dtype=np.float64)
            codes[level, block] = chosen
        all_errors[block] = encoder.errors
    return Encoding(codes, totals / n_items, projections, all_errors)


def moments(codes: NDArray[np.int64], level_weights: Float64Array) -> Moments:
    """Sum the weights of the prefixes that hold each level."""
    return Moments(codes, np.cumsum(level_weights[::-1])[::-1])


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


def normal_matrix(stats: Moments, scales: Float64Array, n_codewords: int) -> Float64Array:
    """Return the (K, K) matrix of the codebook's weighted normal equations over all prefixes."""
    matrix = np.zeros((n_codewords, n_codewords))
    for first, codes in enumerate(stats.codes):
        for second in range(first, len(stats.codes)):
            joint = codes * n_codewords + stats.codes[second]
            pairs = np.bincount(joint, minlength=n_codewords**2).reshape(matrix.shape)
            factor = stats.tails[second] * scales[first] * scales[second]
            matrix += factor * pairs
            if second > first:
                matrix += factor * pairs.T
    return matrix


def scale_system(codebook: Float32Array, stats: Moments) -> Float64Array:
    """Return the (M, M) matrix of the scales' weighted normal equations over all prefixes."""
    gram = codebook.astype(np.float64) @ codebook.T.astype(np.float64)  # (K, K)
    n_levels = len(stats.codes)
    matrix = np.empty((n_levels, n_levels))
    for first, codes in enumerate(stats.codes):
        for second in range(first, n_levels):
            products = gram[codes, stats.codes[second]]  # (N,)
            matrix[first, second] = stats.tails[second] * products.sum()
            matrix[second, first] = matrix[first, second]
    return matrix


def solve_codebook(
    features: Float32Array,
    scales: Float64Array,
    stats: Moments,
    codebook: Float32Array,
) -> Float32Array:
    """Return the codebook of least weighted squared error over all prefixes, codes given.

    Prefix t of item n is the row ``sum_{i <= t} s_i e_{b_i}`` of a design matrix with K columns;
    its normal equations are a (K, K) system. Codewords that no item uses keep their values.
    """
    n_codewords = len(codebook)
    matrix = normal_matrix(stats, scales, n_codewords)
    sums = code_sums(features, stats.codes, stats.tails * scales, n_codewords)
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
    if ridge <= 0:  # all vectors alike: every scale does
        return scales
    matrix[np.diag_indices_from(matrix)] += ridge
    rest = np.linalg.solve(matrix, target + ridge * scales[1:])
    return np.concatenate([[1.0], rest])


def solve_powers(
    codebook: Float32Array, projections: Float64Array, stats: Moments, scales: Float64Array
) -> Float64Array:
    """Return the scales ``w^m`` of least weighted squared error over all prefixes, 0 < w <= 1.

    The error is a polynomial of degree 2 M - 2 in w. Its lowest value on a grid, and at the w of
    `scales`, brackets a minimum, which golden sections then locate.
    """
    if len(scales) == 1:
        return scales
    matrix, target = scale_system(codebook, stats), stats.tails * projections
    levels = np.arange(len(scales))

    def error(factor: float) -> float:
        powers = np.power(factor, levels)
        return float(powers @ matrix @ powers - 2 * (powers @ target))

    grid = np.unique(np.append(np.linspace(0, 1, _GRID + 1)[1:], np.clip(scales[1], 1e-6, 1)))
    best = int(np.argmin([error(one) for one in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    for _ in range(_SECTIONS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, right) if error(left) <= error(right) else (left, high)
    found = min((0.5 * (low + high), float(grid[best])), key=error)
    return np.asarray(np.power(found, levels), dtype=np.float64)
