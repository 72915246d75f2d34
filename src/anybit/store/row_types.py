"""Rows as the store holds them: its columns, its types, and no value changed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from anybit.errors import DataError
from anybit.store.code_columns import is_level_column
from anybit.store.column_types import stored_type, wider_type
from anybit.store.exact_values import InexactError, exact_values
from anybit.store.schema import RESERVED_COLUMNS
from anybit.types import UInt8Array

__all__ = ["conformed_rows", "plain_rows", "wider_columns"]


def plain_rows(rows: pa.Table) -> pa.Table:
    """Return the rows with types that can be stored, and the same values.

    Raises
    ------
    DataError
        If a column has a type that cannot be stored.
    """
    for number, field in enumerate(rows.schema):
        kind = stored_type(field.type, field.name)
        if kind != field.type:
            values = exact_values(rows.column(number), kind)
            rows = rows.set_column(number, pa.field(field.name, kind), values)
    return rows


def wider_columns(rows: pa.Table, schema: pa.Schema) -> dict[str, pa.DataType]:
    """Return the stored columns that need a wider type for these rows, and that type.

    Parameters
    ----------
    rows : pyarrow.Table
        See `plain_rows`.
    schema : pyarrow.Schema
        The stored one.

    Raises
    ------
    DataError
        If a stored column does not hold a value exactly, and no wider type does.
    """
    changes = {}
    for field in schema:
        if field.name not in rows.column_names or is_level_column(field.name):
            continue
        values = rows[field.name]
        try:
            exact_values(values, field.type)
        except InexactError as cause:
            kind = None
            if field.name not in RESERVED_COLUMNS:
                kind = wider_type(field.type, values.type)
            if kind is None or not _are_exact(values, kind):
                raise _refused(field, rows, cause) from cause
            changes[field.name] = kind
    return changes


def _are_exact(values: pa.ChunkedArray, kind: pa.DataType) -> bool:
    try:
        exact_values(values, kind)
    except InexactError:
        return False
    return True


def _refused(field: pa.Field, rows: pa.Table, cause: InexactError) -> DataError:
    value = repr(cause.value)
    shown = value if len(value) <= 80 else f"{value[:77]}..."
    return DataError(
        f"column {field.name} must hold {field.type} as the rows before it, got "
        f"{rows[field.name].type}: {shown} (id {rows['id'][cause.position]}) is not such a value. "
        "Give the column another name, or the same type."
    )


def conformed_rows(rows: pa.Table, schema: pa.Schema, codes: Mapping[str, UInt8Array]) -> pa.Table:
    """Return the rows with exactly the stored columns and types.

    Parameters
    ----------
    rows : pyarrow.Table
        For which `wider_columns` is empty.
    schema : pyarrow.Schema
        The stored one.
    codes : mapping of str to ndarray of shape (n,), uint8
        The code columns.
    """
    columns = []
    for field in schema:
        if is_level_column(field.name):
            # Nobody reads what an interrupted extension has left.
            unused = np.zeros(len(rows), dtype=np.uint8)
            columns.append(pa.array(codes.get(field.name, unused)))
        elif field.name in rows.column_names:
            columns.append(exact_values(rows[field.name], field.type))
        else:
            columns.append(pa.nulls(len(rows), field.type))
    return pa.Table.from_arrays(columns, schema=schema)
