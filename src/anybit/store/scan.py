"""Scans of a store's rows: all of them, some given by number, or those that meet a condition."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from anybit.codes import access_error
from anybit.errors import AnybitError, DTypeError, FormatError, OptionError, TimeLimitError
from anybit.store.condition import Condition
from anybit.store.dataset import Dataset
from anybit.types import Int64Array

__all__ = ["ADDRESS", "RowAddresses", "RowIds", "read_error", "scanner_of", "select"]

ADDRESS = "_rowaddr"
# Rows that a condition is evaluated on at a time: between two batches the time limit is checked
# and Ctrl-C acts. Larger batches are not faster.
_BATCH_ROWS = 32_768


@dataclass(frozen=True, eq=False)
class RowIds:
    """Rows with these ids (n,), at least one."""

    ids: Int64Array

    @property
    def sql(self) -> str:
        """The condition for Lance."""
        smallest = np.iinfo(np.int64).min
        listed = ", ".join(str(int(one)) for one in self.ids if one != smallest)
        conditions = [f"id IN ({listed})"] if listed else []
        if smallest in self.ids:
            # SQL reads the literal as a minus before 2^63, which no int64 holds.
            conditions.append(f"id < {smallest + 1}")
        return " OR ".join(conditions)


@dataclass(frozen=True, eq=False)
class RowAddresses:
    """Rows at these addresses (n,), at least one."""

    addresses: NDArray[np.uint64]

    @property
    def sql(self) -> str:
        """The condition for Lance."""
        return f"{ADDRESS} IN ({', '.join(str(int(one)) for one in self.addresses)})"


def scanner_of(
    dataset: Dataset,
    columns: list[str],
    chosen: RowIds | RowAddresses | None = None,
    *,
    fragments: list[int] | None = None,
    with_row_address: bool = False,
    limit: int | None = None,
    batch_rows: int | None = None,
) -> Any:
    """Return Lance's scan of intact fragments; None where there are none.

    Lance parses no text but lists of numbers: of a condition that it does not understand as a
    whole it evaluates the part that it does, without an error.
    """
    intact = dataset.fragments(fragments)
    is_all = len(intact) == len(dataset.lance.get_fragments())
    if not intact and not is_all:
        return None
    return dataset.lance.scanner(
        columns=columns,
        filter=None if chosen is None else chosen.sql,
        fragments=None if is_all else intact,
        with_row_address=with_row_address,
        limit=limit,
        batch_size=batch_rows,
    )


def select(
    dataset: Dataset, column: str, where: Condition, fragments: list[int] | None = None
) -> NDArray[Any]:
    """Return ids or addresses (n,) of the rows that a condition selects.

    Parameters
    ----------
    dataset : Dataset
    column : {"id", "_rowaddr"}
    where : Condition
    fragments : list of int, optional
        Their numbers; all when left out.

    Raises
    ------
    DTypeError
        If `where` is no condition.
    TimeLimitError
        If it takes longer than the condition may.
    OptionError
        If the condition cannot be evaluated.
    FormatError
        If the rows cannot be read.
    """
    if not isinstance(where, Condition):
        raise DTypeError(
            f"A store takes a compiled condition, got {type(where).__name__}. Text is compiled by "
            "the methods of Collection."
        )
    start_s, limit_s = time.monotonic(), where.time_limit_s
    found = [np.empty(0, dtype=np.int64 if column == "id" else np.uint64)]
    for batch in _batches(dataset, sorted(where.columns | {column}), fragments):
        if limit_s is not None and time.monotonic() - start_s > limit_s:
            raise TimeLimitError(
                f"A filter must be evaluated within {limit_s:g} s, this one was not."
            )
        try:
            is_wanted = where.test(batch)
        except (pa.ArrowException, RecursionError) as cause:
            raise OptionError(
                f"A filter must be a condition that can be evaluated: {cause}. Write a simpler one."
            ) from cause
        found.append(batch.column(column).filter(is_wanted).to_numpy())
    return np.concatenate(found)


def _batches(
    dataset: Dataset, columns: list[str], fragments: list[int] | None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of fragments in batches."""
    try:
        scanner = scanner_of(
            dataset,
            [name for name in columns if name != ADDRESS],
            fragments=fragments,
            with_row_address=ADDRESS in columns,
            batch_rows=_BATCH_ROWS,
        )
        if scanner is not None:
            yield from scanner.to_batches()
    except AnybitError:
        raise
    except (OSError, RuntimeError, ValueError) as cause:
        raise read_error(dataset, cause) from cause


def read_error(dataset: Dataset, cause: Exception) -> AnybitError:
    """Return the error for rows that Lance cannot read."""
    no_access = access_error(dataset.path, cause)
    return no_access or FormatError(f"{dataset.path} cannot be read: {cause}")
