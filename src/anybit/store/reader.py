"""Reading the rows of a store, at one version of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from anybit.codes import Codes, access_error
from anybit.errors import AnybitError, DataError, FormatError, OptionError
from anybit.store.code_columns import is_level_column, level_columns, unpacked
from anybit.store.condition import Condition
from anybit.store.dataset import Dataset
from anybit.store.folders import open_folder
from anybit.store.reports import FragmentCodes, VerifyReport, VersionInfo
from anybit.store.scan import ADDRESS, RowAddresses, RowIds, read_error, scanner_of, select
from anybit.store.schema import DRAFT_COLUMNS, StoreSettings, reserved_columns, settings_of
from anybit.store.verify import verify_dataset
from anybit.types import Float32Array, Int64Array, UInt8Array

__all__ = ["StoreReader"]

# Ids of one IN (...) filter; longer lists are read in several scans.
_IDS_PER_FILTER = 2_000
# A compaction may remove the version that is being verified; then the newest one is.
_VERIFY_TRIES = 20


class StoreReader:
    """What `CodeStore` reads. The order of rows is not stable: join by id.

    Parameters
    ----------
    dataset : Dataset
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.path = dataset.path
        settings = self._settings
        self.n_levels, self.n_codewords = settings.n_levels, settings.n_codewords
        if settings.format_version >= 2 and not dataset.log.exists:
            raise FormatError(
                f"{self.path} must have checksums in _checksums, got none. "
                "Restore that folder from a copy."
            )

    @classmethod
    def open(
        cls,
        path: str | Path,
        version: int | None = None,
        *,
        n_levels: int | None = None,
        model_fingerprint: str | None = None,
        skip_damaged: bool = False,
        is_current: Callable[[], bool] | None = None,
    ) -> Self:
        """Open a store.

        Parameters
        ----------
        path : str or Path
            A folder, or an ``s3://`` URL.
        version : int, optional
            One of `versions`, to be read only; the newest when left out.
        n_levels : int, optional
            Levels to read, where more are stored: an extension is not finished.
        model_fingerprint : str, optional
            Of the model that must have made the codes. Stores of format versions 1 and 2 do not
            tell.
        skip_damaged : bool
            Leave the rows of damaged files out, where reading them is refused otherwise.
        is_current : callable, optional
            Tells whether the store is still the one to write to. It is called before each commit
            while all other writers are locked out; where it is false nothing is written.

        Raises
        ------
        FormatError
            If there is none, it is damaged, foreign, of a newer format version, or of another
            model.
        OptionError
            If there is no such version, or a file may not be read.
        """
        folder = open_folder(path)
        source = folder.place
        try:
            if not folder.is_there():
                raise FormatError(f"{source} must be a store, got no such folder.")
            dataset = Dataset(folder, version, skip_damaged=skip_damaged, is_current=is_current)
            store = cls(dataset)
        except (OSError, ValueError) as cause:
            if isinstance(cause, AnybitError):
                raise
            if (no_access := access_error(source, cause)) is not None:
                raise no_access from cause
            if version is not None:
                raise OptionError(
                    f"version must be one that is still there, got {version}: {cause}"
                ) from cause
            raise FormatError(f"{source} cannot be opened: {cause}") from cause
        store._choose_levels(n_levels, model_fingerprint)
        return store

    def _choose_levels(self, n_levels: int | None, model_fingerprint: str | None) -> None:
        """Read the codes of one model, or raise FormatError where they are not stored."""
        models = self._settings.models
        if model_fingerprint is not None and models is not None:
            n_of_model = models.get(model_fingerprint)
            if n_of_model is None:
                raise FormatError(
                    f"{self.path} must hold codes of the model {model_fingerprint[:12]}, got codes "
                    f"of {', '.join(sorted(one[:12] for one in models))}. Restore the whole "
                    "collection (collection.json, model and items) from one copy."
                )
            n_levels = n_of_model if n_levels is None else n_levels
            if n_of_model != n_levels:
                raise FormatError(
                    f"{self.path} must hold {n_levels} levels of the model "
                    f"{model_fingerprint[:12]}, got {n_of_model}. Restore the whole collection "
                    "from one copy."
                )
        if n_levels is not None and not 1 <= n_levels <= self.n_levels:
            raise FormatError(
                f"{self.path} must have at least {n_levels} levels, got {self.n_levels}. "
                "Restore the collection from a copy."
            )
        self.n_levels = n_levels or self.n_levels

    @property
    def _settings(self) -> StoreSettings:
        return settings_of(self._dataset.lance.schema, str(self.path))

    @property
    def format_version(self) -> int:
        """Format version of what is read."""
        return self._settings.format_version

    @property
    def own_columns(self) -> tuple[str, ...]:
        """Names that the store uses itself, there or not; later formats use more."""
        return reserved_columns(self.format_version)

    @property
    def version(self) -> int:
        """Number of the version that is read; every commit makes a new one."""
        return self._dataset.version

    @property
    def columns(self) -> list[str]:
        """Names of all columns; every level counts as one, however codes are stored."""
        return list(self.schema.names)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of all columns, see `columns`."""
        stored = self._dataset.lance.schema
        fields = [
            one for one in stored if not is_level_column(one.name) and one.name not in DRAFT_COLUMNS
        ]
        levels = [
            pa.field(name, pa.uint8(), nullable=False) for name in level_columns(self.n_levels)
        ]
        return pa.schema([*fields, *levels], metadata=stored.metadata)

    @property
    def metadata_columns(self) -> list[str]:
        """Names of the columns that came from the sources' own tables."""
        own = {*self.own_columns, *level_columns(self.n_levels)}
        return [name for name in self.columns if name not in own]

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

    def refresh(self, *, at_once: bool = True) -> bool:
        """Go to the newest version; tell whether it is another one.

        Unless `at_once`, an object store is not asked again within a second.
        """
        return self._dataset.refresh(at_once=at_once)

    def versions(self) -> list[VersionInfo]:
        """Return what versions there are, oldest first."""
        made_at = self._dataset.made_at()
        return [VersionInfo(version, made_at[version]) for version in sorted(made_at)]

    @property
    def oldest_version(self) -> int:
        """Number of the oldest version that is there."""
        return min(self._dataset.versions(), default=self.version)

    def count(self, where: Condition | None = None) -> int:
        """Return the number of rows, or of those that a condition selects."""
        if where is not None:
            return len(self.ids(where))
        try:
            if self._dataset.skip_damaged:
                return sum(one.count_rows() for one in self._dataset.fragments())
            return int(self._dataset.lance.count_rows())
        except AnybitError:
            raise
        except (OSError, RuntimeError, ValueError) as cause:
            raise read_error(self._dataset, cause) from cause

    def verify(self) -> VerifyReport:
        """Read every file of the newest version and compare it; nothing is changed."""
        for _ in range(_VERIFY_TRIES):
            self.refresh()
            report = verify_dataset(self._dataset)
            if report.is_intact or not self._dataset.is_removed():
                return report
        raise FormatError(
            f"{self.path} is written so often that no version stays while it is read. "
            "Verify it again when less is written."
        )

    def ids(self, where: Condition | None = None) -> Int64Array:
        """Return the ids, or those that a condition selects, in no particular order.

        Raises
        ------
        TimeLimitError
            If evaluating the condition takes longer than it may.
        """
        if where is None:
            return np.asarray(self._read(["id"])["id"].to_numpy(), dtype=np.int64)
        return np.asarray(select(self._dataset, "id", where), dtype=np.int64)

    def codes(self, n_levels: int | None = None) -> tuple[Int64Array, Codes]:
        """Return (ids (N,), codes) ordered by id; only the first `n_levels` levels are read."""
        levels = self.n_levels if n_levels is None else n_levels
        if not 1 <= levels <= self.n_levels:
            raise OptionError(f"n_levels must be from 1 to {self.n_levels}, got {levels}.")
        names = level_columns(levels)
        table = self._read(["id", *names])
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
        table = self._read(["id", "signature"])
        table = table.filter(table["signature"].is_valid())
        order = np.argsort(table["id"].to_numpy())
        return table["id"].to_numpy()[order], table["signature"].to_numpy()[order]

    def features(self) -> Float32Array | None:
        """Return the stored features (N, D) float32 in the order of ids; None if any is missing."""
        if "feature" not in self.columns:
            return None
        table = self._read(["id", "feature"])
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

    def read(self, columns: list[str]) -> pa.Table:
        """Return some columns ordered by id."""
        table = self._read(["id", *[name for name in columns if name != "id"]])
        order = np.argsort(table["id"].to_numpy())
        return table.take(pa.array(order)).select(columns)

    def take(self, ids: Int64Array, columns: list[str]) -> pa.Table:
        """Return some columns of the rows with these ids, in the order of `ids`.

        Raises
        ------
        DataError
            If an id is not there.
        """
        names = list(dict.fromkeys(["id", *columns]))
        table = self.known(ids, names)
        found = table["id"].to_numpy()
        absent = np.setdiff1d(ids, found)
        if len(absent):
            raise DataError(
                f"ids must be in the collection, got {absent[:5].tolist()} that are not."
            )
        order = np.argsort(found)
        rows = order[np.searchsorted(found[order], ids)]
        return table.take(pa.array(rows)).select(columns)

    def known(self, ids: Int64Array, columns: list[str]) -> pa.Table:
        """Return some columns of the rows that have one of these ids, in no particular order."""
        wanted, names = np.unique(np.asarray(ids, dtype=np.int64)), columns
        unknown = [name for name in names if name not in self.columns]
        if unknown:
            raise OptionError(
                f"columns must be some of {', '.join(self.columns)}, got {', '.join(unknown)}."
            )
        schema = pa.schema([self.schema.field(name) for name in names])
        parts = [schema.empty_table().replace_schema_metadata(None)]
        for start in range(0, len(wanted), _IDS_PER_FILTER):
            chosen = RowIds(wanted[start : start + _IDS_PER_FILTER])
            parts.append(self._read(names, chosen).replace_schema_metadata(None))
        return pa.concat_tables(parts, promote_options="permissive")

    def fragment_states(self) -> dict[int, tuple[str, ...]]:
        """Return the files of each fragment: other files, other rows."""
        return self._dataset.states()

    def fragment_codes(self, numbers: list[int]) -> FragmentCodes:
        """Return the rows of some fragments."""
        names = level_columns(self.n_levels)
        table = self._read(["id", *names], fragments=numbers, with_row_address=True)
        planes: UInt8Array = np.empty((self.n_levels, len(table)), dtype=np.uint8)
        for level, name in enumerate(names):
            planes[level] = table[name].to_numpy()
        return FragmentCodes(
            np.asarray(table["id"].to_numpy(), dtype=np.int64),
            Codes(planes, self.n_codewords),
            table[ADDRESS].to_numpy(),
        )

    def fragment_rows(self, number: int, columns: list[str], limit: int | None = None) -> pa.Table:
        """Return columns, and addresses as ``_rowaddr``, of a fragment's (first) rows."""
        return self._read(columns, fragments=[number], with_row_address=True, limit=limit)

    def fragment_size(self, number: int) -> int:
        """Return the number of a fragment's rows."""
        return sum(int(one.count_rows()) for one in self._dataset.fragments([number]))

    def addresses(
        self, where: Condition | None = None, fragments: list[int] | None = None
    ) -> NDArray[np.uint64]:
        """Return the addresses (see `FragmentCodes`) of rows that are not deleted.

        Raises
        ------
        TimeLimitError
            If evaluating the condition takes longer than it may.
        """
        if where is not None:
            return np.asarray(select(self._dataset, ADDRESS, where, fragments), dtype=np.uint64)
        table = self._read([], fragments=fragments, with_row_address=True)
        found: NDArray[np.uint64] = table[ADDRESS].to_numpy()
        return found

    def take_at(self, addresses: NDArray[np.uint64], columns: list[str]) -> pa.Table:
        """Return some columns of the rows (at least one) at these distinct addresses, in order.

        Faster than `take`, which looks for the ids; of the version that gave the addresses only.
        """
        fragments = np.unique(addresses >> np.uint64(32)).tolist()
        chosen = RowAddresses(addresses)
        table = self._read(columns, chosen, fragments=fragments, with_row_address=True)
        if len(table) != len(addresses):
            raise FormatError(f"{self.path} must have the rows that were found, got fewer.")
        found = table[ADDRESS].to_numpy()
        order = np.argsort(found)
        return table.take(pa.array(order[np.searchsorted(found[order], addresses)])).select(columns)

    def _read(
        self,
        columns: list[str],
        chosen: RowIds | RowAddresses | None = None,
        *,
        fragments: list[int] | None = None,
        with_row_address: bool = False,
        limit: int | None = None,
    ) -> pa.Table:
        """Return stored columns and levels, by name."""
        levels = {one for one in columns if is_level_column(one)}
        if levels:
            holders = [
                one
                for one in self._settings.code_columns
                if not levels.isdisjoint(level_columns(one.levels.stop)[one.first_level :])
            ]
            stored = [one for one in columns if one not in levels]
            names = [*stored, *(one.name for one in holders)]
            table = self._read_stored(names, chosen, fragments, with_row_address, limit)
            codes = unpacked(table, holders)
            columns = [*columns, ADDRESS] if with_row_address else columns
            return pa.table({one: codes[one] if one in levels else table[one] for one in columns})
        return self._read_stored(columns, chosen, fragments, with_row_address, limit)

    def _read_stored(
        self,
        columns: list[str],
        chosen: RowIds | RowAddresses | None,
        fragments: list[int] | None,
        with_row_address: bool,
        limit: int | None,
    ) -> pa.Table:
        try:
            scanner = scanner_of(
                self._dataset,
                columns,
                chosen,
                fragments=fragments,
                with_row_address=with_row_address,
                limit=limit,
            )
            if scanner is None:
                return self._empty(columns, with_row_address=with_row_address)
            return scanner.to_table()
        except AnybitError:
            raise
        except (OSError, RuntimeError, ValueError) as cause:
            raise read_error(self._dataset, cause) from cause

    def _empty(self, columns: list[str], *, with_row_address: bool) -> pa.Table:
        fields = [self._dataset.lance.schema.field(name) for name in columns]
        if with_row_address:
            fields.append(pa.field(ADDRESS, pa.uint64()))
        table: pa.Table = pa.schema(fields).empty_table()
        return table
