"""Queries as they are compared with items: raw, or by their own codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybit.codes import Codebooks, Codes
from anybit.errors import DTypeError, OptionError, ShapeError
from anybit.search._tables import TableMaker
from anybit.types import COMPARISONS, Comparison, Float32Array

__all__ = ["CodedQueries", "RawQueries", "prepare_queries"]


@dataclass(frozen=True, eq=False)
class RawQueries:
    """Queries compared as they are: asymmetric quantizer distance (AQD).

    Parameters
    ----------
    codebooks : Codebooks
    vectors : ndarray of shape (Q, D), float32
    comparison : {"aqd"}
    """

    codebooks: Codebooks
    vectors: Float32Array
    comparison: Comparison = "aqd"

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def shares_tables(self) -> bool:
        """Whether the tables of fewer levels are the first ones of those of more levels."""
        return True

    def at(self, n_levels: int) -> Float32Array:
        """Return the queries as they are compared with codes of so many levels."""
        return self.vectors

    def tables(self, rows: slice, n_levels: int) -> tuple[Float32Array, Float32Array]:
        """Return tables (q, L, K) of some queries, and their products (q,) with the offset."""
        vectors, offset = self.vectors[rows], self.codebooks.offset
        constants = np.zeros(len(vectors), dtype=np.float32) if offset is None else vectors @ offset
        return self.codebooks.lut(vectors, n_levels), constants


@dataclass(frozen=True, eq=False)
class CodedQueries:
    """Queries of which only the code is compared: symmetric quantizer distance (SQD).

    Parameters
    ----------
    codebooks : Codebooks
    codes : Codes
        Of Q queries.
    comparison : {"sqd"}
    """

    codebooks: Codebooks
    codes: Codes
    comparison: Comparison = "sqd"

    def __len__(self) -> int:
        return self.codes.n_items

    @property
    def shares_tables(self) -> bool:
        """Whether the tables of fewer levels are the first ones of those of more levels."""
        return not self.codebooks.is_sequential

    def at(self, n_levels: int) -> Codes:
        """Return the queries as they are compared with codes of so many levels: cut alike."""
        if n_levels > self.codes.n_levels:
            raise OptionError(
                f"codes of queries must have at least the {n_levels} levels that are compared, got "
                f"{self.codes.n_levels}. Compare fewer bits."
            )
        return self.codes.cut_levels(n_levels)

    def tables(self, rows: slice, n_levels: int) -> tuple[Float32Array, Float32Array]:
        """Return tables (q, L, K) of some queries, and their products (q,) with the offset."""
        own = self.at(n_levels)
        made = TableMaker.of(self.codebooks).of_codes(Codes(own.planes[:, rows], own.n_codewords))
        if made.constants is None:
            return made.tables, np.zeros(len(made.tables), dtype=np.float32)
        return made.tables, made.constants


def prepare_queries(
    codebooks: Codebooks,
    queries: Float32Array | Codes,
    comparison: Comparison | None = None,
) -> RawQueries | CodedQueries:
    """Check queries, and encode them where their codes are compared.

    Parameters
    ----------
    codebooks : Codebooks
    queries : ndarray of shape (Q, D), float32, or Codes
        Codes can be compared by "sqd" alone.
    comparison : {"aqd", "sqd"}, optional
        That of the codebooks when left out; "sqd" for codes.

    Raises
    ------
    ShapeError, DTypeError
        If the queries do not belong to the codebooks.
    DataError
        If a query to be encoded holds NaN or infinity.
    OptionError
        If the comparison is unknown, or needs more than the codes.
    """
    if comparison is not None and comparison not in COMPARISONS:
        raise OptionError(
            f"comparison must be one of {', '.join(COMPARISONS)}, got {comparison!r}."
        )
    if isinstance(queries, Codes):
        if comparison == "aqd":
            raise OptionError("codes as queries must be compared by sqd, got aqd. Pass vectors.")
        if queries.n_codewords != codebooks.n_codewords or queries.n_levels > codebooks.n_levels:
            raise ShapeError(
                f"queries must have at most {codebooks.n_levels} levels of "
                f"{codebooks.n_codewords} codewords, got {queries.n_levels} of "
                f"{queries.n_codewords}. Use codes of the model that made those of the items."
            )
        return CodedQueries(codebooks, queries)
    vectors = _checked(queries, codebooks.dim)
    if (comparison or codebooks.comparison) == "aqd":
        return RawQueries(codebooks, vectors)
    return CodedQueries(codebooks, codebooks.encode(vectors))


def _checked(queries: Float32Array, dim: int) -> Float32Array:
    """Return queries (Q, D) as contiguous float32."""
    queries = np.asarray(queries)
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise ShapeError(
            f"queries must have shape (Q, {dim}), got {queries.shape}. "
            "Use features of the model that made the codes."
        )
    if queries.dtype == np.float32 and queries.flags.c_contiguous:
        return queries
    if queries.dtype.kind not in "fiu":
        raise DTypeError(f"queries must be numbers, got {queries.dtype}.")
    return np.ascontiguousarray(queries, dtype=np.float32)
