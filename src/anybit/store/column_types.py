"""Types of metadata columns: which can be stored, and which of two holds the values of both."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import types

from anybit.errors import DataError

__all__ = ["is_list", "stored_type", "wider_type"]

_INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
_UNSIGNED = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
_FLOATS = [pa.float16(), pa.float32(), pa.float64()]
_DECIMALS = ((38, pa.decimal128), (76, pa.decimal256))


def stored_type(kind: pa.DataType, column: str) -> pa.DataType:
    """Return the type under which values of a type are stored without loss.

    Encodings of the same values become plain: dictionaries, runs and views. Lance 14 stores
    decimals of 128 and 256 bits, and fixed-size lists of numbers and truth values alone.

    Raises
    ------
    DataError
        If there is none, as for unions.
    """
    if isinstance(kind, pa.BaseExtensionType):
        stored_type(kind.storage_type, column)
        return kind
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return stored_type(kind.value_type, column)
    if types.is_string_view(kind):
        return pa.string()
    if types.is_binary_view(kind):
        return pa.binary()
    if types.is_decimal(kind):
        return kind if kind.bit_width >= 128 else pa.decimal128(kind.precision, kind.scale)
    if types.is_map(kind):
        return pa.map_(stored_type(kind.key_type, column), stored_type(kind.item_type, column))
    if types.is_struct(kind):
        return _stored_struct(kind, column)
    if is_list(kind):
        return _stored_list(kind, column)
    if types.is_union(kind) or types.is_interval(kind):
        raise _cannot_be_stored(kind, column)
    return kind


def is_list(kind: pa.DataType) -> bool:
    """Tell whether values are lists of any kind; maps are not."""
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def _stored_list(kind: pa.DataType, column: str) -> pa.DataType:
    item = kind.value_field.with_type(stored_type(kind.value_type, column))
    if types.is_large_list(kind) or types.is_large_list_view(kind):
        return pa.large_list(item)
    is_plain = types.is_primitive(item.type) or types.is_boolean(item.type)
    if types.is_fixed_size_list(kind) and kind.list_size > 0 and is_plain:
        return pa.list_(item, kind.list_size)
    return pa.list_(item)


def _stored_struct(kind: pa.StructType, column: str) -> pa.StructType:
    names = [field.name for field in kind]
    if not names or len(set(names)) < len(names) or any("\0" in name for name in names):
        raise _cannot_be_stored(kind, column)
    return pa.struct([field.with_type(stored_type(field.type, column)) for field in kind])


def _cannot_be_stored(kind: pa.DataType, column: str) -> DataError:
    return DataError(
        f"column {column!r} must have a type that can be stored, got {kind}. Unions, intervals, "
        "and structs without fields or with repeated names cannot be. Convert the column, for "
        "instance to text, or leave it out."
    )


def wider_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of two stored types; None if there is none.

    An integer and a float make a float64, which holds integers up to 2^53 only.
    """
    if one == other or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    if types.is_struct(one) and types.is_struct(other):
        return _wider_struct(one, other)
    if is_list(one) and is_list(other):
        return _wider_list(one, other)
    if types.is_decimal(one) and types.is_decimal(other):
        return _wider_decimal(one, other)
    return _wider_number(one, other)


def _wider_struct(one: pa.StructType, other: pa.StructType) -> pa.StructType | None:
    """Return a struct with the fields of both, those of the first one first."""
    fields = {field.name: field for field in one}
    for field in other:
        known = fields.get(field.name, field)
        kind = wider_type(known.type, field.type)
        if kind is None:
            return None
        fields[field.name] = pa.field(field.name, kind, metadata=known.metadata)
    return pa.struct(list(fields.values()))


def _wider_list(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    item = wider_type(one.value_type, other.value_type)
    if item is None:
        return None
    field = pa.field(one.value_field.name, item)
    if types.is_large_list(one) or types.is_large_list(other):
        return pa.large_list(field)
    sizes = {one.list_size if types.is_fixed_size_list(one) else None}
    sizes.add(other.list_size if types.is_fixed_size_list(other) else None)
    size = sizes.pop()
    return pa.list_(field) if sizes or size is None else pa.list_(field, size)


def _wider_decimal(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    scale = max(one.scale, other.scale)
    precision = scale + max(one.precision - one.scale, other.precision - other.scale)
    bits = max(one.bit_width, other.bit_width)
    for most, make in _DECIMALS:
        kind = make(precision, scale) if precision <= most else None
        if kind is not None and kind.bit_width >= bits:
            return kind
    return None


def _wider_number(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    both = {one, other}
    for ladder in (_INTEGERS, _UNSIGNED, _FLOATS):
        if both.issubset(ladder):
            return max(both, key=ladder.index)
    if both.issubset([*_INTEGERS, *_UNSIGNED]):
        signed, unsigned = (one, other) if one in _INTEGERS else (other, one)
        least = _UNSIGNED.index(unsigned) + 1
        return _INTEGERS[max(least, _INTEGERS.index(signed))] if least < 4 else None
    return pa.float64() if both.issubset([*_INTEGERS, *_UNSIGNED, *_FLOATS]) else None
