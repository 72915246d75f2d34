"""Order items by score: larger first, ties to the lower position."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anybit.errors import DataError, DTypeError, ShapeError
from anybit.types import Float32Array, Int64Array

if TYPE_CHECKING:
    from anybit.data import Labels

__all__ = ["LabelMasks", "Ranker", "rank_positions"]

# Which 32-bit half of a uint64 sorts first.
_HIGH, _LOW = (1, 0) if sys.byteorder == "little" else (0, 1)
_MASK_BLOCK_ROWS = 8192


class LabelMasks:
    """Class labels of items as bits, so that shared labels are counted with one AND.

    Parameters
    ----------
    labels : Labels
        Any labels; an item without a label is relevant to nothing.
    """

    def __init__(self, labels: Labels) -> None:
        n_words = max(1, -(-labels.n_classes // 64))
        self.words = np.zeros((n_words, len(labels)), dtype=np.uint64)  # (W, N)
        for start in range(0, len(labels), _MASK_BLOCK_ROWS):
            stop = min(start + _MASK_BLOCK_ROWS, len(labels))
            rows = np.arange(start, stop, dtype=np.int64)
            padded = np.zeros((stop - start, 64 * n_words), dtype=np.bool_)
            padded[:, : labels.n_classes] = labels.multi_hot(rows)
            packed = np.packbits(padded, axis=1, bitorder="little").view("<u8")  # (n, W)
            self.words[:, start:stop] = packed.T

    def __len__(self) -> int:
        return int(self.words.shape[1])

    def label_counts(self) -> Int64Array:
        """Return the number of labels of each item, (N,)."""
        return np.asarray(np.bitwise_count(self.words).sum(axis=0, dtype=np.int64))

    def shared_with(self, mask: Sequence[int] | NDArray[np.uint64]) -> NDArray[np.uint32]:
        """Return how many labels each item shares with a query's mask (W,); shape (N,)."""
        shared = np.zeros(len(self), dtype=np.uint32)
        for words, bits in zip(self.words, np.asarray(mask, dtype=np.uint64), strict=True):
            if bits:
                shared += np.bitwise_count(words & bits)
        return shared


class Ranker:
    """Sort the items of one query after another, in buffers that are used again.

    The sort key is the score (turned round so that the largest comes first), then the position,
    then the item's gain, in one uint64: NumPy's vectorised sort of plain integers is several
    times faster than an argsort, and the gains come out already in rank order.

    Parameters
    ----------
    n_items : int
        Items of the database.
    max_gain : int
        The largest gain that any item can have.
    """

    def __init__(self, n_items: int, max_gain: int = 1) -> None:
        self._gain_bits = max(1, int(max_gain).bit_length())
        if max(n_items - 1, 0).bit_length() + self._gain_bits > 32:
            raise ShapeError(
                f"ranking needs at most {2 ** (32 - self._gain_bits)} items when an item can share "
                f"{max_gain} labels, got {n_items}. Evaluate against a sample of the database."
            )
        # Signed, because NumPy sorts int64 a third faster than uint64 where there is no AVX-512.
        self._keys = np.empty(n_items, dtype=np.int64)
        self._halves = self._keys.view(np.uint32).reshape(n_items, 2)
        self._bits = np.empty(n_items, dtype=np.int32)
        self._gains = np.empty(n_items, dtype=np.uint32)
        self._flags = np.empty(n_items + 1, dtype=np.bool_)
        self._edges = np.empty(n_items, dtype=np.bool_)
        self._positions = np.arange(n_items, dtype=np.uint32) << np.uint32(self._gain_bits)

    def low_keys(self, gains: NDArray[Any] | None = None) -> NDArray[np.uint32]:
        """Return position and gain of every item as the low half of its sort key, (N,)."""
        if gains is None:
            return self._positions
        return self._positions | gains.astype(np.uint32)

    def sort(self, scores: Float32Array, low_keys: NDArray[np.uint32]) -> None:
        """Rank the items by `scores` (N,), larger first; `scores` may be changed (-0 becomes 0)."""
        np.add(scores, np.float32(0), out=scores)
        score_bits = scores.view(np.int32)
        # The bits of a positive float sort like the float, those of a negative one the other way
        # round: turn those, then turn all, and the signed order is the descending one.
        np.right_shift(score_bits, 31, out=self._bits)
        np.bitwise_and(self._bits, np.int32(0x7FFFFFFF), out=self._bits)
        np.bitwise_xor(self._bits, score_bits, out=self._bits)
        np.invert(self._bits, out=self._bits)
        self._halves[:, _HIGH] = self._bits.view(np.uint32)
        self._halves[:, _LOW] = low_keys
        self._keys.sort()

    def hits(self) -> tuple[Int64Array, Int64Array]:
        """Return the ranks (from 1) and the gains of the items with a gain, best rank first."""
        mask = np.uint32((1 << self._gain_bits) - 1)
        np.bitwise_and(self._halves[:, _LOW], mask, out=self._gains)
        is_hit = np.not_equal(self._gains, 0, out=self._edges)
        found = np.flatnonzero(is_hit)
        return found + 1, self._gains[found].astype(np.int64)

    def tied_groups(self) -> tuple[Int64Array, Int64Array]:
        """Return the groups of two or more equal scores, best rank first.

        Returns
        -------
        before : ndarray of shape (G,), int64
            Number of items ranked before the group.
        sizes : ndarray of shape (G,), int64
            Number of items in the group.
        """
        # A run of "same score as the item before" is a group; edges are where runs begin or end.
        np.copyto(self._bits.view(np.uint32), self._halves[:, _HIGH])
        same = self._flags
        same[0] = same[-1] = False
        np.equal(self._bits[1:], self._bits[:-1], out=same[1:-1])
        np.not_equal(same[1:], same[:-1], out=self._edges)
        edges = np.flatnonzero(self._edges).reshape(-1, 2)  # (G, 2)
        return edges[:, 0], edges[:, 1] - edges[:, 0] + 1

    def positions(self, top_k: int | None = None) -> Int64Array:
        """Return the positions of the items in rank order, the first `top_k` of them."""
        return (self._halves[:top_k, _LOW] >> np.uint32(self._gain_bits)).astype(np.int64)


def rank_positions(scores: Float32Array, top_k: int | None = None) -> Int64Array:
    """Order items by score, larger first, ties to the lower position.

    Parameters
    ----------
    scores : ndarray of shape (Q, N), float32
        Larger is closer.
    top_k : int, optional
        Return only the first `top_k` positions of each query.

    Returns
    -------
    ndarray of shape (Q, N) or (Q, top_k), int64

    Raises
    ------
    ShapeError
        If `scores` does not have shape (Q, N).
    DTypeError
        If `scores` is not float32.
    DataError
        If a score is NaN.

    Examples
    --------
    >>> rank_positions(np.array([[1, 3, 2, 3]], dtype=np.float32))
    array([[1, 3, 2, 0]])
    """
    scores = np.asarray(scores)
    if scores.ndim != 2:
        raise ShapeError(f"scores must have shape (Q, N), got {scores.shape}.")
    if scores.dtype != np.float32:
        raise DTypeError(f"scores must be float32, got {scores.dtype}. Convert with .astype.")
    if np.isnan(scores).any():
        raise DataError("scores must not be NaN, got at least one. Repair the vectors.")
    ranker = Ranker(scores.shape[1])
    width = scores.shape[1] if top_k is None else min(top_k, scores.shape[1])
    order = np.empty((len(scores), width), dtype=np.int64)  # (Q, k)
    for query, row in enumerate(scores):
        ranker.sort(row.copy(), ranker.low_keys())
        order[query] = ranker.positions(width)
    return order
