"""Columns that hold the codes: with up to 16 codewords, one column holds several levels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from anybit.codes import BytePlanes, Codes, levels_per_byte
from anybit.types import UInt8Array

__all__ = [
    "CodeColumn",
    "columns_of_levels",
    "is_level_column",
    "level_columns",
    "stored_columns",
    "unpacked",
]

_LEVEL_PREFIX = "level_"


def level_columns(n_levels: int) -> list[str]:
    """Return the names of the levels, coarsest first."""
    return [_name_of(level) for level in range(n_levels)]


def _name_of(level: int) -> str:
    return f"{_LEVEL_PREFIX}{level:02d}"


def is_level_column(name: str) -> bool:
    """Tell whether a column holds the codes of a level."""
    number = name.removeprefix(_LEVEL_PREFIX)
    return number != name and number.isascii() and number.isdecimal()


@dataclass(frozen=True)
class CodeColumn:
    """A stored column of codes, uint8.

    Parameters
    ----------
    first_level : int
        It names the column.
    n_levels : int
        Packed into its bytes as `BytePlanes` does, the first level in the lowest bits.
    n_codewords : int
    """

    first_level: int
    n_levels: int
    n_codewords: int

    @property
    def name(self) -> str:
        """Name of the column."""
        return _name_of(self.first_level)

    @property
    def levels(self) -> range:
        """The levels that it holds."""
        return range(self.first_level, self.first_level + self.n_levels)

    @property
    def field(self) -> pa.Field:
        """Name and type."""
        return pa.field(self.name, pa.uint8(), nullable=False)

    def pack(self, planes: UInt8Array) -> UInt8Array:
        """Return the bytes (n,) of its levels' planes (n_levels, n)."""
        packed: UInt8Array = BytePlanes.of(Codes(planes, self.n_codewords)).values[0]
        return packed

    def unpack(self, values: UInt8Array) -> UInt8Array:
        """Return the planes (n_levels, n) of its bytes (n,)."""
        if self.n_levels == 1:
            return values[None]  # (1, n)
        bits = 8 // levels_per_byte(self.n_codewords)
        shifts = np.arange(self.n_levels, dtype=np.uint8)[:, None] * np.uint8(bits)
        return (values >> shifts) & np.uint8((1 << bits) - 1)  # (n_levels, n)


def columns_of_levels(levels: range, n_codewords: int) -> list[CodeColumn]:
    """Return the columns in which new levels are stored."""
    per_column = levels_per_byte(n_codewords)
    return [
        CodeColumn(first, min(per_column, levels.stop - first), n_codewords)
        for first in range(levels.start, levels.stop, per_column)
    ]


def stored_columns(
    names: Iterable[str], n_codewords: int, n_levels: int | None
) -> list[CodeColumn]:
    """Return the code columns among the columns of a schema; none if they do not fit.

    Parameters
    ----------
    names : iterable of str
        All columns.
    n_codewords : int
    n_levels : int or None
        Levels that the columns must hold; columns of later levels, which an interrupted extension
        has left, are ignored. None: one level a column, as in format versions 1 and 2.
    """
    found = {name for name in names if is_level_column(name)}
    firsts = sorted(int(name.removeprefix(_LEVEL_PREFIX)) for name in found)
    if n_levels is None:
        n_levels, most = len(firsts), 1
    else:
        firsts, most = [one for one in firsts if one < n_levels], levels_per_byte(n_codewords)
    counts = np.diff([*firsts, n_levels]).tolist()
    is_complete = found.issuperset(map(_name_of, firsts)) and firsts[:1] == [0]
    if not is_complete or not all(1 <= count <= most for count in counts):
        return []
    return [CodeColumn(*one, n_codewords) for one in zip(firsts, counts, strict=True)]


def unpacked(table: pa.Table, columns: Sequence[CodeColumn]) -> dict[str, UInt8Array]:
    """Return the codes of each level of some stored columns, by the level's name."""
    planes: dict[str, UInt8Array] = {}
    for column in columns:
        values = table[column.name].to_numpy()
        planes.update(zip(map(_name_of, column.levels), column.unpack(values), strict=True))
    return planes
