"""What a collection knows of where its items came from, and which of these places are gone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anybit.data import path_text, shown_name, text_path
from anybit.store import CodeStore
from anybit.types import BoolArray, Int64Array

__all__ = ["GIVEN", "IN_MEMORY", "StoredItems", "gone_paths", "source_in_words"]

GIVEN = ""
"""Recorded source of items whose ids were given."""
IN_MEMORY = ":memory:"
"""Recorded source of rows of arrays that came from no file."""
_UNKNOWN = -1
# From so many files of a folder on, listing it is faster than asking for each.
_LIST_FROM = 64


class StoredItems:
    """Ids, sources, keys, digests and signatures of all stored items, ordered by id.

    Parameters
    ----------
    store : CodeStore
    with_paths : bool
        Read where image files were, too.
    """

    def __init__(self, store: CodeStore, *, with_paths: bool) -> None:
        wanted = ["signature", "item_source", "item_digest", "key"] + ["path"] * with_paths
        with store.frozen():
            columns = store.columns
            names = [one for one in wanted if one in store.own_columns and one in columns]
            table = store.read(["id", *names])
            self.version = store.version
        self._table = table.combine_chunks()
        self.ids: Int64Array = np.asarray(table["id"].to_numpy(), dtype=np.int64)
        self._signatures = self._column("signature", pa.int64())
        encoded = self._column("item_source", pa.string()).dictionary_encode()
        self.source_names: list[str] = encoded.dictionary.to_pylist()
        codes = encoded.indices.fill_null(_UNKNOWN)
        self.codes: Int64Array = np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def _column(self, name: str, kind: pa.DataType) -> pa.Array:
        """Return one column, of nulls where the store does not have it."""
        if name not in self._table.column_names:
            return pa.nulls(len(self._table), kind)
        column = self._table[name]
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def rows_of(self, ids: Int64Array) -> Int64Array:
        """Return the row of each id (n,), -1 where it is not stored."""
        if len(self) == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.ids, ids), len(self) - 1)
        return np.where(self.ids[places] == ids, places, -1)

    def code_of(self, source: str) -> int:
        """Return the number that stands for a source in `codes`, -2 where it has no item."""
        return self.source_names.index(source) if source in self.source_names else -2

    def is_unknown(self, rows: Int64Array) -> BoolArray:
        """Tell which rows (n,) were written before sources were recorded."""
        unknown: BoolArray = self.codes[rows] == _UNKNOWN
        return unknown

    def source_of(self, row: int) -> str | None:
        """Return the recorded source of one row, None where it is unknown."""
        return None if self.codes[row] == _UNKNOWN else self.source_names[self.codes[row]]

    def keys_of(self, rows: Int64Array) -> pa.Array:
        """Return the keys of rows (n,)."""
        return self._column("key", pa.string()).take(pa.array(rows))

    def paths_of(self, rows: Int64Array) -> list[str | None]:
        """Return where the image files of rows (n,) were."""
        paths: list[str | None] = self._column("path", pa.string()).take(pa.array(rows)).to_pylist()
        return paths

    def digests_of(self, rows: Int64Array) -> list[bytes | None]:
        """Return the digests of the contents of rows (n,)."""
        column = self._column("item_digest", pa.binary(16))
        digests: list[bytes | None] = column.take(pa.array(rows)).to_pylist()
        return digests

    def have_signatures(self, rows: Int64Array, signatures: Int64Array) -> BoolArray:
        """Tell which rows (n,) have these signatures (n,)."""
        stored = self._signatures.take(pa.array(rows))
        equal = pc.equal(stored, pa.array(signatures, pa.int64())).fill_null(False)
        return np.asarray(equal.to_numpy(zero_copy_only=False), dtype=np.bool_)

    def rows_from_files(self, digests: Sequence[bytes] | None = None) -> Int64Array:
        """Return the rows whose source is a path, and that have a digest, or one of these."""
        is_path = np.array(
            [name not in (GIVEN, IN_MEMORY) for name in self.source_names] + [False], np.bool_
        )  # the last entry is that of _UNKNOWN
        column = self._column("item_digest", pa.binary(16))
        if digests is None:
            fits = column.is_valid()
        else:
            fits = pc.is_in(column, value_set=pa.array(digests, column.type), skip_nulls=True)
        return np.flatnonzero(is_path[self.codes] & fits.to_numpy(zero_copy_only=False))

    def are_gone(self, rows: Int64Array) -> BoolArray:
        """Tell of rows (n,) which image files, or else which source files, are there no more."""
        files = [name.partition("\0")[0] for name in self.source_names]
        places = [
            files[code] if path is None and code != _UNKNOWN else path
            for code, path in zip(self.codes[rows].tolist(), self.paths_of(rows), strict=True)
        ]
        return gone_paths(places)


def gone_paths(paths: Sequence[str | None]) -> BoolArray:
    """Tell which paths (n,) lead to nothing. What cannot be looked at counts as there.

    Parameters
    ----------
    paths : sequence of str or None
        Absolute; None, and what is no path, is never gone.
    """
    gone = np.zeros(len(paths), dtype=np.bool_)
    known = {path for path in paths if path is not None and os.path.isabs(path)}
    missing: set[str] = set()
    for folder, group in groupby(sorted(known), key=os.path.dirname):
        missing.update(_missing_of(folder, list(group)))
    if missing:
        gone[:] = [path in missing for path in paths]
    return gone


def _missing_of(folder: str, paths: list[str]) -> Iterable[str]:
    """Return which paths of one folder lead to nothing."""
    if len(paths) >= _LIST_FROM:
        try:
            names = frozenset(map(path_text, os.listdir(text_path(folder))))
        except FileNotFoundError:
            return paths
        except OSError:
            return ()
        # The listing may spell a name differently, so names missing from it are checked one by one.
        paths = [path for path in paths if os.path.basename(path) not in names]
    return [path for path in paths if _is_missing(path)]


def _is_missing(path: str) -> bool:
    try:
        text_path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def source_in_words(source: str | None) -> str:
    """Say where an item came from, for a message."""
    if source is None:
        return "a source that was not recorded (by a release before format version 3)"
    if source in (GIVEN, IN_MEMORY):
        return "a source of given ids" if source == GIVEN else "an array in memory"
    path, _, prefix = source.partition("\0")
    return f"{shown_name(path)} (id prefix {prefix})" if prefix else shown_name(path)
