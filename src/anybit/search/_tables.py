"""Look-up tables of queries, the same bits on every processor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybit.codes import Codebooks
from anybit.types import Float32Array

__all__ = ["TableMaker"]


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
    """

    blocks: Float32Array
    level_scales: Float32Array | None
    rotation: Float32Array | None
    is_product: bool

    @classmethod
    def of(cls, codebooks: Codebooks) -> TableMaker:
        """Turn codebooks of any kind."""
        rotation = codebooks.rotation
        return cls(
            np.ascontiguousarray(codebooks.blocks().transpose(0, 2, 1)),
            codebooks.level_scales,
            None if rotation is None else np.ascontiguousarray(rotation)[None],
            codebooks.has_subspaces,
        )

    def tables(self, queries: Float32Array, n_levels: int) -> Float32Array:
        """Return the inner products of queries (Q, D) with codewords, (Q, L, K) float32."""
        parts = queries[:, None]  # (Q, 1, D)
        if self.rotation is not None:
            parts = _inner_products(parts, self.rotation)
        if self.level_scales is not None:
            table = _inner_products(parts, self.blocks)  # (Q, 1, K)
            with np.errstate(over="ignore", invalid="ignore"):  # the scan refuses such tables
                return table * self.level_scales[:n_levels, None]  # (Q, L, K)
        if self.is_product:
            parts = parts.reshape(len(queries), len(self.blocks), -1)  # (Q, M, d)
        return _inner_products(parts, self.blocks[:n_levels])


def _inner_products(parts: Float32Array, blocks: Float32Array) -> Float32Array:
    """Multiply query parts (Q, 1 or B, d) with blocks of columns (B, d, K): (Q, B, K), float32.

    Products are rounded to float32 and added in the order of dimensions.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # infinite where a product is too large
        total = parts[:, :, 0, None] * blocks[:, 0]  # (Q, B, K)
        for dimension in range(1, blocks.shape[1]):
            total += parts[:, :, dimension, None] * blocks[:, dimension]
    return total
