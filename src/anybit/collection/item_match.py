"""Which stored items the items of a source are, by their places and by their contents."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anybit.collection.stored_items import GIVEN, IN_MEMORY, StoredItems
from anybit.data import Items, Source
from anybit.store import CodeStore
from anybit.types import BoolArray, Int64Array

__all__ = ["ItemMatch", "positions_of_stored", "source_of"]

# So many new images are read for their digests before it is known whether any stored file is gone.
_FEW = 1024


def source_of(items: Items) -> str:
    """Return the source that is recorded with items: a path, `GIVEN` or `IN_MEMORY`."""
    if items.derived_from is None:
        return GIVEN
    return IN_MEMORY if items.origin is None else items.origin


class ItemMatch:
    """Pairs the N items of a source with stored items, one to one.

    Parameters
    ----------
    source : Source
    stored : StoredItems

    Attributes
    ----------
    by_id : ndarray of shape (N,), int64
        Row of the stored item that has the same id, -1 without one.
    target : ndarray of shape (N,), int64
        Row of the stored item that the item is, -1 where none was found.
    """

    def __init__(self, source: Source, stored: StoredItems) -> None:
        self.source, self.items, self.stored = source, source.items, stored
        self.name = source_of(self.items)
        self.by_id = stored.rows_of(self.items.ids)
        self.target: Int64Array = np.full(len(self.items.ids), -1, dtype=np.int64)

    def match_places(self) -> None:
        """Find the items that are stored from the same place of the same source."""
        own = self.stored.code_of(self.name)
        if self.name == IN_MEMORY or own < 0:
            return
        at = np.flatnonzero(self.by_id >= 0)
        at = at[self.stored.codes[self.by_id[at]] == own]
        if self.has_place_keys:  # else the id alone tells the row
            keys = pa.array([self.place_key(one) for one in at.tolist()], pa.string())
            is_row = self.items.derived_from == "rows"  # its key is null, its id the number
            is_here = pc.equal(self.stored.keys_of(self.by_id[at]), keys).fill_null(is_row)
            at = at[is_here.to_numpy(zero_copy_only=False)]
        self.target[at] = self.by_id[at]
        # An item that was moved here has the id of its first place.
        rows = np.setdiff1d(np.flatnonzero(self.stored.codes == own), self.target[at])
        left = np.flatnonzero(self.target < 0)
        if len(rows) == 0 or len(left) == 0 or not self.has_place_keys:
            return
        known = self.stored.keys_of(rows)
        names = pa.array([self.place_key(one) for one in left.tolist()], pa.string())
        found = pc.index_in(names, value_set=known).fill_null(-1).to_numpy(zero_copy_only=False)
        self.target[left[found >= 0]] = rows[found[found >= 0]]

    @property
    def has_place_keys(self) -> bool:
        """Whether keys, or row numbers as texts, tell the items of the source apart."""
        return self.items.derived_from == "keys" or self.items.keys is None

    def place_key(self, position: int) -> str:
        """Return what names an item within its source: its key, or its number as text."""
        return self.items.key_of(position)

    def match_gone(self) -> Int64Array:
        """Find new items among the stored ones whose place is gone, by their content.

        Returns
        -------
        ndarray of shape (n,), int64
            Positions of the items that were found so.
        """
        new = np.flatnonzero(self.target < 0)
        if len(new) == 0 or self.name == IN_MEMORY or not self.has_place_keys:
            return np.empty(0, dtype=np.int64)
        digests: list[bytes | None] | None = None
        wanted: list[bytes] | None = None
        if self.source.kind == "vectors" or len(new) <= _FEW:
            digests = list(self.source.digests(new))
            wanted = [one for one in digests if one is not None]
        rows = np.setdiff1d(self.stored.rows_from_files(wanted), self.target)
        rows = rows[self.stored.are_gone(rows)]
        if len(rows) == 0:
            return np.empty(0, dtype=np.int64)
        return self._pair(new, self.source.digests(new) if digests is None else digests, rows)

    def _pair(
        self, positions: Int64Array, digests: Iterable[bytes | None], rows: Int64Array
    ) -> Int64Array:
        """Pair items and rows of equal contents; return the positions that were paired."""
        there = _groups(self.stored.digests_of(rows), rows)
        here = _groups(digests, positions)
        paired = []
        for digest in here.keys() & there.keys():
            for position, row in self._pairs(here[digest], there[digest]):
                self.target[position] = row
                paired.append(position)
        return np.array(paired, dtype=np.int64)

    def _pairs(self, positions: list[int], rows: list[int]) -> list[tuple[int, int]]:
        """Pair equal items one to one: those of one key first, the others in order."""
        keys = self.stored.keys_of(np.array(rows)).to_pylist()
        row_of = dict(zip(keys, rows, strict=True))
        pairs = []
        for position in positions:
            row = row_of.pop(self.place_key(position), None)
            if row is not None:
                pairs.append((position, row))
        taken_positions, taken_rows = {one for one, _ in pairs}, {row for _, row in pairs}
        return pairs + list(
            zip(
                [one for one in positions if one not in taken_positions],
                [row for row in rows if row not in taken_rows],
                strict=False,
            )
        )

    def match_contents(self, at: Int64Array) -> BoolArray:
        """Take items for those of the same ids whose contents are equal; return which are (n,)."""
        ours, theirs = self.source.digests(at), self.stored.digests_of(self.by_id[at])
        pairs = zip(ours, theirs, strict=True)
        is_equal = np.array([one is not None and one == other for one, other in pairs], np.bool_)
        self.target[at[is_equal]] = self.by_id[at[is_equal]]
        return is_equal

    def match_known(self) -> None:
        """Find each item wherever it came from: by its place, its id, or else its content."""
        if self.items.derived_from is not None:
            self.match_places()
        at = np.flatnonzero((self.by_id >= 0) & (self.target < 0))
        at = at[~np.isin(self.by_id[at], self.target)]
        # Of an item whose content was not recorded, or whose id was given, the id tells all.
        rows = self.by_id[at]
        is_sure = np.array([one is None for one in self.stored.digests_of(rows)], np.bool_)
        is_sure |= (self.name == GIVEN) & (self.stored.codes[rows] == self.stored.code_of(GIVEN))
        self.target[at[is_sure]] = rows[is_sure]
        self.match_contents(at[~is_sure])
        left = np.setdiff1d(np.arange(len(self.stored)), self.target)
        new = np.flatnonzero(self.target < 0)
        if len(left) and len(new):
            self._pair(new, self.source.digests(new), left)


def positions_of_stored(source: Source, store: CodeStore) -> tuple[Int64Array, Int64Array]:
    """Find the stored items in a source, also where it is another one than they came from.

    Parameters
    ----------
    source : Source
    store : CodeStore

    Returns
    -------
    ids : ndarray of shape (N,), int64
        Of all stored items, ascending.
    positions : ndarray of shape (N,), int64
        In the source; -1 where an item is not in it.
    """
    stored = StoredItems(store, with_paths=False)
    match = ItemMatch(source, stored)
    match.match_known()
    positions = np.full(len(stored), -1, dtype=np.int64)
    found = np.flatnonzero(match.target >= 0)
    positions[match.target[found]] = found
    return stored.ids, positions


def _groups(digests: Iterable[bytes | None], places: Int64Array) -> dict[bytes, list[int]]:
    """Return the places (n,) of each digest, in order."""
    groups: dict[bytes, list[int]] = {}
    for digest, place in zip(digests, places.tolist(), strict=True):
        if digest is not None:
            groups.setdefault(digest, []).append(place)
    return groups
