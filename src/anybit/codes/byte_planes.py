"""Codes as planes of bytes: several short codes of an item share a byte."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybit.codes.codes import MOST_LEVELS, Codes, bits_per_level
from anybit.errors import DTypeError, OptionError, ShapeError
from anybit.types import Int64Array, UInt8Array

__all__ = ["BytePlanes", "levels_per_byte"]


@dataclass(frozen=True, eq=False)
class BytePlanes:
    """The codes of N items, a byte for 8, 4, 2 or 1 levels of up to 2, 4, 16 or 256 codewords.

    Level m lies in plane ``m // levels_per_byte``, the first level of a byte in its lowest bits, so
    that a shorter code reads fewer planes.

    Parameters
    ----------
    values : ndarray of shape (P, N), uint8
        With more than 16 codewords the level planes themselves, not copied. May be a read-only
        memory map, which several processes share.
    n_levels : int
    n_codewords : int

    Raises
    ------
    ShapeError
        If the values are not (P, N) with a plane for every 8, 4, 2 or 1 levels.
    DTypeError
        If they are not uint8.
    OptionError
        If the number of codewords is no power of two up to 256, or a code is not below it.

    Examples
    --------
    >>> codes = Codes(np.array([[3], [2], [1]], dtype=np.uint8), n_codewords=16)
    >>> BytePlanes.of(codes).values.tolist()  # 3 + 16 * 2, and 1
    [[35], [1]]
    """

    values: UInt8Array
    n_levels: int
    n_codewords: int

    def __post_init__(self) -> None:
        width = _code_width(self.n_codewords)
        if not isinstance(self.values, np.ndarray) or self.values.dtype != np.uint8:
            got = getattr(self.values, "dtype", type(self.values).__name__)
            raise DTypeError(f"byte planes must be a uint8 array, got {got}.")
        n_planes = -(-self.n_levels * width // 8)
        if self.n_levels > MOST_LEVELS:
            raise ShapeError(f"codes must have at most {MOST_LEVELS} levels, got {self.n_levels}.")
        if self.n_levels < 1 or self.values.ndim != 2 or len(self.values) != n_planes:
            raise ShapeError(
                f"byte planes of {self.n_levels} levels of {self.n_codewords} codewords must have "
                f"shape ({max(n_planes, 1)}, N), got {self.values.shape}."
            )
        if self.n_codewords < 1 << width and self.values.size:
            for level in range(self.n_levels):
                if self.level(level).max() >= self.n_codewords:
                    raise OptionError(
                        f"every code must be below n_codewords = {self.n_codewords}, "
                        f"got {int(self.level(level).max())}."
                    )

    @classmethod
    def of(cls, codes: Codes) -> BytePlanes:
        """Put the codes of several levels into each byte, where they fit."""
        planes, width = codes.planes, _code_width(codes.n_codewords)
        if width == 8:
            return cls(planes, codes.n_levels, codes.n_codewords)
        per_byte = 8 // width
        values = planes[::per_byte].copy()  # (P, N)
        for within in range(1, per_byte):
            rows = planes[within::per_byte]
            values[: len(rows)] |= rows << np.uint8(within * width)
        return cls(values, codes.n_levels, codes.n_codewords)

    @property
    def n_items(self) -> int:
        """Number of items N."""
        return int(self.values.shape[1])

    @property
    def bits(self) -> int:
        """Bits of an item's code."""
        return self.n_levels * bits_per_level(self.n_codewords)

    def cut_levels(self, n_levels: int) -> BytePlanes:
        """Return the first levels (a view)."""
        n_planes = -(-n_levels * _code_width(self.n_codewords) // 8)
        return BytePlanes(self.values[:n_planes], n_levels, self.n_codewords)

    def take(self, positions: Int64Array) -> BytePlanes:
        """Return the codes of some items, in the order of `positions` (n,)."""
        values = np.ascontiguousarray(self.values[:, positions])
        return BytePlanes(values, self.n_levels, self.n_codewords)

    def level(self, level: int, items: slice = slice(None)) -> UInt8Array:
        """Return the codes (n,) of some items at one level."""
        width = _code_width(self.n_codewords)
        plane, within = divmod(level, 8 // width)
        values = self.values[plane, items]
        if width == 8:
            return values
        return (values >> np.uint8(within * width)) & np.uint8((1 << width) - 1)

    def block(self, items: slice) -> Int64Array:
        """Return the codes of some items at all levels, (L, n), int64."""
        return np.stack([self.level(m, items) for m in range(self.n_levels)]).astype(np.int64)

    def codes(self) -> Codes:
        """Undo `of`."""
        if _code_width(self.n_codewords) == 8:
            return Codes(self.values, self.n_codewords)
        planes = np.stack([self.level(m) for m in range(self.n_levels)])
        return Codes(planes, self.n_codewords)


def levels_per_byte(n_codewords: int) -> int:
    """Return how many levels `BytePlanes` packs into a byte: 8, 4, 2 or 1."""
    return 8 // _code_width(n_codewords)


def _code_width(n_codewords: int) -> int:
    """Return the bits that a code takes up: 1, 2, 4 or 8."""
    bits = bits_per_level(n_codewords)
    return next(width for width in (1, 2, 4, 8) if bits <= width)
