"""The store of a collection: one Lance dataset, one row an item, joined by id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from anybit.codes import Codes
from anybit.errors import DataError, DependencyError, FormatError, OptionError
from anybit.store.schema import base_schema, level_columns, settings_of
from anybit.types import Float32Array, Int64Array, UInt8Array

__all__ = ["CodeStore", "UpsertCounts"]

# Ids of one IN (...) filter; longer lists are read in several scans.
_IDS_PER_FILTER = 2_000


@dataclass(frozen=True)
class UpsertCounts:
    """How many rows an upsert added, and how many it replaced."""

    n_added: int
    n_updated: int


class CodeStore:
    """Rows of ids, codes, keys, labels, and optional thumbnail, feature and metadata columns.

    Make one with `create` or `open`. The order of rows is not stable: join by id.

    Parameters
    ----------
    dataset : lance.LanceDataset
    path : Path
        For messages.
    """

    def __init__(self, dataset: Any, path: Path) -> None:
        self._dataset = dataset
        self.path = path
        self._own_versions: set[int] = set()
        self.n_levels, self.n_codewords = settings_of(dataset.schema, str(path))

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
        schema = base_schema(n_levels, n_codewords)
        try:
            dataset = _lance().write_dataset(
                schema.empty_table(), str(target), schema=schema, mode="create"
            )
        except (OSError, ValueError) as cause:
            raise OptionError(f"{target} must be writable: {cause}") from cause
        return cls(dataset, target)

    @classmethod
    def open(cls, path: str | Path) -> CodeStore:
        """Open a store at its newest version.

        Raises
        ------
        FormatError
            If there is none, it is damaged, foreign, or of a newer format version.
        """
        source = Path(path)
        if not source.is_dir():
            raise FormatError(f"{source} must be a store, got no such folder.")
        try:
            dataset = _lance().dataset(str(source))
        except (OSError, ValueError) as cause:
            raise FormatError(f"{source} must be a Lance dataset, got: {cause}") from cause
        return cls(dataset, source)

    @property
    def version(self) -> int:
        """Number of the version that is read; every commit makes a new one."""
        return int(self._dataset.version)

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return list(self._dataset.schema.names)

    @property
    def metadata_columns(self) -> list[str]:
        """Names of the columns that came from the sources' own tables."""
        own = {"id", "key", "labels", "thumbnail", "feature", *level_columns(self.n_levels)}
        return [name for name in self.columns if name not in own]

    def refresh(self) -> None:
        """Go to the newest version."""
        self._dataset.checkout_latest()

    def is_only_writer_since(self, version: int) -> bool:
        """Tell whether every commit after `version` was made through this object."""
        self.refresh()
        return self._own_versions.issuperset(range(version + 1, self.version + 1))

    def restore(self, version: int) -> None:
        """Make an earlier version the newest one (as a new commit)."""
        earlier = _lance().dataset(str(self.path), version=version)
        earlier.restore()
        self.refresh()

    def count(self, where: str | None = None) -> int:
        """Return the number of rows, or of those that a SQL condition selects."""
        if where is None:
            return int(self._dataset.count_rows())
        return len(self.ids(where))

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
        ids = rows["id"].to_numpy()
        if len(np.unique(ids)) != len(ids):
            values, counts = np.unique(ids, return_counts=True)
            raise DataError(f"ids must be distinct, got {values[counts > 1][0]} more than once.")
        if len(ids) == 0:
            return UpsertCounts(0, 0)
        try:
            self._add_columns(rows.schema)
            merge = self._dataset.merge_insert("id")
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            counts_by_name = merge.execute(self._conformed(rows))
            self._own_versions.add(self.version)
        except (OSError, RuntimeError) as cause:
            raise OptionError(
                f"{self.path} must be writable, got: {cause}. Free space or change permissions, "
                "then run the same command again."
            ) from cause
        self.refresh()
        return UpsertCounts(counts_by_name["num_inserted_rows"], counts_by_name["num_updated_rows"])

    def _add_columns(self, schema: pa.Schema) -> None:
        """Add the columns that the store does not have yet, null in all rows."""
        self.refresh()
        known = set(self.columns)
        fresh = [pa.field(field.name, field.type) for field in schema if field.name not in known]
        # A column of nulls only has no type to remember.
        fresh = [field for field in fresh if not pa.types.is_null(field.type)]
        if fresh:
            self._dataset.add_columns(pa.schema(fresh))
            self._own_versions.add(self.version)
            self.refresh()

    def _conformed(self, rows: pa.Table) -> pa.Table:
        """Return the rows with exactly the stored columns and types."""
        columns = []
        for field in self._dataset.schema:
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
        return pa.Table.from_arrays(columns, schema=self._dataset.schema)

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
        schema = pa.schema([self._dataset.schema.field(name) for name in names])
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

    def _read(self, columns: list[str], where: str | None) -> pa.Table:
        try:
            return self._dataset.to_table(columns=columns, filter=where)
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


def _any_of(ids: Int64Array) -> str:
    """Return the SQL condition that selects these ids (at least one)."""
    smallest = np.iinfo(np.int64).min
    listed = ", ".join(str(one) for one in ids if one != smallest)
    conditions = [f"id IN ({listed})"] if listed else []
    if smallest in ids:
        # SQL reads the literal as a minus before 2^63, which no int64 holds.
        conditions.append(f"id < {smallest + 1}")
    return " OR ".join(conditions)


def _lance() -> ModuleType:
    """Import Lance where it is first needed: the import takes 0.4 s."""
    try:
        import lance
    except ImportError as cause:
        raise DependencyError("a collection needs pylance. Run `pip install pylance`.") from cause
    module: ModuleType = lance
    return module
