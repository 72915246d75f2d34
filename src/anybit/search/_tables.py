"""Look-up tables of queries, the same bits on every processor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from anybit.codes import Codebooks, Codes
from anybit.errors import OptionError
from anybit.search._levels import kernel, simd_level
from anybit.types import Float32Array, Int64Array

__all__ = ["CodewordPairs", "QueryTables", "TableMaker"]

# Products of all pairs of codewords that are kept for symmetric search, at most.
_MOST_PAIR_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class QueryTables:
    """What items are compared by, for Q queries.

    Parameters
    ----------
    tables : ndarray of shape (Q, L, K), float32
        Inner products of each query with each codeword.
    constants : ndarray of shape (Q,), float32, or None
        Those with the offset of all items; None where there is no offset.
    squares : ndarray of shape (Q,), float32
        Those with itself.
    """

    tables: Float32Array
    constants: Float32Array | None
    squares: Float32Array


@dataclass(frozen=True, eq=False)
class CodewordPairs:
    """Inner products of codewords with each other, and with the offset.

    Parameters
    ----------
    products : ndarray of shape (R, B, K), float32
        Row r holds the products of one codeword with those of each of the B blocks. Where levels
        are summed, codeword k of block b has the row ``b K + k``. With subspaces, row k holds the
        products of codeword k of every block with its own block.
    offset_products : ndarray of shape (B, K), float32, or None
    sq_offset : float
    """

    products: Float32Array
    offset_products: Float32Array | None
    sq_offset: float


@dataclass(frozen=True, eq=False)
class TableMaker:
    """Codebooks turned so that a table is made in a fixed order of additions.

    Unlike `Codebooks.lut`, whose products a linear algebra library adds in an order of its own.

    Parameters
    ----------
    blocks : ndarray of shape (B, d, K), float32
        Codewords as columns: one block for shared codebooks, else one for each level.
    level_scales : ndarray of shape (M,), float32, optional
        Of shared codebooks.
    rotation : ndarray of shape (1, D, D), float32, optional
        Applied to queries first.
    is_product : bool
        Every block looks at its own part of the query.
    offset : ndarray of shape (D,), float32, optional
        Part of every item.
    """

    blocks: Float32Array
    level_scales: Float32Array | None
    rotation: Float32Array | None
    is_product: bool
    offset: Float32Array | None

    @classmethod
    def of(cls, codebooks: Codebooks) -> TableMaker:
        """Turn codebooks of any kind; the same ones are turned once."""
        maker = _MAKERS.get(codebooks)
        if maker is None:
            rotation = codebooks.rotation
            maker = _MAKERS[codebooks] = cls(
                np.ascontiguousarray(codebooks.blocks().transpose(0, 2, 1)),
                codebooks.level_scales,
                None if rotation is None else np.ascontiguousarray(rotation)[None],
                codebooks.has_subspaces,
                codebooks.offset,
            )
        return maker

    def of_vectors(self, queries: Float32Array, n_levels: int) -> QueryTables:
        """Return the tables of queries (Q, D): asymmetric distances."""
        products = _inner_products(self._parts(queries), self.blocks[:n_levels])  # (Q, 1 or L, K)
        constants = None if self.offset is None else _row_products(queries, self.offset[None])
        return QueryTables(
            self._scaled(products, n_levels), constants, _row_products(queries, queries)
        )

    def of_codes(self, codes: Codes) -> QueryTables:
        """Return the tables of the reconstructions of codes (L, Q): symmetric distances.

        Everything is looked up in `pairs`; levels are added in order, the offset last.
        """
        pairs, n_levels = self.pairs, codes.n_levels
        scales, blocks = self._factors(n_levels), self._block_numbers(n_levels)
        planes = codes.planes.astype(np.int64)  # (L, Q)
        with np.errstate(over="ignore", invalid="ignore"):  # the scan refuses such tables
            products = self._products_of(planes, scales, blocks)  # (Q, 1 or L, K)
            constants = None
            if pairs.offset_products is not None:
                products += pairs.offset_products[:n_levels]
                constants = np.full(codes.n_items, pairs.sq_offset, dtype=np.float32)
                for block, scale, plane in zip(blocks, scales, planes, strict=True):
                    constants += pairs.offset_products[block, plane] * scale
            tables = self._scaled(products, n_levels)
            queries = np.arange(codes.n_items)
            squares = tables[queries, 0, planes[0]]  # (Q,)
            for level in range(1, n_levels):
                squares += tables[queries, level, planes[level]]
            if constants is not None:
                squares += constants
        return QueryTables(tables, constants, squares)

    def _products_of(
        self, planes: Int64Array, scales: Float32Array, blocks: Int64Array
    ) -> Float32Array:
        """Return the products (Q, 1 or L, K) of sums of codewords with the codewords of blocks."""
        pairs, n_levels = self.pairs.products, len(planes)
        if self.is_product:
            return np.asarray(pairs[planes.T, blocks])  # (Q, L, K)
        rows = planes + pairs.shape[2] * blocks[:, None]  # (L, Q)
        products: Float32Array = pairs[rows[0], :n_levels] * scales[0]
        for level in range(1, n_levels):
            products += pairs[rows[level], :n_levels] * scales[level]
        return products

    @cached_property
    def pairs(self) -> CodewordPairs:
        """The products of all pairs of codewords, made when first asked for, then kept.

        Raises
        ------
        OptionError
            If they would take more than 1 GiB.
        """
        n_blocks, dim, n_codewords = self.blocks.shape
        n_rows = n_codewords * (1 if self.is_product else n_blocks)
        n_bytes = 4 * n_rows * n_blocks * n_codewords
        if n_bytes > _MOST_PAIR_BYTES:
            raise OptionError(
                "the comparison sqd must need at most 1 GiB for the products of codewords, got "
                f"{n_bytes / 2**30:.1f} GiB for {n_blocks} levels of {n_codewords}. Use aqd, or a "
                "model of fewer levels."
            )
        axes = (2, 0, 1) if self.is_product else (0, 2, 1)
        parts = self.blocks.transpose(axes).reshape(n_rows, -1, dim)  # (R, B or 1, d)
        products = _multiplied(np.ascontiguousarray(parts), self.blocks)
        if self.offset is None:
            return CodewordPairs(products, None, 0.0)
        own = self.offset[None]  # (1, D)
        offset_products = _inner_products(self._parts(own), self.blocks)[0]  # (B, K)
        return CodewordPairs(products, offset_products, float(_row_products(own, own)[0]))

    def _parts(self, vectors: Float32Array) -> Float32Array:
        """Return vectors (Q, D) as the blocks look at them, (Q, 1, D) or (Q, M, d)."""
        parts = vectors[:, None]  # (Q, 1, D)
        if self.rotation is not None:
            parts = _inner_products(parts, self.rotation)
        return parts.reshape(len(vectors), len(self.blocks), -1) if self.is_product else parts

    def _block_numbers(self, n_levels: int) -> Int64Array:
        """Return the block of each level, (L,)."""
        return np.minimum(np.arange(n_levels), len(self.blocks) - 1)

    def _factors(self, n_levels: int) -> Float32Array:
        """Return what the products of each level are multiplied by, (L,); 1 changes no bit."""
        if self.level_scales is None:
            return np.ones(n_levels, dtype=np.float32)
        return self.level_scales[:n_levels]

    def _scaled(self, products: Float32Array, n_levels: int) -> Float32Array:
        """Return tables (Q, L, K) of products (Q, 1 or L, K)."""
        with np.errstate(over="ignore", invalid="ignore"):  # the scan refuses such tables
            return products * self._factors(n_levels)[:, None]


_MAKERS: WeakKeyDictionary[Codebooks, TableMaker] = WeakKeyDictionary()


def _multiplied(parts: Float32Array, blocks: Float32Array) -> Float32Array:
    """Return `_inner_products`, by the compiled kernel where there is one: the same bits."""
    compiled = kernel()
    if compiled is None:
        return _inner_products(parts, blocks)
    products = np.empty((len(parts), len(blocks), blocks.shape[2]), dtype=np.float32)
    compiled.multiply(parts, blocks, simd_level(), products)
    return products


def _row_products(first: Float32Array, second: Float32Array) -> Float32Array:
    """Return the inner products of the rows of two arrays (Q or 1, D), added in order; (Q,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = first[:, 0] * second[:, 0]
        for dimension in range(1, first.shape[1]):
            total += first[:, dimension] * second[:, dimension]
    return total


def _inner_products(parts: Float32Array, blocks: Float32Array) -> Float32Array:
    """Multiply query parts (Q, 1 or B, d) with blocks of columns (B, d, K): (Q, B, K), float32.

    Products are rounded to float32 and added in the order of dimensions.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # infinite where a product is too large
        total = parts[:, :, 0, None] * blocks[:, 0]  # (Q, B, K)
        for dimension in range(1, blocks.shape[1]):
            total += parts[:, :, dimension, None] * blocks[:, dimension]
    return total
