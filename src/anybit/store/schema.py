"""Columns of a store, format version 3 (docs/collection-format.md describes them)."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from anybit.errors import FormatError

__all__ = [
    "FORMAT_VERSION",
    "RESERVED_COLUMNS",
    "base_schema",
    "free_column_name",
    "level_columns",
    "reserved_columns",
    "settings_of",
]

FORMAT_VERSION = 3
_RESERVED_V1 = ("id", "key", "labels", "thumbnail", "feature")
_RESERVED_V2 = (*_RESERVED_V1, "image", "path", "signature")
RESERVED_COLUMNS = (*_RESERVED_V2, "item_source", "item_digest")
_RESERVED = {1: _RESERVED_V1, 2: _RESERVED_V2}
_LEVEL_PREFIX = "level_"
_PRIMARY_KEY = {"lance-schema:unenforced-primary-key": "true"}
_VERSION_KEY, _CODEWORDS_KEY = b"anybit.format_version", b"anybit.n_codewords"


def reserved_columns(format_version: int) -> tuple[str, ...]:
    """Return the names that a store of this version uses itself."""
    return _RESERVED.get(format_version, RESERVED_COLUMNS)


def level_columns(n_levels: int) -> list[str]:
    """Return the names of the code columns, coarsest level first."""
    return [f"{_LEVEL_PREFIX}{level:02d}" for level in range(n_levels)]


def base_schema(n_levels: int, n_codewords: int) -> pa.Schema:
    """Return the columns that every store has, with the settings as schema metadata."""
    # The primary key must be declared at creation: without it concurrent upserts of the same new
    # ids duplicate rows (10 of 10 trials with pylance 14.0.2, against 0 of 10 with it).
    fields = [
        pa.field("id", pa.int64(), nullable=False, metadata=_PRIMARY_KEY),
        pa.field("key", pa.string()),
        pa.field("labels", pa.list_(pa.string())),
    ]
    fields += [pa.field(name, pa.uint8(), nullable=False) for name in level_columns(n_levels)]
    settings = {_VERSION_KEY: str(FORMAT_VERSION), _CODEWORDS_KEY: str(n_codewords)}
    return pa.schema(fields, metadata=settings)


@dataclass(frozen=True)
class StoreSettings:
    """What the schema of a store says about it."""

    format_version: int
    n_levels: int
    n_codewords: int


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
    n_levels = sum(is_level_column(name) for name in schema.names)
    missing = {"id", "key", "labels", *level_columns(n_levels)} - set(schema.names)
    if missing or n_levels == 0:
        raise FormatError(
            f"{place} must have the columns id, key, labels and level_00 onwards, "
            f"got {', '.join(schema.names)}."
        )
    return StoreSettings(version, n_levels, n_codewords)


def format_version_of(schema: pa.Schema) -> int:
    """Return the store format version that a stored schema names."""
    return int((schema.metadata or {}).get(_VERSION_KEY, FORMAT_VERSION))


def is_level_column(name: str) -> bool:
    """Tell whether a column holds the codes of a level."""
    return name.startswith(_LEVEL_PREFIX) and name[len(_LEVEL_PREFIX) :].isdigit()


def free_column_name(name: str) -> str:
    """Return the column name under which a source's column is stored.

    A name that the store uses itself gets an underscore behind it.
    """
    return f"{name}_" if name in RESERVED_COLUMNS or is_level_column(name) else name
