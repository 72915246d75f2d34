"""What arrays must be before they are used."""

from __future__ import annotations

import numpy as np

from anybit.errors import DTypeError, OptionError, ShapeError
from anybit.types import Float32Array

__all__ = ["checked_vectors", "finite_array"]


def finite_array(array: Float32Array, name: str, rank: int) -> Float32Array:
    """Return a finite, contiguous float32 array of the given rank, or raise."""
    array = np.asarray(array)
    if array.ndim != rank:
        raise ShapeError(f"{name} must have {rank} dimensions, got shape {array.shape}.")
    if array.dtype.kind not in "fiu":
        raise DTypeError(f"{name} must be numbers, got {array.dtype}.")
    array = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(array).all():
        raise OptionError(f"{name} must be finite, got NaN or infinity.")
    return array


def checked_vectors(vectors: Float32Array, dim: int, name: str) -> Float32Array:
    """Return vectors (N, dim) as float32, or raise."""
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise ShapeError(
            f"{name} must have shape (N, {dim}), got {vectors.shape}. "
            "Use vectors of the model that these codebooks belong to."
        )
    if vectors.dtype.kind not in "fiu":
        raise DTypeError(f"{name} must be numbers, got {vectors.dtype}.")
    return np.asarray(vectors, dtype=np.float32)
