"""All measures of one query's ranking as one row of numbers, so that rows can be summed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anybit.evaluation.average_precision import Denominator, precision_sums
from anybit.evaluation.curves import (
    RECALL_GRID,
    ideal_gain,
    precision_at_recall,
    rank_discounts,
)
from anybit.evaluation.ranking import Ranker
from anybit.evaluation.ties import TiedHits, TieTables
from anybit.types import Float32Array

__all__ = ["SCALARS", "MeasureTables", "Measurer"]

SCALARS: tuple[str, ...] = (
    "found",
    "reachable",
    "database",
    "full",
    "query_relevant",
    "tie_at_expected",
    "tie_at_worst",
    "tie_at_best",
    "tie_full_expected",
    "tie_full_worst",
    "tie_full_best",
    "ndcg",
    "tied_share",
    "has_hit",
    "has_relevant",
)
"""What the first numbers of a row are; precision, recall and the curve follow."""


@dataclass(frozen=True)
class MeasureTables:
    """What all queries share: cut-offs and tables of harmonic numbers and discounts."""

    at: int
    ndcg_at: int
    denominator: Denominator
    ranks: NDArray[np.int64]
    ties: TieTables
    discounts: NDArray[np.float64]
    discount_sums: NDArray[np.float64]
    recall: NDArray[np.float64]

    @classmethod
    def make(
        cls, n_items: int, at: int, ndcg_at: int, denominator: Denominator, ranks: tuple[int, ...]
    ) -> MeasureTables:
        """Compute the tables for a database of `n_items`."""
        discounts = rank_discounts(ndcg_at)
        return cls(
            at=at,
            ndcg_at=ndcg_at,
            denominator=denominator,
            ranks=np.asarray(ranks, dtype=np.int64),
            ties=TieTables(n_items),
            discounts=discounts,
            discount_sums=np.concatenate([[0.0], np.cumsum(discounts)]),
            recall=np.asarray(RECALL_GRID),
        )

    @property
    def n_columns(self) -> int:
        """Length of a row."""
        return len(SCALARS) + 2 * len(self.ranks) + len(self.recall)


class Measurer:
    """Rank the items of one query and measure, in buffers of its own (one a thread).

    Parameters
    ----------
    tables : MeasureTables
    n_items : int
        Items of the database.
    max_gain : int
        Largest number of labels that an item has.
    """

    def __init__(self, tables: MeasureTables, n_items: int, max_gain: int) -> None:
        self._tables = tables
        self._n_items = n_items
        self.ranker = Ranker(n_items, max_gain)

    def row(self, scores: Float32Array, low_keys: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Return the measures of the ranking by `scores` (N,), as SCALARS says; (columns,)."""
        tables = self._tables
        self.ranker.sort(scores, low_keys)
        hit_ranks, gains = self.ranker.hits()  # (h,), (h,)
        n_relevant = len(hit_ranks)
        row = np.zeros(tables.n_columns)
        groups = self.ranker.tied_groups()
        row[SCALARS.index("tied_share")] = groups[1].sum() / self._n_items
        if n_relevant == 0:
            return row
        sums = precision_sums(hit_ranks)
        n_found = int(np.searchsorted(hit_ranks, tables.at, side="right"))
        n_own = int(np.searchsorted(hit_ranks, n_relevant, side="right"))
        row[0] = sums[n_found] / max(n_found, 1)
        row[1] = sums[n_found] / min(tables.at, n_relevant)
        row[2] = sums[n_found] / n_relevant
        row[3] = sums[-1] / n_relevant
        row[4] = sums[n_own] / n_relevant
        tied = TiedHits(hit_ranks, sums, groups, tables.ties)
        row[5:8] = tied.average_precision(tables.at, tables.denominator, n_relevant)
        row[8:11] = tied.average_precision(self._n_items, "database", n_relevant)
        n_gains = int(np.searchsorted(hit_ranks, tables.ndcg_at, side="right"))
        gained = gains[:n_gains] @ tables.discounts[hit_ranks[:n_gains] - 1]
        row[11] = gained / ideal_gain(gains, tables.discount_sums)
        row[13], row[14] = n_found > 0, 1.0
        found = np.searchsorted(hit_ranks, tables.ranks, side="right")
        start = len(SCALARS)
        row[start : start + len(found)] = found / tables.ranks
        row[start + len(found) : start + 2 * len(found)] = found / n_relevant
        row[start + 2 * len(found) :] = precision_at_recall(hit_ranks, n_relevant, tables.recall)
        return row
