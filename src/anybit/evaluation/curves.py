"""Precision, recall, their curve, and NDCG over ranked relevance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anybit.errors import OptionError, ShapeError
from anybit.types import BoolArray, Int64Array

__all__ = [
    "RECALL_GRID",
    "PrecisionRecallCurve",
    "ideal_gain",
    "ndcg_at",
    "precision_at",
    "precision_at_recall",
    "precision_recall_curve",
    "rank_discounts",
    "relevant_recall_at",
]

RECALL_GRID: tuple[float, ...] = tuple(step / 100 for step in range(1, 101))
"""The shares of the relevant items at which the precision-recall curve is read."""


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Mean precision at given shares of the relevant items.

    Parameters
    ----------
    recall : tuple of float
        Share of a query's relevant items that have been seen.
    precision : tuple of float
        Precision at the rank at which that share is first reached, mean over the queries that
        have relevant items; not interpolated.
    """

    recall: tuple[float, ...]
    precision: tuple[float, ...]


def precision_at_recall(
    hit_ranks: Int64Array, n_relevant: int, recall: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the precision at the rank at which each share of the hits is first reached."""
    # The small subtraction keeps 0.07 * 100, which is 7.000000000000001, at seven hits.
    needed = np.maximum(1, np.ceil(recall * n_relevant - 1e-9)).astype(np.int64)  # (G,)
    reached = needed <= len(hit_ranks)
    ranks = np.ones(len(needed))
    ranks[reached] = hit_ranks[needed[reached] - 1]
    return np.where(reached, needed / ranks, 0.0)


def rank_discounts(n_ranks: int) -> NDArray[np.float64]:
    """Return 1 / log2(1 + rank) for ranks 1 to `n_ranks`."""
    return np.asarray(1.0 / np.log2(np.arange(2, n_ranks + 2, dtype=np.float64)))


def ideal_gain(gains: Int64Array, discount_sums: NDArray[np.float64]) -> float:
    """Return the discounted gain of the best order of items with these gains.

    Parameters
    ----------
    gains : ndarray of shape (n,), int64
        Gains above 0, in any order.
    discount_sums : ndarray of shape (R + 1,), float64
        Running sums of the discounts of ranks 1 to R, first entry 0.
    """
    counts = np.bincount(gains, minlength=1)[::-1]  # largest gain first
    ends = np.minimum(np.cumsum(counts), len(discount_sums) - 1)
    values = np.arange(len(counts) - 1, -1, -1)
    return float(np.diff(discount_sums[ends], prepend=0.0) @ values)


def precision_at(ranked_relevance: BoolArray, ranks: Sequence[int]) -> tuple[float, ...]:
    """Compute the share of relevant items among the first R, for each R; mean over queries.

    Parameters
    ----------
    ranked_relevance : ndarray of shape (Q, N), bool
        Best rank first.
    ranks : sequence of int
        The cut-offs R, each from 1 to N.

    Returns
    -------
    tuple of float

    Raises
    ------
    ShapeError
        If the ranking does not have shape (Q, N) with at least one query and item.
    OptionError
        If a rank is not from 1 to N.

    Examples
    --------
    >>> precision_at(np.array([[1, 0, 1, 0]], dtype=bool), [1, 4])
    (1.0, 0.5)
    """
    ranked = _checked(ranked_relevance, ranks)
    return tuple(float(ranked[:, :rank].mean()) for rank in ranks)


def relevant_recall_at(ranked_relevance: BoolArray, ranks: Sequence[int]) -> tuple[float, ...]:
    """Compute the share of a query's relevant items that lie in the first R, for each R.

    Not the recall@R of nearest-neighbour search, which asks for the one true nearest item.

    Parameters
    ----------
    ranked_relevance : ndarray of shape (Q, N), bool
        The whole database, best rank first.
    ranks : sequence of int
        The cut-offs R, each from 1 to N.

    Returns
    -------
    tuple of float
        Mean over the queries that have relevant items; 0 when none has.

    Raises
    ------
    ShapeError, OptionError
        As `precision_at`.

    Examples
    --------
    >>> relevant_recall_at(np.array([[1, 0, 1, 0]], dtype=bool), [1, 4])
    (0.5, 1.0)
    """
    ranked = _checked(ranked_relevance, ranks)
    ranked = ranked[ranked.any(axis=1)]
    if len(ranked) == 0:
        return tuple(0.0 for _ in ranks)
    totals = ranked.sum(axis=1)
    return tuple(float((ranked[:, :rank].sum(axis=1) / totals).mean()) for rank in ranks)


def precision_recall_curve(
    ranked_relevance: BoolArray, recall: Sequence[float] = RECALL_GRID
) -> PrecisionRecallCurve:
    """Compute the mean precision at given shares of the relevant items.

    Parameters
    ----------
    ranked_relevance : ndarray of shape (Q, N), bool
        The whole database, best rank first.
    recall : sequence of float
        Shares above 0 and up to 1.

    Returns
    -------
    PrecisionRecallCurve

    Raises
    ------
    ShapeError
        If the ranking does not have shape (Q, N) with at least one query and item.
    OptionError
        If a share is not above 0 and at most 1.

    Examples
    --------
    >>> precision_recall_curve(np.array([[1, 0, 0, 1]], dtype=bool), [0.5, 1.0]).precision
    (1.0, 0.5)
    """
    ranked = _checked(ranked_relevance, [])
    grid = np.asarray(recall, dtype=np.float64)
    if ((grid <= 0) | (grid > 1)).any():
        raise OptionError(f"recall must be above 0 and at most 1, got {list(recall)}.")
    rows = [np.flatnonzero(row) + 1 for row in ranked if row.any()]
    if not rows:
        return PrecisionRecallCurve(tuple(recall), tuple(0.0 for _ in recall))
    curves = np.stack([precision_at_recall(hits, len(hits), grid) for hits in rows])
    return PrecisionRecallCurve(tuple(recall), tuple(curves.mean(axis=0).tolist()))


def ndcg_at(ranked_gains: Int64Array, at: int) -> float:
    """Compute NDCG@R: discounted gain of the first R over that of the best order.

    Parameters
    ----------
    ranked_gains : ndarray of shape (Q, N), int64
        Gain of the item at each rank, best rank first; the whole database. With class labels the
        gain is the number of labels shared with the query.
    at : int
        The cut-off R.

    Returns
    -------
    float
        Mean over the queries; one without any gain counts 0. Discount: 1 / log2(1 + rank).

    Raises
    ------
    ShapeError
        If the gains do not have shape (Q, N) with at least one query and item.
    OptionError
        If `at` is below 1 or a gain is negative.

    References
    ----------
    Jarvelin and Kekalainen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, with
    a linear gain.

    Examples
    --------
    >>> round(ndcg_at(np.array([[1, 2]]), 2), 4)
    0.8597
    """
    ranked = np.asarray(ranked_gains, dtype=np.int64)
    _checked(ranked > 0, [])
    if at < 1 or (ranked < 0).any():
        raise OptionError(f"at must be at least 1 and gains at least 0, got at = {at}.")
    cut = min(at, ranked.shape[1])
    discounts = rank_discounts(cut)
    sums = np.concatenate([[0.0], np.cumsum(discounts)])
    values = []
    for row in ranked:
        ideal = ideal_gain(row[row > 0], sums)
        values.append(float(row[:cut] @ discounts) / ideal if ideal else 0.0)
    return float(np.mean(values))


def _checked(ranked_relevance: BoolArray, ranks: Sequence[int]) -> BoolArray:
    ranked = np.asarray(ranked_relevance, dtype=np.bool_)
    if ranked.ndim != 2 or ranked.size == 0:
        raise ShapeError(
            "ranked relevance must have shape (Q, N) with at least one query and item, "
            f"got {ranked.shape}."
        )
    if any(not 1 <= rank <= ranked.shape[1] for rank in ranks):
        raise OptionError(f"ranks must be from 1 to {ranked.shape[1]}, got {list(ranks)}.")
    return ranked
