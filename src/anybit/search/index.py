"""An index over codes: exact asymmetric quantizer distance (AQD) at any prefix of the codes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anybit.codes import Codebooks, Codes
from anybit.errors import DataError, DTypeError, OptionError, ShapeError
from anybit.search._scan import scan
from anybit.search._tables import TableMaker
from anybit.search._terms import ItemTerms, inverse_root, terms_of
from anybit.types import METRICS, BoolArray, Float32Array, Int64Array, Metric, UInt8Array

__all__ = ["Index", "SearchResult"]

# Queries of one block: their tables (64 x 16 levels x 256 codewords) stay within 1 MiB.
_BLOCK_QUERIES = 64
_NO_TERMS = ItemTerms()


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
    """Items by code, ranked against raw queries.

    Parameters
    ----------
    codebooks : Codebooks
    codes : Codes
        As many levels as the codebooks, or fewer.
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
        codes: Codes,
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
        self._maker = TableMaker.of(codebooks)
        self._lock = threading.Lock()
        self._terms: dict[int, ItemTerms] = {}
        self._order: Int64Array | None = None
        if ids is None:
            self.codes, self.ids = codes, np.arange(codes.n_items, dtype=np.int64)
            return
        ids = np.asarray(ids)
        if ids.shape != (codes.n_items,):
            raise ShapeError(f"ids must have shape ({codes.n_items},), got {ids.shape}.")
        if ids.dtype.kind not in "iu":
            raise DTypeError(f"ids must be integers, got {ids.dtype}.")
        # Items are kept in the order of their ids: the lower position is then the lower id.
        order = np.argsort(ids, kind="stable")
        self.ids = np.ascontiguousarray(ids[order], dtype=np.int64)
        if (self.ids[1:] == self.ids[:-1]).any():
            repeated = self.ids[1:][self.ids[1:] == self.ids[:-1]][0]
            raise OptionError(f"ids must be distinct, got {repeated} more than once.")
        if (order[1:] < order[:-1]).any():
            self._order, self.codes = order, codes.take(order)
        else:
            self.codes = codes

    def __len__(self) -> int:
        return self.codes.n_items

    def search(
        self,
        queries: Float32Array,
        k: int = 10,
        bits: int | None = None,
        where: BoolArray | Int64Array | None = None,
        n_threads: int = 1,
    ) -> SearchResult:
        """Return the `k` best items of every query.

        Parameters
        ----------
        queries : ndarray of shape (Q, D), float32
            Raw (unquantised) features.
        k : int
            With fewer items there are fewer columns.
        bits : int, optional
            Code length to compare; all of it when left out.
        where : ndarray, optional
            Which items may be found: bool (N,) in the order the codes were given, or int64 ids.
        n_threads : int
            Queries, or the items where there are few queries, are spread over this many threads.
            The answer stays the same.

        Raises
        ------
        ShapeError
            If `queries` is not (Q, D) with the D of the codebooks, or `where` not (N,).
        DataError
            If a query holds NaN or infinity, or values so large that scores would overflow.
        OptionError
            If `k`, `bits` or `n_threads` is out of range.
        """
        queries = self._checked_queries(queries)
        if k < 1 or n_threads < 1:
            raise OptionError(f"k and n_threads must be at least 1, got {k} and {n_threads}.")
        codes = self.codes if bits is None else self.codes.cut(bits)
        if self.codebooks.kind == "product":
            # Subspaces are no prefixes: this raises unless all of them are asked for.
            self.codebooks.cut(codes.bits)
        allowed = None if where is None else self._allowed(where)
        n_allowed = len(self) if allowed is None else int(np.count_nonzero(allowed))
        width = min(k, n_allowed)
        ids = np.empty((len(queries), width), dtype=np.int64)
        scores = np.empty((len(queries), width), dtype=np.float32)
        if width == 0 or len(queries) == 0:
            return SearchResult(ids, scores, codes.bits)
        ranking = self._ranking(codes, allowed)
        for start in range(0, len(queries), _BLOCK_QUERIES):
            block = slice(start, start + _BLOCK_QUERIES)
            found, scores[block] = ranking.best(queries[block], width, n_threads)
            ids[block] = self.ids[found]
        return SearchResult(ids, scores, codes.bits)

    def _checked_queries(self, queries: Float32Array) -> Float32Array:
        queries = np.asarray(queries)
        if queries.ndim != 2 or queries.shape[1] != self.codebooks.dim:
            raise ShapeError(
                f"queries must have shape (Q, {self.codebooks.dim}), got {queries.shape}. "
                "Use features of the model that made the codes."
            )
        if queries.dtype.kind not in "fiu":
            raise DTypeError(f"queries must be numbers, got {queries.dtype}.")
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if not np.isfinite(queries).all():
            row = int(np.flatnonzero(~np.isfinite(queries).all(axis=1))[0])
            raise DataError(f"queries must be finite, got NaN or infinity in query {row}.")
        return queries

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

    def _ranking(self, codes: Codes, allowed: BoolArray | None) -> _Ranking:
        """Gather what every query block needs: the allowed items and their terms."""
        terms = self._terms_at(codes)
        if allowed is not None:
            terms = replace(terms, allowed=allowed)
        return _Ranking(self._maker, self.codebooks.offset, self.metric, codes.planes, terms)

    def _terms_at(self, codes: Codes) -> ItemTerms:
        """Return what the metric needs of every item at this code length, kept."""
        if self.metric == "ip":
            return _NO_TERMS
        with self._lock:
            if codes.n_levels not in self._terms:
                sq_norms = self.codebooks.sq_norms(codes)
                self._terms[codes.n_levels] = terms_of(self.metric, sq_norms)
            return self._terms[codes.n_levels]


@dataclass(frozen=True, eq=False)
class _Ranking:
    """One code length over the items: level planes (L, N), and what comes to their sums."""

    maker: TableMaker
    offset: Float32Array | None
    metric: Metric
    planes: UInt8Array
    terms: ItemTerms

    def best(
        self, queries: Float32Array, k: int, n_threads: int
    ) -> tuple[Int64Array, Float32Array]:
        """Return positions (Q, k) and scores (Q, k) of the best items."""
        tables = self.maker.tables(queries, len(self.planes))  # (Q, L, K)
        constants = None  # (Q,)
        if self.offset is not None:
            constants = np.einsum("qd,d->q", queries, self.offset)
        # Only for the cosine does the constant of a query change the ranking.
        inside = constants if self.metric == "cosine" else None
        positions, values = scan(
            tables, self.planes, k, items=self.terms, constants=inside, n_threads=n_threads
        )
        if constants is not None and self.metric != "cosine":
            values += constants[:, None]
        if self.metric == "ip":
            return positions, values
        sq_lengths = np.einsum("qd,qd->q", queries, queries)  # (Q,)
        if self.metric == "l2":
            # |q - x|^2 = |q|^2 - 2 (<q, x> - |x|^2 / 2)
            return positions, 2 * values - sq_lengths[:, None]
        return positions, values * inverse_root(sq_lengths)[:, None]
