"""What the length advisor found: figures of every length, the rule, the suggestion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from anybit.types import Metric

__all__ = ["CRITERIA", "Advice", "Criterion", "LengthAdvice", "conclude", "shortest_within"]

Criterion: TypeAlias = Literal["recall", "map"]
"""What decides on a length: 1-recall@10 of the float neighbours, or mAP@R of class labels."""

CRITERIA: tuple[Criterion, ...] = ("recall", "map")

_DECISIVE_RANK = 10

_DEFINITIONS = {
    "recall": "1-recall@k: share of queries whose true nearest item by float features (or one as "
    "near) is among the first k found by codes",
    "map_at": "mAP@R: sum of the precision at each relevant rank within R, over the relevant items "
    "within R; a query that finds none counts 0; mean over the queries that have a label",
    "search_ms": "median time of one search for timed_k items, one query at a time, one thread, "
    "all lengths in turns",
    "code_bytes": "bytes of one item's packed code, rounded up; total_mb: of all items, in 10^6 "
    "bytes; ids, labels and metadata not included",
    "is_leave_one_out": "the queries are items, each removed from its own ranking",
}


@dataclass(frozen=True)
class LengthAdvice:
    """The figures of one code length.

    Parameters
    ----------
    n_levels : int
        Levels of the prefix.
    bits : int
        Bits of an item.
    code_bytes : int
        Bytes of an item, rounded up; codes only.
    total_mb : float
        Of all items, in 10^6 bytes.
    recall : tuple of float, or None
        1-recall@k at each of `Advice.recall_at`; None without features of the items.
    map_at : float or None
        mAP@R; None without labels.
    search_ms : float
        Median milliseconds of one search on one thread.
    """

    n_levels: int
    bits: int
    code_bytes: int
    total_mb: float
    recall: tuple[float, ...] | None
    map_at: float | None
    search_ms: float


@dataclass(frozen=True)
class Advice:
    """The result of `advise`.

    Parameters
    ----------
    lengths : tuple of LengthAdvice
        One for each code length, short to long.
    suggested_bits : int
        The length that is suggested.
    reason : str
        Why, in one sentence.
    by : {"recall", "map"}
        What decided.
    tolerance : float
        Share of the best quality that may be lost.
    recall_at : tuple of int
        Cut-offs k of 1-recall@k; empty without features of the items.
    at : int or None
        Cut-off R of mAP@R; None without labels.
    metric : {"ip", "l2", "cosine"}
        How query and item were compared.
    n_items : int
        Items searched.
    n_queries : int
        Queries.
    n_labelled_queries : int
        Queries in the mean of mAP@R.
    is_leave_one_out : bool
        Whether the queries are items, each removed from its own ranking.
    timed_k : int
        Items asked for in the timed searches.
    simd : str
        What scanned, as `anybit.search.simd_level` tells.
    notes : tuple of str
        What limits the figures, for people.
    """

    lengths: tuple[LengthAdvice, ...]
    suggested_bits: int
    reason: str
    by: Criterion
    tolerance: float
    recall_at: tuple[int, ...]
    at: int | None
    metric: Metric
    n_items: int
    n_queries: int
    n_labelled_queries: int
    is_leave_one_out: bool
    timed_k: int
    simd: str
    notes: tuple[str, ...] = ()

    @property
    def suggested(self) -> LengthAdvice:
        """The figures of the suggested length."""
        return next(one for one in self.lengths if one.bits == self.suggested_bits)

    def table_columns(self) -> tuple[str, ...]:
        """Return the column titles of `table_rows`."""
        recalls = [f"1-recall@{rank}" for rank in self.recall_at]
        maps = [] if self.at is None else [f"mAP@{self.at}"]
        return ("length", "bytes", "MB in all", *recalls, *maps, "ms a query", "")

    def table_rows(self) -> tuple[tuple[str, ...], ...]:
        """Return one line a code length; the last text marks the suggested one."""
        rows = []
        for one in self.lengths:
            values = [f"{value:.3f}" for value in one.recall or ()]
            values += [] if one.map_at is None else [f"{one.map_at:.4f}"]
            mark = "suggested" if one.bits == self.suggested_bits else ""
            total = f"{one.total_mb:,.3f}" if one.total_mb < 10 else f"{one.total_mb:,.1f}"
            sizes = (f"{one.bits} bits", str(one.code_bytes), total)
            rows.append((*sizes, *values, f"{one.search_ms:.3f}", mark))
        return tuple(rows)

    def caption(self) -> str:
        """Say in one line what the figures are of."""
        drawn = ", drawn from the items and left out of their own ranking"
        return (
            f"{self.n_items:,} items, {self.n_queries:,} queries"
            f"{drawn if self.is_leave_one_out else ''}; searches on one thread ({self.simd})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, definitions included."""
        return {"format_version": 1, "definitions": dict(_DEFINITIONS), **asdict(self)}


def shortest_within(values: Sequence[float], tolerance: float) -> int:
    """Return the first position whose value is at least ``1 - tolerance`` of the largest.

    Parameters
    ----------
    values : sequence of float
        Quality of each length, short to long, none negative; need not ascend.
    tolerance : float

    Examples
    --------
    >>> shortest_within([0.50, 0.98, 0.99, 0.97], 0.02)
    1
    """
    # The margin is for products such as 0.99 * 0.9, which rounding may lift above 0.891.
    enough = (1 - tolerance) * max(values) - 1e-12
    return next(number for number, value in enumerate(values) if value >= enough)


def conclude(
    lengths: Sequence[LengthAdvice],
    recall_at: tuple[int, ...],
    at: int,
    *,
    by: Criterion,
    tolerance: float,
) -> tuple[int, str]:
    """Return the suggested bits, and the reason in one sentence."""
    qualities = _qualities(lengths, recall_at, at)
    name, values = qualities[by]
    best = max(range(len(values)), key=values.__getitem__)
    if values[best] == 0:
        return lengths[-1].bits, (
            f"{lengths[-1].bits} bits: {name} is 0 at every length, so that nothing speaks for a "
            "shorter one; queries and items may not belong together."
        )
    number = shortest_within(values, tolerance)
    share = f"{100 * (1 - tolerance):g} %"
    if number < best:
        reason = (
            f"{lengths[number].bits} bits: the shortest length whose {name} ({values[number]:.4f}) "
            f"is at least {share} of the best ({values[best]:.4f} at {lengths[best].bits} bits)"
        )
    elif number == 0:
        reason = f"{lengths[0].bits} bits: no longer code has a better {name} ({values[0]:.4f})"
    else:
        before = number - 1
        reason = (
            f"{lengths[number].bits} bits: the best {name} ({values[number]:.4f}), of which "
            f"{lengths[before].bits} bits reach only {100 * values[before] / values[number]:.1f} %"
        )
    others = [
        f"; by {other} it would be {lengths[shortest_within(figures, tolerance)].bits}"
        for criterion, (other, figures) in qualities.items()
        if criterion != by and max(figures) > 0
    ]
    return lengths[number].bits, f"{reason}{''.join(others)}."


def _qualities(
    lengths: Sequence[LengthAdvice], recall_at: tuple[int, ...], at: int
) -> dict[Criterion, tuple[str, list[float]]]:
    """Return name and values of what can decide."""
    found: dict[Criterion, tuple[str, list[float]]] = {}
    recalls = [one.recall for one in lengths if one.recall is not None]
    if recalls:
        rank = max(rank for rank in recall_at if rank <= _DECISIVE_RANK)
        column = recall_at.index(rank)
        found["recall"] = (f"1-recall@{rank}", [row[column] for row in recalls])
    maps = [one.map_at for one in lengths if one.map_at is not None]
    if maps:
        found["map"] = (f"mAP@{at}", maps)
    return found
