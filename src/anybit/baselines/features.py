"""What every method on fixed features asks of the vectors that it is given."""

from __future__ import annotations

import numpy as np

from anybit.errors import DataError, DTypeError, ShapeError
from anybit.types import Float32Array

__all__ = ["check_features", "one_hot_sums"]

# Rows of one block: its (rows, 256) table of scores stays within 2 MiB, about one core's cache.
BLOCK_ROWS = 2048


def check_features(features: Float32Array, n_codewords: int) -> Float32Array:
    """Return training vectors as contiguous float32, or say what is wrong with them.

    Parameters
    ----------
    features : ndarray of shape (N, D), any number type
    n_codewords : int
        Codewords K that will be learned; at least as many vectors are needed.

    Raises
    ------
    ShapeError
        If the array is not (N, D) with D >= 1.
    DTypeError
        If it does not hold real numbers.
    DataError
        If it has fewer than K rows, or NaN or infinity.
    """
    features = np.asarray(features)
    if features.ndim != 2 or features.shape[1] == 0:
        raise ShapeError(
            f"features must have shape (N, D) with D >= 1, got {features.shape}. "
            "Reshape them to one row per item."
        )
    if features.dtype.kind not in "fiu":
        raise DTypeError(
            f"features must be real numbers, got {features.dtype}. Convert them to float32."
        )
    if len(features) < n_codewords:
        raise DataError(
            f"at least {n_codewords} vectors are needed to learn {n_codewords} codewords, "
            f"got {len(features)}. Give more vectors or ask for fewer codewords."
        )
    features = np.ascontiguousarray(features, dtype=np.float32)
    for start in range(0, len(features), BLOCK_ROWS):
        is_bad = ~np.isfinite(features[start : start + BLOCK_ROWS]).all(axis=1)
        if is_bad.any():
            raise DataError(
                "features must be finite float32 numbers, got NaN or infinity first in row "
                f"{start + int(np.argmax(is_bad))}. Remove or repair such rows."
            )
    return features


def one_hot_sums(
    features: Float32Array, codes: np.ndarray, n_codewords: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sum the vectors of each codeword: (K, D) float64 sums and (K,) counts.

    A product with a one-hot matrix, block by block, is several times faster than `np.add.at`.
    """
    sums = np.zeros((n_codewords, features.shape[1]))
    for start in range(0, len(features), BLOCK_ROWS):
        block = features[start : start + BLOCK_ROWS]
        one_hot = np.zeros((len(block), n_codewords), dtype=np.float32)
        one_hot[np.arange(len(block)), codes[start : start + BLOCK_ROWS]] = 1.0
        sums += one_hot.T @ block
    return sums, np.bincount(codes, minlength=n_codewords)
