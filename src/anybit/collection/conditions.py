"""Filters of a collection: text in the language of `anybit.data`, compiled for the store."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from anybit.data import Filter, FilterLimits, filterable_columns, parse_filter
from anybit.store import CodeStore, Condition

__all__ = ["HAS_LABELS", "compile_condition", "condition_columns"]


def condition_columns(store: CodeStore) -> dict[str, pa.DataType]:
    """Return the columns that a filter may name: ``id``, ``key``, ``labels`` and metadata."""
    return filterable_columns(store.schema, ["id", "key", "labels", *store.metadata_columns])


def compile_condition(
    text: str,
    store: CodeStore,
    time_limit_s: float | None = None,
    limits: FilterLimits | None = None,
) -> Condition:
    """Return the condition that a filter's text means for the rows of a store.

    Parameters
    ----------
    text : str
        In the language of docs/filters.md.
    store : CodeStore
        Whose columns it may name.
    time_limit_s : float, optional
        Seconds that one evaluation may take.
    limits : FilterLimits, optional
        The largest text.

    Raises
    ------
    FilterError
        If the text is no filter on these columns.
    """
    parsed: Filter = parse_filter(text, condition_columns(store), limits)
    return Condition(parsed, parsed.columns, time_limit_s)


def _has_labels(batch: pa.RecordBatch) -> pa.BooleanArray:
    return pc.greater(pc.list_value_length(batch.column("labels")), 0)


HAS_LABELS = Condition(_has_labels, frozenset({"labels"}))
"""Selects the items that have at least one label."""
