"""Giving a stored column a wider type; an interruption leaves the old column or the new one."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from anybit.errors import DataError
from anybit.store.dataset import Dataset
from anybit.store.exact_values import InexactError, exact_values
from anybit.store.schema import DRAFT_COLUMNS

__all__ = ["change_type", "drop_drafts"]

_DRAFT, _REPLACED = DRAFT_COLUMNS


def change_type(dataset: Dataset, name: str, kind: pa.DataType) -> None:
    """Write a column again, with the same values in another type; only while `writing`.

    There must be no drafts, see `drop_drafts`. The new column is committed under another name; then
    the two change their names in one commit, and the old one is dropped. Each fragment gets one
    more file.

    Raises
    ------
    DataError
        If the type does not hold a stored value; nothing has changed then.
    """
    from lance import LanceOperation
    from lance.dataset import LanceDataset

    field = dataset.lance.schema.field(name)
    for batch in dataset.lance.to_batches(columns=[name]):
        try:
            exact_values(pa.chunked_array([batch.column(0)]), kind)
        except InexactError as cause:
            raise DataError(
                f"column {name} holds {cause.value!r} as {field.type}, which {kind} does not hold. "
                "Give the new column another name, or the same type."
            ) from cause
    draft = pa.field(_DRAFT, kind, metadata=field.metadata)

    def converted(batch: pa.RecordBatch) -> pa.RecordBatch:
        values = exact_values(pa.chunked_array([batch[name]]), kind).combine_chunks()
        return pa.RecordBatch.from_arrays([values], schema=pa.schema([draft]))

    merged = [one.merge_columns(converted, columns=[name]) for one in dataset.fragments()]
    if merged:
        fragments = [fragment for fragment, _ in merged]
        dataset.record(fragments)
        operation = LanceOperation.Merge(fragments, merged[0][1])
        version = dataset.lance.version
        dataset.committed(LanceDataset.commit(dataset.lance, operation, read_version=version))
    else:
        commit(dataset, lambda newest: newest.add_columns(pa.schema([draft])))
    swap = ({"path": name, "name": _REPLACED}, {"path": _DRAFT, "name": name})
    commit(dataset, lambda newest: newest.alter_columns(*swap))
    drop_drafts(dataset)


def drop_drafts(dataset: Dataset) -> None:
    """Drop what an interrupted change of a column's type has left; only while `writing`."""
    left = [one for one in dataset.lance.schema.names if one in DRAFT_COLUMNS]
    if left:
        commit(dataset, lambda newest: newest.drop_columns(left))


def commit(dataset: Dataset, change: Callable[[pa.dataset.Dataset], None]) -> None:
    """Let Lance change the schema in one commit, and acknowledge it; only while `writing`."""
    newest = dataset.lance
    dataset.check_lock()
    change(newest)
    dataset.committed(newest)
