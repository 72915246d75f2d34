"""Stacked quantizers: residual quantisation whose codebooks are refined together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybit.codes import Codebooks
from anybit.data import Labels
from anybit.errors import OptionError
from anybit.quantizers.features import check_features, one_hot_sums
from anybit.quantizers.fit_result import FitResult
from anybit.quantizers.method import FitSettings, VectorMethod
from anybit.quantizers.options import FitOptions
from anybit.quantizers.residual import ResidualFitOptions, fit_residual
from anybit.types import Float32Array, ProgressCallback, UInt8Array

__all__ = ["SQ", "StackedFitOptions", "fit_stacked"]


@dataclass(frozen=True)
class StackedFitOptions(FitOptions):
    """How `fit_stacked` learns; see `FitOptions` for the rest.

    Parameters
    ----------
    n_refinements : int
        Most passes over all levels, top down.
    tolerance : float
        Stop when a pass lowers the distortion by less than this share of it.
    """

    n_refinements: int = 15
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_refinements < 0:
            raise OptionError(f"n_refinements must be at least 0, got {self.n_refinements}.")


def fit_stacked(
    features: Float32Array,
    options: StackedFitOptions | None = None,
    progress: ProgressCallback | None = None,
) -> FitResult:
    """Learn codebooks level by level, then refine them jointly, with greedy codes throughout.

    Parameters
    ----------
    features : ndarray of shape (N, D), float32
        At least K vectors.
    options : StackedFitOptions, optional
    progress : callable, optional
        Called with (passes done, most passes).

    Returns
    -------
    FitResult
        With stacked codebooks; ``history`` has the distortion at the start and after each pass. The
        best pass is kept.

    Raises
    ------
    ShapeError, DTypeError, DataError
        If the vectors are not (N, D) finite numbers with N >= K.

    Notes
    -----
    A pass goes through the levels from the top: the codewords of a level become the means of what
    the other levels leave of their vectors, and all vectors are encoded anew. The first never
    raises the error, the second may, as greedy codes look at one level after the other.

    References
    ----------
    Martinez, Hoos, Little, "Stacked quantizers for compositional vector compression",
    arXiv:1411.2173, section 4.2 (codebook refinement).
    """
    options = options or StackedFitOptions()
    features = check_features(features, options.n_codewords)
    train = options.sample(features)
    start = fit_residual(
        train,
        ResidualFitOptions(
            n_levels=options.n_levels,
            n_codewords=options.n_codewords,
            metric=options.metric,
            has_offset=options.has_offset,
            n_iterations=options.n_iterations,
            max_train=None,
            seed=options.seed,
            beam_size=1,
        ),
    )
    offset = start.codebooks.offset
    centred = train if offset is None else train - offset
    codebooks = start.codebooks.codebooks.copy()
    planes = Codebooks.stacked(codebooks).encode(centred).planes
    history = [_distortion(centred, codebooks, planes)]
    best = (history[0], codebooks.copy())
    for number in range(options.n_refinements):
        for level in range(options.n_levels):
            codebooks[level] = _mean_of_the_rest(centred, codebooks, planes, level)
            planes = Codebooks.stacked(codebooks).encode(centred).planes
        history.append(_distortion(centred, codebooks, planes))
        if progress is not None:
            progress(number + 1, options.n_refinements)
        gain = best[0] - history[-1]
        if gain > 0:
            best = (history[-1], codebooks.copy())
        if gain <= options.tolerance * best[0]:
            break
    made = Codebooks.stacked(best[1], offset=offset, metric=options.metric)
    return FitResult.of(made, features, history, start.n_revived)


def _left_over(
    centred: Float32Array, codebooks: Float32Array, planes: UInt8Array, but: int | None = None
) -> Float32Array:
    """Return the vectors less the codewords of all levels (of all `but` one)."""
    left = centred.copy()
    for level, plane in enumerate(planes):
        if level != but:
            left -= codebooks[level][plane]
    return left


def _mean_of_the_rest(
    centred: Float32Array, codebooks: Float32Array, planes: UInt8Array, level: int
) -> Float32Array:
    """Return the best codewords (K, D) of a level for the codes and other levels as they are."""
    left = _left_over(centred, codebooks, planes, but=level)
    sums, counts = one_hot_sums(left, planes[level].astype(np.int64), codebooks.shape[1])
    found: Float32Array = codebooks[level].copy()
    used = counts > 0
    found[used] = (sums[used] / counts[used, None]).astype(np.float32)
    return found


def _distortion(centred: Float32Array, codebooks: Float32Array, planes: UInt8Array) -> float:
    left = _left_over(centred, codebooks, planes)
    return float(np.einsum("nd,nd->n", left, left).mean(dtype=np.float64))


def _fit(features: Float32Array, labels: Labels | None, settings: FitSettings) -> FitResult:
    return fit_stacked(features, StackedFitOptions.of(settings), settings.progress)


SQ = VectorMethod(
    "sq",
    "stacked quantizers: residual codebooks refined together",
    "Martinez, Hoos, Little, arXiv:1411.2173, 2014",
    _fit,
)
