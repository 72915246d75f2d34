"""From vectors to codes: level by level, greedily or by a beam."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from anybit.codes.assignment import most_aligned, nearest
from anybit.codes.beam import BeamRule, CodewordTables, beam_encode
from anybit.codes.shared_encoding import SharedEncoder
from anybit.errors import DataError
from anybit.types import Float32Array, UInt8Array

if TYPE_CHECKING:
    from anybit.codes.codebooks import Codebooks

__all__ = ["LARGEST_LENGTH", "fill_planes"]

# Longer vectors overflow float32 in sums of their squares.
LARGEST_LENGTH = 1e15
# A beam compares |x|^2 - 2 <x, c> + |c|^2: of vectors so much longer than any reconstruction,
# float32 would keep |x|^2 alone.
_BEAM_REACH = 2.0**10
# Rows of one block: the (rows, K) table of 256 codewords stays within 4 MiB.
_BLOCK_ROWS = 4096


def fill_planes(
    codebooks: Codebooks, vectors: Float32Array, planes: UInt8Array, n_given: int = 0
) -> None:
    """Encode vectors (N, D) into `planes` (L, N), of which the first levels may be given.

    Raises
    ------
    DataError
        If a vector holds NaN or infinity.
    """
    tables, limit = None, LARGEST_LENGTH
    if codebooks.beam_size > 1 and codebooks.kind != "product":
        tables = CodewordTables(codebooks.codebooks, codebooks.level_scales)
        limit = min(limit, _BEAM_REACH * _reach(codebooks) or limit)
    gram = None
    if codebooks.level_scales is not None and codebooks.assignment == "l2":
        gram = codebooks.codebooks @ codebooks.codebooks.T  # (K, K)
    rule = BeamRule(codebooks.beam_size, codebooks.n_levels, codebooks.prefix_weights)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS]
        if not np.isfinite(block).all():
            row = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
            raise DataError(
                f"vectors must be finite, got NaN or infinity in row {row}. "
                "Remove or repair that row."
            )
        if codebooks.offset is not None:
            block = block - codebooks.offset
        block = _shortened(block, limit)
        part = planes[:, start : start + _BLOCK_ROWS]
        if codebooks.kind == "product":
            _encode_parts(codebooks, block, part)
        elif tables is not None:
            beam_encode(block, tables, rule, part, n_given)
        elif gram is not None:
            _encode_shared(codebooks, gram, block, part, n_given)
        else:
            _encode_greedily(codebooks, block, part, n_given)


def _reach(codebooks: Codebooks) -> float:
    """Return a length that no sum of codewords exceeds."""
    norms = [np.linalg.norm(codebooks.codewords(m), axis=1) for m in range(codebooks.n_levels)]
    return float(sum(norm.max() for norm in norms))


def _shortened(block: Float32Array, limit: float) -> Float32Array:
    """Return vectors (n, D) with those that have values above a limit cut to it.

    The codewords are far shorter, so the nearest one stays the nearest.
    """
    largest = np.abs(block).max(axis=1, initial=0)
    if (largest <= limit).all():
        return block
    factors = np.float32(limit) / np.maximum(largest, np.float32(limit))
    return np.asarray(block * factors[:, None], dtype=np.float32)


def _encode_parts(codebooks: Codebooks, block: Float32Array, planes: UInt8Array) -> None:
    rotated = block if codebooks.rotation is None else block @ codebooks.rotation
    parts = rotated.reshape(len(block), codebooks.n_levels, -1)  # (n, M, D/M)
    for level in range(len(planes)):
        planes[level] = nearest(parts[:, level], codebooks.codebooks[level])


def _encode_shared(
    codebooks: Codebooks, gram: Float32Array, block: Float32Array, planes: UInt8Array, n_given: int
) -> None:
    """Encode greedily with one codebook for all levels; the first levels may be given."""
    encoder = SharedEncoder(block, codebooks.codebooks, gram)
    for level, plane in enumerate(planes):
        scale = np.float32(codebooks.level_scales[level])  # type: ignore[index]
        plane[:] = encoder.extend(scale, plane if level < n_given else None)


def _encode_greedily(
    codebooks: Codebooks, block: Float32Array, planes: UInt8Array, n_given: int
) -> None:
    residual = block.copy()  # (n, D)
    for level in range(len(planes)):
        codewords = codebooks.codewords(level)
        if level >= n_given:
            planes[level] = _chosen(codebooks, residual, codewords)
        residual -= codewords[planes[level]]


def _chosen(codebooks: Codebooks, residual: Float32Array, codewords: Float32Array) -> UInt8Array:
    """Return the codeword of each row; ties go to the lower number."""
    if codebooks.assignment == "l2":
        return nearest(residual, codewords)
    # As in the authors' code the choice looks at the unscaled codewords' directions.
    is_shared = codebooks.level_scales is not None
    return most_aligned(residual, codebooks.codebooks if is_shared else codewords)
