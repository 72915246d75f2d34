"""The condition on rows that a store takes: compiled already, never text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

__all__ = ["Condition"]


@dataclass(frozen=True)
class Condition:
    """Which rows are selected.

    Parameters
    ----------
    test : callable
        Takes a record batch of N rows with at least `columns`, and returns N booleans; rows with
        null are not selected. Two conditions are equal if their tests and columns are.
    columns : frozenset of str
        Names of the stored columns that the test needs, at least one.
    time_limit_s : float, optional
        Seconds that one evaluation over the store may take; no limit when left out.
    """

    test: Callable[[pa.RecordBatch], pa.BooleanArray]
    columns: frozenset[str]
    time_limit_s: float | None = field(default=None, compare=False)
