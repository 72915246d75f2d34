"""Scores of one query for every prefix length, each computed from the one before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anybit.codes import Codes
from anybit.types import Float32Array

__all__ = ["LevelSums"]

# Position arrays as intp save np.take a conversion per call; above this they stay as they are.
_INDEX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class _Level:
    """How the sums of one level follow from the level before."""

    parents: NDArray[Any] | None  # (U,) entry of the level before; None when it is the same item
    codes: NDArray[Any]  # (U,) code at this level
    nodes: NDArray[Any] | None  # (N,) entry of each item; None when entry i is item i


class LevelSums:
    """The sum of look-up entries of every item, level after level.

    Items with the same prefix have the same sum, so each distinct prefix is summed once while
    there are fewer of them than half the items. The sum is exact: float32, level 0 first, the
    same as the plain loop ``total += lut[level][codes[level]]``.

    Parameters
    ----------
    codes : Codes
        Codes of the database.
    n_levels : int
        Levels that are needed.
    """

    def __init__(self, codes: Codes, n_levels: int) -> None:
        n_items = codes.n_items
        small = n_items * n_levels * 8 <= _INDEX_BYTES
        self._n_items = n_items
        self._levels: list[_Level] = []
        nodes: NDArray[Any] | None = np.zeros(n_items, dtype=np.int64)
        for plane in codes.planes[:n_levels]:
            codes_here = plane.astype(np.intp) if small else plane
            if nodes is None:
                self._levels.append(_Level(None, codes_here, None))
                continue
            joint = nodes * codes.n_codewords + plane  # (N,)
            distinct, entry = np.unique(joint, return_inverse=True)
            if 2 * len(distinct) > n_items:
                self._levels.append(_Level(nodes, codes_here, None))
                nodes = None
                continue
            parents, chosen = np.divmod(distinct, codes.n_codewords)
            nodes = entry.reshape(-1).astype(np.intp)
            self._levels.append(_Level(parents, chosen, nodes))

    def sums(self, lut: Float32Array, out: Float32Array) -> Iterator[int]:
        """Fill `out` (N,) with the sums of 1, 2, ... levels; yield the number of levels each time.

        Parameters
        ----------
        lut : ndarray of shape (L, K), float32
            Look-up table of one query.
        out : ndarray of shape (N,), float32
            Holds the result at each yield; the caller may change it in between.
        """
        total = np.zeros(1, dtype=np.float32)  # (1,) the empty prefix
        entries = np.empty(self._n_items, dtype=np.float32)
        for number, (level, row) in enumerate(zip(self._levels, lut, strict=True), start=1):
            added = entries[: len(level.codes)]
            np.take(row, level.codes, out=added, mode="clip")
            if level.parents is not None:
                total = np.take(total, level.parents, mode="clip")  # (U,)
            total += added
            if level.nodes is None:
                out[:] = total
            else:
                np.take(total, level.nodes, out=out, mode="clip")
            yield number
