"""Labels that lie in a file beside the items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from anybit.data.labels import Labels
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
from anybit.data.sources.item_ids import hash_keys
from anybit.data.sources.manifest import MANIFEST_SUFFIXES, read_table
from anybit.data.sources.options import SourceOptions
from anybit.errors import DataError, FormatError
from anybit.types import Int64Array

__all__ = ["read_labels"]


def read_labels(path: Path, source: Source, options: SourceOptions) -> Labels:
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
        If rows are matched one by one and their number differs, or no row matches an item.
    """
    if not path.exists():
        raise DataError(f"the label file {path} does not exist.")
    suffix = path.suffix.lower()
    if suffix in MANIFEST_SUFFIXES:
        return _joined(read_table(path), path, source, options)
    if suffix == ".npy":
        labels = labels_of_array(np.asarray(load_npy(path)))
    elif suffix == ".npz":
        arrays = load_npz(path)
        if "y" not in arrays:
            raise DataError(f"{path} must hold an array y, got: {', '.join(arrays)}.")
        labels = labels_of_array(arrays["y"], arrays.get("class_names"))
    elif suffix == ".txt":
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise FormatError(f"{path} must be text in UTF-8: {error}.") from error
        labels = labels_of_table(pa.table({"line": pa.array(lines, pa.string())}), ["line"])
    else:
        raise DataError(
            f"labels must be a .csv, .tsv, .jsonl, .parquet, .npy, .npz or .txt file, got {path}."
        )
    return _same_count(labels, path, source)


def _joined(table: pa.Table, path: Path, source: Source, options: SourceOptions) -> Labels:
    """Labels of a table's rows brought to the order of the source's items."""
    columns = find_columns(table.column_names, options.label_column, LABEL_NAMES)
    if not columns:
        raise DataError(
            f"{path} must have a label column (label, labels, class, ...), got: "
            f"{', '.join(table.column_names)}. Name it with label_column."
        )
    labels = labels_of_table(table, columns, names_in_metadata(table.schema, columns[0]))
    row_ids = _row_ids(table, source, options)
    if row_ids is None:
        return _same_count(labels, path, source)
    order = np.argsort(row_ids, kind="stable")
    ids = row_ids[order]
    if (ids[1:] == ids[:-1]).any():
        raise DataError(f"{path}: every item must be listed once.")
    wanted = _match_ids(table, source, options)
    place = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
    is_there = ids[place] == wanted if len(ids) else np.zeros(len(wanted), dtype=np.bool_)
    if not is_there.any():
        raise DataError(f"{path}: none of its {len(ids)} rows belongs to one of the items.")
    lists: list[list[int]] = [list(row) for row in labels.lists()]
    rows = [lists[order[p]] if ok else [] for p, ok in zip(place, is_there, strict=True)]
    return Labels.from_lists(rows, labels.class_names)


def _row_ids(table: pa.Table, source: Source, options: SourceOptions) -> Int64Array | None:
    """Return the number by which each row is matched; None to match row by row."""
    id_names = find_columns(
        table.column_names,
        options.id_column if options.id_column in table.column_names else None,
        ID_NAMES,
    )
    if id_names:
        return ids_of_column(table.column(id_names[0]), id_names[0])[0]
    path_column = find_path_column(table.schema)
    if path_column is None or source.keys is None:
        return None
    return hash_keys(str(name) for name in table.column(path_column).to_pylist())


def _match_ids(table: pa.Table, source: Source, options: SourceOptions) -> Int64Array:
    """Numbers of the items to compare with `_row_ids`: ids, or hashes of the keys."""
    has_ids = find_columns(
        table.column_names,
        options.id_column if options.id_column in table.column_names else None,
        ID_NAMES,
    )
    return source.ids if has_ids or source.keys is None else hash_keys(source.keys)


def _same_count(labels: Labels, path: Path, source: Source) -> Labels:
    """Return the labels when there is one row per item."""
    if len(labels) != len(source):
        raise DataError(
            f"labels must have one row per item: {len(source)}, got {len(labels)} in {path}."
        )
    return labels
