"""Keys, labels and metadata in memory, so that hits are not read from the store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from anybit.collection.segment import Addresses
from anybit.store import CodeStore

__all__ = ["KeptRows"]

# Rows that are read to estimate what a fragment takes.
_SAMPLE_ROWS = 256
_ADDRESS = "_rowaddr"
_FRAGMENT_BITS = np.uint64(32)


@dataclass(frozen=True, eq=False)
class _Kept:
    """The rows of some fragments that were not deleted when they were read."""

    files: dict[int, tuple[str, ...]]
    addresses: Addresses  # (n,), ascending
    table: pa.Table


_NOTHING = _Kept({}, np.empty(0, dtype=np.uint64), pa.table({}))


class KeptRows:
    """Columns of whole fragments, as many as the memory allowed holds.

    A fragment's data files never change, so nothing here can be out of date: a fragment with other
    files is another one. Methods may be called by several threads.
    """

    def __init__(self) -> None:
        self._kept = _NOTHING

    def keep(self, store: CodeStore, columns: Sequence[str], max_bytes: int) -> None:
        """Read the fragments that are new in the store, and forget those that are gone."""
        with store.frozen():
            wanted = {number: _data(files) for number, files in store.fragment_states().items()}
        before, names = self._kept, list(columns)
        files = {
            number: own
            for number, own in before.files.items()
            if wanted.get(number) == own and before.table.column_names == names
        }
        if files.keys() == wanted.keys():
            return
        tables = [_rows_of(before, files)] if files else []
        n_bytes = sum(one.nbytes for one in tables)
        for number in sorted(wanted.keys() - files.keys()):
            with store.frozen():
                states = store.fragment_states()
                if number not in states or _data(states[number]) != wanted[number]:
                    continue  # a newer version; it will be asked for again
                sample = store.fragment_rows(number, names, _SAMPLE_ROWS)
                n_rows = store.fragment_size(number)
                if n_bytes + sample.nbytes / max(1, len(sample)) * n_rows > max_bytes:
                    break
                tables.append(store.fragment_rows(number, names))
            n_bytes += tables[-1].nbytes
            files[number] = wanted[number]
        if files == before.files and before.table.column_names == names:
            return  # there is no room for more
        if not tables:
            self._kept = _NOTHING
            return
        table = pa.concat_tables(tables, promote_options="permissive")
        table = table.take(pa.array(np.argsort(table[_ADDRESS].to_numpy()))).combine_chunks()
        self._kept = _Kept(files, table[_ADDRESS].to_numpy(), table.select(names))

    def take(
        self, addresses: Addresses, columns: list[str], fragments: dict[int, tuple[str, ...]]
    ) -> pa.Table | None:
        """Return columns of the rows at some addresses (at least one); None if one is not here.

        Parameters
        ----------
        addresses : ndarray of shape (n,), uint64
        columns : list of str
        fragments : dict of int to tuple of str
            Files of the version that the addresses belong to.
        """
        kept = self._kept
        numbers = np.unique(addresses >> _FRAGMENT_BITS).tolist()
        if any(kept.files.get(one) != _data(fragments[one]) for one in numbers):
            return None
        if len(kept.addresses) == 0 or not set(columns) <= set(kept.table.column_names):
            return None
        at = np.minimum(np.searchsorted(kept.addresses, addresses), len(kept.addresses) - 1)
        if (kept.addresses[at] != addresses).any():
            return None
        return kept.table.select(columns).take(pa.array(at))


def _rows_of(kept: _Kept, numbers: Collection[int]) -> pa.Table:
    """Return the rows of some fragments, with their addresses."""
    table = kept.table.append_column(_ADDRESS, pa.array(kept.addresses))
    is_wanted = np.isin(kept.addresses >> _FRAGMENT_BITS, list(numbers))
    return table if is_wanted.all() else table.filter(pa.array(is_wanted))


def _data(files: tuple[str, ...]) -> tuple[str, ...]:
    """Return a fragment's files without that of its deletions: they change nothing here."""
    return tuple(name for name in files if name.startswith("data/"))
