"""Learned codebooks: from vectors to codes and back, and the tables that search needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from anybit.codes.assignment import each_times
from anybit.codes.checks import finite_array
from anybit.codes.codes import Codes, bits_per_level, levels_of_bits
from anybit.codes.encoding import fill_planes
from anybit.codes.tensors import read_tensors, write_tensors
from anybit.errors import DTypeError, FormatError, OptionError, ShapeError
from anybit.types import METRICS, Float32Array, Metric

__all__ = ["Codebooks"]

Kind: TypeAlias = Literal["shared", "stacked", "product"]
Assignment: TypeAlias = Literal["l2", "cosine"]

# Rows that are decoded at a time.
_BLOCK_ROWS = 4096
_FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Codebooks:
    """What a trained quantiser knows: the codewords of every level.

    Make one with `shared`, `stacked` or `product`; the constructor itself does not validate.

    Parameters
    ----------
    kind : {"shared", "stacked", "product"}
        One codebook with a scale per level (DRQ); a codebook per level, summed (residual and
        additive quantisers); a codebook per subspace, concatenated (PQ, DQN, OPQ).
    codebooks : ndarray, float32
        ``(K, D)`` when shared, ``(M, K, D)`` when stacked, ``(M, K, D/M)`` when product.
    level_scales : ndarray of shape (M,), float32, or None
        Factor of the shared codebook at each level; None for the other kinds.
    offset : ndarray of shape (D,), float32, or None
        Added to every reconstruction and taken off before encoding.
    rotation : ndarray of shape (D, D), float32, or None
        Product kind only: orthogonal; a vector x is quantised as ``x @ rotation``.
    metric : {"ip", "l2", "cosine"}
        How a query is compared with a reconstruction.
    assignment : {"l2", "cosine"}
        How the codeword of a level is chosen: nearest, or of largest cosine (the DRQ authors'
        code, where a negative scale turns the choice round).
    beam_size : int
        Codes of a vector that are kept at each level when it is encoded; 1 is greedy. Product
        codebooks need none.
    prefix_weights : tuple of float
        Weights of the M - 1 shorter prefixes beside the whole code in that choice, shortest first
        (`beam_encode`); none looks at the whole code alone.

    References
    ----------
    Song et al., "Deep Recurrent Quantization for Generating Sequential Binary Codes", IJCAI 2019,
    section 3 (shared codebook and scales, as reconstructed).
    """

    kind: Kind
    codebooks: Float32Array
    level_scales: Float32Array | None = None
    offset: Float32Array | None = None
    rotation: Float32Array | None = None
    metric: Metric = "ip"
    assignment: Assignment = "l2"
    beam_size: int = 1
    prefix_weights: tuple[float, ...] = ()

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
        if len(scales) == 0:
            raise ShapeError("level_scales must have shape (M,) with M >= 1, got (0,).")
        values = (codebook, scales, offset, None, metric, assignment, beam_size, prefix_weights)
        return cls("shared", *values)._validated()

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
        return cls("stacked", *values)._validated()

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
        codebooks = finite_array(codebooks, "codebooks", 3)
        if rotation is not None:
            rotation = finite_array(rotation, "rotation", 2)
        return cls("product", codebooks, None, offset, rotation, metric, "l2")._validated()

    def _validated(self) -> Codebooks:
        bits_per_level(self.n_codewords)
        if self.codebooks.size == 0:
            raise ShapeError(f"codebooks must not be empty, got {self.codebooks.shape}.")
        if self.metric not in METRICS:
            raise OptionError(f"metric must be one of {', '.join(METRICS)}, got {self.metric!r}.")
        if self.assignment not in ("l2", "cosine"):
            raise OptionError(f"assignment must be l2 or cosine, got {self.assignment!r}.")
        is_beam = self.beam_size > 1
        weights = self.prefix_weights
        is_fit = all(0 <= one < np.inf for one in weights)
        if self.beam_size < 1 or not is_fit or len(weights) not in (0, self.n_levels - 1):
            raise OptionError(
                f"beam_size must be at least 1 and prefix_weights none or {self.n_levels - 1} "
                f"numbers >= 0, got {self.beam_size} and {weights}."
            )
        if is_beam and self.assignment == "cosine":
            raise OptionError("a beam needs the assignment l2, got cosine. Use beam_size=1.")
        if self.rotation is not None and self.rotation.shape != (self.dim, self.dim):
            raise ShapeError(
                f"rotation must have shape ({self.dim}, {self.dim}), got {self.rotation.shape}."
            )
        if self.offset is None:
            return self
        offset = finite_array(self.offset, "offset", 1)
        if offset.shape != (self.dim,):
            raise ShapeError(f"offset must have shape ({self.dim},), got {offset.shape}.")
        return replace(self, offset=offset)

    @property
    def n_levels(self) -> int:
        """Number of levels M (of subspaces when product)."""
        return len(self.codebooks) if self.level_scales is None else len(self.level_scales)

    @property
    def n_codewords(self) -> int:
        """Number of codewords K of a level."""
        return int(self.codebooks.shape[-2])

    @property
    def dim(self) -> int:
        """Dimension D of the vectors."""
        width = int(self.codebooks.shape[-1])
        return width * self.n_levels if self.kind == "product" else width

    @property
    def bits(self) -> int:
        """Bits of a full-length code."""
        return self.n_levels * bits_per_level(self.n_codewords)

    def lengths(self) -> list[int]:
        """Return every code length in bits that a code can be cut to, shortest first."""
        shortest = self.n_levels if self.kind == "product" else 1
        step = bits_per_level(self.n_codewords)
        return [step * level for level in range(shortest, self.n_levels + 1)]

    def n_levels_of(self, bits: int) -> int:
        """Return the number of levels that `bits` bits take, or raise OptionError."""
        return levels_of_bits(bits, self.n_codewords, self.n_levels)

    def dense(self) -> Float32Array:
        """Return full-dimensional codewords with scales applied, (M, K, D) float32.

        The reconstruction of any kind is ``offset + sum_m dense[m, code[m]]``.
        """
        if self.kind == "stacked":
            return self.codebooks
        if self.level_scales is not None:
            return self.level_scales[:, None, None] * self.codebooks  # (M, K, D)
        width = self.codebooks.shape[2]
        full = np.zeros((self.n_levels, self.n_codewords, self.dim), dtype=np.float32)
        for level, codebook in enumerate(self.codebooks):
            full[level, :, level * width : (level + 1) * width] = codebook
        if self.rotation is None:
            return full
        return np.asarray(full @ self.rotation.T, dtype=np.float32)  # (M, K, D)

    def cut(self, bits: int) -> Codebooks:
        """Return the codebooks of the first levels that make `bits` bits.

        Raises
        ------
        OptionError
            If `bits` does not fit, or the kind is product (its subspaces are no prefixes).
        """
        n_levels = self.n_levels_of(bits)
        if n_levels == self.n_levels:
            return self
        if self.kind != "product":
            shorter = replace(self, prefix_weights=self.prefix_weights[: n_levels - 1])
        if self.level_scales is not None:
            return replace(shorter, level_scales=self.level_scales[:n_levels])
        if self.kind == "product":
            raise OptionError(
                f"product codes cannot be cut: all {self.bits} bits are needed, got bits={bits}. "
                "Train a shared or stacked quantiser for several lengths."
            )
        return replace(shorter, codebooks=self.codebooks[:n_levels])

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
        The shared kind needs one (Q, K) product for all levels; the scales multiply it. A query's
        table does not depend on the queries beside it: each is multiplied by itself, because a
        product of matrices rounds differently with the number of its rows.
        """
        levels = self.n_levels if n_levels is None else n_levels
        if not 1 <= levels <= self.n_levels:
            raise OptionError(f"n_levels must be from 1 to {self.n_levels}, got {levels}.")
        queries = self._vectors(queries, "queries")
        if self.level_scales is not None:
            table = each_times(self.codebooks, queries)  # (Q, K)
            return table[:, None, :] * self.level_scales[:levels, None]  # (Q, L, K)
        if self.kind == "product":
            if self.rotation is not None:
                queries = each_times(self.rotation.T, queries)
            parts = queries.reshape(len(queries), self.n_levels, -1)  # (Q, M, D/M)
            return each_times(self.codebooks[:levels], parts[:, :levels])  # (Q, L, K)
        flat = self.codebooks[:levels].reshape(levels * self.n_codewords, self.dim)
        table = each_times(flat, queries)
        return table.reshape(len(queries), levels, self.n_codewords)  # (Q, L, K)

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
        levels = self.n_levels if n_levels is None else n_levels
        if not 1 <= levels <= self.n_levels:
            raise OptionError(f"n_levels must be from 1 to {self.n_levels}, got {levels}.")
        vectors = self._vectors(vectors, "vectors")
        # A beam decides about all levels together.
        n_needed = self.n_levels if self.beam_size > 1 else levels
        planes = np.empty((n_needed, len(vectors)), dtype=np.uint8)
        fill_planes(self, vectors, planes)
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
            If the codebooks are of a product quantiser, whose levels do not follow on each other.
        """
        if self.kind == "product":
            raise OptionError("codes of a product quantiser have no further levels.")
        vectors = self._vectors(vectors, "vectors")
        n_first = codes.n_levels
        if codes.n_items != len(vectors) or n_first >= self.n_levels:
            raise ShapeError(
                f"codes must be of {len(vectors)} items and fewer than {self.n_levels} levels, "
                f"got {codes.n_items} of {n_first}."
            )
        planes = np.empty((self.n_levels, len(vectors)), dtype=np.uint8)
        planes[:n_first] = codes.planes
        fill_planes(self, vectors, planes, n_first)
        return Codes(planes[n_first:], self.n_codewords)

    def codewords(self, level: int) -> Float32Array:
        """Return the codewords of a level, scale applied: (K, D), or (K, D/M) when product."""
        if self.level_scales is not None:
            return np.asarray(self.level_scales[level] * self.codebooks)
        return np.asarray(self.codebooks[level])

    def decode(self, codes: Codes) -> Float32Array:
        """Return the reconstructions of codes (or of prefix codes), (N, D) float32.

        Raises
        ------
        ShapeError
            If the codes have more levels than the codebooks, or another K.
        """
        self._check_codes(codes)
        total = np.zeros((codes.n_items, self.dim), dtype=np.float32)
        if self.kind == "product":
            width = self.codebooks.shape[2]
            for level, plane in enumerate(codes.planes):
                total[:, level * width : (level + 1) * width] = self.codebooks[level][plane]
            if self.rotation is not None:
                total = total @ self.rotation.T
        else:
            for level, plane in enumerate(codes.planes):
                total += self.codewords(level)[plane]
        if self.offset is not None:
            total += self.offset
        return total

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

    def _vectors(self, vectors: Float32Array, name: str) -> Float32Array:
        vectors = np.asarray(vectors)
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ShapeError(
                f"{name} must have shape (N, {self.dim}), got {vectors.shape}. "
                "Use vectors of the model that these codebooks belong to."
            )
        if vectors.dtype.kind not in "fiu":
            raise DTypeError(f"{name} must be numbers, got {vectors.dtype}.")
        return np.asarray(vectors, dtype=np.float32)

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
        return tensors, settings

    @classmethod
    def from_tensors(
        cls, tensors: dict[str, np.ndarray[Any, Any]], settings: dict[str, Any]
    ) -> Codebooks:
        """Undo `to_tensors`; raise FormatError where something is missing or does not fit."""
        try:
            kind, codebooks = settings["kind"], tensors["codebooks"]
            common = {"offset": tensors.get("offset"), "metric": settings["metric"]}
            choice = {
                "assignment": settings.get("assignment", "l2"),
                "beam_size": settings.get("beam_size", 1),
                "prefix_weights": tuple(settings.get("prefix_weights", ())),
            }
            if kind == "shared":
                return cls.shared(codebooks, tensors["level_scales"], **choice, **common)
            if kind == "stacked":
                return cls.stacked(codebooks, **choice, **common)
            if kind == "product":
                return cls.product(codebooks, rotation=tensors.get("rotation"), **common)
        except (KeyError, ShapeError, OptionError, DTypeError) as cause:
            raise FormatError(f"stored codebooks do not fit together: {cause}") from cause
        raise FormatError(f"codebooks kind must be shared, stacked or product, got {kind!r}.")

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
