"""Average precision over ranked relevance, with the definition in the name."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from anybit.errors import OptionError, ShapeError
from anybit.types import BoolArray, Int64Array

__all__ = [
    "Denominator",
    "ZeroHitRule",
    "checked_denominator",
    "map_at",
    "map_at_query_relevant",
    "map_full",
    "precision_sums",
]

Denominator: TypeAlias = Literal["found", "reachable", "database"]
"""Divisor of AP@R: relevant items within R; min(R, relevant in the database); all relevant."""

ZeroHitRule: TypeAlias = Literal["zero", "skip"]
"""A query without a hit within R counts 0 in the mean, or is left out of it."""


def checked_denominator(denominator: str, zero_hit: str = "zero") -> None:
    """Raise OptionError when one of the two rules is unknown."""
    if denominator not in get_args(Denominator):
        raise OptionError(
            f"denominator must be one of {', '.join(get_args(Denominator))}, got {denominator!r}."
        )
    if zero_hit not in get_args(ZeroHitRule):
        raise OptionError(
            f"zero_hit must be one of {', '.join(get_args(ZeroHitRule))}, got {zero_hit!r}."
        )


def precision_sums(hit_ranks: Int64Array) -> NDArray[np.float64]:
    """Return the running sums of the precision at each hit, first entry 0; (h + 1,).

    ``sums[n]`` is the numerator of AP when n hits lie within the cut-off.
    """
    sums = np.zeros(len(hit_ranks) + 1)
    np.cumsum(np.arange(1, len(hit_ranks) + 1) / hit_ranks, out=sums[1:])
    return sums


def map_at(
    ranked_relevance: BoolArray,
    at: int,
    *,
    denominator: Denominator = "found",
    zero_hit: ZeroHitRule = "zero",
    n_relevant: Int64Array | None = None,
) -> float:
    """Compute mAP@R: one cut-off R for all queries.

    AP@R is the sum of the precision at each relevant rank within R, over a denominator.

    Parameters
    ----------
    ranked_relevance : ndarray of shape (Q, N), bool
        Whether the item at each rank is relevant, best rank first.
    at : int
        The cut-off R.
    denominator : {"found", "reachable", "database"}
        "found": relevant items within R (DRQ, DVSQ, DeepHash, HashNet). "reachable": min(R,
        relevant items in the database). "database": relevant items in the database.
    zero_hit : {"zero", "skip"}
        Whether a query that finds none within R counts 0 (DRQ) or leaves the mean (DeepHash).
    n_relevant : ndarray of shape (Q,), int64, optional
        Relevant items in the database, when the ranking does not hold the whole of it.

    Returns
    -------
    float
        From 0 to 1. 0 when every query was skipped.

    Raises
    ------
    ShapeError
        If the arrays do not fit.
    OptionError
        If `at` is below 1 or a rule is unknown.

    Notes
    -----
    The denominator "found" rewards a short list: on one and the same ranking it can give twice
    the value of "reachable". Never compare figures of different rules.

    References
    ----------
    Song et al., "Deep Recurrent Quantization for Generating Sequential Binary Codes", IJCAI 2019;
    the default is the rule of the authors' code.

    Examples
    --------
    >>> ranking = np.array([[1, 0, 1, 0, 1, 0]], dtype=bool)
    >>> round(map_at(ranking, 4), 4), round(map_at(ranking, 4, denominator="database"), 4)
    (0.8333, 0.5556)
    """
    ranked, totals = _checked(ranked_relevance, n_relevant)
    checked_denominator(denominator, zero_hit)
    if at < 1:
        raise OptionError(f"at must be at least 1, got {at}.")
    values = []
    for row, total in zip(ranked, totals, strict=True):
        hit_ranks = np.flatnonzero(row[:at]) + 1
        if len(hit_ranks) == 0:
            if zero_hit == "zero":
                values.append(0.0)
            continue
        divisor = {"found": len(hit_ranks), "reachable": min(at, total), "database": total}
        values.append(float(precision_sums(hit_ranks)[-1]) / divisor[denominator])
    return float(np.mean(values)) if values else 0.0


def map_full(ranked_relevance: BoolArray, *, zero_hit: ZeroHitRule = "zero") -> float:
    """Compute mAP over the whole list: the mean precision at all relevant items.

    Parameters
    ----------
    ranked_relevance : ndarray of shape (Q, N), bool
        The whole database, best rank first.
    zero_hit : {"zero", "skip"}
        Whether a query without any relevant item counts 0 or leaves the mean.

    Returns
    -------
    float

    Raises
    ------
    ShapeError
        If the ranking does not have shape (Q, N) with at least one query and item.

    Examples
    --------
    >>> map_full(np.array([[0, 1]], dtype=bool))
    0.5
    """
    ranked, _ = _checked(ranked_relevance, None)
    return map_at(ranked, ranked.shape[1], denominator="database", zero_hit=zero_hit)


def map_at_query_relevant(
    ranked_relevance: BoolArray,
    *,
    zero_hit: ZeroHitRule = "zero",
    n_relevant: Int64Array | None = None,
) -> float:
    """Compute the mAP whose cut-off is each query's own number of relevant items.

    This is the "MAP@R" of pytorch-metric-learning: R differs from query to query and is also the
    denominator.

    Parameters
    ----------
    ranked_relevance : ndarray of shape (Q, N), bool
        Best rank first; at least as many ranks as any query has relevant items.
    zero_hit : {"zero", "skip"}
        Whether a query without any relevant item in the database counts 0 or leaves the mean;
        one that has some but finds none counts 0.
    n_relevant : ndarray of shape (Q,), int64, optional
        Relevant items in the database, when the ranking does not hold the whole of it.

    Returns
    -------
    float

    Raises
    ------
    ShapeError
        If the arrays do not fit.

    References
    ----------
    Musgrave et al., "A Metric Learning Reality Check", ECCV 2020.

    Examples
    --------
    >>> map_at_query_relevant(np.array([[1, 0, 1, 0]], dtype=bool))
    0.5
    """
    ranked, totals = _checked(ranked_relevance, n_relevant)
    checked_denominator("found", zero_hit)
    values = []
    for row, total in zip(ranked, totals, strict=True):
        if total == 0:
            if zero_hit == "zero":
                values.append(0.0)
            continue
        hit_ranks = np.flatnonzero(row[:total]) + 1
        values.append(float(precision_sums(hit_ranks)[-1]) / int(total))
    return float(np.mean(values)) if values else 0.0


def _checked(
    ranked_relevance: BoolArray, n_relevant: Int64Array | None
) -> tuple[BoolArray, Int64Array]:
    """Return the ranking as bool (Q, N) and the relevant items of each query (Q,)."""
    ranked = np.asarray(ranked_relevance, dtype=np.bool_)
    if ranked.ndim != 2 or ranked.size == 0:
        raise ShapeError(
            "ranked relevance must have shape (Q, N) with at least one query and item, "
            f"got {ranked.shape}."
        )
    found = ranked.sum(axis=1, dtype=np.int64)
    if n_relevant is None:
        return ranked, found
    totals = np.asarray(n_relevant, dtype=np.int64)
    if totals.shape != found.shape or (totals < found).any():
        raise ShapeError(
            f"n_relevant must have shape ({len(ranked)},) and be at least the relevant items of "
            f"the ranking, got shape {totals.shape}."
        )
    return ranked, totals
