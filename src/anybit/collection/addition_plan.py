"""Which stored item each item of a source is, decided before anything is written.

Identity is the recorded source and the place within it: a key (a path relative to the source), or
the number of a row. Ids are derived from the place, and stay when a file is moved.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from anybit.collection.item_match import ItemMatch
from anybit.collection.signatures import signatures_of
from anybit.collection.stored_items import (
    GIVEN,
    IN_MEMORY,
    StoredItems,
    gone_paths,
    source_in_words,
)
from anybit.data import Source, hash_keys, path_text, shown_name
from anybit.errors import DataError
from anybit.store import CodeStore
from anybit.types import BoolArray, Int64Array

__all__ = ["AdditionPlan", "UsedIdError", "check_commit", "check_given", "plan_addition"]

_BLOCK = 4096


class UsedIdError(DataError):
    """An item of another source has the id of an item to be added, and is not replaced."""


@dataclass(frozen=True, eq=False)
class AdditionPlan:
    """What an addition is going to do with n of the N items of a source.

    Parameters
    ----------
    positions : ndarray of shape (n,), int64
        Positions in the source of the items to write, ascending: new, updated and moved ones.
    ids : ndarray of shape (n,), int64
        Under which they are stored.
    is_moved : ndarray of shape (n,), bool
        Items whose file is at another place than before.
    is_kept : ndarray of shape (n,), bool
        Moved items of which nothing but the place has changed: their codes stay.
    source : str
        The source that is recorded with them.
    expected : dict of int to (str or None)
        Recorded sources of the stored items that they replace, by id.
    row_keys : dict of int to str
        Keys, by id, of rows that are stored under another id than their number.
    n_new, n_unchanged : int
    n_existing : int
        Items whose given id is stored already, unchanged ones included.
    version : int
        Of the store that was looked at.
    """

    positions: Int64Array
    ids: Int64Array
    is_moved: BoolArray
    is_kept: BoolArray
    source: str
    expected: dict[int, str | None]
    row_keys: dict[int, str]
    n_new: int
    n_unchanged: int
    n_existing: int
    version: int

    @property
    def n_moved(self) -> int:
        """Number of items whose file is at another place than before."""
        return int(self.is_moved.sum())

    @property
    def n_updated(self) -> int:
        """Number of stored items that are replaced at their place."""
        return len(self.positions) - self.n_new - self.n_moved


def check_commit(plan: AdditionPlan, store: CodeStore, ids: Int64Array) -> None:
    """Refuse a commit that would replace other items than those that were looked at.

    Parameters
    ----------
    plan : AdditionPlan
    store : CodeStore
        At its newest version, while its lock is held.
    ids : ndarray of shape (n,), int64
        Of the rows to be committed.

    Raises
    ------
    UsedIdError
        If another process has stored items of other sources under these ids meanwhile.
    """
    if store.is_alone_since(plan.version):
        return
    for item_id, source in _sources_among(store, ids):
        is_free = source == plan.source or (plan.source == GIVEN and source is None)
        is_decided = item_id in plan.expected and plan.expected[item_id] == source
        if not (is_free or is_decided) or plan.source == source == IN_MEMORY:
            raise UsedIdError(
                f"id {item_id} was stored meanwhile by another process, from "
                f"{source_in_words(source)}: it is not replaced. Run the same command again to "
                "see which items can be added."
            )


def check_given(store: CodeStore, ids: Int64Array) -> None:
    """Refuse to replace items whose ids were derived by items whose ids (n,) are given.

    Raises
    ------
    UsedIdError
        If there are such items.
    """
    rows = _sources_among(store, ids)
    clashes = [(one, source) for one, source in rows if source not in (GIVEN, None)]
    if clashes:
        item_id, source = min(clashes)
        counts = f"{len(clashes):,} of {len(ids):,}"
        raise _clash_error(counts, f"{item_id} of {source_in_words(GIVEN)}", item_id, source)


def _sources_among(store: CodeStore, ids: Int64Array) -> list[tuple[int, str | None]]:
    """Return id and recorded source of the stored items that have one of these ids (n,)."""
    has_source = "item_source" in store.columns and "item_source" in store.own_columns
    rows = store.known(ids, ["id", "item_source"] if has_source else ["id"])
    sources = rows["item_source"].to_pylist() if has_source else [None] * len(rows)
    return list(zip(rows["id"].to_pylist(), sources, strict=True))


def plan_addition(source: Source, store: CodeStore, salt: str, *, replace: bool) -> AdditionPlan:
    """Decide for each item of a source whether it is new, updated, moved or unchanged.

    Parameters
    ----------
    source : Source
    store : CodeStore
    salt : str
        What is stored of an item, see `signatures_of`.
    replace : bool
        Overwrite items of other sources that have the same ids.

    Raises
    ------
    UsedIdError
        If an id is used by an item of another source, unless `replace`.
    """
    stored = StoredItems(store, with_paths=source.kind == "images")
    return _Planner(source, stored, salt, replace=replace).plan()


class _Planner(ItemMatch):
    """Decides what to do with each item of a source."""

    def __init__(self, source: Source, stored: StoredItems, salt: str, *, replace: bool) -> None:
        super().__init__(source, stored)
        self.salt, self.replace = salt, replace
        self.ids = self.items.ids.copy()  # (N,) under which they are stored
        self.is_moved: BoolArray = np.zeros(len(self.ids), dtype=np.bool_)
        self.is_clash: BoolArray = np.zeros(len(self.ids), dtype=np.bool_)

    def plan(self) -> AdditionPlan:
        if self.items.derived_from is None:
            self._match_given()
        else:
            self.match_places()
            self._match_ids()
        if self.is_clash.any():
            if not self.replace:
                raise self._refusal()
            self.target[self.is_clash] = self.by_id[self.is_clash]
        if self.items.derived_from is not None:
            self.is_moved[self.match_gone()] = True
        is_known = self.target >= 0
        self.ids[is_known] = self.stored.ids[self.target[is_known]]
        is_same = self._are_as_stored() & ~self.is_moved & ~self.is_clash
        at = np.flatnonzero(~is_same)
        replaced = self.target[at]
        n_existing = int((self.by_id >= 0).sum()) if self.items.derived_from is None else 0
        return AdditionPlan(
            positions=at,
            ids=self.ids[at],
            is_moved=self.is_moved[at],
            is_kept=self._are_kept(at),
            source=self.name,
            expected={
                int(self.stored.ids[row]): self.stored.source_of(row)
                for row in replaced[replaced >= 0].tolist()
            },
            row_keys=self._row_keys(),
            n_new=int((~is_known).sum()),
            n_unchanged=int(is_same.sum()),
            n_existing=n_existing,
            version=self.stored.version,
        )

    def _row_keys(self) -> dict[int, str]:
        """Return keys, by id, for rows that are stored under another id than their number."""
        if self.items.derived_from is None or self.items.keys is not None:
            return {}
        others = np.flatnonzero(self.ids != self.items.ids)
        return {int(self.ids[one]): self.place_key(one) for one in others.tolist()}

    def _match_given(self) -> None:
        """Given ids name items whose ids were given, or of which that is not known."""
        known = np.flatnonzero(self.by_id >= 0)
        rows = self.by_id[known]
        is_free = (self.stored.codes[rows] == self.stored.code_of(GIVEN)) | self.stored.is_unknown(
            rows
        )
        self.target[known[is_free]] = rows[is_free]
        self.is_clash[known[~is_free]] = True

    def _match_ids(self) -> None:
        """Look at items whose id is stored from elsewhere."""
        at = np.flatnonzero((self.by_id >= 0) & (self.target < 0))
        if len(at) == 0:
            return
        rows = self.by_id[at]
        codes = self.stored.codes[rows]
        is_unknown = self.stored.is_unknown(rows)
        is_own = codes == self.stored.code_of(self.name)
        is_given = codes == self.stored.code_of(GIVEN)
        is_loose = codes == self.stored.code_of(IN_MEMORY)
        if self.name == IN_MEMORY:
            is_own, is_loose = np.zeros(len(at), np.bool_), ~is_unknown & ~is_given
        self._recognise(at[is_unknown])
        # The item of this place was moved within the source, so that its id is taken.
        for position in at[is_own & ~is_loose].tolist():
            self._give_other_id(position)
        self.is_clash[at[is_given]] = True
        self._match_equal(at[is_loose], is_moved=self.name != IN_MEMORY)
        others = at[~(is_unknown | is_own | is_given | is_loose)]
        is_gone = self.stored.are_gone(self.by_id[others])
        self.is_clash[others[~is_gone]] = True
        self._match_equal(others[is_gone], is_moved=True)

    def _match_equal(self, at: Int64Array, *, is_moved: bool) -> None:
        """Take items for those of the same ids where contents are equal, else refuse them."""
        is_equal = self.match_contents(at)
        self.is_moved[at[is_equal]] = is_moved
        self.is_clash[at[~is_equal]] = True

    def _recognise(self, at: Int64Array) -> None:
        """Match items that were stored before sources were recorded.

        An item at the same path, or with the same signature, is the same. Then the source is taken
        to be the one that the other items came from, too.
        """
        if len(at) == 0:
            return
        rows = self.by_id[at]
        paths = self.stored.paths_of(rows)
        is_same = self.stored.have_signatures(rows, self._signatures(at))
        if self.name != IN_MEMORY and (
            self._is_any_at_path(at, paths) or self._is_any_moved(rows[is_same])
        ):
            is_same[:] = True
        self.target[at[is_same]] = rows[is_same]
        self.is_clash[at[~is_same]] = True

    def _is_any_at_path(self, at: Int64Array, paths: list[str | None]) -> bool:
        places = zip(at.tolist(), paths, strict=True)
        return any(path is not None and path == self._path_of(one) for one, path in places)

    def _is_any_moved(self, rows: Int64Array) -> bool:
        """Tell whether one of some rows has no place any more, or never had a file of its own."""
        paths = self.stored.paths_of(rows)
        return None in paths or bool(gone_paths(paths).any())

    def _path_of(self, position: int) -> str | None:
        try:
            file = self.source.file_of(position)
        except DataError:  # the reason is told when it is decoded
            return None
        return None if file is None else path_text(os.path.realpath(file))

    def _give_other_id(self, position: int) -> None:
        """Give a new item whose derived id is taken the first free one that follows from it."""
        number, key = 1, self.place_key(position)
        while True:
            made = hash_keys([f"{key}\0\0{number}"])
            if self.stored.rows_of(made)[0] < 0 and made[0] not in self.ids:
                break
            number += 1
        self.ids[position] = made[0]

    def _are_as_stored(self) -> BoolArray:
        """Tell which items (N,) are stored as they are now; note those that are elsewhere now."""
        known = np.flatnonzero(self.target >= 0)
        is_same = np.zeros(len(self.target), dtype=np.bool_)
        rows = self.target[known]
        is_same[known] = self.stored.have_signatures(rows, self._signatures(known))
        if self.source.kind == "images":
            is_given = self.items.derived_from is None
            same = known[is_same[known] & (is_given | self.stored.is_unknown(rows))]
            self.is_moved[same] = gone_paths(self.stored.paths_of(self.target[same]))
        return is_same

    def _are_kept(self, positions: Int64Array) -> BoolArray:
        """Tell which items (n,) were moved and are otherwise as they are stored."""
        is_kept = self.is_moved[positions] & (self.target[positions] >= 0)
        moved = positions[is_kept]
        rows = self.target[moved]
        ids = self.stored.ids[rows].tolist()
        keys = [
            str(own) if key is None else key
            for own, key in zip(ids, self.stored.keys_of(rows).to_pylist(), strict=True)
        ]
        has_digest = np.array([one is not None for one in self.stored.digests_of(rows)], np.bool_)
        is_same = self.stored.have_signatures(rows, self._signatures(moved, keys))
        is_kept[is_kept] = has_digest & is_same
        return is_kept

    def _signatures(self, positions: Int64Array, keys: list[str] | None = None) -> Int64Array:
        """Return the signatures (n,) of some items, in blocks; `keys` see `signatures_of`."""
        parts = [np.empty(0, dtype=np.int64)]
        for at in range(0, len(positions), _BLOCK):
            block = slice(at, at + _BLOCK)
            own = None if keys is None else keys[block]
            parts.append(signatures_of(self.source, positions[block], self.salt, own))
        return np.concatenate(parts)

    def _refusal(self) -> UsedIdError:
        """Say which items cannot be stored, and how they can."""
        clashes = np.flatnonzero(self.is_clash)
        first = int(clashes[0])
        theirs = self.stored.source_of(int(self.by_id[first]))
        return _clash_error(
            f"{len(clashes):,} of {len(self.target):,}",
            f"{shown_name(self.source.key_of(first))} of {source_in_words(self.name)}",
            int(self.items.ids[first]),
            theirs,
        )


def _clash_error(counts: str, first: str, item_id: int, stored_source: str | None) -> UsedIdError:
    """Return the error that an id is used by an item of another source."""
    return UsedIdError(
        f"an id that an item of another source has must not be used again, got {counts} such "
        f"items; the first: {first}, whose id {item_id} is that of an item of "
        f"{source_in_words(stored_source)}. Nothing was written. To keep both, give the new items "
        "other ids (--id-prefix TEXT, AddOptions(id_prefix=...)); to overwrite on purpose pass "
        "replace (--replace, AddOptions(replace=True))."
    )
