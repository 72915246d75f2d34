"""The store of a collection: one Lance dataset, one row an item, joined by id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from anybit.codes import Codes
from anybit.errors import DataError, FormatError, OptionError
from anybit.store.compaction import compact_dataset
from anybit.store.dataset import Dataset
from anybit.store.extension import extend_dataset
from anybit.store.reports import (
    CompactReport,
    FragmentCodes,
    UpsertCounts,
    VerifyReport,
    VersionInfo,
)
from anybit.store.schema import (
    base_schema,
    is_level_column,
    level_columns,
    reserved_columns,
    settings_of,
)
from anybit.store.verify import verify_dataset
from anybit.types import Float32Array, Int64Array, UInt8Array

__all__ = ["CodeStore"]

# Versions younger than this stay readable: other processes may have opened them.
_KEPT_S = 3600.0
# Ids of one IN (...) filter; longer lists are read in several scans.
_IDS_PER_FILTER = 2_000


class CodeStore:
    """Rows of ids, codes, keys, labels, and optional thumbnail, feature and metadata columns.

    Make one with `create` or `open`. The order of rows is not stable: join by id. When a method
    that writes returns, its rows survive a power cut.

    Parameters
    ----------
    dataset : Dataset
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.path = dataset.path
        self._own_versions: set[int] = set()
        settings = settings_of(dataset.lance.schema, str(self.path))
        self.n_levels, self.n_codewords = settings.n_levels, settings.n_codewords
        # In a store of version 1 a later name may be that of a metadata column.
        self.own_columns = reserved_columns(settings.format_version)
        if settings.format_version >= 2 and not dataset.log.exists:
            raise FormatError(
                f"{self.path} must have checksums in _checksums, got none. "
                "Restore that folder from a copy."
            )

    @classmethod
    def create(cls, path: str | Path, n_levels: int, n_codewords: int) -> CodeStore:
        """Make an empty store.

        Raises
        ------
        OptionError
            If `path` exists or cannot be written.
        """
        target = Path(path)
        if target.exists():
            raise OptionError(f"{target} must not exist yet. Choose another path.")
        return cls(Dataset.create(target, base_schema(n_levels, n_codewords)))

    @classmethod
    def open(
        cls,
        path: str | Path,
        version: int | None = None,
        *,
        n_levels: int | None = None,
        skip_damaged: bool = False,
    ) -> CodeStore:
        """Open a store.

        Parameters
        ----------
        path : str or Path
        version : int, optional
            One of `versions`, to be read only; the newest when left out.
        n_levels : int, optional
            Levels to read, where more are stored: an extension is not finished.
        skip_damaged : bool
            Leave the rows of damaged files out, where reading them is refused otherwise.

        Raises
        ------
        FormatError
            If there is none, it is damaged, foreign, or of a newer format version.
        OptionError
            If there is no such version.
        """
        source = Path(path)
        if not source.is_dir():
            raise FormatError(f"{source} must be a store, got no such folder.")
        try:
            store = cls(Dataset(source, version, skip_damaged=skip_damaged))
        except (OSError, ValueError) as cause:
            if isinstance(cause, OptionError):
                raise
            if version is not None:
                raise OptionError(
                    f"version must be one that is still there, got {version}: {cause}"
                ) from cause
            raise FormatError(f"{source} must be a Lance dataset, got: {cause}") from cause
        if n_levels is not None and not 1 <= n_levels <= store.n_levels:
            raise FormatError(
                f"{source} must have at least {n_levels} levels, got {store.n_levels}. "
                "Restore the collection from a copy."
            )
        store.n_levels = n_levels or store.n_levels
        return store

    @property
    def version(self) -> int:
        """Number of the version that is read; every commit makes a new one."""
        return self._dataset.version

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return list(self._dataset.lance.schema.names)

    @property
    def metadata_columns(self) -> list[str]:
        """Names of the columns that came from the sources' own tables."""
        return [
            name
            for name in self.columns
            if name not in self.own_columns and not is_level_column(name)
        ]

    @property
    def skipped(self) -> dict[int, list[str]]:
        """What was found damaged and left out: reasons, by the number of the fragment."""
        return {
            number: [str(one) for one in some] for number, some in self._dataset.skipped.items()
        }

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep the version that is read, against other threads that use this object."""
        with self._dataset.mutex:
            yield

    def refresh(self) -> bool:
        """Go to the newest version; tell whether it is another one."""
        return self._dataset.refresh()

    def is_only_writer_since(self, version: int) -> bool:
        """Tell whether every commit after `version` was made through this object."""
        self.refresh()
        return self._own_versions.issuperset(range(version + 1, self.version + 1))

    def restore(self, version: int) -> None:
        """Make an earlier version the newest one (as a new commit)."""
        with self._dataset.writing() as newest:
            earlier = newest.checkout_version(version)
            earlier.restore()
            self._dataset.committed(earlier)
            self._own_versions.add(self.version)

    def versions(self) -> list[VersionInfo]:
        """Return what versions there are, oldest first."""
        return [
            VersionInfo(one["version"], one["timestamp"]) for one in self._dataset.lance.versions()
        ]

    def count(self, where: str | None = None) -> int:
        """Return the number of rows, or of those that a SQL condition selects."""
        if where is not None:
            return len(self.ids(where))
        if self._dataset.skip_damaged:
            return sum(one.count_rows() for one in self._dataset.fragments())
        return int(self._dataset.lance.count_rows())

    def upsert(self, rows: pa.Table) -> UpsertCounts:
        """Add rows; a row whose id is there already is replaced whole. One commit.

        Parameters
        ----------
        rows : pyarrow.Table
            ``id``, all level columns, and any of ``key``, ``labels``, ``thumbnail``, ``feature``
            and metadata columns. Columns that the store lacks are added to it; columns that
            `rows` lacks become null in these rows.

        Raises
        ------
        DataError
            If ids repeat, or a column has a type that the stored one cannot hold.
        OptionError
            If the store cannot be written.
        """
        missing = {"id", *level_columns(self.n_levels)} - set(rows.column_names)
        if missing:
            raise DataError(f"rows must have the columns {', '.join(sorted(missing))}, got none.")
        _check_distinct(rows["id"].to_numpy())
        if len(rows) == 0:
            return UpsertCounts(0, 0)
        with self._dataset.writing():
            if level_columns(self.n_levels + 1)[-1] in self.columns:
                raise DataError(
                    f"{self.path} got more levels than the {self.n_levels} of these codes: its "
                    "model was replaced, or is being. Open the collection again; if that does not "
                    "help, finish its migration (anybit migrate)."
                )
            self._add_columns(rows.schema)
            merge = self._dataset.lance.merge_insert("id")
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            transaction, counts = merge.execute_uncommitted(self._conformed(rows))
            self._apply(transaction)
        return UpsertCounts(counts["num_inserted_rows"], counts["num_updated_rows"])

    def extend(
        self, further: Callable[[Int64Array, Codes], Codes], acknowledge: Callable[[], None]
    ) -> int:
        """Add the levels that follow; what is stored is not written again. One commit.

        Parameters
        ----------
        further : callable
            Takes ids (n,) and the codes of all levels so far, gives those of the new levels. It is
            asked before the store is locked, and again if rows came meanwhile.
        acknowledge : callable
            Called when all is stored, before other writers go on.

        Returns
        -------
        int
            How many rows there were.
        """
        self.refresh()
        ids, codes = self.codes()
        made = further(ids, codes)
        with self._dataset.writing():
            now, codes_now = self.codes()
            if not (np.array_equal(ids, now) and np.array_equal(codes.planes, codes_now.planes)):
                ids, made = now, further(now, codes_now)
            names = level_columns(self.n_levels + made.n_levels)[self.n_levels :]
            extend_dataset(self._dataset, names, ids, made.planes)
            acknowledge()
            self._own_versions.add(self.version)
        return len(ids)

    def delete(self, ids: Int64Array | None = None, where: str | None = None) -> int:
        """Delete rows, given by ids or by a SQL condition; return how many there were. One commit.

        Ids that are not there are no error: they are deleted already.

        Raises
        ------
        OptionError
            If not one of `ids` and `where` is given, or the store cannot be written.
        """
        if (ids is None) == (where is None):
            raise OptionError("delete needs either ids or a condition (where), got both or none.")
        with self._dataset.writing():
            chosen = np.unique(self.ids(where) if ids is None else np.asarray(ids, np.int64))
            if len(chosen) == 0:
                return 0
            merge = self._dataset.lance.merge_insert("id").when_matched_delete()
            transaction, counts = merge.execute_uncommitted(pa.table({"id": chosen}))
            if counts["num_deleted_rows"]:
                self._apply(transaction)
        return int(counts["num_deleted_rows"])

    def compact(self, kept_s: float = _KEPT_S) -> CompactReport:
        """Put small fragments together, drop deleted rows, and remove old versions.

        Parameters
        ----------
        kept_s : float
            Age in seconds up to which old versions stay: processes that read them break without.
        """
        report = compact_dataset(self._dataset, kept_s)
        self._own_versions.add(self.version)
        return report

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all writers out."""
        with self._dataset.writing():
            yield

    def retire(self) -> None:
        """Refuse to be written from now on: another store takes this one's place.

        Only while `locked`.
        """
        self._dataset.retire()

    def verify(self) -> VerifyReport:
        """Read every file of the version and compare it; nothing is changed."""
        return verify_dataset(self._dataset, self.n_levels, self.n_codewords)

    def _apply(self, transaction: Any) -> None:
        self._dataset.apply(transaction)
        self._own_versions.add(self.version)

    def _add_columns(self, schema: pa.Schema) -> None:
        """Add the columns that the store does not have yet, null in all rows."""
        known = set(self.columns)
        fresh = [pa.field(field.name, field.type) for field in schema if field.name not in known]
        # A column of nulls only has no type to remember.
        fresh = [field for field in fresh if not pa.types.is_null(field.type)]
        if fresh:
            newest = self._dataset.lance
            newest.add_columns(pa.schema(fresh))  # no data: nulls need no file
            self._dataset.committed(newest)
            self._own_versions.add(self.version)

    def _conformed(self, rows: pa.Table) -> pa.Table:
        """Return the rows with exactly the stored columns and types."""
        columns = []
        for field in self._dataset.lance.schema:
            if field.name not in rows.column_names:
                columns.append(pa.nulls(len(rows), field.type))
                continue
            try:
                columns.append(rows[field.name].cast(field.type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as cause:
                raise DataError(
                    f"column {field.name} must hold {field.type} as the rows before it, "
                    f"got {rows.schema.field(field.name).type}: {cause}. "
                    "Give the column another name, or the same type."
                ) from cause
        return pa.Table.from_arrays(columns, schema=self._dataset.lance.schema)

    def ids(self, where: str | None = None) -> Int64Array:
        """Return the ids, or those that a SQL condition selects, in no particular order."""
        return np.asarray(self._read(["id"], where)["id"].to_numpy(), dtype=np.int64)

    def codes(self, n_levels: int | None = None) -> tuple[Int64Array, Codes]:
        """Return (ids (N,), codes) ordered by id; only the first `n_levels` levels are read."""
        levels = self.n_levels if n_levels is None else n_levels
        if not 1 <= levels <= self.n_levels:
            raise OptionError(f"n_levels must be from 1 to {self.n_levels}, got {levels}.")
        names = level_columns(levels)
        table = self._read(["id", *names], None)
        ids = np.asarray(table["id"].to_numpy(), dtype=np.int64)
        planes: UInt8Array = np.empty((levels, len(ids)), dtype=np.uint8)
        order = np.argsort(ids)
        for level, name in enumerate(names):
            planes[level] = table[name].to_numpy()[order]
        return ids[order], Codes(planes, self.n_codewords)

    def signatures(self) -> tuple[Int64Array, Int64Array]:
        """Return (ids (n,), signatures (n,)) of the rows that have one, ordered by id."""
        if "signature" not in self.columns:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        table = self._read(["id", "signature"], "signature IS NOT NULL")
        order = np.argsort(table["id"].to_numpy())
        return table["id"].to_numpy()[order], table["signature"].to_numpy()[order]

    def features(self) -> Float32Array | None:
        """Return the stored features (N, D) float32 in the order of ids; None if any is missing."""
        if "feature" not in self.columns:
            return None
        table = self._read(["id", "feature"], None)
        if table["feature"].null_count:
            return None
        dim = table.schema.field("feature").type.list_size
        features = np.empty((len(table), dim), dtype=np.float32)
        position = 0
        for chunk in table["feature"].chunks:
            features[position : position + len(chunk)] = (
                chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
            )
            position += len(chunk)
        return features[np.argsort(table["id"].to_numpy())]

    def read(self, columns: list[str], where: str | None = None) -> pa.Table:
        """Return some columns ordered by id."""
        table = self._read(["id", *[name for name in columns if name != "id"]], where)
        order = np.argsort(table["id"].to_numpy())
        return table.take(pa.array(order)).select(columns)

    def take(self, ids: Int64Array, columns: list[str]) -> pa.Table:
        """Return some columns of the rows with these ids, in the order of `ids`.

        Raises
        ------
        DataError
            If an id is not there.
        """
        wanted = np.unique(np.asarray(ids, dtype=np.int64))
        names = list(dict.fromkeys(["id", *columns]))
        unknown = [name for name in names if name not in self.columns]
        if unknown:
            raise OptionError(
                f"columns must be some of {', '.join(self.columns)}, got {', '.join(unknown)}."
            )
        schema = pa.schema([self._dataset.lance.schema.field(name) for name in names])
        parts = [schema.empty_table().replace_schema_metadata(None)]
        for start in range(0, len(wanted), _IDS_PER_FILTER):
            condition = _any_of(wanted[start : start + _IDS_PER_FILTER])
            parts.append(self._read(names, condition).replace_schema_metadata(None))
        table = pa.concat_tables(parts, promote_options="permissive")
        if len(table) != len(wanted):
            absent = np.setdiff1d(wanted, table["id"].to_numpy())
            raise DataError(
                f"ids must be in the collection, got {absent[:5].tolist()} that are not."
            )
        found = table["id"].to_numpy()
        order = np.argsort(found)
        rows = order[np.searchsorted(found[order], ids)]
        return table.take(pa.array(rows)).select(columns)

    def fragment_states(self) -> dict[int, tuple[str, ...]]:
        """Return the files of each fragment: other files, other rows."""
        return self._dataset.states()

    def fragment_codes(self, numbers: list[int]) -> FragmentCodes:
        """Return the rows of some fragments."""
        names = level_columns(self.n_levels)
        table = self._read(["id", *names], None, fragments=numbers, with_row_address=True)
        planes: UInt8Array = np.empty((self.n_levels, len(table)), dtype=np.uint8)
        for level, name in enumerate(names):
            planes[level] = table[name].to_numpy()
        return FragmentCodes(
            np.asarray(table["id"].to_numpy(), dtype=np.int64),
            Codes(planes, self.n_codewords),
            table["_rowaddr"].to_numpy(),
        )

    def addresses(
        self, where: str | None = None, fragments: list[int] | None = None
    ) -> NDArray[np.uint64]:
        """Return the addresses (see `FragmentCodes`) of rows that are not deleted."""
        table = self._read([], where, fragments=fragments, with_row_address=True)
        found: NDArray[np.uint64] = table["_rowaddr"].to_numpy()
        return found

    def _read(
        self,
        columns: list[str],
        where: str | None,
        *,
        fragments: list[int] | None = None,
        with_row_address: bool = False,
    ) -> pa.Table:
        dataset = self._dataset
        chosen = dataset.fragments(fragments)
        is_all = len(chosen) == len(dataset.lance.get_fragments())
        if not chosen and not is_all:
            return self._empty(columns, with_row_address=with_row_address)
        try:
            return dataset.lance.scanner(
                columns=columns,
                filter=where,
                fragments=None if is_all else chosen,
                with_row_address=with_row_address,
            ).to_table()
        except ValueError as cause:
            if where is None:
                raise FormatError(f"{self.path} cannot be read: {cause}") from cause
            names = ["id", "key", "labels", *self.metadata_columns]
            reason = str(cause).split(", /")[0]
            raise OptionError(
                f"where must be a SQL condition on {', '.join(names)}, got {where!r}: {reason}"
            ) from cause
        except (OSError, RuntimeError) as cause:
            raise FormatError(f"{self.path} cannot be read: {cause}") from cause

    def _empty(self, columns: list[str], *, with_row_address: bool) -> pa.Table:
        fields = [self._dataset.lance.schema.field(name) for name in columns]
        if with_row_address:
            fields.append(pa.field("_rowaddr", pa.uint64()))
        table: pa.Table = pa.schema(fields).empty_table()
        return table


def _check_distinct(ids: Int64Array) -> None:
    ordered = np.sort(ids)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        raise DataError(f"ids must be distinct, got {repeated[0]} more than once.")


def _any_of(ids: Int64Array) -> str:
    """Return the SQL condition that selects these ids (at least one)."""
    smallest = np.iinfo(np.int64).min
    listed = ", ".join(str(one) for one in ids if one != smallest)
    conditions = [f"id IN ({listed})"] if listed else []
    if smallest in ids:
        # SQL reads the literal as a minus before 2^63, which no int64 holds.
        conditions.append(f"id < {smallest + 1}")
    return " OR ".join(conditions)
