"""Measure retrieval at every code length in one pass over the queries, in bounded memory."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from anybit.codes import BytePlanes, Codebooks, Codes
from anybit.errors import DataError, OptionError, ShapeError
from anybit.evaluation.adder import MeasureAdder, NumpyAdder
from anybit.evaluation.measure import SCALARS, MeasureTables
from anybit.evaluation.options import EvaluationOptions
from anybit.evaluation.ranking import LabelMasks
from anybit.evaluation.results import Evaluation
from anybit.evaluation.scores import FloatScores, LengthScores, norm_term
from anybit.evaluation.summary import LengthInfo, curve_ranks, summarise
from anybit.search import CodedQueries, RawQueries, kernel, prepare_queries, simd_level
from anybit.types import METRICS, Comparison, Float32Array, Metric, ProgressCallback

if TYPE_CHECKING:
    from anybit.data import Labels

__all__ = ["EvaluationInput", "evaluate"]

# Queries of one work item; fixed, so that sums do not depend on the number of threads.
_BLOCK_QUERIES = 64


@dataclass(frozen=True, eq=False)
class EvaluationInput:
    """What is searched, and what is true.

    Parameters
    ----------
    codebooks : Codebooks
        Codebooks of the database's codes.
    database_codes : Codes
        Codes of the N items; may be cut.
    query_features : ndarray of shape (Q, D), float32
        Unquantised queries.
    query_labels : Labels
        Class labels of the queries.
    database_labels : Labels
        Class labels of the items.
    database_features : ndarray of shape (N, D), float32, optional
        Uncompressed items, for the upper bound.
    metric : {"ip", "l2", "cosine"}, optional
        How query and item are compared; that of the codebooks when left out.
    comparison : {"aqd", "sqd"}, optional
        Whether the queries themselves are compared, or their codes at every length; as the
        codebooks say when left out.
    """

    codebooks: Codebooks
    database_codes: Codes
    query_features: Float32Array
    query_labels: Labels
    database_labels: Labels
    database_features: Float32Array | None = None
    metric: Metric | None = None
    comparison: Comparison | None = None


@dataclass(eq=False)
class _Task:
    """Everything that the worker threads read."""

    metric: Metric
    codes: Codes  # of the longest length
    levels: tuple[int, ...]  # ascending
    vectors: Float32Array  # (Q, D)
    queries: RawQueries | CodedQueries
    floats: FloatScores | None
    norms: Float32Array | None  # (lengths, N): half the squares (l2), or lengths (cosine)
    query_masks: LabelMasks
    item_masks: LabelMasks
    max_gain: int
    n_classes: int
    tables: MeasureTables

    def __post_init__(self) -> None:
        self._planes = BytePlanes.of(self.codes).values
        # Coded queries have other tables at every length, because both sides are cut.
        step = len(self.levels) if self.queries.shares_tables else 1
        parts = [slice(first, first + step) for first in range(0, len(self.levels), step)]
        self._adders: list[tuple[slice, MeasureAdder]] = [
            (part, self._compiled(part) or self._twin(part)) for part in parts
        ]

    def _compiled(self, part: slice) -> MeasureAdder | None:
        """Hand the arrays of some lengths to the compiled kernel, where there is one."""
        compiled = kernel()
        if compiled is None:
            return None
        tables = self.tables
        adder: MeasureAdder = compiled.Evaluator(
            planes=self._planes,
            n_codewords=self.codes.n_codewords,
            lengths=list(self.levels[part]),
            metric=self.metric,
            norms=None if self.norms is None else self.norms[part],
            labels=self.item_masks.words,
            at=tables.at,
            ndcg_at=tables.ndcg_at,
            denominator=tables.denominator,
            ranks=tables.ranks,
            recall=tables.recall,
            harmonic=tables.ties.harmonic,
            log_factorial=tables.ties.log_factorial,
            discounts=tables.discounts,
            discount_sums=tables.discount_sums,
            simd=simd_level(),
        )
        return adder

    def _twin(self, part: slice) -> MeasureAdder:
        norms = None if self.norms is None else self.norms[part]
        scores = LengthScores(self.codes, self.levels[part], self.metric, norms)
        return NumpyAdder(scores, self.item_masks, self.max_gain, self.tables)

    def block(self, start: int) -> NDArray[np.float64]:
        """Return the summed measures of one block of queries; (lengths, columns)."""
        rows = slice(start, start + _BLOCK_QUERIES)
        masks = np.ascontiguousarray(self.query_masks.words[:, rows].T)
        found = []
        floats = self.floats  # measured beside the first lengths alone
        for part, adder in self._adders:
            lengths = self.levels[part]
            totals = np.zeros((len(lengths) + (floats is not None), self.tables.n_columns))
            lut, offsets = self.queries.tables(rows, lengths[-1])  # (B, L, K), (B,)
            if floats is None:
                adder.add(lut, offsets, masks, None, totals)
            else:
                for some, scores in floats.of(self.vectors[rows]):
                    adder.add(lut[some], offsets[some], masks[some], scores, totals)
            found.append(totals[: len(lengths)])
            if floats is not None:
                last, floats = totals[-1:], None
        return np.concatenate([*found, last] if self.floats is not None else found)


def evaluate(
    data: EvaluationInput,
    options: EvaluationOptions | None = None,
    *,
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Measure how well codes of every length, and float features, find items of the same class.

    Parameters
    ----------
    data : EvaluationInput
        Codes, queries and class labels.
    options : EvaluationOptions, optional
        Code lengths and cut-offs.
    progress : callable, optional
        Called with (queries done, queries in all).

    Returns
    -------
    Evaluation

    Raises
    ------
    ShapeError
        If the parts of the input do not fit together.
    OptionError
        If a code length does not exist or the metric is unknown.
    DataError
        If there is no query or item, or a feature is NaN or infinite.

    Notes
    -----
    One query at a time is ranked against the whole database at each length; the sum of a length
    starts from that of the length before. Memory beyond the input is about 150 bytes an item and
    thread, plus 32 MiB a thread for float features. Equal scores rank by position.
    """
    options = options or EvaluationOptions()
    started = time.perf_counter()
    _check(data)
    n_queries, n_items = len(data.query_features), data.database_codes.n_items
    task, options = _prepare(data, options)
    starts = range(0, n_queries, _BLOCK_QUERIES)
    totals = np.zeros((len(task.levels) + (task.floats is not None), task.tables.n_columns))
    pool = ThreadPoolExecutor(options.n_threads or os.cpu_count() or 1)
    # The threads of the linear algebra library would wait in loops, in the way of ours.
    with threadpool_limits(1, user_api="blas"), pool:
        for start, block in zip(starts, pool.map(task.block, starts), strict=True):
            totals += block
            if progress is not None:
                progress(min(start + _BLOCK_QUERIES, n_queries), n_queries)
    lengths = [
        LengthInfo(n_levels, codes.bits, codes.code_bytes)
        for n_levels in task.levels
        for codes in [data.database_codes.cut_levels(n_levels)]
    ]
    if task.floats is not None:
        dim = task.floats.dim
        lengths.append(LengthInfo(None, 32 * dim, 4 * dim))
    results = tuple(
        summarise(row, info, options, task.tables, n_queries)
        for row, info in zip(totals, lengths, strict=True)
    )
    coded = results[: len(task.levels)]
    counts = [labels.label_counts() for labels in (task.query_masks, task.item_masks)]
    return Evaluation(
        lengths=coded,
        float_features=results[-1] if task.floats is not None else None,
        metric=task.metric,
        comparison=task.queries.comparison,
        at=options.at,
        denominator=options.denominator,
        zero_hit=options.zero_hit,
        precision_at=options.precision_at,
        n_queries=n_queries,
        n_database=n_items,
        n_classes=task.n_classes,
        is_multi_label=any(int(count.max()) > 1 for count in counts),
        n_queries_without_relevant=n_queries - int(totals[0, SCALARS.index("has_relevant")]),
        seconds=time.perf_counter() - started,
    )


def _prepare(data: EvaluationInput, options: EvaluationOptions) -> tuple[_Task, EvaluationOptions]:
    """Return what the threads read, and the options with cut-offs that the database allows."""
    codes = data.database_codes
    metric = data.metric or data.codebooks.metric
    n_items = codes.n_items
    ranks = tuple(rank for rank in options.precision_at if rank <= n_items)
    options = replace(
        options,
        at=min(options.at, n_items),
        ndcg_at=min(options.ndcg_at, n_items),
        precision_at=ranks,
    )
    if options.bits is None:
        levels = tuple(data.codebooks.prefix_levels(codes.n_levels))
    else:
        levels = tuple(sorted({codes.cut(bits).n_levels for bits in options.bits}))
    queries = np.ascontiguousarray(data.query_features, dtype=np.float32)
    features = data.database_features
    if features is not None:
        features = np.ascontiguousarray(features, dtype=np.float32)
    query_labels, item_labels = _same_classes(data.query_labels, data.database_labels)
    item_masks, query_masks = LabelMasks(item_labels), LabelMasks(query_labels)
    task = _Task(
        metric=metric,
        codes=codes.cut_levels(levels[-1]),
        levels=levels,
        vectors=queries,
        queries=prepare_queries(data.codebooks, queries, data.comparison),
        floats=None if features is None else FloatScores(features, metric),
        norms=_norms(data.codebooks, codes, levels, metric),
        query_masks=query_masks,
        item_masks=item_masks,
        max_gain=max(1, int(item_masks.label_counts().max())),
        n_classes=item_labels.n_classes,
        tables=MeasureTables.make(
            n_items, options.at, options.ndcg_at, options.denominator, curve_ranks(options, n_items)
        ),
    )
    return task, options


def _norms(
    codebooks: Codebooks, codes: Codes, levels: tuple[int, ...], metric: Metric
) -> Float32Array | None:
    """Return what the metric needs of the items at each length, (lengths, N)."""
    if metric == "ip":
        return None
    squares = [codebooks.sq_norms(codes.cut_levels(n_levels)) for n_levels in levels]
    return np.stack([norm_term(metric, square) for square in squares])


def _same_classes(query_labels: Labels, item_labels: Labels) -> tuple[Labels, Labels]:
    """Return both label sets in one class order; a class that only one side knows is kept."""
    if query_labels.class_names == item_labels.class_names:
        return query_labels, item_labels
    extra = [name for name in query_labels.class_names if name not in set(item_labels.class_names)]
    names = (*item_labels.class_names, *extra)
    return query_labels.aligned_to(names), item_labels.aligned_to(names)


def _check(data: EvaluationInput) -> None:
    """Raise when the parts of the input do not fit together."""
    codes, codebooks = data.database_codes, data.codebooks
    queries = np.asarray(data.query_features)
    if queries.ndim != 2 or queries.shape[1] != codebooks.dim:
        raise ShapeError(
            f"query features must have shape (Q, {codebooks.dim}), got {queries.shape}. "
            "Use features of the model that the codebooks belong to."
        )
    if len(queries) == 0 or codes.n_items == 0:
        raise DataError(
            f"an evaluation needs queries and items, got {len(queries)} and {codes.n_items}."
        )
    if codes.n_codewords != codebooks.n_codewords or codes.n_levels > codebooks.n_levels:
        raise ShapeError(
            f"codes must have at most {codebooks.n_levels} levels of {codebooks.n_codewords} "
            f"codewords, got {codes.n_levels} levels of {codes.n_codewords}."
        )
    for name, labels, count in (
        ("query", data.query_labels, len(queries)),
        ("database", data.database_labels, codes.n_items),
    ):
        if len(labels) != count:
            raise ShapeError(
                f"{name} labels must be as many as the {name} items, {count}, got {len(labels)}."
            )
    features = data.database_features
    if features is not None and features.shape != (codes.n_items, codebooks.dim):
        raise ShapeError(
            f"database features must have shape ({codes.n_items}, {codebooks.dim}), "
            f"got {features.shape}."
        )
    if data.metric is not None and data.metric not in METRICS:
        raise OptionError(f"metric must be one of {', '.join(METRICS)}, got {data.metric!r}.")
    _check_finite(queries, "query")
    if features is not None:
        _check_finite(features, "database")


def _check_finite(vectors: Float32Array, name: str) -> None:
    """Raise when a vector holds NaN or infinity, naming the first row; looks block by block."""
    for start in range(0, len(vectors), 4096):
        bad = np.flatnonzero(~np.isfinite(vectors[start : start + 4096]).all(axis=1))
        if len(bad):
            raise DataError(
                f"{name} features must be finite, got NaN or infinity in row "
                f"{start + int(bad[0])}. Remove or repair that row."
            )
