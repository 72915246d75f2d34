"""Labels that lie in a file of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from anybit.data.labels import Labels
from anybit.data.path_text import shown_name
from anybit.data.sources.arrays import labels_of_array, load_npy, load_npz
from anybit.data.sources.base import Source
from anybit.data.sources.columns import (
    ID_NAMES,
    LABEL_NAMES,
    find_columns,
    find_path_column,
    ids_of_column,
    labels_of_table,
    names_in_metadata,
)
from anybit.data.sources.item_paths import match_paths
from anybit.data.sources.options import SourceOptions
from anybit.data.sources.table_files import TABLE_SUFFIXES, read_lines, read_table
from anybit.errors import DataError
from anybit.types import Int64Array

__all__ = ["FileLabels", "read_labels"]


@dataclass(frozen=True, eq=False)
class FileLabels:
    """The labels of a source's items from a separate file.

    Parameters
    ----------
    labels : Labels
        One row per item of the source.
    found : str
        How many rows and items were matched, and what was noticed; for `describe`.
    """

    labels: Labels
    found: str


def read_labels(path: Path, source: Source, options: SourceOptions) -> FileLabels:
    """Read the labels of a source's items from a separate file.

    Parameters
    ----------
    path : Path
        A table joined by id, else by path, else row by row; `.npy`, `.npz` (`y`, `class_names`)
        or `.txt` (one line per item, several labels divided by | or ;) row by row.
    source : Source
    options : SourceOptions

    Raises
    ------
    DataError
        If rows are matched one by one and their number differs, no row matches an item, or two
        rows match the same one.
    """
    if not path.exists():
        raise DataError(f"the label file {shown_name(path)} does not exist.")
    suffix = path.suffix.lower()
    notes: list[str] = []
    if suffix in TABLE_SUFFIXES:
        read = read_table(path)
        notes.extend(read.notes)
        labels, words = _joined(read.table, path, source, options)
        return FileLabels(labels, "\n".join([words, *notes]))
    if suffix == ".npy":
        labels = labels_of_array(np.asarray(load_npy(path)))
    elif suffix == ".npz":
        arrays = load_npz(path)
        if "y" not in arrays:
            raise DataError(f"{shown_name(path)} must hold an array y, got: {', '.join(arrays)}.")
        labels = labels_of_array(arrays["y"], arrays.get("class_names"))
    elif suffix == ".txt":
        lines, notes = read_lines(path)
        labels = labels_of_table(pa.table({"line": pa.array(lines, pa.string())}), ["line"])
    else:
        raise DataError(
            "labels must be a .csv, .tsv, .jsonl, .parquet, .npy, .npz or .txt file, got "
            f"{shown_name(path)}."
        )
    words = _by_row(labels, path, source)
    return FileLabels(labels, "\n".join([words, *notes]))


def _joined(
    table: pa.Table, path: Path, source: Source, options: SourceOptions
) -> tuple[Labels, str]:
    """Labels of a table's rows brought to the order of the source's items, and how they fit."""
    columns = find_columns(table.column_names, options.label_column, LABEL_NAMES)
    if not columns:
        raise DataError(
            f"{shown_name(path)} must have a label column (label, labels, class, ...), got: "
            f"{', '.join(map(shown_name, table.column_names))}. Name it with label_column."
        )
    labels = labels_of_table(table, columns, names_in_metadata(table.schema, columns[0]))
    found = _positions_of_rows(table, path, source, options)
    if found is None:
        return labels, _by_row(labels, path, source)
    positions, by = found
    rows = np.flatnonzero(positions >= 0)
    if not len(rows):
        raise DataError(_no_match(table, path, source, by))
    row_of = np.full(len(source), -1, dtype=np.int64)
    row_of[positions[rows]] = rows
    if (repeated := row_of[positions[rows]] != rows).any():
        key = source.key_of(int(positions[rows][repeated][0]))
        raise DataError(
            f"{shown_name(path)}: every item must be listed once, got {shown_name(key)} in "
            f"{int((positions == positions[rows][repeated][0]).sum())} rows."
        )
    lists = labels.lists()
    fitted = Labels.from_lists(
        [lists[row] if row >= 0 else () for row in row_of.tolist()], labels.class_names
    )
    words = f"labels from {shown_name(path)}, joined by {by}: {len(rows):,} rows"
    if n_lost := table.num_rows - len(rows):
        first = int(np.flatnonzero(positions < 0)[0])
        words += f"; {n_lost:,} further rows match no item, the first is row {first + 1}"
        if (name := _name_of_row(table, by, first)) is not None:
            words += f" ({shown_name(name)})"
    if n_bare := int((row_of < 0).sum()):
        words += f"; {n_bare:,} items have no row"
    return fitted, words


def _positions_of_rows(
    table: pa.Table, path: Path, source: Source, options: SourceOptions
) -> tuple[Int64Array, str] | None:
    """Return the item of each row, -1 for none, and the column joined by; None for row by row."""
    id_column = options.id_column if options.id_column in table.column_names else None
    id_names = find_columns(table.column_names, id_column, ID_NAMES)
    named = options.path_column if options.path_column in table.column_names else None
    path_column = find_path_column(table.schema, named)
    if path_column in id_names or source.keys is None:
        path_column = None
    found = None
    if id_names:
        wanted = ids_of_column(table.column(id_names[0]), id_names[0])[0]
        found = _positions_of_ids(wanted, source.ids), id_names[0]
        if (found[0] >= 0).any() or id_column is not None:
            return found
    if path_column is None or source.keys is None:
        return found
    root, keys = path.parent, source.keys
    if source.file_paths is not None:
        root, keys = source.file_paths.root, source.file_paths.relative
    names = [None if one is None else str(one) for one in table.column(path_column).to_pylist()]
    positions = match_paths(names, keys, root, path.parent)
    # A table of a manifest with ids of its own may name items by the path or by the id.
    if not (positions >= 0).any() and keys is not source.keys:
        positions = match_paths(names, source.keys, root, path.parent)
    return positions, path_column


def _positions_of_ids(wanted: Int64Array, ids: Int64Array) -> Int64Array:
    """Return where each number stands in `ids`, -1 for none, shape (n,)."""
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
    return np.where(ids[order][place] == wanted, order[place], -1)


def _name_of_row(table: pa.Table, column: str, row: int) -> str | None:
    value = table.column(column)[row].as_py()
    return None if value is None else str(value)


def _no_match(table: pa.Table, path: Path, source: Source, by: str) -> str:
    """Say that no row of a label file names an item, with an example of both."""
    message = f"{shown_name(path)}: none of its {table.num_rows} rows belongs to one of the items."
    if table.num_rows and len(source):
        name = _name_of_row(table, by, 0)
        message += (
            f" Its first {by} is {'empty' if name is None else shown_name(name)}, the first item "
            f"is {shown_name(source.key_of(0))}."
        )
    return message


def _by_row(labels: Labels, path: Path, source: Source) -> str:
    """Check that there is one row per item, and say so."""
    if len(labels) != len(source):
        raise DataError(
            f"labels must have one row per item: {len(source)}, got {len(labels)} in "
            f"{shown_name(path)}."
        )
    return f"labels from {shown_name(path)}, row by row"
