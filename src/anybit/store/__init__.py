"""Rows on disk: ids, codes, labels and metadata in one Lance dataset, durable and checked."""

from anybit.store.code_columns import level_columns
from anybit.store.code_store import CodeStore
from anybit.store.condition import Condition
from anybit.store.folders import REMOVED_PREFIX, Folder, Hold, LocalFolder, open_folder
from anybit.store.reports import (
    CompactReport,
    FragmentCodes,
    UpsertCounts,
    VerifyReport,
    VersionInfo,
)
from anybit.store.schema import (
    FORMAT_VERSION,
    RESERVED_COLUMNS,
    free_column_name,
    free_column_names,
)
from anybit.store.writer_lock import writer_lock

__all__ = [
    "FORMAT_VERSION",
    "REMOVED_PREFIX",
    "RESERVED_COLUMNS",
    "CodeStore",
    "CompactReport",
    "Condition",
    "Folder",
    "FragmentCodes",
    "Hold",
    "LocalFolder",
    "UpsertCounts",
    "VerifyReport",
    "VersionInfo",
    "free_column_name",
    "free_column_names",
    "level_columns",
    "open_folder",
    "writer_lock",
]
