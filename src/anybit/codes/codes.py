"""The stored form of items: one small number per level, level plane after level plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybit.errors import DTypeError, OptionError, ShapeError
from anybit.types import Int64Array, UInt8Array

__all__ = ["MOST_LEVELS", "Codes", "bits_per_level", "levels_of_bits"]

# Levels of a code, at most; the search kernel has the same limit.
MOST_LEVELS = 1024
# More code lengths than these are not listed one by one.
_MANY_LENGTHS = 32


def bits_per_level(n_codewords: int) -> int:
    """Return log2 of the number of codewords.

    Parameters
    ----------
    n_codewords : int
        Codewords of one level: a power of two from 2 to 256.

    Returns
    -------
    int
        Bits of one code, 1 to 8.

    Raises
    ------
    OptionError
        If `n_codewords` is not a power of two from 2 to 256.
    """
    if not 2 <= n_codewords <= 256 or n_codewords & (n_codewords - 1):
        raise OptionError(
            f"the number of codewords must be a power of two from 2 to 256, got {n_codewords}. "
            "Use 16 (4 bits per level) or 256 (8 bits per level)."
        )
    return n_codewords.bit_length() - 1


def levels_of_bits(bits: int, n_codewords: int, n_levels: int) -> int:
    """Return how many levels make a code of `bits` bits, or raise OptionError."""
    step = bits_per_level(n_codewords)
    if bits <= 0 or bits % step or bits // step > n_levels:
        lengths = [str(step * (level + 1)) for level in range(n_levels)]
        if n_levels > _MANY_LENGTHS:
            lengths[2:-1] = ["..."]
        raise OptionError(f"bits must be one of {', '.join(lengths)}, got {bits}.")
    return bits // step


@dataclass(frozen=True)
class Codes:
    """Codes of N items as level planes.

    Parameters
    ----------
    planes : ndarray of shape (M, N), uint8
        ``planes[m, i]`` is the codeword number of item i at level m; level 0 is the coarsest.
    n_codewords : int
        Codewords of a level, a power of two from 2 to 256; every code is below it.

    Raises
    ------
    ShapeError
        If `planes` is not two-dimensional, or has no level or more than 1,024.
    DTypeError
        If `planes` is not uint8.
    OptionError
        If `n_codewords` is no power of two up to 256, or a code is not below it.

    Examples
    --------
    >>> codes = Codes.from_rows(np.array([[3, 1], [0, 2]], dtype=np.uint8), n_codewords=4)
    >>> codes.planes
    array([[3, 0],
           [1, 2]], dtype=uint8)
    >>> codes.bits, codes.cut(2).planes.tolist()
    (4, [[3, 0]])
    """

    planes: UInt8Array
    n_codewords: int = 256

    def __post_init__(self) -> None:
        bits_per_level(self.n_codewords)
        if not isinstance(self.planes, np.ndarray) or self.planes.dtype != np.uint8:
            got = getattr(self.planes, "dtype", type(self.planes).__name__)
            raise DTypeError(f"code planes must be a uint8 array, got {got}.")
        if self.planes.ndim != 2 or self.planes.shape[0] == 0:
            raise ShapeError(
                "code planes must have shape (M, N) with at least one level, "
                f"got {self.planes.shape}. For rows (N, M) use Codes.from_rows."
            )
        if len(self.planes) > MOST_LEVELS:
            raise ShapeError(
                f"codes must have at most {MOST_LEVELS} levels, got {len(self.planes)}. "
                "Use more codewords and fewer levels."
            )
        if self.n_codewords < 256 and self.planes.size and self.planes.max() >= self.n_codewords:
            raise OptionError(
                f"every code must be below n_codewords = {self.n_codewords}, "
                f"got {int(self.planes.max())}."
            )

    @classmethod
    def from_rows(cls, rows: UInt8Array, n_codewords: int = 256) -> Codes:
        """Make codes from one row per item, shape (N, M), uint8."""
        if rows.ndim != 2:
            raise ShapeError(f"code rows must have shape (N, M), got {rows.shape}.")
        return cls(np.ascontiguousarray(rows.T), n_codewords)

    @property
    def n_levels(self) -> int:
        """Number of levels M."""
        return int(self.planes.shape[0])

    @property
    def n_items(self) -> int:
        """Number of items N."""
        return int(self.planes.shape[1])

    @property
    def bits(self) -> int:
        """Bits of one item's code: levels times log2 of the codewords."""
        return self.n_levels * bits_per_level(self.n_codewords)

    @property
    def code_bytes(self) -> int:
        """Bytes of one item's code when packed, rounded up."""
        return (self.bits + 7) // 8

    def __len__(self) -> int:
        return self.n_items

    def rows(self) -> UInt8Array:
        """Return the codes item by item, shape (N, M), uint8 (a copy)."""
        return np.ascontiguousarray(self.planes.T)

    def cut(self, bits: int) -> Codes:
        """Return the codes cut to `bits` bits: a view of the first levels.

        Raises
        ------
        OptionError
            If `bits` is not a multiple of the bits of a level, or longer than the codes.
        """
        return self.cut_levels(levels_of_bits(bits, self.n_codewords, self.n_levels))

    def cut_levels(self, n_levels: int) -> Codes:
        """Return the codes cut to their first `n_levels` levels (a view)."""
        if not 1 <= n_levels <= self.n_levels:
            raise OptionError(f"n_levels must be from 1 to {self.n_levels}, got {n_levels}.")
        return Codes(self.planes[:n_levels], self.n_codewords)

    def take(self, positions: Int64Array) -> Codes:
        """Return the codes of some items, in the order of `positions` (n,)."""
        return Codes(np.ascontiguousarray(self.planes[:, positions]), self.n_codewords)

    def pack(self) -> UInt8Array:
        """Pack each item's code into ``code_bytes`` bytes.

        Returns
        -------
        ndarray of shape (N, code_bytes), uint8
            Level 0 first; the most significant bit of a code comes first; unused low bits of the
            last byte are zero.
        """
        step = bits_per_level(self.n_codewords)
        if step == 8:
            return self.rows()
        shifts = np.arange(step - 1, -1, -1, dtype=np.uint8)
        bit_rows = (self.planes.T[:, :, None] >> shifts) & np.uint8(1)  # (N, M, step)
        return np.packbits(bit_rows.reshape(self.n_items, self.bits), axis=1)

    @classmethod
    def unpack(cls, packed: UInt8Array, n_levels: int, n_codewords: int = 256) -> Codes:
        """Undo `pack`.

        Parameters
        ----------
        packed : ndarray of shape (N, code_bytes), uint8
        n_levels : int
        n_codewords : int

        Raises
        ------
        ShapeError
            If the rows have another number of bytes than the code needs.
        """
        step = bits_per_level(n_codewords)
        code_bytes = (n_levels * step + 7) // 8
        if packed.ndim != 2 or packed.shape[1] != code_bytes:
            raise ShapeError(
                f"packed codes of {n_levels} levels of {n_codewords} must have shape "
                f"(N, {code_bytes}), got {packed.shape}."
            )
        if step == 8:
            return cls.from_rows(packed, n_codewords)
        bit_rows = np.unpackbits(packed, axis=1, count=n_levels * step)
        bit_rows = bit_rows.reshape(len(packed), n_levels, step)  # (N, M, step)
        weights = (1 << np.arange(step - 1, -1, -1)).astype(np.uint8)
        return cls.from_rows((bit_rows * weights).sum(axis=2, dtype=np.uint8), n_codewords)
