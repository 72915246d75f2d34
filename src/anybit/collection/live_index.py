"""The codes of a store in memory, brought up to date at the cost of what changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from anybit.codes import Codebooks, Codes
from anybit.search import Index, SearchResult
from anybit.store import CodeStore
from anybit.types import BoolArray, Float32Array, Int64Array

__all__ = ["LiveIndex"]

# A segment is made anew when more than this share of its rows is deleted.
_MOST_DEAD = 0.25
_FRAGMENT_BITS = 32
Addresses: TypeAlias = NDArray[np.uint64]
_ROW_MASK = np.uint64(2**_FRAGMENT_BITS - 1)


@dataclass(eq=False)
class _Segment:
    """The rows of some fragments, in the order of their ids; codes never change.

    Parameters
    ----------
    index : Index
        Over n rows.
    positions : dict of int to ndarray of shape (rows,), int64
        By number of the fragment: where each of its rows lies, or -1.
    alive : ndarray of shape (n,), bool
    """

    index: Index
    positions: dict[int, Int64Array]
    alive: BoolArray
    n_dead: int = 0

    @classmethod
    def of(
        cls, codebooks: Codebooks, ids: Int64Array, codes: Codes, addresses: Addresses
    ) -> _Segment:
        order = np.argsort(ids, kind="stable")
        index = Index(codebooks, codes.take(order), ids[order])
        positions = _positions_by_fragment(addresses[order])
        return cls(index, positions, np.ones(len(ids), dtype=np.bool_))

    def __len__(self) -> int:
        return len(self.alive)

    def kill(self, positions: Int64Array) -> None:
        """Mark rows as deleted."""
        self.n_dead += int(np.count_nonzero(self.alive[positions]))
        self.alive[positions] = False

    def living(self, fragment: int) -> Int64Array:
        """Return the numbers, within a fragment, of its rows that are not deleted."""
        positions = self.positions[fragment]
        rows = np.flatnonzero(positions >= 0)
        return rows[self.alive[positions[rows]]]

    def addresses(self) -> Addresses:
        """Return the address of every row (n,); that of a row without a fragment means nothing."""
        found = np.zeros(len(self), dtype=np.uint64)
        for fragment, positions in self.positions.items():
            rows = np.flatnonzero(positions >= 0)
            found[positions[rows]] = np.uint64(fragment << _FRAGMENT_BITS) + rows.astype(np.uint64)
        return found


@dataclass(eq=False)
class _State:
    """What one version of the store looks like."""

    version: int = -1
    fragments: dict[int, tuple[str, ...]] = field(default_factory=dict)
    segments: list[_Segment] = field(default_factory=list)


class LiveIndex:
    """The codes of a store, searchable while it changes.

    Parameters
    ----------
    codebooks : Codebooks
    store : CodeStore

    Notes
    -----
    Rows lie in segments, each in the order of its ids. New fragments of the store become a new
    segment; segments of like size are put together, so that there are few, and a row is moved
    O(log N) times in all. Deleted rows are masked until they are a quarter of their segment. Each
    segment gives its exact best k, and the best of those are the best of all; ties go to the
    lower id.
    """

    def __init__(self, codebooks: Codebooks, store: CodeStore) -> None:
        self._codebooks, self._store = codebooks, store
        self._state = _State()

    def __len__(self) -> int:
        with self._store.frozen():
            return sum(len(one) - one.n_dead for one in self._refreshed().segments)

    @property
    def n_segments(self) -> int:
        """How many parts are searched one after another."""
        return len(self._state.segments)

    def search(
        self,
        features: Float32Array,
        k: int,
        bits: int | None = None,
        where: str | None = None,
        n_threads: int = 1,
    ) -> SearchResult:
        """Return the best `k` rows of the newest version, as `Index.search` does."""
        with self._store.frozen():
            state = self._refreshed()
            masks = self._masks(state, where)
        results = [
            segment.index.search(features, k, bits, mask, n_threads)
            for segment, mask in zip(state.segments, masks, strict=True)
        ]
        return _best_of(results, k)

    def merged(self) -> Index:
        """Return one index over all rows, made anew where they lie in several segments."""
        with self._store.frozen():
            state = self._refreshed()
            if len(state.segments) != 1 or state.segments[0].n_dead:
                state.segments[:] = [self._merged(state.segments)]
            return state.segments[0].index

    def _masks(self, state: _State, where: str | None) -> list[BoolArray | None]:
        """Return which rows of each segment may be found; None for all."""
        if where is None:
            return [one.alive.copy() if one.n_dead else None for one in state.segments]
        rows = {one: of_one for one, of_one, _ in _by_fragment(self._store.addresses(where))}
        masks: list[BoolArray | None] = []
        for segment in state.segments:
            mask = np.zeros(len(segment), dtype=np.bool_)
            for fragment in segment.positions.keys() & rows.keys():
                mask[segment.positions[fragment][rows[fragment]]] = True
            masks.append(mask)
        return masks

    def _refreshed(self) -> _State:
        """Return the state of the newest version."""
        self._store.refresh()
        old, version = self._state, self._store.version
        if old.version == version:
            return old
        fragments = self._store.fragment_states()
        owners = {number: one for one in old.segments for number in one.positions}
        fresh = []
        for number, files in fragments.items():
            before = old.fragments.get(number)
            if before == files:
                continue
            owner = owners.get(number)
            if owner is None or before is None or not self._kill_deleted(owner, number):
                fresh.append(number)
        for number in owners.keys() - (fragments.keys() - set(fresh)):
            positions = owners[number].positions.pop(number)
            owners[number].kill(positions[positions >= 0])
        segments = [one for one in old.segments if one.n_dead < len(one)]
        if fresh:
            rows = self._store.fragment_codes(fresh)
            if len(rows.ids):
                segments.append(_Segment.of(self._codebooks, rows.ids, rows.codes, rows.addresses))
        segments = [
            self._merged([one]) if one.n_dead > _MOST_DEAD * len(one) else one for one in segments
        ]
        segments.sort(key=len, reverse=True)
        while len(segments) > 1 and len(segments[-2]) <= 2 * len(segments[-1]):
            segments[-2:] = [self._merged(segments[-2:])]
        if not segments:
            segments = [self._merged([])]
        self._state = _State(version, fragments, segments)
        return self._state

    def _kill_deleted(self, segment: _Segment, fragment: int) -> bool:
        """Mask the rows of a fragment that are deleted now; False where others came back."""
        positions = segment.positions[fragment]
        addresses = self._store.addresses(fragments=[fragment])
        rows = (addresses & _ROW_MASK).astype(np.int64)
        if len(rows) and (
            int(rows.max()) >= len(positions)
            or (positions[rows] < 0).any()
            or not segment.alive[positions[rows]].all()
        ):
            return False
        living = segment.living(fragment)
        segment.kill(positions[np.setdiff1d(living, rows, assume_unique=True)])
        return True

    def _merged(self, segments: list[_Segment]) -> _Segment:
        """Return one segment with the living rows of several."""
        ids = [one.index.ids[one.alive] for one in segments]
        planes = [one.index.codes.planes[:, one.alive] for one in segments]
        addresses = [one.addresses()[one.alive] for one in segments]
        n_levels, n_codewords = self._store.n_levels, self._store.n_codewords
        return _Segment.of(
            self._codebooks,
            np.concatenate([np.empty(0, dtype=np.int64), *ids]),
            Codes(
                np.concatenate([np.empty((n_levels, 0), dtype=np.uint8), *planes], axis=1),
                n_codewords,
            ),
            np.concatenate([np.empty(0, dtype=np.uint64), *addresses]),
        )


def _by_fragment(addresses: Addresses) -> Iterator[tuple[int, Int64Array, Int64Array]]:
    """Yield, for each fragment of addresses (n,), its number, its rows and where those stand."""
    fragments = (addresses >> np.uint64(_FRAGMENT_BITS)).astype(np.int64)
    rows = (addresses & _ROW_MASK).astype(np.int64)
    order = np.argsort(fragments, kind="stable")
    starts = np.flatnonzero(np.diff(fragments[order], prepend=-1))
    for stands in np.split(order, starts[1:]) if len(order) else []:
        yield int(fragments[stands[0]]), rows[stands], stands


def _positions_by_fragment(addresses: Addresses) -> dict[int, Int64Array]:
    """Return, for each fragment, where each of its rows stands in `addresses` (n,), or -1."""
    found = {}
    for fragment, rows, stands in _by_fragment(addresses):
        found[fragment] = np.full(int(rows.max()) + 1, -1, dtype=np.int64)
        found[fragment][rows] = stands
    return found


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
