"""Learned codebooks: from vectors to codes and back, and the tables that search needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np

from anybit.codes.checks import checked_vectors, finite_array
from anybit.codes.codes import MOST_LEVELS, Codes, bits_per_level, levels_of_bits
from anybit.codes.encoding import BlockEncoder, fill_planes
from anybit.codes.tensors import read_tensors, write_tensors
from anybit.errors import DTypeError, FormatError, OptionError, ShapeError
from anybit.types import COMPARISONS, METRICS, Comparison, Float32Array, Metric, UInt8Array

__all__ = ["Assignment", "Codebooks"]

Assignment: TypeAlias = Literal["l2", "cosine"]

# Rows that are decoded at a time.
_BLOCK_ROWS = 4096
_FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Codebooks(ABC):
    """What a trained quantiser knows: the codewords of every level.

    The base of `SharedCodebooks`, `StackedCodebooks`, `ProductCodebooks` and `SignCodebooks`. Make
    one with `shared`, `stacked`, `product` or `signs`; the constructors do not validate.

    Parameters
    ----------
    codebooks : ndarray, float32
        ``(K, D)`` when shared, ``(M, K, D)`` when stacked, ``(M, K, D/M)`` when product.
    level_scales : ndarray of shape (M,), float32, or None
        Factor of the shared codebook at each level; None for the others.
    offset : ndarray of shape (D,), float32, or None
        Added to every reconstruction and subtracted before encoding.
    rotation : ndarray of shape (D, D), float32, or None
        Product only: orthogonal; a vector x is quantised as ``x @ rotation``.
    metric : {"ip", "l2", "cosine"}
        How a query is compared with a reconstruction.
    assignment : {"l2", "cosine"}
        How the codeword of a level is chosen: nearest, or of largest cosine with the scaled
        codewords, as in the DRQ authors' code.
    beam_size : int
        Codes of a vector that are kept at each level when it is encoded; 1 is greedy. Product
        codebooks need none.
    prefix_weights : tuple of float
        Weights of the M - 1 shorter prefixes beside the whole code in that choice, shortest first
        (`beam_encode`); none looks at the whole code alone.
    comparison : {"aqd", "sqd"}
        Whether queries are compared as they are or by their own codes, unless a search says
        otherwise.

    Attributes
    ----------
    kind : str
        Name of the class in files: "shared", "stacked", "product" or "signs".
    is_sequential : bool
        Whether the first levels of a code are a code of their own.
    has_subspaces : bool
        Whether every level describes dimensions of its own; else levels are summed.

    References
    ----------
    Song et al., "Deep Recurrent Quantization for Generating Sequential Binary Codes", IJCAI 2019,
    section 3 (shared codebook and scales, as reconstructed).
    """

    codebooks: Float32Array
    level_scales: Float32Array | None = None
    offset: Float32Array | None = None
    rotation: Float32Array | None = None
    metric: Metric = "ip"
    assignment: Assignment = "l2"
    beam_size: int = 1
    prefix_weights: tuple[float, ...] = ()
    comparison: Comparison = "aqd"

    kind: ClassVar[str]
    is_sequential: ClassVar[bool]
    has_subspaces: ClassVar[bool]
    _classes: ClassVar[dict[str, type[Codebooks]]] = {}

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            Codebooks._classes[cls.kind] = cls

    @classmethod
    def shared(
        cls,
        codebook: Float32Array,
        level_scales: Float32Array,
        *,
        offset: Float32Array | None = None,
        metric: Metric = "ip",
        assignment: Assignment = "l2",
        beam_size: int = 1,
        prefix_weights: tuple[float, ...] = (),
    ) -> Codebooks:
        """One codebook (K, D) reused at every level, times ``level_scales`` (M,)."""
        codebook = finite_array(codebook, "codebook", 2)
        scales = finite_array(level_scales, "level_scales", 1)
        values = (codebook, scales, offset, None, metric, assignment, beam_size, prefix_weights)
        return cls._classes["shared"](*values)._validated()

    @classmethod
    def stacked(
        cls,
        codebooks: Float32Array,
        *,
        offset: Float32Array | None = None,
        metric: Metric = "ip",
        assignment: Assignment = "l2",
        beam_size: int = 1,
        prefix_weights: tuple[float, ...] = (),
    ) -> Codebooks:
        """Independent codebooks (M, K, D), one a level; the reconstruction is their sum."""
        codebooks = finite_array(codebooks, "codebooks", 3)
        values = (codebooks, None, offset, None, metric, assignment, beam_size, prefix_weights)
        return cls._classes["stacked"](*values)._validated()

    @classmethod
    def product(
        cls,
        codebooks: Float32Array,
        *,
        rotation: Float32Array | None = None,
        offset: Float32Array | None = None,
        metric: Metric = "ip",
    ) -> Codebooks:
        """Codebooks (M, K, D/M) of consecutive subspaces, after an optional rotation (D, D)."""
        values = finite_array(codebooks, "codebooks", 3)
        if rotation is not None:
            rotation = finite_array(rotation, "rotation", 2)
        made = cls._classes["product"](values, offset=offset, rotation=rotation, metric=metric)
        return made._validated()

    @classmethod
    def signs(
        cls, n_bits: int, *, metric: Metric = "ip", comparison: Comparison = "sqd"
    ) -> Codebooks:
        """One bit for the sign of each dimension: codes of a hash method.

        Bit m is 1 and stands for +1 where ``x[m] >= 0``; otherwise it is 0 and stands for -1. Under
        "sqd" the inner product is exactly ``n_bits - 2 h``, h the Hamming distance.
        """
        if not 1 <= n_bits <= MOST_LEVELS:
            raise OptionError(f"n_bits must be from 1 to {MOST_LEVELS}, got {n_bits}.")
        values = np.tile(np.array([[-1], [1]], dtype=np.float32), (n_bits, 1, 1))  # (M, 2, 1)
        made = cls._classes["signs"](values, metric=metric, comparison=comparison)
        return made._validated()

    def compared_by(self, comparison: Comparison) -> Self:
        """Return the same codebooks with another default comparison of queries and items."""
        return replace(self, comparison=comparison)._validated()

    def _validated(self) -> Self:
        if not 1 <= self.n_levels <= MOST_LEVELS:
            name = "codebooks" if self.level_scales is None else "level_scales"
            raise ShapeError(f"{name} must have 1 to {MOST_LEVELS} levels, got {self.n_levels}.")
        bits_per_level(self.n_codewords)
        if self.codebooks.size == 0:
            raise ShapeError(f"codebooks must not be empty, got {self.codebooks.shape}.")
        if self.metric not in METRICS:
            raise OptionError(f"metric must be one of {', '.join(METRICS)}, got {self.metric!r}.")
        if self.comparison not in COMPARISONS:
            raise OptionError(
                f"comparison must be one of {', '.join(COMPARISONS)}, got {self.comparison!r}."
            )
        self._check()
        if self.offset is None:
            return self
        offset = finite_array(self.offset, "offset", 1)
        if offset.shape != (self.dim,):
            raise ShapeError(f"offset must have shape ({self.dim},), got {offset.shape}.")
        return replace(self, offset=offset)

    @abstractmethod
    def _check(self) -> None:
        """Raise where the parts that only this kind has do not fit."""

    @property
    def n_levels(self) -> int:
        """Number of levels M (of subspaces when product)."""
        return len(self.codebooks)

    @property
    def n_codewords(self) -> int:
        """Number of codewords K of a level."""
        return int(self.codebooks.shape[-2])

    @property
    def dim(self) -> int:
        """Dimension D of the vectors."""
        return int(self.codebooks.shape[-1])

    @property
    def bits(self) -> int:
        """Bits of a full-length code."""
        return self.n_levels * bits_per_level(self.n_codewords)

    def prefix_levels(self, n_levels: int | None = None) -> range:
        """Return the numbers of levels that codes of `n_levels` (all of them) can be cut to."""
        longest = self.n_levels if n_levels is None else n_levels
        return range(1 if self.is_sequential else longest, longest + 1)

    def lengths(self) -> list[int]:
        """Return every code length in bits that a code can be cut to, shortest first."""
        step = bits_per_level(self.n_codewords)
        return [step * n_levels for n_levels in self.prefix_levels()]

    def n_levels_of(self, bits: int) -> int:
        """Return the number of levels that `bits` bits take, or raise OptionError."""
        return levels_of_bits(bits, self.n_codewords, self.n_levels)

    @abstractmethod
    def codewords(self, level: int) -> Float32Array:
        """Return the codewords of a level, scale applied: (K, D), or (K, D/M) when product."""

    @abstractmethod
    def blocks(self) -> Float32Array:
        """Return the distinct codebooks (B, K, d): one when shared, else one a level."""

    @abstractmethod
    def level_codebooks(self) -> Float32Array:
        """Return the codewords of all levels, scales applied: (M, K, D), product: (M, K, D/M)."""

    @abstractmethod
    def dense(self) -> Float32Array:
        """Return full-dimensional codewords with scales applied, (M, K, D) float32.

        The reconstruction of any kind is ``offset + sum_m dense[m, code[m]]``.
        """

    @abstractmethod
    def folded(self) -> Codebooks:
        """Return codebooks of the same reconstructions, with neither offset nor level scales."""

    def cut(self, bits: int) -> Self:
        """Return the codebooks of the first levels that make `bits` bits.

        Raises OptionError if `bits` does not fit, or the levels are subspaces.
        """
        return self.cut_levels(self.n_levels_of(bits))

    @abstractmethod
    def cut_levels(self, n_levels: int) -> Self:
        """Return the codebooks of the first `n_levels` levels; raises as `cut` does."""

    def lut(self, queries: Float32Array, n_levels: int | None = None) -> Float32Array:
        """Compute the inner product of each query with each codeword.

        Parameters
        ----------
        queries : ndarray of shape (Q, D), float32
        n_levels : int, optional
            Levels L to fill; all when left out.

        Returns
        -------
        ndarray of shape (Q, L, K), float32
            ``lut[q, m, k] = <queries[q], dense[m, k]>``. The offset is left out: it adds the same
            constant to every item.

        Raises
        ------
        ShapeError
            If `queries` is not (Q, D) with the D of the codebooks.

        Notes
        -----
        Shared codebooks need one (Q, K) product for all levels; the scales multiply it. A query's
        table does not depend on the queries beside it: each is multiplied by itself, because a
        product of matrices rounds differently with the number of its rows.
        """
        return self._lut(
            checked_vectors(queries, self.dim, "queries"), self._checked_levels(n_levels)
        )

    @abstractmethod
    def _lut(self, queries: Float32Array, n_levels: int) -> Float32Array:
        """Return the tables (Q, L, K) of checked queries."""

    def encode(self, vectors: Float32Array, n_levels: int | None = None) -> Codes:
        """Encode vectors level by level on what the levels before left over.

        Parameters
        ----------
        vectors : ndarray of shape (N, D), float32
        n_levels : int, optional
            Levels L to encode; all when left out. The first L levels of a longer code are the
            same codes.

        Returns
        -------
        Codes
            Planes of shape (L, N).

        Raises
        ------
        ShapeError
            If `vectors` is not (N, D) with the D of the codebooks.
        DataError
            If a vector holds NaN or infinity.
        """
        levels = self._checked_levels(n_levels)
        vectors = checked_vectors(vectors, self.dim, "vectors")
        # A beam decides about all levels together.
        n_needed = self.n_levels if self.beam_size > 1 else levels
        planes = np.empty((n_needed, len(vectors)), dtype=np.uint8)
        self._fill(vectors, planes, 0)
        return Codes(planes[:levels], self.n_codewords)

    def encode_further(self, vectors: Float32Array, codes: Codes) -> Codes:
        """Encode the levels that follow on given ones.

        Parameters
        ----------
        vectors : ndarray of shape (N, D), float32
        codes : Codes
            The first levels of the N vectors, chosen before; they stay as they are.

        Returns
        -------
        Codes
            Planes of the levels that `codes` lacks.

        Raises
        ------
        ShapeError
            If vectors and codes do not fit together or to the codebooks.
        OptionError
            If the levels are subspaces, which do not follow on each other.
        """
        raise OptionError(f"codes of a {self.kind} quantiser have no further levels.")

    def _fill(self, vectors: Float32Array, planes: UInt8Array, n_given: int) -> None:
        """Encode checked vectors (N, D) into planes (L, N), of which the first are given."""
        encode, limit = self._block_encoder(n_given)
        fill_planes(vectors, planes, encode, self.offset, limit)

    @abstractmethod
    def _block_encoder(self, n_given: int) -> tuple[BlockEncoder, float]:
        """Return what encodes after `n_given` levels, and the largest value that it can take."""

    def decode(self, codes: Codes) -> Float32Array:
        """Return the reconstructions of codes (or of prefix codes), (N, D) float32.

        Raises
        ------
        ShapeError
            If the codes have more levels than the codebooks, or another K.
        """
        self._check_codes(codes)
        total = self._decoded(codes)
        if self.offset is not None:
            total += self.offset
        return total

    @abstractmethod
    def _decoded(self, codes: Codes) -> Float32Array:
        """Return reconstructions (N, D) without the offset."""

    def sq_norms(self, codes: Codes) -> Float32Array:
        """Return the squared lengths of the reconstructions, (N,) float32, in blocks."""
        self._check_codes(codes)
        norms = np.empty(codes.n_items, dtype=np.float32)
        for start in range(0, codes.n_items, _BLOCK_ROWS):
            planes = codes.planes[:, start : start + _BLOCK_ROWS]
            block = self.decode(Codes(planes, codes.n_codewords))
            norms[start : start + _BLOCK_ROWS] = np.einsum("nd,nd->n", block, block)
        return norms

    def _check_codes(self, codes: Codes) -> None:
        if codes.n_levels > self.n_levels or codes.n_codewords != self.n_codewords:
            raise ShapeError(
                f"codes must have at most {self.n_levels} levels of {self.n_codewords} codewords, "
                f"got {codes.n_levels} levels of {codes.n_codewords}."
            )

    def _checked_levels(self, n_levels: int | None) -> int:
        levels = self.n_levels if n_levels is None else n_levels
        if not 1 <= levels <= self.n_levels:
            raise OptionError(f"n_levels must be from 1 to {self.n_levels}, got {levels}.")
        return levels

    def to_tensors(self) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
        """Return the arrays by name, and the plain settings, to be stored."""
        tensors = {"codebooks": self.codebooks}
        optional = {name: getattr(self, name) for name in ("level_scales", "offset", "rotation")}
        tensors |= {name: value for name, value in optional.items() if value is not None}
        names = ("kind", "metric", "assignment")
        settings: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.beam_size > 1:
            weights = list(self.prefix_weights)
            settings |= {"beam_size": self.beam_size, "prefix_weights": weights}
        # The default is left out: earlier releases did not write it, and fingerprints must stay.
        if self.comparison != "aqd":
            settings["comparison"] = self.comparison
        return tensors, settings

    @classmethod
    def from_tensors(
        cls, tensors: dict[str, np.ndarray[Any, Any]], settings: dict[str, Any]
    ) -> Codebooks:
        """Undo `to_tensors`; raise FormatError where something is missing or does not fit."""
        try:
            kind = settings["kind"]
            if kind not in cls._classes:
                names = ", ".join(sorted(cls._classes))
                raise FormatError(f"codebooks kind must be one of {names}, got {kind!r}.")
            made = cls._classes[kind]._from_parts(tensors, settings)
            return made.compared_by(settings.get("comparison", "aqd"))
        except (KeyError, ShapeError, OptionError, DTypeError) as cause:
            raise FormatError(f"stored codebooks do not fit together: {cause}") from cause

    @classmethod
    @abstractmethod
    def _from_parts(
        cls, tensors: dict[str, np.ndarray[Any, Any]], settings: dict[str, Any]
    ) -> Codebooks:
        """Make codebooks of this kind from what `to_tensors` has returned."""

    def save(self, path: str | Path) -> None:
        """Write the codebooks to one safetensors file, atomically."""
        tensors, settings = self.to_tensors()
        write_tensors(Path(path), tensors, {"format_version": _FORMAT_VERSION, **settings})

    @classmethod
    def load(cls, path: str | Path) -> Codebooks:
        """Read codebooks that `save` wrote.

        Raises
        ------
        FormatError
            If the file is missing, damaged, foreign, or of a newer format version.
        """
        tensors, settings = read_tensors(Path(path))
        version = settings.get("format_version")
        if version != _FORMAT_VERSION:
            raise FormatError(
                f"codebooks must have format version {_FORMAT_VERSION}, got {version} in {path}."
            )
        return cls.from_tensors(tensors, settings)
