"""What all sources of vectors have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anybit.data.bad_items import BadItems
from anybit.data.preprocess import Preprocessor
from anybit.data.sources.base import Batch, Source
from anybit.data.sources.item_ids import content_digest
from anybit.errors import DataError
from anybit.types import Float32Array, Int64Array

__all__ = ["VectorSource"]


class VectorSource(Source):
    """Base of all sources of vectors."""

    kind = "vectors"

    @abstractmethod
    def _rows(self, positions: Int64Array | slice) -> NDArray[Any]:
        """Vectors as stored, any float or integer type, shape (n, D)."""

    def vectors(self, start: int = 0, stop: int | None = None) -> Float32Array:
        """Return the vectors from `start` up to, not including, `stop`.

        Returns
        -------
        ndarray of shape (n, D), float32

        Raises
        ------
        DataError
            If a value is NaN or infinite; names the first rows.
        """
        start, stop, _ = slice(start, stop).indices(len(self))
        stop = max(start, stop)
        rows = _to_float32(self._rows(slice(start, stop)))
        _check_finite(rows, np.arange(start, stop, dtype=np.int64))
        return rows

    def content(self, positions: Int64Array) -> Iterator[bytes]:
        """Yield the bytes of vectors, as float32."""
        for row in _to_float32(self._rows(positions)):
            yield row.tobytes()

    def digests(self, positions: Int64Array) -> Iterator[bytes | None]:
        """Yield the digests of vectors."""
        return map(content_digest, self.content(positions))

    def take(self, positions: ArrayLike) -> Source:
        """Return a source of some of the vectors, in the order of `positions`."""
        return _VectorSubset(self, self._positions(positions))

    def _batch(
        self, positions: Int64Array, preprocessor: Preprocessor | None, bad_items: BadItems | None
    ) -> Batch:
        """Read one batch of vectors; consecutive positions are read as a slice."""
        values = _to_float32(self._rows(_as_slice(positions)))
        is_ok = np.asarray(np.isfinite(values).all(axis=1))
        if not is_ok.all():
            if bad_items is None:
                _check_finite(values, positions)
            else:
                for row in np.flatnonzero(~is_ok).tolist():
                    position = int(positions[row])
                    bad_items.add(position, self.key_of(position), "NaN or infinite values.")
            values[~is_ok] = 0.0
        return Batch(positions, values, is_ok)


class _VectorSubset(VectorSource):
    """Some vectors of another source."""

    def __init__(self, whole: VectorSource, positions: Int64Array) -> None:
        super().__init__(whole.items.take(positions), whole._found)
        self._whole, self._at = whole, positions

    @property
    def dim(self) -> int:
        return self._whole.dim

    def _rows(self, positions: Int64Array | slice) -> NDArray[Any]:
        return self._whole._rows(_as_slice(self._at[positions]))


def _as_slice(positions: Int64Array) -> Int64Array | slice:
    """Return consecutive positions as a slice, which is read faster."""
    if len(positions) == 0 or (np.diff(positions) != 1).any():
        return positions
    return slice(int(positions[0]), int(positions[-1]) + 1)


def _to_float32(rows: NDArray[Any]) -> Float32Array:
    """Copy to float32; a float64 too large becomes infinite and is refused later."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(rows, dtype=np.float32, order="C")  # (n, D)


def _check_finite(rows: Float32Array, positions: Int64Array) -> None:
    """Raise DataError naming the first rows that are not finite."""
    is_finite = np.isfinite(rows)
    is_bad = ~is_finite.all(axis=1)
    if is_bad.any():
        empty = np.flatnonzero(~is_finite.any(axis=0))
        if len(rows) > 1 and len(empty):
            shown = ", ".join(map(str, empty[:5].tolist()))
            raise DataError(
                f"vectors must be finite in float32, got NaN or infinity in all {len(rows)} rows "
                f"of {len(empty)} columns; the first: {shown}. Leave these columns out."
            )
        shown = ", ".join(str(number) for number in positions[is_bad][:5])
        raise DataError(
            f"vectors must be finite in float32, got NaN or infinity in {int(is_bad.sum())} "
            f"rows; the first: {shown}. Remove or repair these rows."
        )
