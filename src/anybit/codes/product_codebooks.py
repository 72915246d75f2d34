"""Codebooks whose levels describe dimensions of their own: product quantisers, and signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from anybit.codes.assignment import each_times, nearest
from anybit.codes.codebooks import Codebooks
from anybit.codes.codes import Codes
from anybit.codes.encoding import LARGEST_LENGTH, BlockEncoder
from anybit.errors import FormatError, OptionError, ShapeError
from anybit.types import Float32Array, UInt8Array

__all__ = ["ProductCodebooks", "SignCodebooks"]


@dataclass(frozen=True, eq=False)
class ProductCodebooks(Codebooks):
    """Codebooks (M, K, D/M) of consecutive subspaces, after an optional rotation (D, D).

    See `Codebooks`.
    """

    kind: ClassVar[str] = "product"
    is_sequential: ClassVar[bool] = False
    has_subspaces: ClassVar[bool] = True

    def _check(self) -> None:
        if self.rotation is not None and self.rotation.shape != (self.dim, self.dim):
            raise ShapeError(
                f"rotation must have shape ({self.dim}, {self.dim}), got {self.rotation.shape}."
            )

    @property
    def dim(self) -> int:
        """Dimension D of the vectors."""
        return self.n_levels * int(self.codebooks.shape[2])

    def codewords(self, level: int) -> Float32Array:
        """Return the codewords (K, D/M) of a subspace."""
        return np.asarray(self.codebooks[level])

    def blocks(self) -> Float32Array:
        """Return the codebooks (M, K, D/M)."""
        return self.codebooks

    def level_codebooks(self) -> Float32Array:
        """Return the codebooks (M, K, D/M)."""
        return self.codebooks

    def dense(self) -> Float32Array:
        """Return full-dimensional codewords (M, K, D), zero outside their subspace, rotated."""
        width = self.codebooks.shape[2]
        full = np.zeros((self.n_levels, self.n_codewords, self.dim), dtype=np.float32)
        for level, codebook in enumerate(self.codebooks):
            full[level, :, level * width : (level + 1) * width] = codebook
        if self.rotation is None:
            return full
        return np.asarray(full @ self.rotation.T, dtype=np.float32)  # (M, K, D)

    def folded(self) -> Codebooks:
        """Return product codebooks that hold the parts of the offset."""
        values = self.codebooks
        if self.offset is not None:
            turned = self.offset if self.rotation is None else self.offset @ self.rotation  # (D,)
            values = values + turned.reshape(self.n_levels, 1, -1)
        return Codebooks.product(values, rotation=self.rotation, metric=self.metric)

    def cut_levels(self, n_levels: int) -> Self:
        """Return these codebooks, if all levels are asked for."""
        if self._checked_levels(n_levels) == self.n_levels:
            return self
        bits = n_levels * self.bits // self.n_levels
        raise OptionError(
            f"{self.kind} codes cannot be cut: all {self.bits} bits are needed, got bits={bits}. "
            "Train a shared or stacked quantiser for several lengths."
        )

    def _lut(self, queries: Float32Array, n_levels: int) -> Float32Array:
        if self.rotation is not None:
            queries = each_times(self.rotation.T, queries)
        parts = queries.reshape(len(queries), self.n_levels, -1)  # (Q, M, D/M)
        return each_times(self.codebooks[:n_levels], parts[:, :n_levels])  # (Q, L, K)

    def _block_encoder(self, n_given: int) -> tuple[BlockEncoder, float]:
        def encode(block: Float32Array, planes: UInt8Array) -> None:
            rotated = block if self.rotation is None else block @ self.rotation
            parts = rotated.reshape(len(block), self.n_levels, -1)  # (n, M, D/M)
            for level in range(n_given, len(planes)):
                planes[level] = nearest(parts[:, level], self.codebooks[level])

        return encode, LARGEST_LENGTH

    def _decoded(self, codes: Codes) -> Float32Array:
        total = np.zeros((codes.n_items, self.dim), dtype=np.float32)
        width = self.codebooks.shape[2]
        for level, plane in enumerate(codes.planes):
            total[:, level * width : (level + 1) * width] = self.codebooks[level][plane]
        return total if self.rotation is None else total @ self.rotation.T

    @classmethod
    def _from_parts(
        cls, tensors: dict[str, np.ndarray[Any, Any]], settings: dict[str, Any]
    ) -> Codebooks:
        rotation, offset = tensors.get("rotation"), tensors.get("offset")
        return Codebooks.product(
            tensors["codebooks"], rotation=rotation, offset=offset, metric=settings["metric"]
        )


@dataclass(frozen=True, eq=False)
class SignCodebooks(ProductCodebooks):
    """One bit for the sign of each dimension (hash methods); made by `Codebooks.signs`.

    Notes
    -----
    A value of 0 is encoded as +1, as in ITQ's definition, ``sgn(v) = 1 if v >= 0 and -1
    otherwise``. The nearest of the codewords -1 and +1 would be a tie.

    References
    ----------
    Gong & Lazebnik, "Iterative quantization", CVPR 2011, section 2.
    """

    kind: ClassVar[str] = "signs"

    def _block_encoder(self, n_given: int) -> tuple[BlockEncoder, float]:
        def encode(block: Float32Array, planes: UInt8Array) -> None:
            planes[n_given:] = (block >= 0).T[n_given : len(planes)]

        return encode, np.inf  # no sums: none is too long

    def _decoded(self, codes: Codes) -> Float32Array:
        total = np.zeros((codes.n_items, self.dim), dtype=np.float32)
        total[:, : codes.n_levels] = codes.planes.T * np.float32(2) - np.float32(1)
        return total

    @classmethod
    def _from_parts(
        cls, tensors: dict[str, np.ndarray[Any, Any]], settings: dict[str, Any]
    ) -> Codebooks:
        values = tensors["codebooks"]
        made = Codebooks.signs(len(values), metric=settings["metric"])
        if values.shape != made.codebooks.shape or (values != made.codebooks).any():
            raise FormatError("stored codebooks of signs must hold -1 and +1 at every level.")
        return made
