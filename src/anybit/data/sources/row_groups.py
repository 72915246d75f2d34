"""One column of Parquet files, read row group by row group and kept in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anybit.data.path_text import path_text, shown_name
from anybit.data.sources.joined_tables import join_tables
from anybit.errors import DataError, FormatError
from anybit.types import Int64Array

__all__ = ["RowGroups", "open_parquet", "read_parquet"]

_CACHE_BYTES = 512 * 1024 * 1024


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file, or raise FormatError; DataError if column names repeat."""
    try:
        # Arrow takes names in UTF-8 only; Python opens the others, a little slower.
        is_utf8 = path_text(path) == str(path)
        opened = pq.ParquetFile(path if is_utf8 else path.open("rb"), memory_map=False)
    except FileNotFoundError as error:
        raise DataError(f"{shown_name(path)} does not exist.") from error
    except PermissionError as error:
        raise DataError(f"cannot read {shown_name(path)}: {error.strerror}.") from error
    except (OSError, pa.ArrowException) as error:
        raise FormatError(f"{shown_name(path)} must be a Parquet file: {error}") from error
    names = opened.schema_arrow.names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(
            f"{shown_name(path)}: column names must be unique, got several columns "
            f"{', '.join(map(repr, repeated))}. Rename all but one."
        )
    return opened


def read_parquet(paths: Sequence[Path], columns: Sequence[str] | None = None) -> pa.Table:
    """Read some columns of Parquet files as one table.

    Raises
    ------
    FormatError
        If a file is damaged.
    DataError
        If a file cannot be read, or columns of the same name do not fit, see `join_tables`.
    """
    tables = []
    for path in paths:
        try:
            tables.append(open_parquet(path).read(columns=columns))
        except (OSError, pa.ArrowException) as error:
            raise FormatError(f"{shown_name(path)} is damaged: {error}") from error
    return join_tables(tables, paths)


class RowGroups:
    """Random access to one column of Parquet files.

    Parameters
    ----------
    paths : sequence of Path
        Their rows follow each other.
    column : str
        Name of the column.
    cache_bytes : int
        Row groups read are kept up to this many bytes (at least the last one), so a small file is
        read once and a large one in bounded memory.
    """

    def __init__(self, paths: Sequence[Path], column: str, cache_bytes: int = _CACHE_BYTES) -> None:
        self._files = [(path, open_parquet(path)) for path in paths]
        self._column = column
        self._cache_bytes = cache_bytes
        self._groups = [
            (number, group)
            for number, (_, file) in enumerate(self._files)
            for group in range(file.metadata.num_row_groups)
        ]
        sizes = [
            self._files[number][1].metadata.row_group(group).num_rows
            for number, group in self._groups
        ]
        self._starts = np.concatenate([[0], np.cumsum(np.array(sizes, dtype=np.int64))])
        self._cache: OrderedDict[int, pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def type(self) -> pa.DataType:
        """Arrow type of the column."""
        return self._files[0][1].schema_arrow.field(self._column).type

    def value(self, row: int) -> Any:
        """Return one cell as a Python value."""
        number = self._group_of(row)
        return self._group(number)[int(row - self._starts[number])].as_py()

    def file_of(self, row: int) -> Path:
        """Return the file that holds a row."""
        return self._files[self._groups[self._group_of(row)][0]][0]

    def shuffled(self, rng: np.random.Generator) -> Int64Array:
        """Return all rows in random order, every row group being needed in one stretch only.

        Row groups are drawn in random order and mixed with each other as far as half of the cache
        reaches: the whole file when it fits.
        """
        parts, window, n_bytes = [], [], 0
        for number in rng.permutation(len(self._groups)).tolist():
            window.append(np.arange(self._starts[number], self._starts[number + 1]))
            n_bytes += self._stored_bytes(number)
            if 2 * n_bytes > self._cache_bytes:
                parts.append(rng.permutation(np.concatenate(window)))
                window, n_bytes = [], 0
        if window:
            parts.append(rng.permutation(np.concatenate(window)))
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def rows(self, start: int, stop: int) -> list[pa.ChunkedArray]:
        """Return the cells start..stop, one array per row group."""
        parts = []
        number = self._group_of(start)
        while start < stop:
            first, end = int(self._starts[number]), int(self._starts[number + 1])
            upto = min(stop, end)
            if upto > start:
                parts.append(self._group(number).slice(start - first, upto - start))
            start, number = max(start, upto), number + 1
        return parts

    def _stored_bytes(self, number: int) -> int:
        """Size of a row group's cells, uncompressed."""
        file, group = self._groups[number]
        row_group = self._files[file][1].metadata.row_group(group)
        columns = map(row_group.column, range(row_group.num_columns))
        own = (c for c in columns if c.path_in_schema.split(".")[0] == self._column)
        return sum(column.total_uncompressed_size for column in own)

    def _group_of(self, row: int) -> int:
        """Find the row group that holds a row."""
        return int(np.searchsorted(self._starts, row, side="right")) - 1

    def _group(self, number: int) -> pa.ChunkedArray:
        """One row group's cells, from the cache when they are there."""
        with self._lock:
            if number in self._cache:
                self._cache.move_to_end(number)
                return self._cache[number]
            path, file = self._files[self._groups[number][0]]
            try:
                table = file.read_row_group(self._groups[number][1], columns=[self._column])
            except (OSError, pa.ArrowException) as error:
                raise FormatError(
                    f"{shown_name(path)}, row group {self._groups[number][1]}, is damaged: {error}"
                ) from error
            self._cache[number] = table.column(self._column)
            while len(self._cache) > 1 and self._n_bytes() > self._cache_bytes:
                self._cache.popitem(last=False)
            return self._cache[number]

    def _n_bytes(self) -> int:
        """Bytes of the cached row groups."""
        return sum(chunk.nbytes for chunk in self._cache.values())
