"""Reading a whole store, to find what is damaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from anybit.codes import access_error
from anybit.store.code_columns import CodeColumn, level_columns
from anybit.store.dataset import Dataset, rows_of
from anybit.store.reports import VerifyReport
from anybit.store.schema import settings_of

__all__ = ["verify_dataset"]


def verify_dataset(dataset: Dataset) -> VerifyReport:
    """Compare all files of the version with their checksums, and read all rows that are intact."""
    dataset.read_records_again()
    found = [str(one) for one in dataset.log.damages]
    by_fragment = dataset.damages_of(again=True) if dataset.log.exists else {}
    for number, damages in sorted(by_fragment.items()):
        found += [f"fragment {number} ({rows_of(dataset, number)}): {one}" for one in damages]
    intact = [one for one in dataset.lance.get_fragments() if one.fragment_id not in by_fragment]
    ids, columns = [], settings_of(dataset.lance.schema, str(dataset.path)).code_columns
    for fragment in intact:
        try:
            table = fragment.to_table()
        except (OSError, ValueError, RuntimeError) as cause:
            if (no_access := access_error(dataset.path, cause)) is not None:
                raise no_access from cause
            found.append(f"fragment {fragment.fragment_id} cannot be read: {cause}")
            continue
        ids.append(table["id"].to_numpy())
        found += [f"fragment {fragment.fragment_id}: {one}" for one in _wrong_codes(table, columns)]
    ordered = np.sort(np.concatenate([np.empty(0, np.int64), *ids]))
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if len(repeated):
        found.append(f"ids must be distinct, got {repeated[:5].tolist()} more than once")
    paths = dataset.files()
    n_bytes = sum(_size_of(dataset, path) for path in paths)
    return VerifyReport(len(paths), n_bytes, len(ordered), tuple(found))


def _size_of(dataset: Dataset, path: str) -> int:
    """Return the bytes of a file; 0 where it is missing, which is found already."""
    try:
        return dataset.folder.size_of(path)
    except FileNotFoundError:
        return 0


def _wrong_codes(table: pa.Table, columns: Iterable[CodeColumn]) -> Iterator[str]:
    """Say which levels have codes that no codeword has, and which bits are set beyond them."""
    for column in columns:
        values = table[column.name].to_numpy()
        planes = column.unpack(values)  # (n_levels, n)
        for level, plane in zip(column.levels, planes, strict=True):
            if (largest := plane.max(initial=0)) >= column.n_codewords:
                yield f"{_level_name(level)} must be below {column.n_codewords}, got {largest}"
        if planes.max(initial=0) < column.n_codewords:
            unused = values != column.pack(planes)
            if unused.any():
                yield f"{column.name} must have zeros behind its levels, got {values[unused][0]}"


def _level_name(level: int) -> str:
    return level_columns(level + 1)[-1]
