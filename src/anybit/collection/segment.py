"""Some rows of a store in memory: codes in the order of ids, and where they lie in the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from anybit.codes import BytePlanes, Codebooks
from anybit.search import Index
from anybit.types import BoolArray, Int64Array

__all__ = ["Addresses", "Segment", "by_fragment", "rows_of"]

# Number of the fragment, times 2^32, plus the row's number in it.
Addresses: TypeAlias = NDArray[np.uint64]
_FRAGMENT_BITS = np.uint64(32)
_ROW_MASK = np.uint64(2**32 - 1)


class Segment:
    """The rows of some fragments; codes never change, rows are only masked.

    Parameters
    ----------
    codebooks : Codebooks
    ids : ndarray of shape (n,), int64
        Ascending.
    planes : BytePlanes
        Of n items.
    addresses : ndarray of shape (n,), uint64
    fragments : set of int
        Whose rows these are.
    """

    def __init__(
        self,
        codebooks: Codebooks,
        ids: Int64Array,
        planes: BytePlanes,
        addresses: Addresses,
        fragments: set[int],
    ) -> None:
        self.index = Index(codebooks, planes, ids)
        self.ids, self.planes, self.addresses = ids, planes, addresses
        self.fragments = fragments
        self.alive: BoolArray = np.ones(len(ids), dtype=np.bool_)
        self.n_dead = 0
        self._positions: dict[int, Int64Array] | None = None

    @classmethod
    def sorted(
        cls,
        codebooks: Codebooks,
        ids: Int64Array,
        planes: BytePlanes,
        addresses: Addresses,
        fragments: set[int],
    ) -> Segment:
        """Make a segment of rows in any order."""
        if not (ids[1:] > ids[:-1]).all():
            order = np.argsort(ids, kind="stable")
            ids, planes, addresses = ids[order], planes.take(order), addresses[order]
        return cls(codebooks, ids, planes, addresses, fragments)

    def __len__(self) -> int:
        return len(self.ids)

    def positions(self, fragment: int) -> Int64Array:
        """Return where each row of a fragment stands here, or -1."""
        if self._positions is None:  # only deletions and conditions ask
            self._positions = {}
            for number, rows, stands in by_fragment(self.addresses):
                self._positions[number] = np.full(int(rows.max()) + 1, -1, dtype=np.int64)
                self._positions[number][rows] = stands
        return self._positions.get(fragment, np.empty(0, dtype=np.int64))

    def others(self, fragment: int, rows: Int64Array) -> Int64Array | None:
        """Return where a fragment's rows beside these stand; None if these are not all here."""
        positions = self.positions(fragment)
        if len(rows) and (
            int(rows.max()) >= len(positions)
            or (positions[rows] < 0).any()
            or not self.alive[positions[rows]].all()
        ):
            return None
        is_kept = np.zeros(len(positions), dtype=np.bool_)
        is_kept[rows] = True
        return positions[(positions >= 0) & ~is_kept]

    def find(self, ids: Int64Array, mask: BoolArray | None) -> Int64Array:
        """Return where the rows of a mask (None: all) with these ids (n,) stand, or -1."""
        if len(self) == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        stands = np.minimum(np.searchsorted(self.ids, ids), len(self) - 1)
        is_here = self.ids[stands] == ids
        return np.where(is_here if mask is None else is_here & mask[stands], stands, -1)

    def drop(self, fragment: int) -> None:
        """Mask all rows of a fragment: it is gone, or read anew."""
        positions = self.positions(fragment)
        self.kill(positions[positions >= 0])
        self.fragments.discard(fragment)

    def kill(self, positions: Int64Array) -> None:
        """Mask rows, given by where they stand."""
        self.n_dead += int(np.count_nonzero(self.alive[positions]))
        self.alive[positions] = False

    def mask(self, rows: dict[int, Int64Array]) -> BoolArray:
        """Return a mask (n,) of some rows, given by fragment."""
        found = np.zeros(len(self), dtype=np.bool_)
        for fragment in self.fragments & rows.keys():
            found[self.positions(fragment)[rows[fragment]]] = True
        return found


def rows_of(addresses: Addresses) -> Int64Array:
    """Return the numbers of rows within their fragments."""
    return (addresses & _ROW_MASK).astype(np.int64)


def by_fragment(addresses: Addresses) -> Iterator[tuple[int, Int64Array, Int64Array]]:
    """Yield, for each fragment of addresses (n,), its number, its rows and where those stand."""
    fragments = (addresses >> _FRAGMENT_BITS).astype(np.int64)
    rows = rows_of(addresses)
    order = np.argsort(fragments, kind="stable")
    starts = np.flatnonzero(np.diff(fragments[order], prepend=-1))
    for stands in np.split(order, starts[1:]) if len(order) else []:
        yield int(fragments[stands[0]]), rows[stands], stands
