"""What a search at one code length works on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from anybit.codes import BytePlanes, Codes
from anybit.search._tables import QueryTables, TableMaker
from anybit.search._terms import Bins, NormMaker, norm_terms
from anybit.types import Float32Array, Int64Array, Metric

__all__ = ["Ranking"]


@dataclass(frozen=True, eq=False)
class Ranking:
    """One code length over the items of an index.

    Parameters
    ----------
    maker : TableMaker
        Makes look-up tables of queries.
    metric : {"ip", "l2", "cosine"}
    planes : BytePlanes
        Codes of this length, in the order that decides ties.
    norms : NormMaker
        Squared lengths of items, for l2 and the cosine.
    bins : Bins, optional
        Of what the metric takes off or divides by; none for the inner product.
    ids : ndarray of shape (N,), int64, optional
        Positions are the ids when left out.
    """

    maker: TableMaker
    metric: Metric
    planes: BytePlanes
    norms: NormMaker
    bins: Bins | None = None
    ids: Int64Array | None = None

    def query_tables(self, queries: Float32Array | Codes) -> QueryTables:
        """Return what the items are compared by, for queries (Q, D) or their codes."""
        if isinstance(queries, Codes):
            return self.maker.of_codes(queries)
        return self.maker.of_vectors(queries, self.planes.n_levels)

    @cached_property
    def terms(self) -> Float32Array | None:
        """What the metric takes off or multiplies by, (N,); made for the twin, then kept."""
        if self.metric == "ip":
            return None
        return norm_terms(self.metric, self.norms.sq_norms(self.planes))
