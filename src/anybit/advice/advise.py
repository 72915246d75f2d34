"""How many bits are enough: quality, size and search time of every prefix of the codes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anybit.advice.result import CRITERIA, Advice, Criterion, LengthAdvice, conclude
from anybit.codes import Codebooks, Codes
from anybit.errors import DataError, OptionError, ShapeError
from anybit.evaluation import LabelMasks, are_as_near, map_at, nearest_by_features
from anybit.search import Index, simd_level
from anybit.types import BoolArray, Float32Array, Int64Array, ProgressCallback

if TYPE_CHECKING:
    from anybit.data import Labels

__all__ = ["AdviceInput", "AdviceOptions", "advise"]

_RECALL_AT = (1, 10, 100)
_BLOCK_QUERIES = 64
# Times of single searches for the k that `anybit search` has by default; the first round of all
# lengths does not count.
_TIMED_K, _MOST_REPEATS, _FEWEST_REPEATS, _MOST_TIMING_S = 10, 51, 5, 20.0


@dataclass(frozen=True)
class AdviceOptions:
    """What is measured, and when a length is long enough.

    Parameters
    ----------
    tolerance : float
        Share of the best prefix's quality that may be lost, from 0 to below 1.
    by : {"recall", "map"}, optional
        What decides: 1-recall@10 of the float neighbours, or mAP@R of the class labels. When left
        out mAP@R where at least half of the queries have a label (or items no features), else
        1-recall@10.
    at : int
        Cut-off R of mAP@R; the number of items that can be found when that is smaller.
    n_queries : int
        Items drawn as queries where no queries are given.
    seed : int
        Of that draw.
    n_threads : int, optional
        Threads that measure quality; one a core when left out. Times are taken on one.
    """

    tolerance: float = 0.01
    by: Criterion | None = None
    at: int = 5000
    n_queries: int = 1000
    seed: int = 0
    n_threads: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise OptionError(
                f"tolerance must be a share from 0 to below 1, got {self.tolerance}. "
                "0.01 asks for 99 % of the best quality."
            )
        if self.by is not None and self.by not in CRITERIA:
            raise OptionError(f"by must be one of {', '.join(CRITERIA)}, got {self.by!r}.")
        for name, value in (("at", self.at), ("n_queries", self.n_queries)):
            if value < 1:
                raise OptionError(f"{name} must be at least 1, got {value}.")
        if self.seed < 0:
            raise OptionError(f"seed must be at least 0, got {self.seed}.")
        if self.n_threads is not None and self.n_threads < 1:
            raise OptionError(f"n_threads must be at least 1, got {self.n_threads}.")

    def draw(self, n_items: int) -> Int64Array:
        """Return positions (Q,) of items drawn at random as queries, ascending."""
        rng = np.random.default_rng(self.seed)
        drawn = rng.choice(n_items, size=min(self.n_queries, n_items), replace=False)
        return np.sort(drawn).astype(np.int64)


@dataclass(frozen=True, eq=False)
class AdviceInput:
    """What is searched, with what, and what is true: features of the items, labels, or both.

    Parameters
    ----------
    codebooks : Codebooks
        Codebooks of the codes; their metric compares query and item.
    database_codes : Codes
        Codes of the N items.
    query_features : ndarray of shape (Q, D), float32
        Unquantised queries.
    database_features : ndarray of shape (N, D), optional
        Uncompressed items, for recall; any floating type, or a memory map.
    query_labels, database_labels : Labels, optional
        Class labels of queries and items, for mAP; a query without a label leaves that mean.
    query_positions : ndarray of shape (Q,), int64, optional
        Where each query stands among the items, if it is one of them: it is then removed from its
        own ranking (leave-one-out).
    """

    codebooks: Codebooks
    database_codes: Codes
    query_features: Float32Array
    database_features: Float32Array | None = None
    query_labels: Labels | None = None
    database_labels: Labels | None = None
    query_positions: Int64Array | None = None


def advise(
    data: AdviceInput,
    options: AdviceOptions | None = None,
    *,
    progress: ProgressCallback | None = None,
) -> Advice:
    """Measure every prefix of the codes, and suggest the shortest that is good enough.

    For each length: bytes of the codes; "1-recall@k", the share of queries whose true nearest item
    by float features is among the first k found by codes (k = 1, 10, 100); mAP@R, as
    `anybit.evaluation.map_at` with its default rules; and the time of one search. The suggestion
    is the shortest length whose quality is at least ``1 - tolerance`` of the best length's.

    Parameters
    ----------
    data : AdviceInput
    options : AdviceOptions, optional
    progress : callable, optional
        Called with (rankings done, rankings in all): one a query and length.

    Returns
    -------
    Advice

    Raises
    ------
    DataError
        If there is no query, nothing to be found, neither features nor labels of the items, or a
        value that is NaN or infinite.
    ShapeError
        If the parts of the input do not fit together.
    OptionError
        If `options.by` asks for what cannot be measured.

    Notes
    -----
    This is the recall of the nearest neighbour benchmarks and of FAISS ("1-recall@k", "R@k"), not
    the share of the k nearest that are among the first k ("k-recall@k"). An item that is as near
    as the nearest one counts as it. Equal scores of codes rank by position, as in every search.

    Rankings are those of `anybit.search.Index`, 64 queries at a time, so that memory does not grow
    with Q times N. A time is the median over up to 51 searches of one query for the 10 best, on
    one thread, all lengths in turns.

    References
    ----------
    Jegou et al., "Product quantization for nearest neighbor search", TPAMI 2011, section V
    (recall@R: the share of queries whose nearest neighbour is ranked in the first R).
    """
    options = options or AdviceOptions()
    _check(data)
    task = _Task(data, options)
    by = _criterion(options.by, task)
    recalls, maps = [], []
    n_queries, n_done = len(task.queries), 0
    for bits in task.lengths:
        hits, precision = np.zeros(len(task.recall_at)), 0.0
        for rows, found in task.rankings(bits):
            hits += task.hits(rows, found)
            precision += task.precision(rows, found)
            n_done += len(found)
            if progress is not None:
                progress(n_done, n_queries * len(task.lengths))
        recalls.append(tuple((hits / n_queries).tolist()))
        maps.append(precision / max(task.n_labelled, 1))
    times = _search_ms(task.index, task.queries, task.lengths)
    lengths = [
        LengthAdvice(
            n_levels=codes.n_levels,
            bits=codes.bits,
            code_bytes=codes.code_bytes,
            total_mb=codes.n_items * codes.code_bytes / 1e6,
            recall=recalls[number] if task.nearest is not None else None,
            map_at=maps[number] if task.n_labelled else None,
            search_ms=times[number],
        )
        for number, codes in enumerate(map(data.database_codes.cut, task.lengths))
    ]
    suggested_bits, reason = conclude(
        lengths, task.recall_at, task.at, by=by, tolerance=options.tolerance
    )
    return Advice(
        lengths=tuple(lengths),
        suggested_bits=suggested_bits,
        reason=reason,
        by=by,
        tolerance=options.tolerance,
        recall_at=task.recall_at,
        at=task.at if task.n_labelled else None,
        metric=data.codebooks.metric,
        n_items=data.database_codes.n_items,
        n_queries=n_queries,
        n_labelled_queries=task.n_labelled,
        is_leave_one_out=task.own is not None,
        timed_k=_TIMED_K,
        simd=simd_level(),
    )


class _Task:
    """The truth, and the rankings to be compared with it."""

    def __init__(self, data: AdviceInput, options: AdviceOptions) -> None:
        codes, codebooks = data.database_codes, data.codebooks
        self.queries = np.ascontiguousarray(data.query_features, dtype=np.float32)
        self.own = data.query_positions
        self.index = Index(codebooks, codes)
        step = codes.bits // codes.n_levels
        self.lengths = [step * one for one in codebooks.prefix_levels(codes.n_levels)]
        self.n_findable = codes.n_items - (self.own is not None)
        self.recall_at = tuple(rank for rank in _RECALL_AT if rank <= self.n_findable)
        self.at = min(options.at, self.n_findable)
        self._n_threads = options.n_threads or os.cpu_count() or 1
        self._features, self._metric = data.database_features, codebooks.metric
        self.nearest: Int64Array | None = None
        if self._features is not None:
            self.nearest = nearest_by_features(self._features, self.queries, self._metric, self.own)
        else:
            self.recall_at = ()
        self._has_label = np.zeros(len(self.queries), dtype=np.bool_)
        if data.query_labels is not None and data.database_labels is not None:
            items, queries = data.database_labels, data.query_labels
            names = tuple(dict.fromkeys((*items.class_names, *queries.class_names)))
            self._item_masks = LabelMasks(items.aligned_to(names))
            self._query_masks = LabelMasks(queries.aligned_to(names))
            self._has_label = self._query_masks.label_counts() > 0
        self.n_labelled = int(self._has_label.sum())

    def rankings(self, bits: int) -> Iterator[tuple[slice, Int64Array]]:
        """Yield blocks of queries and the positions of their best items (B, k)."""
        k = max(*self.recall_at, self.at if self.n_labelled else 1, 1)
        for start in range(0, len(self.queries), _BLOCK_QUERIES):
            rows = slice(start, min(start + _BLOCK_QUERIES, len(self.queries)))
            n_wanted = k + (self.own is not None)
            found = self.index.search(
                self.queries[rows], n_wanted, bits, n_threads=self._n_threads
            ).ids
            yield rows, found if self.own is None else _without(found, self.own[rows])

    def hits(self, rows: slice, found: Int64Array) -> Float32Array:
        """Return for each cut-off how many queries have their nearest item within it."""
        counts = np.zeros(len(self.recall_at), dtype=np.float32)
        if self.nearest is None or self._features is None:
            return counts
        first = found[:, : self.recall_at[-1]]
        for query, ids, nearest in zip(
            self.queries[rows], first, self.nearest[rows].tolist(), strict=True
        ):
            is_hit = are_as_near(self._features, query, self._metric, ids, nearest)
            counts += [is_hit[:rank].any() for rank in self.recall_at]
        return counts

    def precision(self, rows: slice, found: Int64Array) -> float:
        """Return the sum of AP@R over the queries that have a label."""
        if not self._has_label[rows].any():
            return 0.0
        relevant = self._relevant(rows, found[:, : self.at])  # nothing is for the others
        return map_at(relevant, self.at) * len(relevant)

    def _relevant(self, rows: slice, found: Int64Array) -> BoolArray:
        """Tell which items (B, k) share a label with their query."""
        relevant = np.zeros(found.shape, dtype=np.bool_)
        words = zip(self._item_masks.words, self._query_masks.words[:, rows], strict=True)
        for of_items, of_queries in words:
            relevant |= (of_items[found] & of_queries[:, None]) != 0
        return relevant


def _without(found: Int64Array, own: Int64Array) -> Int64Array:
    """Remove each query's own position from its ranking (B, k + 1); (B, k) are left."""
    is_own = found == own[:, None]
    is_own[~is_own.any(axis=1), -1] = True  # ranked lower: the last one goes
    kept: Int64Array = found[~is_own].reshape(len(found), -1)
    return kept


def _search_ms(index: Index, queries: Float32Array, lengths: Sequence[int]) -> list[float]:
    """Return the median milliseconds of one search at each length, on one thread."""
    seconds: list[list[float]] = [[] for _ in lengths]
    started = time.perf_counter()
    for number in range(_MOST_REPEATS + 1):
        query = queries[number % len(queries)][None]  # (1, D)
        for own, bits in zip(seconds, lengths, strict=True):
            start = time.perf_counter()
            index.search(query, _TIMED_K, bits)
            own.append(time.perf_counter() - start)
        if number >= _FEWEST_REPEATS and time.perf_counter() - started > _MOST_TIMING_S:
            break
    return [1000 * float(np.median(own[1:])) for own in seconds]


def _criterion(by: Criterion | None, task: _Task) -> Criterion:
    """Return what decides, as asked for or as there is."""
    if by is None:
        is_map = task.nearest is None or 2 * task.n_labelled >= len(task.queries)
        return "map" if is_map else "recall"
    if by == "map" and not task.n_labelled:
        raise OptionError("by must be recall where no query has a label, got map.")
    if by == "recall" and task.nearest is None:
        raise OptionError("by must be map where items have no features, got recall.")
    return by


def _check(data: AdviceInput) -> None:
    """Raise when the parts of the input do not fit together."""
    queries, n_items, dim = data.query_features, data.database_codes.n_items, data.codebooks.dim
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise ShapeError(
            f"query features must have shape (Q, {dim}), got {queries.shape}. "
            "Use features of the model that the codebooks belong to."
        )
    positions = data.query_positions
    n_needed = 1 if positions is None else 2
    if len(queries) == 0 or n_items < n_needed:
        raise DataError(
            f"advice needs queries and at least {n_needed} items, got {len(queries)} and {n_items}."
        )
    if positions is not None and (
        positions.shape != (len(queries),) or positions.min() < 0 or positions.max() >= n_items
    ):
        raise ShapeError(
            f"query positions must have shape ({len(queries)},) with values from 0 to "
            f"{n_items - 1}, got {positions.shape} from {positions.min(initial=0)} to "
            f"{positions.max(initial=0)}."
        )
    features = data.database_features
    if features is not None and features.shape != (n_items, dim):
        raise ShapeError(
            f"database features must have shape ({n_items}, {dim}), got {features.shape}."
        )
    for name, labels, count in (
        ("query", data.query_labels, len(queries)),
        ("database", data.database_labels, n_items),
    ):
        if labels is not None and len(labels) != count:
            raise ShapeError(
                f"{name} labels must be as many as the {name} items, {count}, got {len(labels)}."
            )
    labels = None if data.database_labels is None else data.query_labels
    if features is None and (labels is None or labels.n_unlabelled == len(labels)):
        raise DataError(
            "advice needs features of the items or class labels of queries and items, got neither."
        )
