"""Parquet files with encoded images or with vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from anybit.data.path_text import shown_name
from anybit.data.sources.columns import (
    can_hold_vectors,
    find_image_column,
    find_path_column,
    find_vector_column,
    items_of_table,
    vector_cells,
)
from anybit.data.sources.images import ImageSource
from anybit.data.sources.item_ids import origin_of
from anybit.data.sources.item_paths import find_file
from anybit.data.sources.options import SourceOptions
from anybit.data.sources.row_groups import RowGroups, open_parquet, read_parquet
from anybit.data.sources.vectors import VectorSource
from anybit.errors import DataError
from anybit.types import Int64Array

__all__ = ["ParquetImages", "ParquetVectors"]


class ParquetImages(ImageSource):
    """Pictures in a binary (or ``{bytes, path}``) column of Parquet files.

    Parameters
    ----------
    paths : sequence of Path
        Files with the same columns; their rows follow each other.
    options : SourceOptions
    """

    def __init__(self, paths: Sequence[Path], options: SourceOptions) -> None:
        schema = open_parquet(paths[0]).schema_arrow
        column = find_image_column(schema, options.image_column)
        if column is None:
            raise DataError(
                f"{shown_name(paths[0])} has no image column; its columns: {_shown(schema)}."
            )
        others = [name for name in schema.names if name != column]
        table = read_parquet(paths, others)
        path_column = find_path_column(table.schema, options.path_column)
        keys = None
        if path_column is not None:
            paths_given = table.column(path_column).to_pylist()
            keys = [str(row) if key is None else key for row, key in enumerate(paths_given)]
        skip = () if path_column is None else (path_column,)
        items, words = items_of_table(table, options, keys=keys, skip=skip, origin=_origin(paths))
        found = f"Parquet {_named(paths)} with images in column {column}; {words}"
        super().__init__(items, found, options.max_pixels)
        self._cells = RowGroups(paths, column)

    def shuffled(self, rng: np.random.Generator) -> Int64Array:
        """Return all positions in random order, row groups staying together in a large file."""
        return self._cells.shuffled(rng)

    def _encoded(self, position: int) -> bytes | Path:
        cell = self._cells.value(position)
        if isinstance(cell, dict):
            if cell["bytes"] is None and cell.get("path"):
                return find_file(self._cells.file_of(position).parent, str(cell["path"]))
            cell = cell["bytes"]
        if not cell:
            raise DataError("the image cell is empty.")
        return bytes(cell)


class ParquetVectors(VectorSource):
    """Vectors in a list column of Parquet files.

    Parameters
    ----------
    paths : sequence of Path
        Files with the same columns; their rows follow each other.
    options : SourceOptions
    """

    def __init__(self, paths: Sequence[Path], options: SourceOptions) -> None:
        schema = open_parquet(paths[0]).schema_arrow
        column = find_vector_column(schema, options.vector_column)
        if column is None:
            raise DataError(
                f"{shown_name(paths[0])} has no vector column; its columns: {_shown(schema)}."
            )
        _check_vector_columns(paths[1:], column)
        table = read_parquet(paths, [name for name in schema.names if name != column])
        self._cells = RowGroups(paths, column)
        skip: tuple[str, ...] = ()
        if table.num_columns == 0:
            table, skip = pa.table({"row": pa.array(np.arange(len(self._cells)))}), ("row",)
        items, words = items_of_table(table, options, skip=skip, origin=_origin(paths))
        super().__init__(items, f"Parquet {_named(paths)} with vectors in column {column}; {words}")
        self._dim = self._width()

    @property
    def dim(self) -> int:
        """Length D of the vectors."""
        return self._dim

    def _width(self) -> int:
        """Length of the vectors, that of the first row."""
        if len(self._cells) == 0:
            return 0
        (first,) = self._cells.rows(0, 1)
        if first.null_count:
            raise DataError("the vector of row 0 is empty.")
        return int(vector_cells(first.combine_chunks())[1][0])

    def _rows(self, positions: Int64Array | slice) -> NDArray[Any]:
        if isinstance(positions, slice):
            return self._run(positions.start, positions.stop)
        # Sorted, so that each row group is read once.
        order = np.argsort(positions, kind="stable")
        rows = np.empty((len(positions), self._dim), dtype=np.float32)  # (n, D)
        for place in order.tolist():
            rows[place] = self._run(int(positions[place]), int(positions[place]) + 1)
        return rows

    def _run(self, start: int, stop: int) -> NDArray[Any]:
        """Consecutive vectors, shape (n, D)."""
        parts, at = [np.zeros((0, self._dim), dtype=np.float32)], start
        for cells in self._cells.rows(start, stop) if stop > start else []:
            for chunk in cells.chunks:
                parts.append(self._matrix(chunk, at))
                at += len(chunk)
        return np.concatenate(parts) if len(parts) > 2 else parts[-1]

    def _matrix(self, chunk: pa.Array, start: int) -> NDArray[Any]:
        """Vectors of one array of lists, shape (n, D)."""
        if chunk.null_count:
            row = start + chunk.is_null().to_pylist().index(True)
            raise DataError(f"every row needs a vector, row {row} has none.")
        flat, lengths = vector_cells(chunk)
        if (lengths != self._dim).any():
            row = int(np.argmax(lengths != self._dim))
            raise DataError(
                f"every vector must have {self._dim} dimensions like the first, row "
                f"{start + row} has {int(lengths[row])}."
            )
        if flat.null_count:
            raise DataError(f"vectors must have no empty values; see rows from {start} on.")
        values: NDArray[Any] = flat.to_numpy(zero_copy_only=False)
        return values.reshape(len(chunk), self._dim)  # (n, D)


def _origin(paths: Sequence[Path]) -> str:
    """Record the file, or the folder whose files are counted through."""
    return origin_of(paths[0] if len(paths) == 1 else paths[0].parent)


def _named(paths: Sequence[Path]) -> str:
    """Name the file, or the folder and the number of files."""
    if len(paths) == 1:
        return shown_name(paths[0])
    return f"{shown_name(paths[0].parent)} ({len(paths)} files)"


def _check_vector_columns(paths: Sequence[Path], column: str) -> None:
    """Raise DataError for a further file without vectors in the column; their types may differ."""
    for path in paths:
        schema = open_parquet(path).schema_arrow
        if column not in schema.names or not can_hold_vectors(schema.field(column).type):
            raise DataError(
                f"{shown_name(path)} must have vectors in column {column} like the other files, "
                f"its columns: {_shown(schema)}."
            )


def _shown(schema: pa.Schema) -> str:
    """Columns and their types."""
    return ", ".join(f"{field.name} ({field.type})" for field in schema)
