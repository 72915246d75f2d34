"""The plain NumPy kernel: sums of table entries over level planes, and the best k of them.

Every function is exact and deterministic: levels are added in order 0..L-1 in float32, and equal
scores are ordered by position, so that a compiled kernel can be compared to the bit.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from anybit.codes import Codes
from anybit.search._ranking import Ranking
from anybit.search._tables import QueryTables
from anybit.search._terms import inverse_root
from anybit.types import BoolArray, Float32Array, Int64Array

__all__ = ["best_items", "best_positions", "sum_levels"]

# Items of one block of up to 16 levels. Measured on 1 M items of 4 levels, one thread: 32,768 to
# 65,536 take about 5 ms a query; 16,384 and 262,144 take about 7.
BLOCK_ITEMS = 65_536
# Queries of one block: their tables (64 x 16 levels x 256 codewords) stay within 1 MiB.
_BLOCK_QUERIES = 64


def sum_levels(
    table: Float32Array, codes: Int64Array, total: Float32Array, entry: Float32Array
) -> None:
    """Write into `total` (n,) the sum over levels of one query's table entries.

    Equal to ``total[i] = table[0, codes[0, i]] + table[1, codes[1, i]] + ...`` from left to right.

    Parameters
    ----------
    table : ndarray of shape (L, K), float32
    codes : ndarray of shape (L, n), int64
        Platform integers: `take` would convert bytes anew for every query.
    total, entry : ndarray of shape (n,), float32
        The result, and working memory.
    """
    # Codes are below K, so that "clip" never clips; it spares the buffer that "raise" needs.
    np.take(table[0], codes[0], out=total, mode="clip")
    for level in range(1, len(table)):
        np.take(table[level], codes[level], out=entry, mode="clip")
        np.add(total, entry, out=total)


def best_positions(scores: Float32Array, k: int) -> Int64Array:
    """Return the positions of the `k` largest scores, best first, equal ones by position."""
    n_items = len(scores)
    if k < n_items:
        threshold = np.partition(scores, n_items - k)[n_items - k]
        above = np.flatnonzero(scores > threshold)
        equal = np.flatnonzero(scores == threshold)[: k - len(above)]
        kept = np.sort(np.concatenate([above, equal]))
    else:
        kept = np.arange(n_items)
    # A stable sort keeps equal scores in the order of their positions.
    order = np.argsort(-scores[kept], kind="stable")
    return np.asarray(kept[order], dtype=np.int64)


def best_items(
    ranking: Ranking,
    queries: Float32Array | Codes,
    k: int,
    allowed: BoolArray | None = None,
    n_threads: int = 1,
) -> tuple[Int64Array, Float32Array]:
    """Return the ids and scores of the best `k` items of every query.

    Items are ranked by the sum of their levels, for the cosine plus ``<q, offset>``; for l2 less
    half their squared length, for the cosine times their inverse length.

    Parameters
    ----------
    ranking : Ranking
    queries : ndarray of shape (Q, D), float32, or Codes
        Codes of Q queries have as many levels as the ranking.
    k : int
        At most the number of allowed items.
    allowed : ndarray of shape (N,), bool, optional
        Which items may be found; all, when left out.
    n_threads : int
        Over the queries.

    Returns
    -------
    ids : ndarray of shape (Q, k), int64
    scores : ndarray of shape (Q, k), float32

    Notes
    -----
    Working memory is ``O(L * BLOCK_ITEMS + Q * (k + BLOCK_ITEMS))`` for each thread; no (Q, N)
    array is made.
    """
    n_queries = queries.n_items if isinstance(queries, Codes) else len(queries)
    ids = np.empty((n_queries, k), dtype=np.int64)
    scores = np.empty((n_queries, k), dtype=np.float32)

    def answer(part: slice) -> None:
        if isinstance(queries, Codes):
            asked = ranking.query_tables(Codes(queries.planes[:, part], queries.n_codewords))
        else:
            asked = ranking.query_tables(queries[part])
        found, scores[part] = _best_of_part(ranking, asked, k, allowed)
        ids[part] = found if ranking.ids is None else ranking.ids[found]

    cuts = np.linspace(0, n_queries, min(n_threads, max(1, n_queries)) + 1, dtype=int).tolist()
    parts = [
        slice(start, min(start + _BLOCK_QUERIES, stop))
        for first, stop in pairwise(cuts)
        for start in range(first, stop, _BLOCK_QUERIES)
    ]
    if n_threads == 1 or len(parts) == 1:
        for part in parts:
            answer(part)
    else:
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(answer, parts))
    return ids, scores


def _best_of_part(
    ranking: Ranking, asked: QueryTables, k: int, allowed: BoolArray | None
) -> tuple[Int64Array, Float32Array]:
    """Return positions (Q, k) and scores (Q, k) of the best items."""
    constants = asked.constants  # (Q,) or None
    # Only for the cosine does the constant of a query change the ranking.
    inside = constants if ranking.metric == "cosine" else None
    positions, values = _scan(asked.tables, ranking, k, allowed, inside)
    if constants is not None and ranking.metric != "cosine":
        values += constants[:, None]
    if ranking.metric == "ip":
        return positions, values
    if ranking.metric == "l2":
        # |q - x|^2 = |q|^2 - 2 (<q, x> - |x|^2 / 2)
        return positions, 2 * values - asked.squares[:, None]
    return positions, values * inverse_root(asked.squares)[:, None]


def _scan(
    tables: Float32Array,
    ranking: Ranking,
    k: int,
    allowed: BoolArray | None,
    constants: Float32Array | None,
) -> tuple[Int64Array, Float32Array]:
    """Return the best positions (Q, k) by tables (Q, L, K), and the values they were ranked by."""
    planes, terms = ranking.planes, ranking.terms
    n_queries, n_items = len(tables), planes.n_items
    best = [np.empty(0, dtype=np.int64) for _ in range(n_queries)]
    best_values = [np.empty(0, dtype=np.float32) for _ in range(n_queries)]
    n_block = BLOCK_ITEMS * 16 // max(16, planes.n_levels)  # codes take 8 MiB at most
    total = np.empty(min(n_block, n_items), dtype=np.float32)
    entry = np.empty_like(total)
    for start in range(0, n_items, n_block):
        codes = planes.block(slice(start, start + n_block))  # (L, n)
        width = codes.shape[1]
        block = slice(start, start + width)
        values, spare = total[:width], entry[:width]
        for query in range(n_queries):
            sum_levels(tables[query], codes, values, spare)
            if constants is not None:
                np.add(values, constants[query], out=values)
            if terms is not None and ranking.metric == "l2":
                np.subtract(values, terms[block], out=values)
            elif terms is not None:
                np.multiply(values, terms[block], out=values)
            held = best_values[query]
            # Later blocks hold higher positions: an equal score cannot displace a held one.
            is_fresh = values > held[-1] if len(held) == k else np.ones(width, dtype=np.bool_)
            if allowed is not None:
                is_fresh &= allowed[block]
            fresh = np.flatnonzero(is_fresh)
            if len(fresh) == 0:
                continue
            merged = np.concatenate([held, values[fresh]])
            positions = np.concatenate([best[query], fresh + start])
            chosen = best_positions(merged, min(k, len(merged)))
            best[query], best_values[query] = positions[chosen], merged[chosen]
    return np.stack(best), np.stack(best_values)
