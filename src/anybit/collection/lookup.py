"""Answers for many small requests: what is in memory is not read from the store again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from anybit.collection.live_index import LiveIndex
from anybit.search import SearchResult
from anybit.store import CodeStore
from anybit.types import Float32Array, Int64Array, UInt8Array

__all__ = ["Answer", "Lookup"]


@dataclass(frozen=True, eq=False)
class Answer:
    """The hits of one query at several code lengths, from one version of the collection.

    Parameters
    ----------
    results : tuple of SearchResult
        One a code length, in the order asked for.
    rows : pyarrow.Table
        ``key``, ``labels`` and metadata of the hits of the first result.
    codes : ndarray of shape (k, M), uint8
        All levels of these hits.
    n_searched : int
        Items that were compared: all, or those that the condition selects.
    version : int
        Of the collection.
    """

    results: tuple[SearchResult, ...]
    rows: pa.Table
    codes: UInt8Array
    n_searched: int
    version: int


class Lookup:
    """Reads rows through the index in memory; get it from ``Collection.lookup``.

    Use one for one request: it stays with the model that the collection had when it was asked for.
    Methods may be called by several threads.

    Parameters
    ----------
    live : LiveIndex
    store : CodeStore
        Whose codes the index holds.
    """

    def __init__(self, live: LiveIndex, store: CodeStore) -> None:
        self._live, self._store = live, store

    def __len__(self) -> int:
        return len(self._live)

    @property
    def version(self) -> int:
        """Number of the version that is read."""
        return self._store.version

    @property
    def schema(self) -> pa.Schema:
        """Names and types of all stored columns."""
        return self._store.schema

    @property
    def row_columns(self) -> list[str]:
        """``key``, ``labels`` and the metadata columns."""
        return ["key", "labels", *self._store.metadata_columns]

    def answer(
        self,
        features: Float32Array,
        k: int,
        lengths: Sequence[int | None],
        where: str | None = None,
        n_threads: int = 1,
    ) -> Answer:
        """Find the items nearest to one query, at each of some code lengths.

        Parameters
        ----------
        features : ndarray of shape (1, D), float32
            Of the model.
        k : int
        lengths : sequence of int or None
            Code lengths in bits, at least one; None for all of the code. The condition is
            evaluated once for all of them.
        where : str, optional
            SQL condition on metadata.
        n_threads : int

        Raises
        ------
        OptionError
            If `k`, a length or `where` is not usable.
        ShapeError, DataError
            If the features have another dimension, or are not finite.
        """
        with self._store.frozen():
            results, n_searched = self._live.search_lengths(features, k, lengths, where, n_threads)
            ids = results[0].ids[0]
            rows, codes = self._live.rows(ids, self.row_columns, follows=False)
            return Answer(tuple(results), rows, codes, n_searched, self.version)

    def rows(
        self, ids: Int64Array, columns: list[str] | None = None
    ) -> tuple[pa.Table, UInt8Array]:
        """Return rows and codes (n, M) uint8, in the order of `ids` (n,).

        Parameters
        ----------
        ids : ndarray of shape (n,), int64
        columns : list of str, optional
            ``key``, ``labels`` and metadata when left out.

        Raises
        ------
        DataError
            If an id is not there.
        """
        return self._live.rows(ids, self.row_columns if columns is None else columns)

    def ids_after(self, after: int | None, limit: int) -> Int64Array:
        """Return the ids (n,) that follow `after`, ascending, at most `limit`; None: the first."""
        return self._live.ids_after(after, limit)
