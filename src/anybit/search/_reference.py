"""The plain NumPy kernel: sums of table entries over level planes, and the best k of them.

Every function is exact and deterministic: levels are added in order 0..L-1 in float32, and equal
scores are ordered by position, so that a compiled kernel can be compared to the bit.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from anybit.search._terms import ItemTerms
from anybit.types import Float32Array, Int64Array, UInt8Array

__all__ = ["best_positions", "inner_products", "scan", "sum_levels"]

# Items of one block. Measured on 1 M items of 4 levels, one thread: 32,768 to 65,536 take about
# 5 ms a query; 16,384 and 262,144 take about 7.
BLOCK_ITEMS = 65_536


def inner_products(parts: Float32Array, blocks: Float32Array) -> Float32Array:
    """Multiply query parts (Q, 1 or B, d) with blocks of columns (B, d, K): (Q, B, K), float32.

    Products are rounded to float32 and added in the order of dimensions.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # infinite where a product is too large
        total = parts[:, :, 0, None] * blocks[:, 0]  # (Q, B, K)
        for dimension in range(1, blocks.shape[1]):
            total += parts[:, :, dimension, None] * blocks[:, dimension]
    return total


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


def scan(
    tables: Float32Array,
    planes: UInt8Array,
    k: int,
    *,
    items: ItemTerms | None = None,
    constants: Float32Array | None = None,
    n_threads: int = 1,
) -> tuple[Int64Array, Float32Array]:
    """Return the best `k` positions of every query and the values they were ranked by.

    The value of item i is ``r_i`` (the sum of its levels), then ``r_i + constants[q]``, then
    ``r_i - shift[i]``, then ``r_i * factor[i]``, each step only where its array is given.

    Parameters
    ----------
    tables : ndarray of shape (Q, L, K), float32
    planes : ndarray of shape (L, N), uint8
        Items in the order that decides ties.
    k : int
        At most the number of allowed items.
    items : ItemTerms, optional
        What belongs to the items beside their codes.
    constants : ndarray of shape (Q,), float32, optional
        Per query.
    n_threads : int
        Over the queries.

    Returns
    -------
    positions : ndarray of shape (Q, k), int64
    values : ndarray of shape (Q, k), float32

    Notes
    -----
    Working memory is ``O(L * BLOCK_ITEMS + Q * (k + BLOCK_ITEMS))`` for each thread; no (Q, N)
    array is made.
    """
    terms = ItemTerms() if items is None else items
    n_queries = len(tables)
    positions = np.empty((n_queries, k), dtype=np.int64)
    values = np.empty((n_queries, k), dtype=np.float32)

    def answer(part: slice) -> None:
        own = None if constants is None else constants[part]
        positions[part], values[part] = _scan_part(tables[part], planes, k, terms, own)

    cuts = np.linspace(0, n_queries, min(n_threads, max(1, n_queries)) + 1, dtype=int).tolist()
    parts = [slice(*pair) for pair in pairwise(cuts)]
    if len(parts) == 1:
        answer(parts[0])
    else:
        with ThreadPoolExecutor(len(parts)) as pool:
            list(pool.map(answer, parts))
    return positions, values


def _scan_part(
    tables: Float32Array,
    planes: UInt8Array,
    k: int,
    terms: ItemTerms,
    constants: Float32Array | None,
) -> tuple[Int64Array, Float32Array]:
    """Do the work of `scan` for some queries."""
    n_queries, n_items = len(tables), planes.shape[1]
    best = [np.empty(0, dtype=np.int64) for _ in range(n_queries)]
    best_values = [np.empty(0, dtype=np.float32) for _ in range(n_queries)]
    total = np.empty(min(BLOCK_ITEMS, n_items), dtype=np.float32)
    entry = np.empty_like(total)
    for start in range(0, n_items, BLOCK_ITEMS):
        codes = planes[:, start : start + BLOCK_ITEMS].astype(np.int64)  # (L, n)
        width = codes.shape[1]
        block = slice(start, start + width)
        values, spare = total[:width], entry[:width]
        for query in range(n_queries):
            sum_levels(tables[query], codes, values, spare)
            if constants is not None:
                np.add(values, constants[query], out=values)
            if terms.shift is not None:
                np.subtract(values, terms.shift[block], out=values)
            if terms.factor is not None:
                np.multiply(values, terms.factor[block], out=values)
            held = best_values[query]
            # Later blocks hold higher positions: an equal score cannot displace a held one.
            is_fresh = values > held[-1] if len(held) == k else np.ones(width, dtype=np.bool_)
            if terms.allowed is not None:
                is_fresh &= terms.allowed[block]
            fresh = np.flatnonzero(is_fresh)
            if len(fresh) == 0:
                continue
            merged = np.concatenate([held, values[fresh]])
            positions = np.concatenate([best[query], fresh + start])
            chosen = best_positions(merged, min(k, len(merged)))
            best[query], best_values[query] = positions[chosen], merged[chosen]
    return np.stack(best), np.stack(best_values)
