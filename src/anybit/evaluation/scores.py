"""Scores of all items: by their codes, one length after another, and by their features."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np

from anybit.codes import Codes
from anybit.evaluation.level_sums import LevelSums
from anybit.types import Float32Array, Metric

__all__ = ["FloatScores", "LengthScores", "norm_term"]

# Scores of several queries at a time, per thread: enough for a fast matrix product.
_BLOCK_BYTES = 32 * 2**20


def norm_term(metric: Metric, squares: Float32Array) -> Float32Array:
    """Return what l2 (halves, to take off) or cosine (divisors) needs of squared norms (N,)."""
    if metric == "l2":
        return squares / np.float32(2)
    # A vector of length 0 has no direction: dividing by infinity gives it the score 0.
    return np.where(squares > 0, np.sqrt(squares), np.float32(np.inf))


class LengthScores:
    """Scores of all items for every code length, one after another.

    Parameters
    ----------
    codes : Codes
    levels : tuple of int
        Levels of each length, ascending.
    metric : {"ip", "l2", "cosine"}
    norms : ndarray of shape (lengths, N), float32, optional
        What l2 takes off, or the cosine divides by.
    """

    def __init__(
        self, codes: Codes, levels: tuple[int, ...], metric: Metric, norms: Float32Array | None
    ) -> None:
        self.levels, self.n_items = levels, codes.n_items
        self._metric, self._norms = metric, norms
        self._level_sums = LevelSums(codes, levels[-1])

    def of(self, table: Float32Array, constant: np.float32) -> Iterator[Float32Array]:
        """Yield the scores (N,) of a query with the table (L, K); the caller may change them."""
        sums = np.empty(self.n_items, dtype=np.float32)
        for n_levels in self._level_sums.sums(table, sums):
            if n_levels not in self.levels:
                continue
            if self._norms is None:
                yield sums.copy()
                continue
            norms = self._norms[self.levels.index(n_levels)]
            yield sums - norms if self._metric == "l2" else (sums + constant) / norms


class FloatScores:
    """Scores of uncompressed items; may be asked by several threads.

    Parameters
    ----------
    features : ndarray of shape (N, D), float32
    metric : {"ip", "l2", "cosine"}
    """

    def __init__(self, features: Float32Array, metric: Metric) -> None:
        self._features, self._metric = features, metric
        self._norms: Float32Array | None = None
        if metric != "ip":
            self._norms = norm_term(metric, np.einsum("nd,nd->n", features, features))
        self._local = threading.local()  # new pages for every block would cost more than the sums

    @property
    def dim(self) -> int:
        """Dimension D of the features."""
        return int(self._features.shape[1])

    def of(self, queries: Float32Array) -> Iterator[tuple[slice, Float32Array]]:
        """Yield parts of queries (B, D) and their scores (b, N), which the next part overwrites."""
        n_items = len(self._features)
        step = max(1, _BLOCK_BYTES // (4 * n_items))
        for start in range(0, len(queries), step):
            part = queries[start : start + step]  # (b, D)
            scores = self._buffer(len(part))  # (b, N)
            np.matmul(part, self._features.T, out=scores)
            if self._norms is not None and self._metric == "l2":
                scores -= self._norms
            elif self._norms is not None:
                scores /= self._norms
            yield slice(start, start + len(part)), scores

    def _buffer(self, n_queries: int) -> Float32Array:
        """Return memory (b, N) of this thread."""
        if len(getattr(self._local, "scores", ())) < n_queries:
            self._local.scores = np.empty((n_queries, len(self._features)), dtype=np.float32)
        scores: Float32Array = self._local.scores[:n_queries]
        return scores
