"""Columns and settings of a store, format version 3 (docs/collection-format.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from anybit.errors import FormatError
from anybit.store.code_columns import (
    CodeColumn,
    columns_of_levels,
    is_level_column,
    stored_columns,
)

__all__ = [
    "DRAFT_COLUMNS",
    "FORMAT_VERSION",
    "RESERVED_COLUMNS",
    "StoreSettings",
    "base_schema",
    "format_version_of",
    "free_column_name",
    "free_column_names",
    "reserved_columns",
    "settings_metadata",
    "settings_of",
]

FORMAT_VERSION = 3
_RESERVED_V1 = ("id", "key", "labels", "thumbnail", "feature")
_RESERVED_V2 = (*_RESERVED_V1, "image", "path", "signature")
# A column whose type is changed, while that goes on.
DRAFT_COLUMNS = ("anybit_draft", "anybit_replaced")
RESERVED_COLUMNS = (*_RESERVED_V2, "item_source", "item_digest", *DRAFT_COLUMNS)
_RESERVED = {1: _RESERVED_V1, 2: _RESERVED_V2}
# Columns that Lance makes up when it reads.
_OF_LANCE = (
    "_rowid",
    "_rowaddr",
    "_rowoffset",
    "_row_created_at_version",
    "_row_last_updated_at_version",
    "_distance",
    "_score",
)
_UNUSABLE = str.maketrans(dict.fromkeys(".`\0", "_"))
_PRIMARY_KEY = {"lance-schema:unenforced-primary-key": "true"}
_VERSION_KEY, _CODEWORDS_KEY = b"anybit.format_version", b"anybit.n_codewords"
_MODELS_KEY = b"anybit.models"


def reserved_columns(format_version: int) -> tuple[str, ...]:
    """Return the names that a store of this version uses itself."""
    return _RESERVED.get(format_version, RESERVED_COLUMNS)


def base_schema(n_levels: int, n_codewords: int, model_fingerprint: str) -> pa.Schema:
    """Return the columns that every store has, with the settings as schema metadata."""
    # The primary key must be declared at creation: without it concurrent upserts of the same new
    # ids duplicate rows (10 of 10 trials with pylance 14.0.2, against 0 of 10 with it).
    fields = [
        pa.field("id", pa.int64(), nullable=False, metadata=_PRIMARY_KEY),
        pa.field("key", pa.string()),
        pa.field("labels", pa.list_(pa.string())),
    ]
    fields += [one.field for one in columns_of_levels(range(n_levels), n_codewords)]
    settings = {
        _CODEWORDS_KEY.decode(): str(n_codewords),
        **settings_metadata({model_fingerprint: n_levels}),
    }
    return pa.schema(fields, metadata=settings)


def settings_metadata(models: Mapping[str, int]) -> dict[str, str]:
    """Return the schema metadata that names the format version and the models."""
    return {
        _VERSION_KEY.decode(): str(FORMAT_VERSION),
        _MODELS_KEY.decode(): json.dumps(dict(models), sort_keys=True),
    }


@dataclass(frozen=True)
class StoreSettings:
    """What the schema of a store says about it.

    Parameters
    ----------
    format_version, n_levels, n_codewords : int
        The levels are those of the longest codes.
    models : dict of str to int, optional
        Fingerprints of the models whose codes are stored, and the number of their levels; None in
        format versions 1 and 2.
    code_columns : tuple of CodeColumn
    """

    format_version: int
    n_levels: int
    n_codewords: int
    models: dict[str, int] | None
    code_columns: tuple[CodeColumn, ...]


def settings_of(schema: pa.Schema, place: str) -> StoreSettings:
    """Return the settings of a stored schema, or raise FormatError."""
    metadata = schema.metadata or {}
    try:
        version, n_codewords = int(metadata[_VERSION_KEY]), int(metadata[_CODEWORDS_KEY])
    except (KeyError, ValueError) as cause:
        raise FormatError(
            f"{place} must be a store made by anybit, got a Lance dataset without its settings."
        ) from cause
    if version > FORMAT_VERSION:
        raise FormatError(
            f"{place} must have store format version {FORMAT_VERSION} or older, got {version}. "
            "Update anybit."
        )
    models = None if version < 3 else _models_of(metadata.get(_MODELS_KEY, b""), place)
    n_levels = None if models is None else max(models.values())
    columns = stored_columns(schema.names, n_codewords, n_levels)
    if not columns or not {"id", "key", "labels"}.issubset(schema.names):
        raise FormatError(
            f"{place} must have the columns id, key, labels and level_00 onwards, "
            f"got {', '.join(schema.names)}."
        )
    n_stored = sum(column.n_levels for column in columns)
    return StoreSettings(version, n_stored, n_codewords, models, tuple(columns))


def _models_of(content: bytes, place: str) -> dict[str, int]:
    """Return what the schema metadata says about models, or raise FormatError."""
    try:
        models = json.loads(content)
        if models and all(type(one) is int and one >= 1 for one in models.values()):
            return dict(models)
    except (ValueError, AttributeError):
        pass
    raise FormatError(
        f"{place} must name the models of its codes ({_MODELS_KEY.decode()} in the schema's "
        f"metadata), got {content[:80].decode(errors='replace')!r}. Restore it from a copy."
    )


def format_version_of(schema: pa.Schema) -> int:
    """Return the store format version that a stored schema names."""
    return int((schema.metadata or {}).get(_VERSION_KEY, FORMAT_VERSION))


def free_column_name(name: str, taken: Iterable[str] = ()) -> str:
    """Return the column name under which a source's column is stored.

    What Lance cannot hold in a name (dots, backticks, NUL) becomes an underscore, and no name at
    all becomes ``column``. A name that the store or Lance uses itself, or that is taken, gets an
    underscore behind it.
    """
    name = name.translate(_UNUSABLE)
    name = {"": "column", "*": "_"}.get(name, name)
    used = {*RESERVED_COLUMNS, *_OF_LANCE, *taken}
    while name in used or is_level_column(name):
        name += "_"
    return name


def free_column_names(names: Sequence[str]) -> list[str]:
    """Return the distinct column names under which a source's columns are stored, in their order.

    Columns that can keep their names do. The names of the others, see `free_column_name`, do not
    depend on the order of the columns, unless some have the same name.
    """
    stored: dict[str, list[str]] = {name: [] for name in names}
    taken: set[str] = set()
    for name in names:
        if free_column_name(name) == name and name not in taken:
            stored[name].append(name)
            taken.add(name)
    for name in sorted(names):
        if len(stored[name]) < names.count(name):
            stored[name].append(free_column_name(name, taken))
            taken.add(stored[name][-1])
    return [stored[name].pop(0) for name in names]
