"""Answers for many small requests: what is in memory is not read from the store again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from anybit.collection.conditions import compile_condition, condition_columns
from anybit.collection.index_view import IndexView
from anybit.collection.kept_rows import KeptRows
from anybit.collection.live_index import LiveIndex
from anybit.data import FilterLimits
from anybit.errors import FormatError
from anybit.search import CodedQueries, RawQueries, SearchResult
from anybit.store import CodeStore, Condition
from anybit.types import Float32Array, Int64Array, UInt8Array

__all__ = ["Answer", "Lookup"]

_T = TypeVar("_T")
# Times that rows are read without a lock; a store that is written all the time is locked then.
_TRIES = 2


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
    kept : KeptRows
    """

    def __init__(self, live: LiveIndex, store: CodeStore, kept: KeptRows) -> None:
        self._live, self._store, self._kept = live, store, kept

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

    @property
    def filter_columns(self) -> dict[str, pa.DataType]:
        """Names and types of the columns that a filter may name."""
        return condition_columns(self._store)

    def condition(
        self, text: str, limits: FilterLimits | None = None, time_limit_s: float | None = None
    ) -> Condition:
        """Return the condition that a filter means (docs/filters.md).

        Parameters
        ----------
        text : str
        limits : FilterLimits, optional
            The largest text.
        time_limit_s : float, optional
            Seconds that evaluating it may take.

        Raises
        ------
        FilterError
            If the text is no filter on `filter_columns`.
        """
        return compile_condition(text, self._store, time_limit_s, limits)

    def answer(
        self,
        features: Float32Array | RawQueries | CodedQueries,
        k: int,
        lengths: Sequence[int | None],
        where: Condition | None = None,
        n_threads: int = 1,
    ) -> Answer:
        """Find the items nearest to one query, at each of some code lengths.

        Parameters
        ----------
        features : ndarray of shape (1, D), float32, or what `prepare_queries` made of it
            Of the model.
        k : int
        lengths : sequence of int or None
            Code lengths in bits, at least one; None for all of the code. The condition is
            evaluated once for all of them.
        where : Condition, optional
            See `condition`.
        n_threads : int

        Raises
        ------
        OptionError
            If `k` or a length is not usable.
        TimeLimitError
            If evaluating the condition takes longer than it may.
        ShapeError, DataError
            If the features have another dimension, or are not finite.
        """

        def work(view: IndexView) -> Answer:
            results = tuple(view.search(features, k, bits, n_threads) for bits in lengths)
            rows, codes = self._rows(view, results[0].ids[0], self.row_columns)
            return Answer(results, rows, codes, len(view), view.version)

        return self._of_one_version(work, where)

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
        names = self.row_columns if columns is None else columns
        return self._of_one_version(lambda view: self._rows(view, ids, names))

    def ids_after(self, after: int | None, limit: int) -> Int64Array:
        """Return the ids (n,) that follow `after`, ascending, at most `limit`; None: the first."""
        return self._live.ids_after(after, limit)

    def keep_rows(self, max_bytes: int) -> None:
        """Keep ``key``, ``labels`` and metadata in memory, of as many rows as it allows.

        Called again, it follows the collection. Answers are the same without, but for the time.
        """
        self._kept.keep(self._store, self.row_columns, max_bytes)

    def _of_one_version(
        self, work: Callable[[IndexView], _T], where: Condition | None = None
    ) -> _T:
        """Work without a lock while the store stays at the view's version, or else with it."""
        for _ in range(_TRIES):
            try:
                return work(self._live.view(where))
            except _OtherVersionError:
                continue
            except FormatError:  # a compaction may have removed the version meanwhile
                if not self._store.refresh():
                    raise
        with self._store.frozen():
            return work(self._live.view(where))

    def _rows(
        self, view: IndexView, ids: Int64Array, columns: list[str]
    ) -> tuple[pa.Table, UInt8Array]:
        wanted, places = np.unique(ids, return_inverse=True)
        addresses, codes = view.find(wanted)
        table = None
        if len(wanted):
            table = self._kept.take(addresses, columns, view.fragments)
        if table is None:
            with self._store.frozen():
                if self._store.version != view.version:
                    raise _OtherVersionError
                if len(wanted):
                    table = self._store.take_at(addresses, columns)
                else:
                    table = self._store.take(wanted, columns)
        return table.take(pa.array(places)), codes[places]


class _OtherVersionError(Exception):
    """The store has gone on to another version than the view's."""
