"""Turn summed measures of all queries into named figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from anybit.evaluation.average_precision import Denominator, ZeroHitRule
from anybit.evaluation.curves import RECALL_GRID, PrecisionRecallCurve
from anybit.evaluation.measure import SCALARS, MeasureTables
from anybit.evaluation.options import EvaluationOptions
from anybit.evaluation.results import LengthResult, Measure
from anybit.evaluation.ties import TieInterval

__all__ = ["LengthInfo", "curve_ranks", "summarise"]

_CURVE_POINTS = 40


@dataclass(frozen=True)
class LengthInfo:
    """A code length: levels (None for float features), bits and bytes of an item."""

    n_levels: int | None
    bits: int
    code_bytes: int


def curve_ranks(options: EvaluationOptions, n_items: int) -> tuple[int, ...]:
    """Return the ranks of the precision curve: those asked for, and evenly spaced ones to R."""
    spaced = np.geomspace(1, min(options.at, n_items), _CURVE_POINTS).round().astype(int).tolist()
    return tuple(sorted({*spaced, *options.precision_at}))


def summarise(
    totals: NDArray[np.float64],
    info: LengthInfo,
    options: EvaluationOptions,
    tables: MeasureTables,
    n_queries: int,
) -> LengthResult:
    """Return the figures of one code length from the sums over all queries (columns,)."""
    sums = dict(zip(SCALARS, totals.tolist(), strict=False))
    n_hit, n_relevant = int(sums["has_hit"]), int(sums["has_relevant"])
    n_ranks, start = len(tables.ranks), len(SCALARS)
    precision = totals[start : start + n_ranks] / n_queries
    recall = totals[start + n_ranks : start + 2 * n_ranks] / max(n_relevant, 1)
    curve = totals[start + 2 * n_ranks :] / max(n_relevant, 1)
    ranks = tables.ranks.tolist()
    maker = _Maker(info, options, n_queries)
    denominators = sorted(get_args(Denominator), key=lambda name: name != options.denominator)
    measures = [
        maker.average("map_at", sums[name], n_hit, at=options.at, denominator=name)
        for name in denominators
    ]
    measures += [
        maker.ties("map_at", sums, "tie_at", at=options.at, denominator=options.denominator),
        maker.average("map_full", sums["full"], n_relevant, denominator="database"),
        maker.ties("map_full", sums, "tie_full", denominator="database"),
        maker.average(
            "map_at_query_relevant", sums["query_relevant"], n_relevant, denominator="database"
        ),
    ]
    for rank in options.precision_at:
        place = ranks.index(rank)
        measures.append(maker.plain("precision_at", float(precision[place]), n_queries, rank))
        measures.append(maker.plain("relevant_recall_at", float(recall[place]), n_relevant, rank))
    ndcg = sums["ndcg"] / n_queries
    measures.append(maker.plain("ndcg_at", ndcg, n_queries, options.ndcg_at))
    return LengthResult(
        n_levels=info.n_levels,
        bits=info.bits,
        code_bytes=info.code_bytes,
        measures=tuple(measures),
        ranks=tuple(ranks),
        precision=tuple(precision.tolist()),
        relevant_recall=tuple(recall.tolist()),
        curve=PrecisionRecallCurve(RECALL_GRID, tuple(curve.tolist())),
        tied_share=sums["tied_share"] / n_queries,
    )


@dataclass(frozen=True)
class _Maker:
    """Makes measures of one code length."""

    info: LengthInfo
    options: EvaluationOptions
    n_queries: int

    def average(
        self,
        name: str,
        total: float,
        n_counted: int,
        *,
        denominator: Denominator,
        at: int | None = None,
    ) -> Measure:
        """Return an average precision under the default tie rule and the chosen zero-hit rule."""
        n_mean = self.n_queries if self.options.zero_hit == "zero" else n_counted
        value = total / n_mean if n_mean else 0.0
        return self._measure(
            name, value, n_mean, at=at, denominator=denominator, zero_hit=self.options.zero_hit
        )

    def ties(
        self,
        name: str,
        sums: dict[str, float],
        prefix: str,
        *,
        denominator: Denominator,
        at: int | None = None,
    ) -> Measure:
        """Return an average precision over all orders of tied items.

        Always with the rule that a hitless query counts 0: which queries find nothing depends on
        the order, so "skip" has no fixed number of queries.
        """
        parts = (sums[f"{prefix}_{part}"] / self.n_queries for part in _PARTS)
        interval = TieInterval(*parts)
        return self._measure(
            name,
            interval.expected,
            self.n_queries,
            at=at,
            denominator=denominator,
            zero_hit="zero",
            interval=interval,
        )

    def plain(self, name: str, value: float, n_counted: int, at: int) -> Measure:
        """Return a measure without denominator."""
        return self._measure(name, value, n_counted, at=at)

    def _measure(
        self,
        name: str,
        value: float,
        n_counted: int,
        *,
        at: int | None,
        denominator: Denominator | None = None,
        zero_hit: ZeroHitRule | None = None,
        interval: TieInterval | None = None,
    ) -> Measure:
        return Measure(
            name=name,
            value=value,
            at=at,
            denominator=denominator,
            zero_hit=zero_hit,
            tie_rule="lower_position" if interval is None else "all_orders",
            interval=interval,
            n_levels=self.info.n_levels,
            bits=self.info.bits,
            code_bytes=self.info.code_bytes,
            n_queries=n_counted,
        )


_PARTS = ("expected", "worst", "best")
