"""Residual quantisation: an independent codebook per level, each k-means of what is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybit.baselines.features import check_features
from anybit.baselines.fit_result import FitResult, report_levels
from anybit.baselines.kmeans import KMeansOptions, fit_kmeans
from anybit.codes import Codebooks
from anybit.errors import OptionError
from anybit.types import METRICS, Float32Array, Metric, ProgressCallback

__all__ = ["ResidualFitOptions", "fit_residual"]


@dataclass(frozen=True)
class ResidualFitOptions:
    """How `fit_residual` learns.

    Parameters
    ----------
    n_levels : int
        Levels M.
    n_codewords : int
        Codewords K of a level: a power of two from 2 to 256.
    metric : {"ip", "l2", "cosine"}
        Stored in the codebooks for searching; the fit is by squared error with every metric.
    has_offset : bool
        Take the mean off first and add it to every reconstruction.
    n_iterations : int
        Most k-means iterations of a level.
    max_train : int or None
        k-means of a level iterates over at most this many vectors; its last update and the
        residuals use all. None iterates over all.
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
        if self.n_levels < 1:
            raise OptionError(f"n_levels must be at least 1, got {self.n_levels}.")
        if not 2 <= self.n_codewords <= 256 or self.n_codewords & (self.n_codewords - 1):
            raise OptionError(
                f"n_codewords must be a power of two from 2 to 256, got {self.n_codewords}. "
                "Use 16 (4 bits per level) or 256 (8 bits per level)."
            )
        if self.metric not in METRICS:
            raise OptionError(f"metric must be one of {', '.join(METRICS)}, got {self.metric!r}.")
        self.kmeans(0)

    def kmeans(self, level: int) -> KMeansOptions:
        """Return the k-means settings of a level."""
        return KMeansOptions(
            self.n_codewords,
            self.n_iterations,
            max_train=self.max_train,
            seed=self.seed + level,
        )


def fit_residual(
    features: Float32Array,
    options: ResidualFitOptions | None = None,
    progress: ProgressCallback | None = None,
) -> FitResult:
    """Learn a codebook per level by k-means of the residuals, coarsest first.

    Parameters
    ----------
    features : ndarray of shape (N, D), float32
        At least K vectors.
    options : ResidualFitOptions, optional
    progress : callable, optional
        Called with (levels done, levels).

    Returns
    -------
    FitResult
        With stacked codebooks. A further level never raises the training distortion.

    Raises
    ------
    ShapeError, DTypeError, DataError
        If the vectors are not (N, D) finite numbers with N >= K.

    References
    ----------
    Chen et al., "Approximate nearest neighbor search by residual vector quantization",
    Sensors 2010.
    """
    options = options or ResidualFitOptions()
    features = check_features(features, options.n_codewords)
    offset = None
    residual = features.copy()  # (N, D)
    if options.has_offset:
        offset = features.mean(axis=0, dtype=np.float64).astype(np.float32)  # (D,)
        residual -= offset
    levels: list[Float32Array] = []
    history: list[float] = []
    n_revived = 0
    for level in range(options.n_levels):
        result = fit_kmeans(residual, options.kmeans(level))
        levels.append(result.codebook)
        history.append(result.distortion)
        n_revived += result.n_revived
        residual -= result.codebook[result.codes]
        if progress is not None:
            progress(level + 1, options.n_levels)
    codebooks = Codebooks.stacked(np.stack(levels), offset=offset, metric=options.metric)
    report = report_levels(codebooks, features)
    return FitResult(
        codebooks,
        report.distortions,
        report.usages,
        report.perplexities,
        n_revived,
        tuple(history),
    )
