"""Average precision when scores tie: the expected value and the interval over all orders.

Short codes give many items the same score, and the order inside such a group is an accident of
storage. Here a group of equal scores holds ``m`` items, ``r`` of them relevant, after ``M`` items
and ``H`` hits. With every order of a group equally likely, the item at rank ``i = M + j`` is
relevant with probability r/m, and then each of the j - 1 before it is with (r-1)/(m-1), so

    E[rel_i P@i] = (r / m) (H + 1 + (j - 1) (r - 1) / (m - 1)) / i.

Summed over the group this needs only harmonic numbers. The groups' numerators add up. When the
cut-off R falls into a group, t = R - M of its ranks count, x of them hits: x is hypergeometric,
and given x the formula holds with (t, x) in place of (m, r). This also covers the normaliser
"found", which is H + x and so depends on the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from anybit.errors import OptionError, ShapeError
from anybit.evaluation.average_precision import (
    Denominator,
    checked_denominator,
    precision_sums,
)
from anybit.evaluation.ranking import Ranker
from anybit.types import BoolArray, Float32Array, Int64Array

__all__ = ["TieInterval", "TieTables", "TiedHits", "map_under_ties"]

_Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class TieInterval:
    """Average precision over all orders of items whose scores tie.

    Parameters
    ----------
    expected : float
        Mean over all orders, each equally likely.
    worst : float
        Smallest value that an order gives.
    best : float
        Largest value that an order gives.
    """

    expected: float
    worst: float
    best: float


class TieTables:
    """Harmonic numbers and logarithms of factorials up to the number of items."""

    def __init__(self, n_items: int) -> None:
        numbers = np.arange(1, n_items + 1, dtype=np.float64)
        self.harmonic = np.concatenate([[0.0], np.cumsum(1.0 / numbers)])  # (N+1,)
        self.log_factorial = np.concatenate([[0.0], np.cumsum(np.log(numbers))])  # (N+1,)

    def hypergeometric(self, size: int, relevant: int, drawn: int, x: Int64Array) -> _Float64Array:
        """Return the probability of `x` relevant among `drawn` of `size` items."""
        log = self.log_factorial
        logs = (
            (log[relevant] - log[x] - log[relevant - x])
            + (log[size - relevant] - log[drawn - x] - log[size - relevant - drawn + x])
            - (log[size] - log[drawn] - log[size - drawn])
        )
        weights = np.exp(logs)
        return np.asarray(weights / weights.sum())


@lru_cache(maxsize=4)
def _tables(n_items: int) -> TieTables:
    return TieTables(n_items)


class TiedHits:
    """The groups of equal scores of one query in which order matters.

    Parameters
    ----------
    hit_ranks : ndarray of shape (h,), int64
        Ranks of the relevant items, from 1, ascending, under the default tie rule.
    sums : ndarray of shape (h + 1,), float64
        Running sums of the precision at the hits, first entry 0.
    groups : tuple of two ndarrays of shape (G,), int64
        Items before, and in, each group of two or more equal scores.
    tables : TieTables
        For at least as many items as there are.
    """

    def __init__(
        self,
        hit_ranks: Int64Array,
        sums: _Float64Array,
        groups: tuple[Int64Array, Int64Array],
        tables: TieTables,
    ) -> None:
        self._hit_ranks, self._sums, self._tables = hit_ranks, sums, tables
        before, sizes = groups
        hits_before = np.searchsorted(hit_ranks, before, side="right")
        hits = np.searchsorted(hit_ranks, before + sizes, side="right") - hits_before
        # Order changes nothing in a group whose items are all relevant or all irrelevant.
        mixed = (hits > 0) & (hits < sizes)
        self._before, self._size = before[mixed], sizes[mixed]  # (g,), (g,)
        self._hits_before, self._hits = hits_before[mixed], hits[mixed]  # (g,), (g,)
        self._shifts = self._numerator_shifts()  # (3, g)

    def _numerator_shifts(self) -> _Float64Array:
        """Return expected, worst and best numerator of each group, less the default's; (3, g)."""
        before, size, hits_before, hits = self._before, self._size, self._hits_before, self._hits
        default = self._sums[hits_before + hits] - self._sums[hits_before]
        expected = _expected(before, size, hits_before, hits, self._tables.harmonic)
        worst = _worst(before, size, hits_before, hits, self._tables.harmonic)
        best = _best(before, hits_before, hits, self._tables.harmonic)
        return np.stack([expected, worst, best]) - default

    def average_precision(
        self, at: int, denominator: Denominator, n_relevant: int
    ) -> tuple[float, float, float]:
        """Return expected, worst and best AP at rank `at` (the number of items: whole list)."""
        inside = self._before + self._size <= at
        bases = self._shifts[:, inside].sum(axis=1)  # (3,)
        cut = np.flatnonzero((self._before < at) & ~inside)
        if len(cut) == 0:
            n_found = int(np.searchsorted(self._hit_ranks, at, side="right"))
            divisor = _divisor(np.array([n_found]), at, denominator, n_relevant)[0]
            if divisor == 0:
                return 0.0, 0.0, 0.0
            low_high = (bases + self._sums[n_found]) / divisor
            return float(low_high[0]), float(low_high[1]), float(low_high[2])
        return self._cut_group(int(cut[0]), at, bases, denominator, n_relevant)

    def _cut_group(
        self, group: int, at: int, bases: _Float64Array, denominator: Denominator, n_relevant: int
    ) -> tuple[float, float, float]:
        """Return expected, worst and best AP where rank `at` lies inside a mixed group."""
        before, size = int(self._before[group]), int(self._size[group])
        hits_before, hits = int(self._hits_before[group]), int(self._hits[group])
        n_ranks = at - before
        x = np.arange(max(0, n_ranks - (size - hits)), min(n_ranks, hits) + 1)  # hits up to `at`
        harmonic = self._tables.harmonic
        same = np.ones_like(x)
        numerators = self._sums[hits_before] + np.stack(
            [
                bases[0]
                + _expected(before * same, n_ranks * same, hits_before * same, x, harmonic),
                bases[1] + _worst(before * same, n_ranks * same, hits_before * same, x, harmonic),
                bases[2] + _best(before * same, hits_before * same, x, harmonic),
            ]
        )  # (3, X)
        divisors = _divisor(hits_before + x, at, denominator, n_relevant)  # (X,)
        zeros = np.zeros_like(numerators)
        values = np.divide(numerators, divisors, out=zeros, where=divisors > 0)
        weights = self._tables.hypergeometric(size, hits, n_ranks, x)
        # With "found" neither few nor many hits are best for certain: look at every x.
        return float(values[0] @ weights), float(values[1].min()), float(values[2].max())


def _divisor(n_found: Int64Array, at: int, denominator: Denominator, n_relevant: int) -> Int64Array:
    if denominator == "found":
        return n_found
    value = min(at, n_relevant) if denominator == "reachable" else n_relevant
    return np.full_like(n_found, value)


def _expected(
    before: Int64Array,
    size: Int64Array,
    hits_before: Int64Array,
    hits: Int64Array,
    harmonic: _Float64Array,
) -> _Float64Array:
    """Return the expected numerator of groups: the module's formula summed over the ranks."""
    inverse_ranks = harmonic[before + size] - harmonic[before]  # sum of 1/i
    steps = size - (before + 1) * inverse_ranks  # sum of (j-1)/i
    pair = (hits - 1) / np.maximum(size - 1, 1)
    return np.asarray(hits / size * ((hits_before + 1) * inverse_ranks + pair * steps))


def _best(
    before: Int64Array, hits_before: Int64Array, hits: Int64Array, harmonic: _Float64Array
) -> _Float64Array:
    """Return the numerator with the relevant items first: sum of (H+j)/(M+j), j = 1..r."""
    inverse_ranks = harmonic[before + hits] - harmonic[before]
    return np.asarray(hits + (hits_before - before) * inverse_ranks)


def _worst(
    before: Int64Array,
    size: Int64Array,
    hits_before: Int64Array,
    hits: Int64Array,
    harmonic: _Float64Array,
) -> _Float64Array:
    """Return the numerator with the relevant items last: sum of (H+j)/(M+m-r+j), j = 1..r."""
    return _best(before + size - hits, hits_before, hits, harmonic)


def map_under_ties(
    scores: Float32Array,
    relevant: BoolArray,
    *,
    at: int | None = None,
    denominator: Denominator = "found",
) -> TieInterval:
    """Compute mAP at a rank over all orders of items with equal scores.

    A query that finds nothing counts 0 and stays in the mean.

    Parameters
    ----------
    scores : ndarray of shape (Q, N), float32
        Larger is closer. Equal values tie.
    relevant : ndarray of shape (Q, N), bool
        Whether the item is relevant to the query; same order of items as `scores`.
    at : int, optional
        Cut-off R; the whole list when left out.
    denominator : {"found", "reachable", "database"}
        See `map_at`.

    Returns
    -------
    TieInterval
        Mean over the queries of the exact expectation, the worst and the best value. With the
        whole list all three denominators are the number of relevant items.

    Raises
    ------
    ShapeError
        If the arrays differ in shape.
    OptionError
        If `at` is below 1 or the denominator is unknown.

    Notes
    -----
    The best value of the denominator "found" is not reached by putting relevant items first: a
    further hit of low precision at the cut-off lowers the mean over the hits found.

    Examples
    --------
    >>> scores = np.array([[1.0, 1.0]], dtype=np.float32)
    >>> map_under_ties(scores, np.array([[True, False]]))
    TieInterval(expected=0.75, worst=0.5, best=1.0)
    """
    scores, relevant = np.asarray(scores), np.asarray(relevant, dtype=np.bool_)
    if scores.ndim != 2 or scores.shape != relevant.shape or scores.size == 0:
        raise ShapeError(
            "scores and relevant must have the same shape (Q, N) with at least one query and "
            f"item, got {scores.shape} and {relevant.shape}."
        )
    checked_denominator(denominator)
    n_items = scores.shape[1]
    if at is not None and at < 1:
        raise OptionError(f"at must be at least 1, got {at}.")
    cut = n_items if at is None else min(at, n_items)
    ranker, tables = Ranker(n_items), _tables(n_items)
    values = np.zeros((len(scores), 3))
    for query, row in enumerate(scores.astype(np.float32)):
        ranker.sort(row, ranker.low_keys(relevant[query]))
        hit_ranks, _ = ranker.hits()
        sums = precision_sums(hit_ranks)
        tied = TiedHits(hit_ranks, sums, ranker.tied_groups(), tables)
        values[query] = tied.average_precision(cut, denominator, len(hit_ranks))
    expected, worst, best = values.mean(axis=0).tolist()
    return TieInterval(expected, worst, best)
