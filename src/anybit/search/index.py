"""An index over codes: exact quantizer distances at any prefix of the codes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from anybit.codes import BytePlanes, Codebooks, Codes, levels_of_bits
from anybit.errors import DTypeError, OptionError, ShapeError
from anybit.search._dispatch import Searcher
from anybit.search._queries import CodedQueries, RawQueries, prepare_queries
from anybit.search._ranking import Ranking
from anybit.search._tables import TableMaker
from anybit.search._terms import NormMaker, norm_bins
from anybit.types import METRICS, BoolArray, Comparison, Float32Array, Int64Array, Metric

__all__ = ["Index", "SearchResult"]


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The best items of every query.

    Parameters
    ----------
    ids : ndarray of shape (Q, k), int64
        Best first; k is smaller than asked for when there are fewer items.
    scores : ndarray of shape (Q, k), float32
        Larger is closer: the inner product, the negated squared distance, or the cosine.
    bits : int
        Code length that was compared.
    """

    ids: Int64Array
    scores: Float32Array
    bits: int


class Index:
    """Items by code, ranked against raw queries or the codes of queries.

    Parameters
    ----------
    codebooks : Codebooks
    codes : Codes or BytePlanes
        As many levels as the codebooks, or fewer. Byte planes are not copied (unless ids come out
        of order), nor are codes of more than 16 codewords: a memory map serves several processes.
    ids : ndarray of shape (N,), int64, optional
        Distinct; 0..N-1 when left out.
    metric : {"ip", "l2", "cosine"}, optional
        That of the codebooks when left out.

    Raises
    ------
    ShapeError
        If ids and codes differ in number, or the codes do not belong to the codebooks.
    OptionError
        If ids repeat, or the metric is unknown.

    Notes
    -----
    The score of an item is the sum over levels of one table entry each, added in the order
    0..L-1 in float32, so that a cut of the code costs nothing: it stops earlier. Ties go to the
    lower id.

    References
    ----------
    Jegou et al., "Product quantization for nearest neighbor search", TPAMI 2011 (asymmetric
    distance computation).

    Examples
    --------
    >>> codebooks = Codebooks.stacked(np.array([[[1, 0], [0, 1]]], dtype=np.float32))
    >>> codes = Codes(np.array([[0, 1, 0]], dtype=np.uint8), n_codewords=2)
    >>> index = Index(codebooks, codes, ids=np.array([7, 5, 3]))
    >>> index.search(np.array([[2, 1]], dtype=np.float32), k=2).ids
    array([[3, 7]])
    """

    def __init__(
        self,
        codebooks: Codebooks,
        codes: Codes | BytePlanes,
        ids: Int64Array | None = None,
        metric: Metric | None = None,
    ) -> None:
        if codes.n_levels > codebooks.n_levels or codes.n_codewords != codebooks.n_codewords:
            raise ShapeError(
                f"codes must have at most {codebooks.n_levels} levels of {codebooks.n_codewords} "
                f"codewords, got {codes.n_levels} of {codes.n_codewords}. "
                "Use the codes and the codebooks of one model."
            )
        if metric is not None and metric not in METRICS:
            raise OptionError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}.")
        self.codebooks = codebooks
        self.metric: Metric = codebooks.metric if metric is None else metric
        self._maker, self._norms = TableMaker.of(codebooks), NormMaker(codebooks)
        self._lock = threading.Lock()
        self._searchers: dict[int, Searcher] = {}
        self._order: Int64Array | None = None
        self._ids: Int64Array | None = None
        if ids is not None:
            self._ids, self._order = _in_order(np.asarray(ids), codes.n_items)
        if self._order is not None:
            codes = codes.take(self._order)
        self._planes = codes if isinstance(codes, BytePlanes) else BytePlanes.of(codes)

    @property
    def ids(self) -> Int64Array:
        """The ids (N,), ascending."""
        return np.arange(len(self), dtype=np.int64) if self._ids is None else self._ids

    @property
    def codes(self) -> Codes:
        """The codes in the order of the ids (a copy where codes share bytes)."""
        return self._planes.codes()

    def __len__(self) -> int:
        return self._planes.n_items

    def search(
        self,
        queries: Float32Array | Codes | RawQueries | CodedQueries,
        k: int = 10,
        bits: int | None = None,
        where: BoolArray | Int64Array | None = None,
        n_threads: int = 1,
        *,
        comparison: Comparison | None = None,
    ) -> SearchResult:
        """Return the `k` best items of every query.

        Parameters
        ----------
        queries : ndarray of shape (Q, D), float32, or Codes
            Raw (unquantised) features; or codes, of queries of which only these are known. What
            `prepare_queries` returns is taken as it is.
        k : int
            With fewer items there are fewer columns.
        bits : int, optional
            Code length to compare; all of it when left out.
        where : ndarray, optional
            Which items may be found: bool (N,) in the order the codes were given, or int64 ids.
        n_threads : int
            Queries, or the items where there are few queries, are spread over this many threads.
            The answer stays the same.
        comparison : {"aqd", "sqd"}, optional
            Compare the queries themselves (AQD), or their codes, cut to the same length (SQD): less
            exact, for hash codes and for queries of which only the code is known. That of the
            codebooks when left out.

        Raises
        ------
        ShapeError
            If `queries` is not (Q, D) with the D of the codebooks, or `where` not (N,).
        DataError
            If a query holds NaN or infinity, or values so large that scores would overflow.
        OptionError
            If `k`, `bits` or `n_threads` is out of range.
        """
        if not isinstance(queries, RawQueries | CodedQueries):
            queries = prepare_queries(self.codebooks, queries, comparison)
        if k < 1 or n_threads < 1:
            raise OptionError(f"k and n_threads must be at least 1, got {k} and {n_threads}.")
        searcher = self._searcher(bits)
        allowed = None if where is None else self._allowed(where)
        n_allowed = len(self) if allowed is None else int(np.count_nonzero(allowed))
        own = queries.at(searcher.ranking.planes.n_levels)
        found, scores = searcher.best(own, min(k, n_allowed), allowed, n_threads)
        return SearchResult(found, scores, searcher.ranking.planes.bits)

    def _allowed(self, where: BoolArray | Int64Array) -> BoolArray:
        """Return which items (N,) may be found."""
        given: np.ndarray[Any, Any] = np.asarray(where)
        if given.dtype == np.bool_:
            if given.shape != (len(self),):
                raise ShapeError(f"where must have shape ({len(self)},), got {given.shape}.")
            return np.ascontiguousarray(given if self._order is None else given[self._order])
        if given.ndim != 1 or (given.dtype.kind not in "iu" and given.size):
            raise DTypeError(
                f"where must be bool (N,) or integer ids (n,), got {given.dtype} {given.shape}."
            )
        # Ids that the index does not hold match nothing.
        return np.isin(self.ids, given, kind="sort")

    def _searcher(self, bits: int | None) -> Searcher:
        """Return what searches at this code length, kept for the next call."""
        planes = self._planes
        n_levels = planes.n_levels
        if bits is not None:
            n_levels = levels_of_bits(bits, planes.n_codewords, n_levels)
        searcher = self._searchers.get(n_levels)
        if searcher is not None:
            return searcher
        with self._lock:
            if n_levels not in self._searchers:
                self._searchers[n_levels] = self._new_searcher(planes.cut_levels(n_levels))
            return self._searchers[n_levels]

    def _new_searcher(self, planes: BytePlanes) -> Searcher:
        self.codebooks.cut(planes.bits)  # raises where these levels are no code of their own
        bins = None if self.metric == "ip" else norm_bins(self.metric, self._norms.sq_norms(planes))
        return Searcher(Ranking(self._maker, self.metric, planes, self._norms, bins, self._ids))


def _in_order(ids: np.ndarray[Any, Any], n_items: int) -> tuple[Int64Array, Int64Array | None]:
    """Return ids in ascending order, and the order where it is not theirs.

    Items are kept in the order of their ids: the lower position is then the lower id.
    """
    if ids.shape != (n_items,):
        raise ShapeError(f"ids must have shape ({n_items},), got {ids.shape}.")
    if ids.dtype.kind not in "iu":
        raise DTypeError(f"ids must be integers, got {ids.dtype}.")
    if ids.dtype == np.int64 and ids.flags.c_contiguous and (ids[1:] > ids[:-1]).all():
        return ids, None
    order = np.argsort(ids, kind="stable")
    ordered = np.ascontiguousarray(ids[order], dtype=np.int64)
    if (ordered[1:] == ordered[:-1]).any():
        repeated = ordered[1:][ordered[1:] == ordered[:-1]][0]
        raise OptionError(f"ids must be distinct, got {repeated} more than once.")
    return ordered, (order if (order[1:] < order[:-1]).any() else None)
