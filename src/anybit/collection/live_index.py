"""The codes of a store in memory, brought up to date at the cost of what changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from anybit.codes import BytePlanes, Codebooks, Codes
from anybit.collection.index_view import IndexView
from anybit.collection.segment import Segment, by_fragment, rows_of
from anybit.collection.snapshot import read_snapshot, write_snapshot
from anybit.errors import FormatError
from anybit.search import CodedQueries, Index, RawQueries, SearchResult
from anybit.store import CodeStore, Condition
from anybit.types import BoolArray, Float32Array, Int64Array

__all__ = ["LiveIndex"]

# A segment is made anew when more than this share of its rows is deleted.
_MOST_DEAD = 0.25
# A snapshot is written when at least so many rows, and this share of all, are not in it.
_SNAPSHOT_ROWS, _SNAPSHOT_SHARE = 50_000, 0.25
# Masks of conditions that are kept while the version stays.
_MOST_MASKS = 8


@dataclass(eq=False)
class _State:
    """What one version of the store looks like."""

    version: int = -1
    fragments: dict[int, tuple[str, ...]] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    masks: dict[Condition, list[BoolArray | None]] = field(default_factory=dict)


class LiveIndex:
    """The codes of a store, searchable while it changes.

    Parameters
    ----------
    codebooks : Codebooks
    store : CodeStore
    snapshot : Path, optional
        File that keeps the index between processes (see `anybit.collection.snapshot`).

    Notes
    -----
    Rows lie in segments, each in the order of its ids. New fragments of the store become a new
    segment; segments of like size are put together, so that there are few, and a row is moved
    O(log N) times in all. Deleted rows are masked until they are a quarter of their segment. Each
    segment gives its exact best k, and the best of those are the best of all; ties go to the
    lower id.
    """

    def __init__(
        self, codebooks: Codebooks, store: CodeStore, snapshot: Path | None = None
    ) -> None:
        self._codebooks, self._store, self._snapshot = codebooks, store, snapshot
        self._state = _State()
        self._n_in_snapshot = 0

    def __len__(self) -> int:
        with self._store.frozen():
            return sum(len(one) - one.n_dead for one in self._refreshed().segments)

    @property
    def n_segments(self) -> int:
        """How many parts are searched one after another."""
        return len(self._state.segments)

    def search(
        self,
        features: Float32Array | RawQueries | CodedQueries,
        k: int,
        bits: int | None = None,
        where: Condition | None = None,
        n_threads: int = 1,
    ) -> SearchResult:
        """Return the best `k` rows of the newest version, as `Index.search` does."""
        return self.view(where).search(features, k, bits, n_threads)

    def view(self, where: Condition | None = None) -> IndexView:
        """Return the newest version, or the rows of it that a condition selects."""
        with self._store.frozen():
            state = self._refreshed()
            masks = tuple(self._masks(state, where))
            return IndexView(state.version, state.fragments, tuple(state.segments), masks)

    def ids_after(self, after: int | None, limit: int) -> Int64Array:
        """Return the next ids, ascending, at most `limit`; None for the first ones."""
        with self._store.frozen():
            state = self._refreshed()
        found = [np.empty(0, dtype=np.int64)]
        for segment in state.segments:
            start = 0 if after is None else int(np.searchsorted(segment.ids, after, side="right"))
            # Of deleted rows there may be as many as rows: a block at a time.
            n_left = limit
            while n_left > 0 and start < len(segment):
                block = slice(start, start + max(limit, 1024))
                living = segment.ids[block][segment.alive[block]][:n_left]
                found.append(living)
                n_left, start = n_left - len(living), block.stop
        return np.sort(np.concatenate(found))[:limit]

    def merged(self) -> Index:
        """Return one index over all rows, made anew where they lie in several segments."""
        with self._store.frozen():
            state = self._refreshed()
            if len(state.segments) != 1 or state.segments[0].n_dead:
                merged = [self._merged(state.segments)]
                state = self._state = _State(state.version, state.fragments, merged)
            return state.segments[0].index

    def _masks(self, state: _State, where: Condition | None) -> list[BoolArray | None]:
        """Return which rows of each segment may be found; None for all."""
        if where is None:
            return [one.alive.copy() if one.n_dead else None for one in state.segments]
        if where not in state.masks:
            rows = {one: of_one for one, of_one, _ in by_fragment(self._store.addresses(where))}
            if len(state.masks) == _MOST_MASKS:
                del state.masks[next(iter(state.masks))]
            state.masks[where] = [segment.mask(rows) for segment in state.segments]
        return state.masks[where]

    def _refreshed(self) -> _State:
        """Return the state of the newest version."""
        self._store.refresh(at_once=False)
        while self._state.version != self._store.version:
            try:
                self._read_changes()
            except FormatError:  # a compaction may have removed the version meanwhile
                if not self._store.refresh():
                    raise
        return self._state

    def _read_changes(self) -> None:
        """Bring the state to the version of the store."""
        if self._state.version < 0:
            self._state = self._from_snapshot()
        old, fragments = self._state, self._store.fragment_states()
        owners = {number: one for one in old.segments for number in one.fragments}
        fresh, gone = [], []
        for number, files in fragments.items():
            before = old.fragments.get(number)
            if before == files and number in owners:
                continue
            owner = owners.get(number)
            if owner is None or before is None or before[0] != files[0]:
                fresh.append(number)
                continue
            rows = rows_of(self._store.addresses(fragments=[number]))
            positions = owner.others(number, rows)
            if positions is None:
                fresh.append(number)
            else:
                gone.append((owner, positions))
        # Everything is read before anything is masked: an interruption changes nothing.
        added = [self._read(fresh)] if fresh else []
        for owner, positions in gone:
            owner.kill(positions)
        for number in owners.keys() - (fragments.keys() - set(fresh)):
            owners[number].drop(number)
        segments = [one for one in [*old.segments, *added] if one.n_dead < len(one)]
        self._state = _State(self._store.version, fragments, self._tidied(segments))
        self._keep_snapshot()

    def _read(self, fragments: list[int]) -> Segment:
        """Return a segment with the rows of some fragments."""
        rows = self._store.fragment_codes(fragments)
        planes = BytePlanes.of(rows.codes)
        return Segment.sorted(self._codebooks, rows.ids, planes, rows.addresses, set(fragments))

    def _tidied(self, segments: list[Segment]) -> list[Segment]:
        """Return few segments, the largest first, at least one."""
        segments = [
            self._merged([one]) if one.n_dead > _MOST_DEAD * len(one) else one for one in segments
        ]
        segments.sort(key=len, reverse=True)
        at = len(segments) - 2
        while at >= 0:  # every segment is to be twice as large as the next
            if len(segments[at]) <= 2 * len(segments[at + 1]):
                segments[at : at + 2] = [self._merged(segments[at : at + 2])]
                at = min(at, len(segments) - 1)
            at -= 1
        return segments or [self._merged([])]

    def _merged(self, segments: list[Segment]) -> Segment:
        """Return one segment with the living rows of several."""
        ids = [one.ids[one.alive] for one in segments]
        planes = [one.planes.values[:, one.alive] for one in segments]
        addresses = [one.addresses[one.alive] for one in segments]
        n_levels, n_codewords = self._store.n_levels, self._store.n_codewords
        empty = BytePlanes.of(Codes(np.empty((n_levels, 0), dtype=np.uint8), n_codewords))
        return Segment.sorted(
            self._codebooks,
            np.concatenate([np.empty(0, dtype=np.int64), *ids]),
            BytePlanes(np.concatenate([empty.values, *planes], axis=1), n_levels, n_codewords),
            np.concatenate([np.empty(0, dtype=np.uint64), *addresses]),
            set().union(*(one.fragments for one in segments)),
        )

    def _from_snapshot(self) -> _State:
        """Return what an earlier process has left; brought up to date like any old state."""
        if self._snapshot is None:
            return _State()
        found = read_snapshot(self._snapshot, self._codebooks, self._store.n_levels)
        if found is None:
            return _State()
        segments, fragments = found
        self._n_in_snapshot = sum(map(len, segments))
        return _State(-1, fragments, segments)

    def _keep_snapshot(self) -> None:
        """Leave the index to later processes, when much of it is not in the file yet."""
        segments = self._state.segments
        n_items = sum(map(len, segments))
        n_new = abs(n_items - self._n_in_snapshot)
        is_due = n_new >= max(_SNAPSHOT_ROWS, _SNAPSHOT_SHARE * n_items)
        if self._snapshot is None or not is_due or any(one.n_dead for one in segments):
            return
        write_snapshot(self._snapshot, segments, self._state.fragments)
        self._n_in_snapshot = n_items
