"""Lloyd's k-means: fast enough for 100,000 vectors, seeded, without dead codewords."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anybit.codes import closest, is_cancelled
from anybit.errors import OptionError, ShapeError
from anybit.quantizers.features import BLOCK_ROWS, check_features, distinct_rows, one_hot_sums
from anybit.types import Float32Array, Int64Array, ProgressCallback

__all__ = ["KMeansOptions", "KMeansResult", "assign", "fit_kmeans", "learn_codebook"]

_ROUNDING = np.float32(1e-12)  # of squares
_FIRST_COMPONENTS, _ITERATIONS_PER_WIDTH = 8, 4


@dataclass(frozen=True)
class KMeansOptions:
    """How `fit_kmeans` learns.

    Parameters
    ----------
    n_codewords : int
        Codewords K, at least 1. (Codes need a power of two; k-means itself does not.)
    n_iterations : int
        Most passes of assignment and update over the training vectors.
    init : {"k-means++", "random", "progressive"}
        Start from vectors drawn by squared distance to those drawn before, or uniformly; or from
        random ones that are moved by some iterations in few principal components, then in more.
        Residuals have a dense middle, where the first two leave one codeword with most vectors.
    init_sample : int
        k-means++ looks at no more vectors than this, drawn at random (but at K or more).
    max_train : int or None
        Iterate over at most this many vectors, drawn at random; one last update and assignment
        see all of them. None uses all throughout.
    tolerance : float
        Stop when an iteration lowers the distortion by less than this share of it.
    seed : int
        The same seed, vectors and machine give the same codebook.
    """

    n_codewords: int = 256
    n_iterations: int = 20
    init: Literal["k-means++", "random", "progressive"] = "k-means++"
    init_sample: int = 8192
    max_train: int | None = None
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_codewords", "n_iterations", "init_sample"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.init not in ("k-means++", "random", "progressive"):
            raise OptionError(f"init must be k-means++, random or progressive, got {self.init!r}.")
        if self.max_train is not None and self.max_train < self.n_codewords:
            raise OptionError(
                f"max_train must be at least n_codewords = {self.n_codewords}, "
                f"got {self.max_train}. Raise it, or pass None to use all vectors."
            )


@dataclass(frozen=True)
class KMeansResult:
    """What `fit_kmeans` learned.

    Parameters
    ----------
    codebook : ndarray of shape (K, D), float32
    codes : ndarray of shape (N,), int64
        Nearest codeword of every training vector.
    distortion : float
        Mean squared distance of a vector to its codeword, summed over D.
    history : tuple of float
        Distortion at each iteration's assignment; never rises.
    n_revived : int
        How often a codeword without vectors was moved to a badly described vector.
    """

    codebook: Float32Array
    codes: Int64Array
    distortion: float
    history: tuple[float, ...]
    n_revived: int


def assign(features: Float32Array, codebook: Float32Array) -> tuple[Int64Array, Float32Array]:
    """Find the nearest codeword of each vector.

    Parameters
    ----------
    features : ndarray of shape (N, D), float32
    codebook : ndarray of shape (K, D), float32

    Returns
    -------
    codes : ndarray of shape (N,), int64
        Ties go to the lower codeword number, up to float32 rounding.
    sq_distances : ndarray of shape (N,), float32

    Raises
    ------
    ShapeError
        If either array is not two-dimensional, or the dimensions differ.
    """
    if features.ndim != 2 or codebook.ndim != 2 or features.shape[1] != codebook.shape[1]:
        raise ShapeError(
            "features must have shape (N, D) and codebook (K, D) with the same D, "
            f"got {features.shape} and {codebook.shape}."
        )
    codes = np.empty(len(features), dtype=np.int64)
    sq_distances = np.empty(len(features), dtype=np.float32)
    for start in range(0, len(features), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        codes[block], sq_distances[block] = closest(features[block], codebook)
    return codes, sq_distances


def fit_kmeans(
    features: Float32Array,
    options: KMeansOptions | None = None,
    progress: ProgressCallback | None = None,
) -> KMeansResult:
    """Learn K codewords that describe the vectors with the least squared error.

    Parameters
    ----------
    features : ndarray of shape (N, D), float32
    options : KMeansOptions, optional
    progress : callable, optional
        Called with (iterations done, most iterations).

    Returns
    -------
    KMeansResult

    Raises
    ------
    ShapeError, DTypeError, DataError
        If the vectors are not (N, D) finite numbers with N >= K.

    Notes
    -----
    A codeword left without vectors moves to the vector with the largest error. This never raises
    the distortion: nobody used the codeword. Where there are at most K distinct vectors, they
    become the codewords, and copies of the first one fill the codebook.

    References
    ----------
    Lloyd, "Least squares quantization in PCM", 1982; Arthur and Vassilvitskii, "k-means++", 2007.
    """
    options = options or KMeansOptions()
    return learn_codebook(check_features(features, options.n_codewords), options, progress)


def learn_codebook(
    features: Float32Array, options: KMeansOptions, progress: ProgressCallback | None = None
) -> KMeansResult:
    """Run `fit_kmeans` on vectors that are checked, or are residuals of such: of any size."""
    rng = np.random.default_rng(options.seed)
    train = features
    if options.max_train is not None and options.max_train < len(features):
        train = features[np.sort(rng.permutation(len(features))[: options.max_train])]
    n_revived, few = 0, distinct_rows(train, options.n_codewords)
    if few is not None:
        return _exact(features, few, options.n_codewords)
    codebook = _initial_codebook(train, options, rng)
    history: list[float] = []
    for iteration in range(options.n_iterations):
        codes, errors = assign(train, codebook)
        history.append(float(errors.mean(dtype=np.float64)))
        codebook, revived = _updated(train, codes, errors, codebook)
        n_revived += revived
        if progress is not None:
            progress(iteration + 1, options.n_iterations)
        if iteration and not revived:
            if history[-2] - history[-1] <= options.tolerance * history[-2]:
                break
    codes, errors = assign(features, codebook)
    if train is not features:
        codebook, revived = _updated(features, codes, errors, codebook)
        n_revived += revived
        codes, errors = assign(features, codebook)
    distortion = float(errors.mean(dtype=np.float64))
    return KMeansResult(codebook, codes, distortion, tuple(history), n_revived)


def _exact(features: Float32Array, distinct: Float32Array, n_codewords: int) -> KMeansResult:
    """Return distinct vectors (n, D) as the codebook (K, D), n <= K."""
    rest = np.repeat(distinct[:1], n_codewords - len(distinct), axis=0)
    codebook = np.concatenate([distinct, rest])  # (K, D); ties go to the lower number
    codes, errors = assign(features, codebook)
    distortion = float(errors.mean(dtype=np.float64))
    return KMeansResult(codebook, codes, distortion, (distortion,), 0)


def _initial_codebook(
    features: Float32Array, options: KMeansOptions, rng: np.random.Generator
) -> Float32Array:
    """Draw K of the vectors, (K, D)."""
    size = max(options.init_sample, options.n_codewords)
    rows = rng.permutation(len(features))
    if options.init == "progressive":
        return _progressive_codebook(features, rows[: options.n_codewords])
    if options.init == "random":
        return features[rows[: options.n_codewords]].copy()
    sample = features[rows[:size]]
    sq_norms = np.einsum("nd,nd->n", sample, sample)
    chosen = [0]
    nearest = np.full(len(sample), np.inf)
    for _ in range(options.n_codewords - 1):
        last = sample[chosen[-1]]
        distances = sq_norms - 2 * (sample @ last) + last @ last
        nearest = np.minimum(nearest, np.maximum(distances, 0))
        nearest[chosen[-1]] = 0
        total = np.cumsum(nearest, dtype=np.float64)
        # All vectors are drawn already when nothing is left: any one will do.
        draw = rng.random() * total[-1]
        drawn = int(np.searchsorted(total, draw, side="right")) if total[-1] > 0 else 0
        chosen.append(min(drawn, len(sample) - 1))
    return sample[chosen].copy()


def _progressive_codebook(features: Float32Array, rows: Int64Array) -> Float32Array:
    """Start from some vectors and iterate in 8, 32, 128, ... principal components."""
    dim = features.shape[1]
    sample = features[: 1 << 17]
    _, axes = np.linalg.eigh(sample.T @ sample)
    turned = features @ axes[:, ::-1]  # (N, D), most spread first
    codebook = np.zeros((len(rows), dim), dtype=np.float32)
    width, fresh = min(_FIRST_COMPONENTS, dim), 0
    while width < dim:
        if fresh == 0:
            codebook[:, :width] = turned[rows, :width]
        part, few = np.ascontiguousarray(turned[:, :width]), codebook[:, :width].copy()
        for _ in range(_ITERATIONS_PER_WIDTH):
            codes, errors = assign(part, few)
            few, _ = _updated(part, codes, errors, few)
        codebook[:, :width] = few
        fresh, width = width, min(width * 4, dim)
    if fresh == 0:
        codebook[:] = turned[rows]
    found: Float32Array = np.ascontiguousarray(codebook @ axes[:, ::-1].T, dtype=np.float32)
    return found


def _updated(
    features: Float32Array,
    codes: Int64Array,
    errors: NDArray[np.float32],
    codebook: Float32Array,
) -> tuple[Float32Array, int]:
    """Return the means of the codewords' vectors, dead codewords revived, and how many were."""
    sums, counts = one_hot_sums(features, codes, len(codebook))
    updated = codebook.copy()
    alive = counts > 0
    updated[alive] = (sums[alive] / counts[alive, None]).astype(np.float32)
    _move_tight(features, codes, errors, codebook, updated)
    dead = np.flatnonzero(~alive)
    if len(dead) == 0:
        return updated, 0
    farthest = np.argsort(-errors, kind="stable")[: len(dead)]
    # Vectors described exactly, up to float32 rounding, need no codeword of their own.
    rows = features[farthest]
    farthest = farthest[errors[farthest] > _ROUNDING * np.einsum("nd,nd->n", rows, rows)]
    updated[dead[: len(farthest)]] = features[farthest]
    return updated, len(farthest)


def _move_tight(
    features: Float32Array,
    codes: Int64Array,
    errors: NDArray[np.float32],
    codebook: Float32Array,
    updated: Float32Array,
) -> None:
    """Set codewords far from zero with vectors close around them to ``c + mean(x - c)``.

    The mean of such vectors rounds by more than they differ.
    """
    counts = np.bincount(codes, minlength=len(codebook))
    totals = np.bincount(codes, weights=errors, minlength=len(codebook))
    means = (totals / np.maximum(counts, 1)).astype(np.float32)
    is_tight = (counts > 0) & is_cancelled(means, np.einsum("kd,kd->k", codebook, codebook))
    if not is_tight.any():
        return
    rows = np.flatnonzero(is_tight[codes])
    left = features[rows] - codebook[codes[rows]]
    sums, _ = one_hot_sums(left, codes[rows], len(codebook))
    updated[is_tight] = codebook[is_tight] + sums[is_tight] / counts[is_tight, None]
