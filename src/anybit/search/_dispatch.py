"""The search by the compiled kernel, or by its NumPy twin where there is none."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import Any

import numpy as np

from anybit.errors import DataError, OptionError
from anybit.search import _reference
from anybit.search._ranking import Ranking
from anybit.types import BoolArray, Float32Array, Int64Array

__all__ = ["Searcher", "kernel", "simd_level", "simd_levels"]

_log = logging.getLogger(__name__)

NUMPY = "numpy"

# Of the largest magnitudes of all levels; the kernel has the same limit.
_LARGEST_SUM = 1e37


def _loaded() -> Any:
    """Return the compiled module, or None, said once, where it was not built."""
    try:
        return import_module("anybit.search._kernel")
    except ImportError:
        _log.warning(
            "the compiled search kernel is missing: NumPy gives the same answers, several times "
            "slower. Install anybit again where there is a C++ compiler, or from a wheel."
        )
        return None


_kernel = _loaded()


_LEVELS = (*(_kernel.simd_levels() if _kernel is not None else ()), NUMPY)


def simd_levels() -> list[str]:
    """Return what can scan here, fastest first; the last is always ``numpy``."""
    return list(_LEVELS)


def simd_level() -> str:
    """Return what scans: the fastest, or what the environment variable ANYBIT_SIMD names.

    Raises
    ------
    OptionError
        If this processor cannot run the named one.
    """
    named = os.environ.get("ANYBIT_SIMD") or _LEVELS[0]
    if named not in _LEVELS:
        raise OptionError(f"ANYBIT_SIMD must be one of {', '.join(_LEVELS)} here, got {named}.")
    return named


def kernel() -> Any | None:
    """Return the compiled module, or None where NumPy does its work (see `simd_level`)."""
    return None if simd_level() == NUMPY else _kernel


class Searcher:
    """One code length of an index, ready to be searched by whatever `simd_level` names.

    Parameters
    ----------
    ranking : Ranking
    """

    def __init__(self, ranking: Ranking) -> None:
        self.ranking = ranking
        self._compiled: Any = None if _kernel is None else _compiled(ranking)

    def best(
        self,
        queries: Float32Array,
        k: int,
        allowed: BoolArray | None = None,
        n_threads: int = 1,
    ) -> tuple[Int64Array, Float32Array]:
        """Return the ids (Q, k) and scores (Q, k) of the best items of every query (Q, D).

        See `anybit.search._reference.best_items`: the answer is the same to the bit.

        Raises
        ------
        DataError
            If a query is not finite, or so large that sums could leave the range of float32.
        """
        level = simd_level()
        if level == NUMPY:
            _check_finite(queries)
            self._check_range(queries)
            return _reference.best_items(self.ranking, queries, k, allowed, n_threads)
        ids = np.empty((len(queries), k), dtype=np.int64)
        scores = np.empty((len(queries), k), dtype=np.float32)
        try:
            self._compiled.best(queries, allowed, n_threads, level, ids, scores)
        except OverflowError as cause:
            self._check_range(queries)
            raise DataError(f"scores must stay in the range of float32: {cause}.") from cause
        except ValueError:
            _check_finite(queries)
            raise
        return ids, scores

    def _check_range(self, queries: Float32Array) -> None:
        """Refuse queries (Q, D) whose sums of table entries could leave the range of float32."""
        ranking = self.ranking
        tables = ranking.maker.tables(queries, ranking.planes.n_levels)  # (Q, L, K)
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
    return _kernel.Ranking(
        blocks=maker.blocks,
        level_scales=maker.level_scales,
        rotation=None if maker.rotation is None else maker.rotation[0],
        offset=ranking.offset,
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
