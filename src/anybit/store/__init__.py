"""Rows on disk: ids, codes, labels and metadata in one Lance dataset."""

from anybit.store.code_store import CodeStore, UpsertCounts
from anybit.store.schema import FORMAT_VERSION, RESERVED_COLUMNS, free_column_name, level_columns

__all__ = [
    "FORMAT_VERSION",
    "RESERVED_COLUMNS",
    "CodeStore",
    "UpsertCounts",
    "free_column_name",
    "level_columns",
]
