"""Codebooks whose levels are summed: the first levels of a code are a code of their own."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from anybit.codes.assignment import each_times, most_aligned, nearest
from anybit.codes.beam import BeamRule, CodewordTables, beam_encode
from anybit.codes.checks import checked_vectors
from anybit.codes.codebooks import Codebooks
from anybit.codes.codes import Codes
from anybit.codes.encoding import LARGEST_LENGTH, BlockEncoder
from anybit.codes.shared_encoding import SharedEncoder
from anybit.errors import OptionError, ShapeError
from anybit.types import Float32Array, UInt8Array

__all__ = ["SequentialCodebooks", "SharedCodebooks", "StackedCodebooks"]

# A beam compares |x|^2 - 2 <x, c> + |c|^2: of vectors so much longer than any reconstruction,
# float32 would keep |x|^2 alone.
_BEAM_REACH = 2.0**10


@dataclass(frozen=True, eq=False)
class SequentialCodebooks(Codebooks):
    """Codewords of all D dimensions, summed over the levels; see `Codebooks`."""

    is_sequential: ClassVar[bool] = True
    has_subspaces: ClassVar[bool] = False

    def _check(self) -> None:
        if self.assignment not in ("l2", "cosine"):
            raise OptionError(f"assignment must be l2 or cosine, got {self.assignment!r}.")
        weights = self.prefix_weights
        is_fit = all(0 <= one < np.inf for one in weights)
        if self.beam_size < 1 or not is_fit or len(weights) not in (0, self.n_levels - 1):
            raise OptionError(
                f"beam_size must be at least 1 and prefix_weights none or {self.n_levels - 1} "
                f"numbers >= 0, got {self.beam_size} and {weights}."
            )
        if self.beam_size > 1 and self.assignment == "cosine":
            raise OptionError("a beam needs the assignment l2, got cosine. Use beam_size=1.")

    def dense(self) -> Float32Array:
        """Return the codewords with scales applied, (M, K, D)."""
        return self.level_codebooks()

    def folded(self) -> Codebooks:
        """Return stacked codebooks whose first level holds the offset."""
        values = self.level_codebooks().copy()  # (M, K, D)
        if self.offset is not None:
            values[0] += self.offset
        return Codebooks.stacked(values, metric=self.metric)

    def cut_levels(self, n_levels: int) -> Self:
        """Return the codebooks of the first `n_levels` levels."""
        levels = self._checked_levels(n_levels)
        if levels == self.n_levels:
            return self
        return self._first(levels, self.prefix_weights[: levels - 1])

    @abstractmethod
    def _first(self, n_levels: int, prefix_weights: tuple[float, ...]) -> Self:
        """Return fewer levels."""

    def _decoded(self, codes: Codes) -> Float32Array:
        total = np.zeros((codes.n_items, self.dim), dtype=np.float32)
        for level, plane in enumerate(codes.planes):
            total += self.codewords(level)[plane]
        return total

    def encode_further(self, vectors: Float32Array, codes: Codes) -> Codes:
        """Encode the levels that follow on given ones; see `Codebooks.encode_further`."""
        vectors = checked_vectors(vectors, self.dim, "vectors")
        n_first = codes.n_levels
        if codes.n_items != len(vectors) or n_first >= self.n_levels:
            raise ShapeError(
                f"codes must be of {len(vectors)} items and fewer than {self.n_levels} levels, "
                f"got {codes.n_items} of {n_first}."
            )
        planes = np.empty((self.n_levels, len(vectors)), dtype=np.uint8)
        planes[:n_first] = codes.planes
        self._fill(vectors, planes, n_first)
        return Codes(planes[n_first:], self.n_codewords)

    def _block_encoder(self, n_given: int) -> tuple[BlockEncoder, float]:
        if self.beam_size == 1:
            return self._greedy_encoder(n_given), LARGEST_LENGTH
        tables = CodewordTables(self.codebooks, self.level_scales)
        rule = BeamRule(self.beam_size, self.n_levels, self.prefix_weights)

        def encode(block: Float32Array, planes: UInt8Array) -> None:
            beam_encode(block, tables, rule, planes, n_given)

        norms = [np.linalg.norm(self.codewords(m), axis=1) for m in range(self.n_levels)]
        reach = float(sum(norm.max() for norm in norms))  # no reconstruction is longer
        return encode, min(LARGEST_LENGTH, _BEAM_REACH * reach or LARGEST_LENGTH)

    def _greedy_encoder(self, n_given: int) -> BlockEncoder:
        """Return what chooses one codeword after another, for what is left of each vector."""
        is_nearest = self.assignment == "l2"

        def encode(block: Float32Array, planes: UInt8Array) -> None:
            residual = block.copy()  # (n, D)
            for level in range(len(planes)):
                codewords = self.codewords(level)
                if level >= n_given and is_nearest:
                    planes[level] = nearest(residual, codewords)
                elif level >= n_given:
                    planes[level] = most_aligned(residual, self._directions(level))
                residual -= codewords[planes[level]]

        return encode

    def _directions(self, level: int) -> Float32Array:
        """Return vectors (K, D) along the codewords of a level, of any length."""
        return self.codewords(level)


@dataclass(frozen=True, eq=False)
class SharedCodebooks(SequentialCodebooks):
    """One codebook (K, D) for all levels, times the scale of each (DRQ); see `Codebooks`."""

    kind: ClassVar[str] = "shared"

    @property
    def _scales(self) -> Float32Array:
        return np.empty(0, dtype=np.float32) if self.level_scales is None else self.level_scales

    @property
    def n_levels(self) -> int:
        """Number of levels M."""
        return len(self._scales)

    def codewords(self, level: int) -> Float32Array:
        """Return the codewords (K, D) of a level, scale applied."""
        return np.asarray(self._scales[level] * self.codebooks)

    def _directions(self, level: int) -> Float32Array:
        # A negative scale turns the codewords round; its size would only add rounding.
        return np.asarray(np.sign(self._scales[level]) * self.codebooks)

    def blocks(self) -> Float32Array:
        """Return the one codebook, (1, K, D)."""
        return self.codebooks[None]

    def level_codebooks(self) -> Float32Array:
        """Return the codewords of all levels, scales applied, (M, K, D)."""
        return self._scales[:, None, None] * self.codebooks

    def _first(self, n_levels: int, prefix_weights: tuple[float, ...]) -> Self:
        scales = self._scales[:n_levels]
        return replace(self, level_scales=scales, prefix_weights=prefix_weights)

    def _lut(self, queries: Float32Array, n_levels: int) -> Float32Array:
        table = each_times(self.codebooks, queries)  # (Q, K)
        return table[:, None, :] * self._scales[:n_levels, None]  # (Q, L, K)

    def _greedy_encoder(self, n_given: int) -> BlockEncoder:
        if self.assignment == "cosine":
            return super()._greedy_encoder(n_given)
        gram, scales = self.codebooks @ self.codebooks.T, self._scales  # (K, K)

        def encode(block: Float32Array, planes: UInt8Array) -> None:
            encoder = SharedEncoder(block, self.codebooks, gram)
            for level, plane in enumerate(planes):
                given = plane if level < n_given else None
                plane[:] = encoder.extend(np.float32(scales[level]), given)

        return encode

    @classmethod
    def _from_parts(
        cls, tensors: dict[str, np.ndarray[Any, Any]], settings: dict[str, Any]
    ) -> Codebooks:
        parts = _sequential_parts(tensors, settings)
        return Codebooks.shared(tensors["codebooks"], tensors["level_scales"], **parts)


@dataclass(frozen=True, eq=False)
class StackedCodebooks(SequentialCodebooks):
    """A codebook (K, D) of its own for each level (residual and additive quantisers)."""

    kind: ClassVar[str] = "stacked"

    def codewords(self, level: int) -> Float32Array:
        """Return the codewords (K, D) of a level."""
        return np.asarray(self.codebooks[level])

    def blocks(self) -> Float32Array:
        """Return the codebooks (M, K, D)."""
        return self.codebooks

    def level_codebooks(self) -> Float32Array:
        """Return the codebooks (M, K, D)."""
        return self.codebooks

    def _first(self, n_levels: int, prefix_weights: tuple[float, ...]) -> Self:
        first = self.codebooks[:n_levels]
        return replace(self, codebooks=first, prefix_weights=prefix_weights)

    def _lut(self, queries: Float32Array, n_levels: int) -> Float32Array:
        flat = self.codebooks[:n_levels].reshape(n_levels * self.n_codewords, self.dim)
        table = each_times(flat, queries)
        return table.reshape(len(queries), n_levels, self.n_codewords)  # (Q, L, K)

    @classmethod
    def _from_parts(
        cls, tensors: dict[str, np.ndarray[Any, Any]], settings: dict[str, Any]
    ) -> Codebooks:
        return Codebooks.stacked(tensors["codebooks"], **_sequential_parts(tensors, settings))


def _sequential_parts(
    tensors: dict[str, np.ndarray[Any, Any]], settings: dict[str, Any]
) -> dict[str, Any]:
    """Return what is stored of both kinds alike, by parameter."""
    return {
        "offset": tensors.get("offset"),
        "metric": settings["metric"],
        "assignment": settings.get("assignment", "l2"),
        "beam_size": settings.get("beam_size", 1),
        "prefix_weights": tuple(settings.get("prefix_weights", ())),
    }
