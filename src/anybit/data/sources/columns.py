"""Which column of a table is what, and columns to ids and labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anybit.data.labels import Labels
from anybit.data.sources.base import Items
from anybit.data.sources.item_ids import hash_keys
from anybit.data.sources.options import SourceOptions
from anybit.errors import DataError
from anybit.types import Int64Array

__all__ = [
    "can_hold_vectors",
    "find_columns",
    "find_image_column",
    "find_path_column",
    "find_vector_column",
    "ids_of_column",
    "items_of_table",
    "labels_of_table",
    "names_in_metadata",
    "vector_cells",
]

ID_NAMES = ("id", "item_id", "image_id", "ids")
LABEL_NAMES = (
    "labels", "label", "classes", "class", "class_name", "class_label", "categories", "category",
    "tags", "tag", "targets", "target", "y",
)  # fmt: skip
PATH_NAMES = (
    "file_name",
    "filename",
    "path",
    "image_path",
    "file_path",
    "filepath",
    "file",
    "image",
)
IMAGE_NAMES = ("image", "img", "image_bytes", "bytes", "jpeg", "jpg", "png", "picture", "photo")
VECTOR_NAMES = ("vector", "vectors", "embedding", "embeddings", "feature", "features", "x")


def find_columns(table_names: Sequence[str], wanted: str | None, usual: Sequence[str]) -> list[str]:
    """Columns asked for (comma-separated), else the first usual name that is there.

    Raises
    ------
    DataError
        If a column asked for does not exist.
    """
    if wanted is not None:
        names = [wanted] if wanted in table_names else [part.strip() for part in wanted.split(",")]
        missing = [name for name in names if name not in table_names]
        if missing:
            raise DataError(
                f"column {', '.join(missing)} is not there; the columns are: "
                f"{', '.join(table_names)}."
            )
        return names
    lower = {name.lower(): name for name in reversed(table_names)}
    return [lower[name] for name in usual if name in lower][:1]


def find_image_column(schema: pa.Schema, wanted: str | None = None) -> str | None:
    """Column of encoded images: binary, or a struct with `bytes`."""
    fitting = [field.name for field in schema if _holds_image_bytes(field.type)]
    if wanted is not None:
        find_columns(schema.names, wanted, ())
        if wanted not in fitting:
            raise DataError(
                f"image column {wanted} must be binary or a struct {{bytes, path}}, got "
                f"{schema.field(wanted).type}."
            )
        return wanted
    named = find_columns(fitting, None, IMAGE_NAMES)
    return named[0] if named else (fitting[0] if len(fitting) == 1 else None)


def find_vector_column(schema: pa.Schema, wanted: str | None = None) -> str | None:
    """Column of vectors: lists of numbers.

    Without `wanted` it is a column of a usual name; else, where there is no column of paths, the
    only column of lists of floats or of fixed-size lists; else the only column of lists of
    integers that has no usual name of ids or labels.
    """
    fitting = [field.name for field in schema if can_hold_vectors(field.type)]
    if wanted is not None:
        find_columns(schema.names, wanted, ())
        if wanted not in fitting:
            raise DataError(
                f"vector column {wanted} must be a list of numbers, got "
                f"{schema.field(wanted).type}."
            )
        return wanted
    named = find_columns(fitting, None, VECTOR_NAMES)
    if named:
        return named[0]
    if find_path_column(schema) is not None:
        return None
    sure = [name for name in fitting if not _may_be_labels(schema.field(name).type)]
    others = {*ID_NAMES, *LABEL_NAMES}
    candidates = sure or [name for name in fitting if name.lower() not in others]
    return candidates[0] if len(candidates) == 1 else None


def find_path_column(schema: pa.Schema, wanted: str | None = None) -> str | None:
    """Column of image paths: text."""
    texts = [field.name for field in schema if _is_text(field.type)]
    if wanted is not None and wanted in schema.names and wanted not in texts:
        raise DataError(f"path column {wanted} must be text, got {schema.field(wanted).type}.")
    found = find_columns(schema.names if wanted else texts, wanted, PATH_NAMES)
    return found[0] if found else None


def items_of_table(
    table: pa.Table,
    options: SourceOptions,
    *,
    keys: Sequence[str] | None = None,
    is_keyed: bool = False,
    skip: Sequence[str] = (),
    origin: str | None = None,
) -> tuple[Items, str]:
    """Make ids, keys, labels and metadata from a table's columns.

    Parameters
    ----------
    table : pyarrow.Table
        Every column but pictures and vectors.
    options : SourceOptions
    keys : sequence of str, optional
        Relative paths, used as keys when no string ids are given.
    is_keyed : bool
        Without an id column: hash the keys (True) or number the rows (False).
    skip : sequence of str
        Columns that are not metadata.
    origin : str, optional
        Path in which keys or rows name a place, see `Items`.

    Returns
    -------
    items : Items
    words : str
        Which columns were used, for `describe`.
    """
    id_names = find_columns(table.column_names, options.id_column, ID_NAMES)
    label_names = find_columns(
        [name for name in table.column_names if name not in {*skip, *id_names}]
        if options.label_column is None
        else table.column_names,
        options.label_column,
        LABEL_NAMES,
    )
    words = []
    derived_from: Literal["keys", "rows"] | None = None
    given_keys = None if keys is None else tuple(keys)
    if id_names:
        ids, string_keys = ids_of_column(table.column(id_names[0]), id_names[0])
        given_keys = string_keys or given_keys
        words.append(f"ids from column {id_names[0]}")
    elif is_keyed and given_keys is not None:
        ids, derived_from = hash_keys(given_keys), "keys"
        words.append("ids from the paths")
    else:
        ids, derived_from = np.arange(table.num_rows, dtype=np.int64), "rows"
        words.append("ids are row numbers")
    labels = None
    if label_names:
        labels = labels_of_table(
            table, label_names, names_in_metadata(table.schema, label_names[0])
        )
        words.append(f"labels from column {', '.join(label_names)}")
    used = {*id_names, *label_names, *skip}
    rest = table.select([name for name in table.column_names if name not in used])
    metadata = rest.replace_schema_metadata(None) if rest.num_columns else None
    items = Items(ids, given_keys, labels, metadata, derived_from, origin)
    return items, ", ".join(words)


def ids_of_column(column: pa.ChunkedArray, name: str) -> tuple[Int64Array, tuple[str, ...] | None]:
    """Return the ids of a column of integers, or hashes and keys of a column of texts."""
    if column.null_count:
        raise DataError(f"every item needs an id; column {name} has {column.null_count} empty.")
    if pa.types.is_integer(column.type):
        try:
            return np.asarray(column.cast(pa.int64()).to_numpy(), dtype=np.int64), None
        except pa.ArrowInvalid as error:
            raise DataError(f"ids must fit into int64; column {name}: {error}.") from error
    if _is_text(column.type):
        keys = tuple(str(value) for value in column.to_pylist())
        return hash_keys(keys), keys
    raise DataError(f"id column {name} must be integers or text, got {column.type}.")


def labels_of_table(
    table: pa.Table, names: Sequence[str], class_names: Sequence[str] | None = None
) -> Labels:
    """Make labels from one label column, or from several.

    Several columns of zeros and ones are classes named after the columns; other columns are
    joined to one list per item.
    """
    columns = [_plain(table.column(name)) for name in names]
    try:
        if len(columns) > 1:
            hot = _as_multi_hot(columns)
            if hot is not None:
                return Labels.from_multi_hot(hot, names)
            cells = [_label_lists(column) for column in columns]
            joined = [[label for cell in row for label in cell] for row in zip(*cells, strict=True)]
            return Labels.from_lists(joined, class_names)
        if pa.types.is_integer(columns[0].type):
            numbers = pc.fill_null(columns[0].cast(pa.int64()), -1)
            return Labels.from_integers(numbers.to_numpy(), class_names)
        return Labels.from_lists(_label_lists(columns[0]), class_names)
    except (DataError, pa.ArrowInvalid) as error:
        raise DataError(f"label column {', '.join(names)}: {error}") from error


def names_in_metadata(schema: pa.Schema, label_column: str) -> tuple[str, ...] | None:
    """Class names that the schema's metadata give, by our key or by Hugging Face's features."""
    metadata: dict[bytes, bytes] = schema.metadata or {}
    try:
        if b"class_names" in metadata:
            text = metadata[b"class_names"].decode()
            names = json.loads(text) if text.lstrip().startswith("[") else text.split(",")
            return tuple(str(name).strip() for name in names)
        if b"huggingface" in metadata:
            feature = json.loads(metadata[b"huggingface"])["info"]["features"][label_column]
            while isinstance(feature, list | dict) and "names" not in feature:
                feature = feature[0] if isinstance(feature, list) else feature["feature"]
            return tuple(str(name) for name in feature["names"])
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    return None


def _label_lists(column: pa.ChunkedArray) -> list[list[str | int]]:
    """Labels of every cell: a number, a text divided at | and ;, or a list of them."""
    return [_labels_of_cell(cell) for cell in column.to_pylist()]


def _labels_of_cell(cell: Any) -> list[str | int]:
    """Labels of one cell."""
    if cell is None:
        return []
    if isinstance(cell, str):
        parts = cell.replace(";", "|").split("|")
        return [part.strip() for part in parts if part.strip()]
    if isinstance(cell, list):
        # In a list a text is one label, whatever characters it has.
        return [
            label
            for entry in cell
            for label in ([entry] if isinstance(entry, str) else _labels_of_cell(entry))
        ]
    if isinstance(cell, bool):
        return [int(cell)]
    if isinstance(cell, float):
        if cell != cell:  # NaN: pandas writes missing numbers so
            return []
        if cell.is_integer():
            return [int(cell)]
    if isinstance(cell, int):
        return [cell] if cell >= 0 else []
    raise DataError(f"a label must be a text, an integer or a list of them, got {cell!r}.")


def _as_multi_hot(columns: Sequence[pa.ChunkedArray]) -> Any:
    """Zeros and ones (N, C), or None when the columns hold something else."""
    if not all(
        pa.types.is_boolean(column.type) or pa.types.is_integer(column.type) for column in columns
    ):
        return None
    hot = np.stack([column.cast(pa.int64()).to_numpy() for column in columns], axis=1)  # (N, C)
    return hot if np.isin(hot, (0, 1)).all() else None


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a dictionary column as its values."""
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column


def _is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text, also as a dictionary."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_binary(kind: pa.DataType) -> bool:
    """Whether a column holds bytes."""
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )


def _holds_image_bytes(kind: pa.DataType) -> bool:
    """Whether a column is binary or a struct with a binary field `bytes`."""
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _is_binary(kind.field(place).type)
    return _is_binary(kind)


def can_hold_vectors(kind: pa.DataType) -> bool:
    """Whether a column is a list of numbers, or of fixed-size lists of them (a tensor)."""
    kind = _storage_type(kind)
    if not (_is_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    inside = kind.value_type
    while pa.types.is_fixed_size_list(kind) and pa.types.is_fixed_size_list(inside):
        kind, inside = inside, inside.value_type
    return bool(pa.types.is_floating(inside) or pa.types.is_integer(inside))


def vector_cells(chunk: pa.Array) -> tuple[pa.Array, Int64Array]:
    """Return all numbers of an array of vectors without empty cells, and each vector's length.

    Returns
    -------
    values : pyarrow.Array
    lengths : ndarray of shape (n,), int64
    """
    if isinstance(chunk.type, pa.BaseExtensionType):
        chunk = chunk.storage
    lengths = np.ones(len(chunk), dtype=np.int64)
    if _is_list(chunk.type):
        return chunk.flatten(), chunk.value_lengths().to_numpy(zero_copy_only=False).astype(int)
    while pa.types.is_fixed_size_list(chunk.type):
        lengths *= chunk.type.list_size
        chunk = chunk.flatten()
    return chunk, lengths


def _may_be_labels(kind: pa.DataType) -> bool:
    """Whether a column is lists of integers of any length, as class numbers are stored."""
    kind = _storage_type(kind)
    return _is_list(kind) and bool(pa.types.is_integer(kind.value_type))


def _is_list(kind: pa.DataType) -> bool:
    """Whether a column is lists whose lengths may differ."""
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def _storage_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which an extension type, such as a tensor, is stored."""
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
