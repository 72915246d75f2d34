"""Tables of several files as one, without a change of any value."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
from pyarrow import types

from anybit.data.path_text import shown_name
from anybit.errors import DataError

__all__ = ["join_tables"]


def join_tables(tables: Sequence[pa.Table], paths: Sequence[Path]) -> pa.Table:
    """Return the rows of tables one after another; what a table has no column for is null.

    Columns of the same name get a type that holds the values of all.

    Parameters
    ----------
    tables : sequence of pyarrow.Table
        At least one.
    paths : sequence of Path
        The files that they are from.

    Raises
    ------
    DataError
        If there is no such type, or it does not hold a value exactly: a float64 holds integers up
        to 2^53.
    """
    if len(tables) == 1:
        return tables[0]
    try:
        joined = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as cause:
        raise DataError(
            f"the files of {shown_name(paths[0].parent)} have different columns: {cause}. "
            "Give columns of the same name the same type."
        ) from cause
    for table, path in zip(tables, paths, strict=True):
        for name in table.column_names:
            _check_exact(name, table[name], joined.schema.field(name).type, path)
    return joined


def _check_exact(name: str, column: pa.ChunkedArray, kind: pa.DataType, path: Path) -> None:
    """Raise DataError if a column has a value that another type does not hold."""
    reason = ""
    if types.is_decimal(column.type) and types.is_floating(kind):
        values = (one for one in column.to_pylist() if one is not None)
        reason = next((f"it has {one}" for one in values if Decimal(float(one)) != one), "")
    elif column.type != kind:
        try:
            column.cast(kind, safe=True)
        except pa.ArrowException as cause:
            reason = str(cause)
    if reason:
        raise DataError(
            f"column {shown_name(name)} of {shown_name(path)} must keep its values together with "
            f"those of the other files, got {column.type}, which would become {kind}: {reason}. "
            "Give the column the same type in all files."
        )
