"""The filter language: conditions on stored columns, as text (docs/filters.md)."""

from anybit.data.filters.columns import column_kind, filterable_columns
from anybit.data.filters.parser import FilterLimits, parse_filter
from anybit.data.filters.tree import Filter

__all__ = ["Filter", "FilterLimits", "column_kind", "filterable_columns", "parse_filter"]
