"""The store of a collection: one Lance dataset, one row an item, joined by id."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from anybit.codes import Codes, write_errors
from anybit.errors import DataError, FormatError, OptionError
from anybit.store.code_columns import level_columns
from anybit.store.column_change import change_type, commit, drop_drafts
from anybit.store.compaction import compact_dataset
from anybit.store.condition import Condition
from anybit.store.dataset import Dataset
from anybit.store.extension import drop_levels, extend_dataset, name_models
from anybit.store.folders import open_folder
from anybit.store.reader import StoreReader
from anybit.store.reports import CompactReport, UpsertCounts
from anybit.store.row_types import conformed_rows, plain_rows, wider_columns
from anybit.store.schema import (
    FORMAT_VERSION,
    RESERVED_COLUMNS,
    base_schema,
    free_column_name,
    reserved_columns,
)
from anybit.store.upkeep import tidy_dataset
from anybit.types import Int64Array, UInt8Array

__all__ = ["CodeStore"]

_LOG = logging.getLogger(__name__)

_T = TypeVar("_T")
# Versions younger than this stay readable: other processes may have opened them.
_KEPT_S = 3600.0


class CodeStore(StoreReader):
    """Rows of ids, codes, keys, labels, and optional thumbnail, feature and metadata columns.

    Make one with `create` or `open`. The order of rows is not stable: join by id. When a method
    that writes returns, its rows survive a power cut.

    Parameters
    ----------
    dataset : Dataset
    """

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self._own_versions: set[int] = set()

    @classmethod
    def create(
        cls, path: str | Path, n_levels: int, n_codewords: int, model_fingerprint: str
    ) -> CodeStore:
        """Make an empty store for the codes of a model.

        Raises
        ------
        OptionError
            If `path` exists or cannot be written.
        """
        folder = open_folder(path)
        with write_errors(path):
            is_there = folder.is_there()
        if is_there:
            raise OptionError(f"{path} must not exist yet. Choose another path.")
        return cls(Dataset.create(folder, base_schema(n_levels, n_codewords, model_fingerprint)))

    def restore(self, version: int, *, only_own: bool = False) -> bool:
        """Make an earlier version the newest one (as a new commit); tell whether it was done.

        With `only_own` it is not when anybody else has committed since.
        """
        with self._dataset.writing() as newest:
            if only_own and not self.is_alone_since(version):
                return False
            if version not in self._dataset.versions():
                if only_own:
                    return False  # there were very many commits since
                raise OptionError(f"version must be one that is still there, got {version}.")
            earlier = newest.checkout_version(version)
            self._dataset.check_lock()
            earlier.restore()
            self._dataset.committed(earlier)
            self._own_versions.add(self.version)
            return True

    def upsert(self, rows: pa.Table, check: Callable[[], None] | None = None) -> UpsertCounts:
        """Add rows; a row whose id is there already is replaced whole. One commit.

        Parameters
        ----------
        rows : pyarrow.Table
            ``id``, all level columns, and any of ``key``, ``labels``, ``thumbnail``, ``feature``
            and metadata columns. Columns that the store lacks are added to it; columns that
            `rows` lacks become null in these rows. Dictionaries, runs and views are stored as
            plain values. A metadata column of numbers, structs or lists gets a wider type where
            these rows need one; the log says so.
        check : callable, optional
            Called before rows are replaced, while the lock is held; raises to prevent it.

        Raises
        ------
        DataError
            If ids repeat, a column has a type that cannot be stored, or the stored column does not
            hold a value exactly.
        OptionError
            If the store cannot be written.
        """
        missing = {"id", *level_columns(self.n_levels)} - set(rows.column_names)
        if missing:
            raise DataError(f"rows must have the columns {', '.join(sorted(missing))}, got none.")
        _check_distinct(rows["id"].to_numpy())
        if len(rows) == 0:
            return UpsertCounts(0, 0)
        rows = plain_rows(rows)
        with self._dataset.writing():
            self._drop_further_levels()
            self._make_room(rows)
            schema = self._dataset.lance.schema
            merge = self._dataset.lance.merge_insert("id")
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            transaction, counts = merge.execute_uncommitted(
                conformed_rows(rows, schema, self._packed(rows))
            )
            if check is not None and counts["num_updated_rows"]:
                check()
            ids = rows["id"].to_numpy()
            self._apply(transaction, (int(ids.min()), int(ids.max())))
            self._tidy()
        return UpsertCounts(counts["num_inserted_rows"], counts["num_updated_rows"])

    def upgrade(self, model_fingerprint: str) -> dict[str, str] | None:
        """Bring a store of an older format version to this one; only while `locked`.

        What is stored is not written again, and stays as it is: codes of one level a column.

        Parameters
        ----------
        model_fingerprint : str
            Of the model of its codes.

        Returns
        -------
        dict of str to str or None
            Old and new names of metadata columns whose names this format uses itself; None where
            there was nothing to do.
        """
        settings = self._settings
        if settings.format_version == FORMAT_VERSION:
            return None
        known = reserved_columns(settings.format_version)
        renamed: dict[str, str] = {}
        for name in self.columns:
            if name in RESERVED_COLUMNS and name not in known:
                renamed[name] = free_column_name(name, [*self.columns, *renamed.values()])
        if renamed:
            newest = self._dataset.lance
            self._dataset.check_lock()
            newest.alter_columns(*({"path": old, "name": new} for old, new in renamed.items()))
            self._dataset.committed(newest)
        # The version comes last: it is what makes those names the store's own.
        name_models(self._dataset, {model_fingerprint: self.n_levels})
        return renamed

    def at_newest(self, work: Callable[[], _T]) -> _T:
        """Go to the newest version and work, again when a compaction has removed it meanwhile."""
        self.refresh()
        while True:
            version = self.version
            try:
                return work()
            except FormatError:
                self.refresh()
                if self.version == version:
                    raise

    def extend(
        self,
        further: Callable[[Int64Array, Codes], Codes],
        acknowledge: Callable[[], None],
        model_fingerprint: str,
    ) -> int:
        """Add the levels that follow; what is stored is not written again.

        Parameters
        ----------
        further : callable
            Takes ids (n,) and the codes of all levels so far, gives those of the new levels. It is
            asked before the store is locked, and again if rows came meanwhile.
        acknowledge : callable
            Called when all is stored, before other writers go on.
        model_fingerprint : str
            Of the model of all levels. It is named in the store before `acknowledge`; until then
            the new levels are ignored.

        Returns
        -------
        int
            How many rows there were.
        """

        def work() -> tuple[Int64Array, Codes, Codes]:
            ids, codes = self.codes()
            return ids, codes, further(ids, codes)

        ids, codes, made = self.at_newest(work)
        with self._dataset.writing():
            now, codes_now = self.codes()
            if not (np.array_equal(ids, now) and np.array_equal(codes.planes, codes_now.planes)):
                ids, made = now, further(now, codes_now)
            extend_dataset(self._dataset, self.n_levels, ids, made, model_fingerprint)
            acknowledge()
            self._own_versions.add(self.version)
        return len(ids)

    def delete(self, ids: Int64Array | None = None, where: Condition | None = None) -> int:
        """Delete rows, given by ids, by a condition, or by both; return how many there were.

        One commit. What a condition selects is read while all other writers wait. Ids that are not
        there are no error: they are deleted already.

        Parameters
        ----------
        ids : ndarray of shape (n,), int64, optional
        where : Condition, optional
            With `ids`: those of them that it selects.

        Raises
        ------
        OptionError
            If neither `ids` nor `where` is given, or the store cannot be written.
        TimeLimitError
            If evaluating the condition takes longer than it may; nothing is deleted then.
        """
        if ids is None and where is None:
            raise OptionError("delete needs ids or a condition (where), got neither.")
        with self._dataset.writing():
            chosen = np.unique(np.asarray(self.ids(where) if ids is None else ids, np.int64))
            if ids is not None and where is not None:
                chosen = np.intersect1d(chosen, self.ids(where))
            if len(chosen) == 0:
                return 0
            merge = self._dataset.lance.merge_insert("id").when_matched_delete()
            transaction, counts = merge.execute_uncommitted(pa.table({"id": chosen}))
            if counts["num_deleted_rows"]:
                self._apply(transaction)
                self._tidy()
        return int(counts["num_deleted_rows"])

    def drop_damaged(self) -> int:
        """Give up the rows of damaged files; return how many there were. One commit."""
        from lance import LanceOperation
        from lance.dataset import LanceDataset

        with self._dataset.writing(over_damage=True) as newest:
            damaged = set(self._dataset.damages_of())
            if not damaged:
                return 0
            lost = [one for one in newest.get_fragments() if one.fragment_id in damaged]
            operation = LanceOperation.Delete([], sorted(damaged), "damaged")
            self._dataset.check_lock()
            made = LanceDataset.commit(newest, operation, read_version=newest.version)
            self._dataset.committed(made)
            return sum(one.metadata.physical_rows - one.num_deletions for one in lost)

    def compact(self, kept_s: float = _KEPT_S) -> CompactReport:
        """Put small fragments together, drop deleted rows, and remove old versions.

        Parameters
        ----------
        kept_s : float
            Age in seconds up to which old versions stay: processes that read them break without.
        """
        report = compact_dataset(self._dataset, kept_s)
        return report

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all writers out."""
        with self._dataset.writing():
            yield

    def _drop_further_levels(self) -> None:
        """Drop the levels that an extension has left which was interrupted; only while `writing`.

        One that goes on holds the lock until the collection has its model.
        """
        if self._settings.n_levels <= self.n_levels:
            return
        if self._dataset.is_current is None:
            raise DataError(
                f"{self.path} has more levels than the {self.n_levels} of these codes. Open it "
                "with all of them, or write to its collection."
            )
        drop_levels(self._dataset, self.n_levels)
        self._own_versions.add(self.version)

    def is_alone_since(self, version: int) -> bool:
        """Tell whether all versions after this one were committed by this object."""
        return self._own_versions.issuperset(range(version + 1, self.version + 1))

    def _apply(self, transaction: Any, ids: tuple[int, ...] | None = None) -> None:
        self._dataset.apply(transaction, ids)
        self._own_versions.add(self.version)

    def _tidy(self) -> None:
        """Merge small fragments when it is time; what was committed is acknowledged already."""
        before = self.version
        tidy_dataset(self._dataset)
        self._own_versions.update(range(before + 1, self.version + 1))

    def _make_room(self, rows: pa.Table) -> None:
        """Give the store the columns and the wider types that rows need, or raise DataError."""
        before = self.version
        drop_drafts(self._dataset)
        stored = self._dataset.lance.schema
        changes = wider_columns(rows, stored)
        for name, kind in changes.items():
            change_type(self._dataset, name, kind)
            _LOG.warning(
                "column %s holds %s from now on, which was %s; its values stay the same",
                name,
                kind,
                stored.field(name).type,
            )
        self._own_versions.update(range(before + 1, self.version + 1))
        # A column of nulls only has no type to remember.
        fresh = [one for one in rows.schema if one.name not in {*stored.names, *self.columns}]
        fresh = [pa.field(one.name, one.type) for one in fresh if not pa.types.is_null(one.type)]
        if not fresh:
            return
        commit(self._dataset, lambda newest: newest.add_columns(pa.schema(fresh)))  # needs no file
        self._own_versions.add(self.version)
        named = [f"{one.name} ({one.type})" for one in fresh if one.name not in RESERVED_COLUMNS]
        if named and (n_rows := self.count()):
            _LOG.warning("new columns: %s; null in the %d rows before", ", ".join(named), n_rows)

    def _packed(self, rows: pa.Table) -> dict[str, UInt8Array]:
        """Return the code columns of rows, by name."""
        names = level_columns(self.n_levels)
        planes = np.stack([rows[name].to_numpy() for name in names])  # (M, n)
        columns = [one for one in self._settings.code_columns if one.first_level < self.n_levels]
        return {one.name: one.pack(planes[one.first_level :][: one.n_levels]) for one in columns}


def _check_distinct(ids: Int64Array) -> None:
    ordered = np.sort(ids)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        raise DataError(f"ids must be distinct, got {repeated[0]} more than once.")
