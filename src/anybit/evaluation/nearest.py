"""The true neighbours of queries, by float features, in bounded memory."""

from __future__ import annotations

import numpy as np

from anybit.errors import DataError
from anybit.evaluation.scores import FloatScores
from anybit.types import BoolArray, Float32Array, Int64Array, Metric

__all__ = ["are_as_near", "nearest_by_features"]

# With 1,000 queries a block of scores takes 32 MiB.
_BLOCK_ITEMS = 8192


def nearest_by_features(
    features: Float32Array, queries: Float32Array, metric: Metric, own: Int64Array | None = None
) -> Int64Array:
    """Find the item nearest to each query by uncompressed features.

    Parameters
    ----------
    features : ndarray of shape (N, D)
        Any floating type; turned into float32 block by block, so a memory map is not read whole.
    queries : ndarray of shape (Q, D), float32
    metric : {"ip", "l2", "cosine"}
    own : ndarray of shape (Q,), int64, optional
        The position of each query among the items, where it is one of them: it is left out.

    Returns
    -------
    ndarray of shape (Q,), int64
        Positions; of equal scores within a block the lower one.

    Raises
    ------
    DataError
        If a feature is NaN or infinite.

    Notes
    -----
    Items go by in blocks of 8,192, each compared with all queries: beyond the input the memory is
    that of a block, its scores (at most 32 MiB) and one score a query.
    """
    best = np.full(len(queries), -np.inf, dtype=np.float32)  # (Q,)
    nearest = np.full(len(queries), -1, dtype=np.int64)
    for start in range(0, len(features), _BLOCK_ITEMS):
        block = np.ascontiguousarray(features[start : start + _BLOCK_ITEMS], dtype=np.float32)
        is_finite = np.isfinite(block).all(axis=1)
        if not is_finite.all():
            raise DataError(
                "database features must be finite, got NaN or infinity in row "
                f"{start + int(np.argmin(is_finite))}. Remove or repair that row."
            )
        for part, scores in FloatScores(block, metric).of(queries):
            if own is not None:
                places = own[part] - start
                rows = np.flatnonzero((places >= 0) & (places < len(block)))
                scores[rows, places[rows]] = -np.inf
            first = scores.argmax(axis=1)  # (b,)
            values = scores[np.arange(len(first)), first]
            is_better = values > best[part]
            nearest[part] = np.where(is_better, start + first, nearest[part])
            best[part] = np.where(is_better, values, best[part])
    return nearest


def are_as_near(
    features: Float32Array, query: Float32Array, metric: Metric, found: Int64Array, nearest: int
) -> BoolArray:
    """Tell which of the items found (k,) for a query (D,) are as near to it as the nearest one.

    So an item counts that is the same as the nearest one (a picture stored twice), whichever of
    the two the sums in float32 have preferred: here they are in float64, in one order for all.
    """
    rows = features[np.append(found, nearest)].astype(np.float64)  # (k + 1, D)
    target = query.astype(np.float64)
    if metric == "l2":
        scores = -np.square(rows - target).sum(axis=1)
    else:
        scores = np.einsum("kd,d->k", rows, target)
        if metric == "cosine":
            lengths = np.sqrt(np.square(rows).sum(axis=1))
            scores = np.divide(scores, lengths, out=np.zeros_like(scores), where=lengths > 0)
    as_near: BoolArray = scores[:-1] >= scores[-1]
    return as_near
