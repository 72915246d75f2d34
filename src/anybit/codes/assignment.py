"""Products of vectors with codewords, and the codeword that each vector is given."""

from __future__ import annotations

import numpy as np

from anybit.types import Float32Array, UInt8Array

__all__ = ["each_times", "most_aligned", "nearest"]


def nearest(vectors: Float32Array, codebook: Float32Array) -> UInt8Array:
    """Return the nearest codeword (n,) of each vector (n, D); ties go to the lower number."""
    half_sq_norms = 0.5 * np.einsum("kd,kd->k", codebook, codebook)  # (K,)
    closeness = vectors @ codebook.T - half_sq_norms  # (n, K)
    return np.asarray(np.argmax(closeness, axis=1), dtype=np.uint8)


def most_aligned(vectors: Float32Array, codebook: Float32Array) -> UInt8Array:
    """Return the codeword (n,) of the largest cosine with each vector (n, D)."""
    norms = np.linalg.norm(codebook, axis=1)
    unit = codebook / np.maximum(norms, np.float32(1e-12))[:, None]
    return np.asarray(np.argmax(vectors @ unit.T, axis=1), dtype=np.uint8)


def each_times(matrices: Float32Array, vectors: Float32Array) -> Float32Array:
    """Multiply matrices (..., K, D) by each of the vectors (Q, ..., D) on its own: (Q, ..., K)."""
    with np.errstate(over="ignore", invalid="ignore"):  # infinite where a product is too large
        return np.asarray(np.matmul(matrices, vectors[..., None])[..., 0])
