"""The search by the compiled kernel, or by its NumPy twin where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np

from anybit.codes import Codes
from anybit.errors import DataError
from anybit.search import _reference
from anybit.search._levels import COMPILED, NUMPY, simd_level
from anybit.search._ranking import Ranking
from anybit.types import BoolArray, Float32Array, Int64Array

__all__ = ["Searcher"]

# Of the largest magnitudes of all levels; the kernel has the same limit.
_LARGEST_SUM = 1e37


class Searcher:
    """One code length of an index, ready to be searched by whatever `simd_level` names.

    Parameters
    ----------
    ranking : Ranking
    """

    def __init__(self, ranking: Ranking) -> None:
        self.ranking = ranking
        self._compiled: Any = None if COMPILED is None else _compiled(ranking)

    def best(
        self,
        queries: Float32Array | Codes,
        k: int,
        allowed: BoolArray | None = None,
        n_threads: int = 1,
    ) -> tuple[Int64Array, Float32Array]:
        """Return the ids (Q, k) and scores (Q, k) of the best items of every query.

        Queries are vectors (Q, D), or codes of as many levels as are searched.

        See `anybit.search._reference.best_items`: the answer is the same to the bit.

        Raises
        ------
        DataError
            If a query is not finite, or so large that sums could leave the range of float32.
        """
        level = simd_level()
        n_queries = queries.n_items if isinstance(queries, Codes) else len(queries)
        if level == NUMPY:
            if not isinstance(queries, Codes):
                _check_finite(queries)
            self._check_range(queries)
            return _reference.best_items(self.ranking, queries, k, allowed, n_threads)
        ids = np.empty((n_queries, k), dtype=np.int64)
        scores = np.empty((n_queries, k), dtype=np.float32)
        try:
            if isinstance(queries, Codes):
                pairs = self.ranking.maker.pairs
                parts = (queries.rows(), pairs.products, pairs.offset_products, pairs.sq_offset)
                self._compiled.best_of_codes(*parts, allowed, n_threads, level, ids, scores)
            else:
                self._compiled.best(queries, allowed, n_threads, level, ids, scores)
        except OverflowError as cause:
            self._check_range(queries)
            raise DataError(f"scores must stay in the range of float32: {cause}.") from cause
        except ValueError:
            if not isinstance(queries, Codes):
                _check_finite(queries)
            raise
        return ids, scores

    def _check_range(self, queries: Float32Array | Codes) -> None:
        """Refuse queries whose sums of table entries could leave the range of float32."""
        tables = self.ranking.query_tables(queries).tables  # (Q, L, K)
        with np.errstate(over="ignore"):
            largest = (
                np.abs(tables).max(axis=2).sum(axis=1)
            )  # (Q,); not finite where a table is not
        is_large = ~(largest < _LARGEST_SUM)
        if is_large.any():
            row = int(np.flatnonzero(is_large)[0])
            raise DataError(
                f"inner products of queries with codewords must stay below {_LARGEST_SUM:g}, got "
                f"{largest[row]:g} in query {row}. Scale the vectors down."
            )


def _check_finite(queries: Float32Array) -> None:
    is_finite = np.isfinite(queries).all(axis=1)
    if not is_finite.all():
        row = int(np.flatnonzero(~is_finite)[0])
        raise DataError(f"queries must be finite, got NaN or infinity in query {row}.")


def _compiled(ranking: Ranking) -> Any:
    """Hand a ranking's arrays to the kernel."""
    maker, planes, norms, bins = ranking.maker, ranking.planes, ranking.norms, ranking.bins
    return COMPILED.Ranking(
        blocks=maker.blocks,
        level_scales=maker.level_scales,
        rotation=None if maker.rotation is None else maker.rotation[0],
        offset=maker.offset,
        is_product=maker.is_product,
        planes=planes.values,
        n_levels=planes.n_levels,
        n_codewords=planes.n_codewords,
        metric=ranking.metric,
        ids=ranking.ids,
        codewords=norms.words if bins else None,
        norm_offset=norms.offset if bins else None,
        bins=bins.numbers if bins else None,
        bin_floors=bins.floors if bins else None,
    )
