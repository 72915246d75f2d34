"""The recurrent quantiser with a rotation of its codebook at each level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anybit.codes import Codebooks
from anybit.data import Labels
from anybit.errors import OptionError
from anybit.quantizers.features import one_hot_sums
from anybit.quantizers.fit_result import FitResult
from anybit.quantizers.method import FitSettings, VectorMethod
from anybit.quantizers.options import FitOptions
from anybit.quantizers.recurrent import RecurrentFitOptions, fit_recurrent
from anybit.types import Float32Array, ProgressCallback, UInt8Array

__all__ = ["DRQ_ROTATED", "RotatedFitOptions", "fit_rotated"]

Float64Array = NDArray[np.float64]
_GRADIENT_STEPS = 8  # conjugate gradients of a round; each starts from the codebook before


@dataclass(frozen=True)
class RotatedFitOptions(FitOptions):
    """How `fit_rotated` learns; see `FitOptions` for the rest.

    Parameters
    ----------
    n_rounds : int
        Most rounds of rotations and scales, codebook, codes.
    tolerance : float
        Stop when a round lowers the distortion by less than this share of it.
    beam_size : int
        Codes of a vector that are kept at each level when it is encoded; 1 is greedy.
    """

    n_rounds: int = 20
    tolerance: float = 1e-4
    beam_size: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_rounds < 1:
            raise OptionError(f"n_rounds must be at least 1, got {self.n_rounds}.")


@dataclass(frozen=True)
class _Statistics:
    """What the updates need of codes: sums of vectors (M, K, D), counts of pairs (M, M, K, K)."""

    sums: Float64Array
    pairs: Float64Array


def fit_rotated(
    features: Float32Array,
    options: RotatedFitOptions | None = None,
    progress: ProgressCallback | None = None,
) -> FitResult:
    """Learn one codebook C with a scale and a rotation per level: codewords ``s_m C R_m``.

    Parameters
    ----------
    features : ndarray of shape (N, D), float32
        At least K vectors.
    options : RotatedFitOptions, optional
    progress : callable, optional
        Called with (rounds done, most rounds).

    Returns
    -------
    FitResult
        With stacked codebooks: the levels' codewords written out, M times the size of C.

    Raises
    ------
    ShapeError, DTypeError, DataError
        If the vectors are not (N, D) finite numbers with N >= K.

    Notes
    -----
    Not in the paper: residuals of a level point elsewhere than those of the one before, which one
    codebook in one position cannot follow. Rotations are orthogonal Procrustes problems, scales
    follow from their singular values, and C solves a least squares problem in K D unknowns (by
    conjugate gradients), each for the codes and the rest as they are. The first level keeps scale
    1 and no rotation. The best round is kept.
    """
    options = options or RotatedFitOptions()
    features, centred, offset = options.prepared(features)
    codebook, scales, rotations = _start(centred, options)
    dense = _dense(codebook, scales, rotations)
    history, best = [], (np.inf, dense)
    for number in range(options.n_rounds + 1):
        planes = _codebooks(dense, options).encode(centred).planes
        history.append(_distortion(centred, dense, planes))
        gain = best[0] - history[-1]
        if gain > 0:
            best = (history[-1], dense)
        if number == options.n_rounds or gain <= options.tolerance * best[0]:
            break
        stats = _statistics(centred, planes, options.n_codewords)
        scales, rotations = _turned(codebook, scales, rotations, stats)
        codebook = _solved(codebook, scales, rotations, stats)
        dense = _dense(codebook, scales, rotations)
        if progress is not None:
            progress(number + 1, options.n_rounds)
    made = _codebooks(best[1], options, offset)
    return FitResult.of(made, features, history)


def _codebooks(
    dense: Float64Array, options: RotatedFitOptions, offset: Float32Array | None = None
) -> Codebooks:
    return Codebooks.stacked(
        dense.astype(np.float32),
        offset=offset,
        metric=options.metric,
        beam_size=options.beam_size,
    )


def _start(
    centred: Float32Array, options: RotatedFitOptions
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return a shared codebook (K, D), scales (M,), and rotations (M, D, D) drawn at random."""
    settings = RecurrentFitOptions(
        n_levels=options.n_levels,
        n_codewords=options.n_codewords,
        has_offset=False,
        n_iterations=5,
        start="kmeans",
        max_train=None,
        seed=options.seed,
    )
    shared = fit_recurrent(centred, settings).codebooks
    codebook = shared.codebooks.astype(np.float64)
    dim, rng = codebook.shape[1], np.random.default_rng(options.seed)
    rotations = np.stack([np.eye(dim)] * options.n_levels)
    for level in range(1, options.n_levels):
        rotations[level] = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    return codebook, np.power(0.9, np.arange(options.n_levels, dtype=np.float64)), rotations


def _dense(codebook: Float64Array, scales: Float64Array, rotations: Float64Array) -> Float64Array:
    return np.asarray(scales[:, None, None] * (codebook @ rotations))  # (M, K, D)


def _distortion(centred: Float32Array, dense: Float64Array, planes: UInt8Array) -> float:
    left = centred.copy()
    for level, plane in enumerate(planes):
        left -= dense[level].astype(np.float32)[plane]
    return float(np.einsum("nd,nd->n", left, left).mean(dtype=np.float64))


def _statistics(centred: Float32Array, planes: UInt8Array, n_codewords: int) -> _Statistics:
    n_levels, wide = len(planes), planes.astype(np.int64)
    sums = np.stack([one_hot_sums(centred, plane, n_codewords)[0] for plane in wide])
    pairs = np.empty((n_levels, n_levels, n_codewords, n_codewords))
    for first in range(n_levels):
        for second in range(first, n_levels):
            joint = wide[first] * n_codewords + wide[second]
            counts = np.bincount(joint, minlength=n_codewords**2).reshape(n_codewords, -1)
            pairs[first, second], pairs[second, first] = counts, counts.T
    return _Statistics(sums, pairs)


def _turned(
    codebook: Float64Array, scales: Float64Array, rotations: Float64Array, stats: _Statistics
) -> tuple[Float64Array, Float64Array]:
    """Return the best scale and rotation of each level but the first, one after the other."""
    scales, rotations = scales.copy(), rotations.copy()
    dense = _dense(codebook, scales, rotations)
    sq_norms = np.einsum("kd,kd->k", codebook, codebook)
    for level in range(1, len(scales)):
        wanted = stats.sums[level].copy()  # sums of what the other levels leave over, (K, D)
        for other in range(len(scales)):
            if other != level:
                wanted -= stats.pairs[level, other] @ dense[other]
        left, singular, right = np.linalg.svd(codebook.T @ wanted)
        rotations[level] = left @ right
        weight = float(np.diag(stats.pairs[level, level]) @ sq_norms)
        if weight > 0:
            scales[level] = singular.sum() / weight
        dense[level] = scales[level] * (codebook @ rotations[level])
    return scales, rotations


def _solved(
    codebook: Float64Array, scales: Float64Array, rotations: Float64Array, stats: _Statistics
) -> Float64Array:
    """Return a codebook of smaller squared error for the codes, scales and rotations."""
    levels = range(len(scales))

    def applied(values: Float64Array) -> Float64Array:
        dense = _dense(values, scales, rotations)
        rows = [sum(stats.pairs[one, two] @ dense[two] for two in levels) for one in levels]
        return gathered(np.stack(rows))

    def gathered(rows: Float64Array) -> Float64Array:
        turned = rows @ rotations.transpose(0, 2, 1)
        return np.asarray((scales[:, None, None] * turned).sum(axis=0))

    left = gathered(stats.sums) - applied(codebook)
    direction, size = left.copy(), float((left * left).sum())
    for _ in range(_GRADIENT_STEPS):
        if size <= 0:
            break
        moved = applied(direction)
        curvature = float((direction * moved).sum())
        if curvature <= 0:
            break
        step = size / curvature
        codebook, left = codebook + step * direction, left - step * moved
        before, size = size, float((left * left).sum())
        direction = left + (size / before) * direction
    return codebook


def _fit(features: Float32Array, labels: Labels | None, settings: FitSettings) -> FitResult:
    return fit_rotated(features, RotatedFitOptions.of(settings), settings.progress)


DRQ_ROTATED = VectorMethod(
    "drq-rotated",
    "recurrent quantisation with a rotation per level",
    "ours, after Song et al., IJCAI 2019",
    _fit,
)
