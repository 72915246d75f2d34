"""From vectors to codes, block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from anybit.errors import DataError
from anybit.types import Float32Array, UInt8Array

__all__ = ["LARGEST_LENGTH", "BlockEncoder", "fill_planes"]

# Longer vectors overflow float32 in sums of their squares.
LARGEST_LENGTH = 1e15
# Rows of one block: the (rows, K) table of 256 codewords stays within 4 MiB.
_BLOCK_ROWS = 4096

BlockEncoder: TypeAlias = Callable[[Float32Array, UInt8Array], None]
"""Encodes vectors (n, D), offset subtracted, into planes (L, n)."""


def fill_planes(
    vectors: Float32Array,
    planes: UInt8Array,
    encode: BlockEncoder,
    offset: Float32Array | None,
    limit: float,
) -> None:
    """Encode vectors (N, D) into `planes` (L, N).

    Parameters
    ----------
    vectors : ndarray of shape (N, D), float32
    planes : ndarray of shape (L, N), uint8
    encode : callable
    offset : ndarray of shape (D,), float32, optional
        Subtracted first.
    limit : float
        Vectors with larger values are shortened to it.

    Raises
    ------
    DataError
        If a vector holds NaN or infinity.
    """
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS]
        if not np.isfinite(block).all():
            row = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
            raise DataError(
                f"vectors must be finite, got NaN or infinity in row {row}. "
                "Remove or repair that row."
            )
        if offset is not None:
            block = block - offset
        encode(_shortened(block, limit), planes[:, start : start + _BLOCK_ROWS])


def _shortened(block: Float32Array, limit: float) -> Float32Array:
    """Return vectors (n, D) with those that have values above a limit cut to it.

    The codewords are far shorter, so the nearest one stays the nearest.
    """
    largest = np.abs(block).max(axis=1, initial=0)
    if (largest <= limit).all():
        return block
    factors = np.float32(limit) / np.maximum(largest, np.float32(limit))
    return np.asarray(block * factors[:, None], dtype=np.float32)
