"""Values in another type: exactly, or not at all."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from anybit.store.column_types import is_list

__all__ = ["InexactError", "exact_values"]

_KINDS = (
    types.is_integer,
    types.is_floating,
    types.is_boolean,
    types.is_decimal,
    types.is_date,
    types.is_time,
    types.is_timestamp,
    types.is_duration,
    lambda one: types.is_string(one) or types.is_large_string(one) or types.is_string_view(one),
    lambda one: (
        types.is_binary(one)
        or types.is_large_binary(one)
        or types.is_fixed_size_binary(one)
        or types.is_binary_view(one)
    ),
)
_INTEGER, _FLOAT, _DECIMAL = 0, 1, 3


class InexactError(Exception):
    """A value that the type does not hold.

    Parameters
    ----------
    position : int
        Of the value, or of the list or struct that holds it.
    value : object
    """

    def __init__(self, position: int, value: object) -> None:
        super().__init__(position, value)
        self.position, self.value = position, value


def exact_values(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return values in a type that holds them exactly.

    Raises
    ------
    InexactError
        If one of them has no equal there.
    """
    chunks, n_before = [], 0
    for chunk in values.chunks:
        try:
            chunks.append(_exact(chunk, kind))
        except InexactError as cause:
            raise InexactError(n_before + cause.position, cause.value) from cause
        n_before += len(chunk)
    return pa.chunked_array(chunks, type=kind)


def _exact(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    if types.is_null(array.type) or array.null_count == len(array):
        return pa.nulls(len(array), kind)
    if isinstance(array.type, pa.BaseExtensionType):
        raise _inexact(array)
    if types.is_dictionary(array.type):
        return _exact(array.dictionary_decode(), kind)
    if types.is_run_end_encoded(array.type):
        return _exact(pc.run_end_decode(array), kind)
    if types.is_dictionary(kind):  # a column of an older store
        return _encoded(_exact(array, kind.value_type), kind)
    if types.is_struct(kind) and types.is_struct(array.type):
        return _exact_struct(array, kind)
    if types.is_map(kind) and types.is_map(array.type):
        return _exact_map(array, kind)
    if is_list(kind) and is_list(array.type):
        return _exact_list(array, kind)
    return _exact_leaves(array, kind)


def _encoded(array: pa.Array, kind: pa.DictionaryType) -> pa.Array:
    try:
        return array.dictionary_encode().cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as cause:
        raise _inexact(array) from cause  # more values than the dictionary's indices count


def _exact_struct(array: pa.StructArray, kind: pa.StructType) -> pa.Array:
    came = [field.name for field in array.type]
    if not {field.name for field in kind}.issuperset(came):
        raise _inexact(array)
    parts = [
        _exact(array.field(came.index(field.name)), field.type)
        if field.name in came
        else pa.nulls(len(array), field.type)
        for field in kind
    ]
    return pa.StructArray.from_arrays(parts, fields=list(kind), mask=array.is_null())


def _exact_list(array: pa.Array, kind: pa.DataType) -> pa.Array:
    is_null, lengths = array.is_null(), pc.list_value_length(array)
    lengths = pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    lengths[is_null.to_numpy(zero_copy_only=False)] = 0
    ends = np.cumsum(lengths)
    try:
        items = _exact(array.flatten(), kind.value_type)
    except InexactError as cause:
        position = int(np.searchsorted(ends, cause.position, side="right"))
        raise InexactError(position, _shown(array[position])) from cause
    if types.is_fixed_size_list(kind):
        return _fixed_lists(array, items, lengths, kind)
    offsets = np.concatenate([[0], ends])
    maker, width = pa.ListArray, pa.int32()
    if types.is_large_list(kind):
        maker, width = pa.LargeListArray, pa.int64()
    return maker.from_arrays(pa.array(offsets, width), items, type=kind, mask=is_null)


def _fixed_lists(array: pa.Array, items: pa.Array, lengths: object, kind: pa.DataType) -> pa.Array:
    """Return lists of one length; null ones hold nulls."""
    size, is_null = kind.list_size, array.is_null().to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero((np.asarray(lengths) != size) & ~is_null)
    if len(wrong):
        raise _inexact(array, int(wrong[0]))
    first = np.cumsum(np.where(is_null, 0, size)) - size
    places = first[:, None] + np.arange(size)  # (n, size)
    missing = np.repeat(is_null, size)
    items = items.take(pa.array(np.where(missing, 0, places.reshape(-1)), mask=missing))
    return pa.FixedSizeListArray.from_arrays(items, type=kind, mask=pa.array(is_null))


def _exact_map(array: pa.MapArray, kind: pa.MapType) -> pa.Array:
    """Convert keys and values as a list of structs."""
    names = ("key", "value")
    entry = pa.struct(zip(names, (array.type.key_type, array.type.item_type), strict=True))
    wanted = pa.struct(zip(names, (kind.key_type, kind.item_type), strict=True))
    lists = _exact_list(array.cast(pa.list_(entry)), pa.list_(wanted))
    keys, items = lists.values.field(0), lists.values.field(1)
    return pa.MapArray.from_arrays(lists.offsets, keys, items, type=kind, mask=array.is_null())


def _exact_leaves(array: pa.Array, kind: pa.DataType) -> pa.Array:
    ours, theirs = _kind_of(array.type), _kind_of(kind)
    both = {ours, theirs}
    is_number = both == {_INTEGER, _FLOAT} or (ours, theirs) == (_INTEGER, _DECIMAL)
    if None in both or not (ours == theirs or is_number):
        raise _inexact(array, 0)
    if types.is_timestamp(kind) and kind.tz != array.type.tz:
        raise _inexact(array, 0)
    if (made := _cast(array, kind)) is not None:
        return made
    first, last = 0, len(array)  # the first value that does not fit is among these
    while last - first > 1:
        middle = (first + last) // 2
        is_before = _cast(array[first:middle], kind) is None
        first, last = (first, middle) if is_before else (middle, last)
    raise _inexact(array, first)


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """Return the values in another type of their kind; None where one of them changes."""
    try:
        if types.is_decimal(kind) and types.is_integer(array.type):
            made = array.cast(pa.decimal128(20, 0)).cast(kind)
            back = made.cast(pa.decimal128(38, 0)).cast(array.type)
        else:
            made = array.cast(kind)
            back = made.cast(array.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if types.is_floating(array.type):
        one, other = (each.drop_null().to_numpy() for each in (array, back))
        is_equal = len(one) == len(other) and bool(((one == other) | (one != one)).all())
    else:
        is_equal = back.equals(array)
    return made if is_equal else None


def _kind_of(kind: pa.DataType) -> int | None:
    return next((number for number, is_one in enumerate(_KINDS) if is_one(kind)), None)


def _inexact(array: pa.Array, start: int = 0) -> InexactError:
    """Name the first value that is not null."""
    known = np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False)[start:])
    position = start + int(known[0])
    return InexactError(position, _shown(array[position]))


def _shown(value: pa.Scalar) -> object:
    try:
        return value.as_py()
    except ValueError:  # nanoseconds, which Python's own types do not hold
        return value.cast(pa.string()).as_py()
