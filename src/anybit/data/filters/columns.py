"""The columns that a filter may name, and what kind of values they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from anybit.data.filters.tokens import KEYWORDS

__all__ = ["Column", "column_kind", "filterable_columns", "plain_type", "quoted"]

_TESTS: tuple[tuple[str, Callable[[pa.DataType], bool]], ...] = (
    ("string", pa.types.is_string),
    ("string", pa.types.is_large_string),
    ("string", pa.types.is_string_view),
    ("int", pa.types.is_integer),
    ("float", pa.types.is_floating),
    ("decimal", pa.types.is_decimal),
    ("bool", pa.types.is_boolean),
    ("date", pa.types.is_date),
    ("timestamp", pa.types.is_timestamp),
    ("time", pa.types.is_time),
    ("list", pa.types.is_list),
    ("list", pa.types.is_large_list),
    ("list", pa.types.is_fixed_size_list),
    ("struct", pa.types.is_struct),
)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a dictionary type; any other type as it is."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def column_kind(kind: pa.DataType) -> str:
    """Return what values a column holds, in one word; "other" if they cannot be compared."""
    kind = plain_type(kind)
    return next((name for name, test in _TESTS if test(kind)), "other")


def filterable_columns(schema: pa.Schema, names: Iterable[str]) -> dict[str, pa.DataType]:
    """Return the types of some columns of a schema, for `parse_filter`."""
    return {name: schema.field(name).type for name in names}


def quoted(name: str) -> str:
    """Return a name as it can be written in a filter."""
    is_plain = name.isidentifier() and name.lower() == name and name.upper() not in KEYWORDS
    return name if is_plain else '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Column:
    """A column, or a field within a column of structs.

    Parameters
    ----------
    parts : tuple of str
        Name of the column, and of the fields from the outside inwards.
    type : pyarrow.DataType
        Of the innermost field.
    """

    parts: tuple[str, ...]
    type: pa.DataType

    @property
    def name(self) -> str:
        """The name as it can be written in a filter."""
        return ".".join(map(quoted, self.parts))

    @property
    def kind(self) -> str:
        """What values it holds, see `column_kind`."""
        return column_kind(self.type)

    def values(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the values (N,) in a batch of N rows, of a type that Arrow can compare.

        A field is null where the struct around it is.
        """
        values = batch.column(self.parts[0])
        for part in self.parts[1:]:
            values = pc.struct_field(values, [values.type.get_field_index(part)])
        return comparable(values)


def comparable(values: pa.Array) -> pa.Array:
    """Return values (N,) in a type that Arrow's functions take."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return comparable(values.cast(kind.value_type))
    if pa.types.is_string_view(kind):
        return values.cast(pa.string())
    if pa.types.is_float16(kind):
        return values.cast(pa.float32())
    if pa.types.is_fixed_size_list(kind):
        return values.cast(pa.list_(kind.value_type))
    return values
