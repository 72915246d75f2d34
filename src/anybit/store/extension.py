"""Further code columns beside those that are stored."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from anybit.store.dataset import Dataset
from anybit.types import Int64Array, UInt8Array

__all__ = ["extend_dataset"]


def extend_dataset(dataset: Dataset, names: list[str], ids: Int64Array, planes: UInt8Array) -> None:
    """Commit new columns, with `planes` (columns, N) for ascending `ids` (N,); while `writing`.

    Each fragment gets one more file; those that it has stay as they are. Columns of these names,
    which an interrupted extension has left, are dropped first.
    """
    from lance import LanceOperation
    from lance.dataset import LanceDataset

    newest = dataset.lance
    left = [name for name in names if name in newest.schema.names]
    if left:
        newest.drop_columns(left)
        dataset.committed(newest)
        newest = dataset.lance
    schema = pa.schema([pa.field(name, pa.uint8()) for name in names])

    def columns_of(batch: pa.RecordBatch) -> pa.RecordBatch:
        wanted = batch["id"].to_numpy()
        places = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
        # Rows that are deleted have no code; nobody reads what stands there.
        arrays = [pa.array(plane[places], pa.uint8()) for plane in planes]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    merged = [one.merge_columns(columns_of, columns=["id"]) for one in dataset.fragments()]
    if not merged:
        newest.add_columns(schema)
        dataset.committed(newest)
        return
    fragments = [fragment for fragment, _ in merged]
    dataset.record(fragments)
    operation = LanceOperation.Merge(fragments, merged[0][1])
    dataset.committed(LanceDataset.commit(newest, operation, read_version=newest.version))
