"""What every method on fixed features can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from anybit.errors import OptionError
from anybit.quantizers.features import check_features
from anybit.quantizers.method import FitSettings
from anybit.types import METRICS, Float32Array, Metric

__all__ = ["FitOptions"]

_TIGHT_SHARE = 2.0**-12  # of squares
_ROUNDED_OFF_SHARE = 2.0**-36


@dataclass(frozen=True)
class FitOptions:
    """How a quantiser is learned from vectors.

    Parameters
    ----------
    n_levels : int
        Levels M.
    n_codewords : int
        Codewords K of a level: a power of two from 2 to 256.
    metric : {"ip", "l2", "cosine"}
        Stored in the codebooks for searching; the fit is by squared error with every metric.
    has_offset : bool
        Take the mean off first and add it to every reconstruction. Vectors that lie close together
        and far from zero (spread below 1/64 of the mean) always have an offset: float32 distances
        would be too inexact.
    n_iterations : int
        Most k-means iterations of a level.
    max_train : int or None
        Learn from at most this many vectors, drawn at random. None uses all.
    seed : int
        The same seed, vectors, machine and thread count give the same codebooks.
    """

    n_levels: int = 8
    n_codewords: int = 256
    metric: Metric = "ip"
    has_offset: bool = True
    n_iterations: int = 20
    max_train: int | None = 65_536
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_levels", "n_iterations"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 2 <= self.n_codewords <= 256 or self.n_codewords & (self.n_codewords - 1):
            raise OptionError(
                f"n_codewords must be a power of two from 2 to 256, got {self.n_codewords}. "
                "Use 16 (4 bits per level) or 256 (8 bits per level)."
            )
        if self.metric not in METRICS:
            raise OptionError(f"metric must be one of {', '.join(METRICS)}, got {self.metric!r}.")
        if self.max_train is not None and self.max_train < self.n_codewords:
            raise OptionError(
                f"max_train must be at least n_codewords = {self.n_codewords}, "
                f"got {self.max_train}. Raise it, or pass None to use all vectors."
            )

    @classmethod
    def of(cls, settings: FitSettings, **own: Any) -> Self:
        """Return the options of a run, with a method's `own` fields."""
        return cls(
            settings.n_levels, settings.n_codewords, settings.metric, seed=settings.seed, **own
        )

    def sample(self, features: Float32Array) -> Float32Array:
        """Return the vectors to learn from."""
        if self.max_train is None or self.max_train >= len(features):
            return features
        chosen = np.random.default_rng(self.seed).permutation(len(features))[: self.max_train]
        return features[np.sort(chosen)]

    def offset_of(self, features: Float32Array) -> Float32Array | None:
        """Return the mean (D,) of vectors, or None without an offset.

        Where a few huge vectors move the mean so far that the others would be rounded off, it is
        the median of each column instead.
        """
        mean = np.asarray(features.mean(axis=0, dtype=np.float64), dtype=np.float32)
        sq_mean = float(np.square(mean, dtype=np.float64).sum())
        if not self.has_offset:
            left = features - mean
            spread = float(np.einsum("nd,nd->n", left, left).mean(dtype=np.float64))
            return mean if spread < _TIGHT_SHARE * sq_mean else None
        sq_norms = np.einsum("nd,nd->n", features, features)
        sq_norms = sq_norms[sq_norms > 0]
        if len(sq_norms) and np.median(sq_norms) < _ROUNDED_OFF_SHARE * sq_mean:
            return np.asarray(np.median(features, axis=0), dtype=np.float32)
        return mean

    def prepared(
        self, features: Float32Array
    ) -> tuple[Float32Array, Float32Array, Float32Array | None]:
        """Return vectors (N, D) as float32, those to learn from less the offset, and the offset.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If the vectors are not (N, D) finite numbers with N >= K.
        """
        features = check_features(features, self.n_codewords)
        train = self.sample(features)
        offset = self.offset_of(train)
        return features, train if offset is None else train - offset, offset

    def kmeans(self, level: int) -> dict[str, Any]:
        """Return the k-means settings of a level."""
        return {
            "n_codewords": self.n_codewords,
            "n_iterations": self.n_iterations,
            "max_train": None,
            "seed": self.seed + level,
        }
