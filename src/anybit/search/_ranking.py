"""What a search at one code length works on."""

from __future__ import annotations

from dataclasses import dataclass

from anybit.codes import BytePlanes
from anybit.search._tables import TableMaker
from anybit.search._terms import ItemTerms
from anybit.types import Float32Array, Int64Array, Metric

__all__ = ["Ranking"]


@dataclass(frozen=True, eq=False)
class Ranking:
    """One code length over the items of an index.

    Parameters
    ----------
    maker : TableMaker
        Makes look-up tables of queries.
    offset : ndarray of shape (D,), float32, optional
        Part of every item.
    metric : {"ip", "l2", "cosine"}
    planes : BytePlanes
        Codes of this length, in the order that decides ties.
    terms : ItemTerms
        What the metric needs of every item.
    ids : ndarray of shape (N,), int64, optional
        Positions are the ids when left out.
    """

    maker: TableMaker
    offset: Float32Array | None
    metric: Metric
    planes: BytePlanes
    terms: ItemTerms
    ids: Int64Array | None = None
