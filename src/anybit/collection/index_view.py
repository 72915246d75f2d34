"""The index as one version of the store has it: what a request is answered from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybit.collection.segment import Addresses, Segment
from anybit.errors import DataError
from anybit.search import CodedQueries, RawQueries, SearchResult, prepare_queries
from anybit.types import BoolArray, Float32Array, Int64Array, UInt8Array

__all__ = ["IndexView"]


@dataclass(frozen=True, eq=False)
class IndexView:
    """The rows of one version, or those of them that a condition selects.

    It stays as it is while the index follows the store: no lock is held during a search.

    Parameters
    ----------
    version : int
    fragments : dict of int to tuple of str
        Files of each fragment.
    segments : tuple of Segment
        At least one.
    masks : tuple of ndarray or None
        Which rows of each segment count; None for all.
    """

    version: int
    fragments: dict[int, tuple[str, ...]]
    segments: tuple[Segment, ...]
    masks: tuple[BoolArray | None, ...]

    def __len__(self) -> int:
        return sum(
            len(one) if mask is None else int(np.count_nonzero(mask))
            for one, mask in zip(self.segments, self.masks, strict=True)
        )

    def search(
        self,
        features: Float32Array | RawQueries | CodedQueries,
        k: int,
        bits: int | None = None,
        n_threads: int = 1,
    ) -> SearchResult:
        """Return the best `k` rows, as `Index.search` does."""
        if isinstance(features, np.ndarray):  # once for all segments
            features = prepare_queries(self.segments[0].index.codebooks, features)
        results = [
            segment.index.search(features, k, bits, mask, n_threads)
            for segment, mask in zip(self.segments, self.masks, strict=True)
        ]
        return _best_of(results, k)

    def find(self, ids: Int64Array) -> tuple[Addresses, UInt8Array]:
        """Return addresses (n,) and codes (n, M) of the rows with these ids (n,).

        Raises
        ------
        DataError
            If an id is not there.
        """
        addresses = np.zeros(len(ids), dtype=np.uint64)
        codes = np.zeros((len(ids), self.segments[0].planes.n_levels), dtype=np.uint8)
        is_here = np.zeros(len(ids), dtype=np.bool_)
        for segment, mask in zip(self.segments, self.masks, strict=True):
            stands = segment.find(ids, mask)
            own = np.flatnonzero(stands >= 0)
            if len(own):
                addresses[own] = segment.addresses[stands[own]]
                codes[own] = segment.planes.take(stands[own]).codes().planes.T
                is_here[own] = True
        if not is_here.all():
            raise DataError(
                f"ids must be in the collection, got {ids[~is_here][:5].tolist()} that are not."
            )
        return addresses, codes


def _best_of(results: list[SearchResult], k: int) -> SearchResult:
    """Return the best k of several results, ties to the lower id."""
    if len(results) == 1:
        return results[0]
    ids = np.concatenate([one.ids for one in results], axis=1)  # (Q, sum of k)
    scores = np.concatenate([one.scores for one in results], axis=1)
    order = np.lexsort((ids, -scores), axis=-1)[:, :k]  # (Q, k)
    return SearchResult(
        np.take_along_axis(ids, order, axis=1),
        np.take_along_axis(scores, order, axis=1),
        results[0].bits,
    )
