"""What a filter means: a tree of conditions, evaluated over batches of rows.

Conditions have three values as in SQL: true, false, and null where a compared value is null. Null
is not selected.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anybit.data.filters.columns import Column, comparable
from anybit.data.filters.like import like_matches

__all__ = [
    "AllOf",
    "AnyOf",
    "Comparison",
    "Filter",
    "IsBool",
    "IsNull",
    "ListHolds",
    "ListLength",
    "Matches",
    "Not",
    "OneOf",
]

_COMPARE: dict[str, Callable[[pa.Array, pa.Scalar], pa.BooleanArray]] = {
    "=": pc.equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


class Filter(ABC):
    """A condition on the rows of a table. Equal conditions are equal and hash alike."""

    @property
    @abstractmethod
    def columns(self) -> frozenset[str]:
        """Names of the columns that it needs."""

    def __call__(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Evaluate the condition.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
            N rows with at least `columns`.

        Returns
        -------
        pyarrow.BooleanArray
            (N,); null where the condition is neither true nor false.
        """
        return self._evaluated(batch)

    @abstractmethod
    def _evaluated(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Return what `__call__` does."""


@dataclass(frozen=True)
class _Joined(Filter):
    """Several conditions, at least one."""

    parts: tuple[Filter, ...]

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns that it needs."""
        return frozenset().union(*(part.columns for part in self.parts))


@dataclass(frozen=True)
class AllOf(_Joined):
    """Every part is true."""

    def _evaluated(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return reduce(pc.and_kleene, (part._evaluated(batch) for part in self.parts))


@dataclass(frozen=True)
class AnyOf(_Joined):
    """At least one part is true."""

    def _evaluated(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return reduce(pc.or_kleene, (part._evaluated(batch) for part in self.parts))


@dataclass(frozen=True)
class Not(Filter):
    """The part is false."""

    part: Filter

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns that it needs."""
        return self.part.columns

    def _evaluated(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pc.invert(self.part._evaluated(batch))


@dataclass(frozen=True)
class _OfColumn(Filter):
    """A condition on one column."""

    column: Column

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns that it needs."""
        return frozenset(self.column.parts[:1])


@dataclass(frozen=True)
class Comparison(_OfColumn):
    """``column sign value``, the sign being =, <>, <, <=, > or >=."""

    sign: str
    value: pa.Scalar

    def _evaluated(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return _COMPARE[self.sign](self.column.values(batch), self.value)


@dataclass(frozen=True)
class OneOf(_OfColumn):
    """``column IN values``; the values are of one type."""

    values: tuple[pa.Scalar, ...]

    def _evaluated(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        values = self.column.values(batch)
        # For Arrow's is_in null is a value that is not among the others.
        return pc.if_else(pc.is_valid(values), _is_in(values, self.values), None)


@dataclass(frozen=True)
class Matches(_OfColumn):
    """``column LIKE pattern``, or ILIKE."""

    pattern: str
    ignore_case: bool

    def _evaluated(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return like_matches(self.column.values(batch), self.pattern, ignore_case=self.ignore_case)


@dataclass(frozen=True)
class IsNull(_OfColumn):
    """``column IS NULL``."""

    def _evaluated(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pc.is_null(self.column.values(batch))


@dataclass(frozen=True)
class IsBool(_OfColumn):
    """``column IS TRUE`` or ``IS FALSE``; false where the column is null."""

    value: bool

    def _evaluated(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pc.fill_null(pc.equal(self.column.values(batch), pa.scalar(self.value)), False)


@dataclass(frozen=True)
class ListHolds(_OfColumn):
    """The list holds at least one of the values; null where there is no list."""

    values: tuple[pa.Scalar, ...]

    def _evaluated(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        lists = self.column.values(batch)
        is_hit = pc.fill_null(_is_in(comparable(lists.values), self.values), False)
        n_before = np.zeros(len(is_hit) + 1, dtype=np.int64)  # hits before each element
        np.cumsum(is_hit.to_numpy(zero_copy_only=False), out=n_before[1:])
        bounds = lists.offsets.to_numpy()  # (N + 1,)
        holds = n_before[bounds[1:]] > n_before[bounds[:-1]]  # (N,)
        return pc.if_else(pc.is_valid(lists), pa.array(holds), None)


@dataclass(frozen=True)
class ListLength(_OfColumn):
    """``array_length(column) sign value``; null where there is no list."""

    sign: str
    value: pa.Scalar

    def _evaluated(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        lengths = pc.list_value_length(self.column.values(batch)).cast(pa.int64())
        return _COMPARE[self.sign](lengths, self.value)


def _is_in(values: pa.Array, wanted: tuple[pa.Scalar, ...]) -> pa.BooleanArray:
    """Return which values (N,) are among some; false for null."""
    if pa.types.is_floating(values.type):
        values = pc.add(values, pa.scalar(0.0, values.type))  # -0.0 has another hash than 0.0
    return pc.is_in(values, value_set=pa.array(list(wanted), wanted[0].type))
