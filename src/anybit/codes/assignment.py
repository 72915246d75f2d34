"""Products of vectors with codewords, and the codeword that each vector is given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anybit.types import Float32Array, Int64Array, UInt8Array

__all__ = ["closest", "each_times", "is_cancelled", "most_aligned", "nearest", "nearest_in_float64"]

# Below this share of what it is a difference of, a squared error in float32 has fewer than 12
# correct bits: |x|^2 - 2 <x, c> + |c|^2 rounds to about 2^-23 of |x|^2.
_CANCELLED_SHARE = np.float32(2.0**-12)
# Below this share, the rounding of float32 itself, no other codeword is closer.
_EXACT_SHARE = np.float32(2.0**-47)


def is_cancelled(sq_errors: Float32Array, sq_sizes: Float32Array) -> NDArray[np.bool_]:
    """Say which squared errors are too small for float32 differences of numbers of these sizes."""
    return np.asarray(sq_errors < _CANCELLED_SHARE * sq_sizes)


def closest(vectors: Float32Array, codebook: Float32Array) -> tuple[Int64Array, Float32Array]:
    """Return the nearest codeword (n,) of each vector (n, D), and its squared distance (n,).

    Ties go to the lower number, up to rounding. One product of matrices in float32 decides, and
    again in float64 for the vectors whose distance it cannot resolve: with vectors far from zero
    and close to each other it would choose at random.
    """
    half_sq_norms = np.float32(0.5) * np.einsum("kd,kd->k", codebook, codebook)  # (K,)
    # argmin |x - c|^2 = argmax <x, c> - |c|^2 / 2
    scores = vectors @ codebook.T  # (n, K)
    scores -= half_sq_norms
    chosen = np.argmax(scores, axis=1)
    best = scores[np.arange(len(vectors)), chosen]
    sq_norms = np.einsum("nd,nd->n", vectors, vectors)
    sq_errors = np.maximum(sq_norms - 2 * best, 0)
    sizes = np.maximum(sq_norms, 2 * half_sq_norms[chosen])
    rows = np.flatnonzero(is_cancelled(sq_errors, sizes))
    if len(rows):
        left = vectors[rows] - codebook[chosen[rows]]
        sq_errors[rows] = np.einsum("nd,nd->n", left, left)
        rows = rows[sq_errors[rows] > _EXACT_SHARE * sizes[rows]]
    if len(rows):
        chosen[rows], sq_errors[rows] = nearest_in_float64(vectors[rows], codebook)
    return chosen, sq_errors


def nearest_in_float64(
    vectors: NDArray[np.floating], codebook: Float32Array
) -> tuple[Int64Array, NDArray[np.float64]]:
    """Return nearest codewords (n,) and squared distances (n,), computed in float64."""
    wide, codewords = vectors.astype(np.float64), codebook.astype(np.float64)
    scores = wide @ codewords.T - 0.5 * np.einsum("kd,kd->k", codewords, codewords)  # (n, K)
    chosen = np.argmax(scores, axis=1)
    left = wide - codewords[chosen]
    return chosen, np.einsum("nd,nd->n", left, left)


def nearest(vectors: Float32Array, codebook: Float32Array) -> UInt8Array:
    """Return the nearest codeword (n,) of each vector (n, D); ties go to the lower number."""
    return closest(vectors, codebook)[0].astype(np.uint8)


def most_aligned(vectors: Float32Array, codebook: Float32Array) -> UInt8Array:
    """Return the codeword (n,) of the largest cosine with each vector (n, D)."""
    norms = np.linalg.norm(codebook, axis=1)
    unit = codebook / np.maximum(norms, np.float32(1e-30))[:, None]
    return np.asarray(np.argmax(vectors @ unit.T, axis=1), dtype=np.uint8)


def each_times(matrices: Float32Array, vectors: Float32Array) -> Float32Array:
    """Multiply matrices (..., K, D) by each of the vectors (Q, ..., D) on its own: (Q, ..., K)."""
    with np.errstate(over="ignore", invalid="ignore"):  # infinite where a product is too large
        return np.asarray(np.matmul(matrices, vectors[..., None])[..., 0])
