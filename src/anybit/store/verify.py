"""Reading a whole store, to find what is damaged."""

from __future__ import annotations

import numpy as np

from anybit.store.dataset import Dataset, rows_of
from anybit.store.reports import VerifyReport
from anybit.store.schema import level_columns

__all__ = ["verify_dataset"]


def verify_dataset(dataset: Dataset, n_levels: int, n_codewords: int) -> VerifyReport:
    """Compare all files of the version with their checksums, and read all rows that are intact."""
    dataset.read_records_again()
    found = [str(one) for one in dataset.log.damages]
    by_fragment = dataset.damages_of(again=True) if dataset.log.exists else {}
    for number, damages in sorted(by_fragment.items()):
        found += [f"fragment {number} ({rows_of(dataset, number)}): {one}" for one in damages]
    intact = [one for one in dataset.lance.get_fragments() if one.fragment_id not in by_fragment]
    ids = []
    for fragment in intact:
        try:
            table = fragment.to_table()
        except (OSError, ValueError, RuntimeError) as cause:
            found.append(f"fragment {fragment.fragment_id} cannot be read: {cause}")
            continue
        ids.append(table["id"].to_numpy())
        for name in level_columns(n_levels):
            largest = max(table[name].to_numpy(), default=0)
            if largest >= n_codewords:
                found.append(
                    f"fragment {fragment.fragment_id}: {name} must be below {n_codewords}, "
                    f"got {largest}"
                )
    ordered = np.sort(np.concatenate([np.empty(0, np.int64), *ids]))
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if len(repeated):
        found.append(f"ids must be distinct, got {repeated[:5].tolist()} more than once")
    paths = dataset.files()
    n_bytes = sum(dataset.folder.size_of(path) for path in paths if dataset.folder.exists(path))
    return VerifyReport(len(paths), n_bytes, len(ordered), tuple(found))
