"""The recurrent quantiser of DRQ on fixed features: one codebook and a scale per level."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anybit.codes import BeamRule, Codebooks
from anybit.data import Labels
from anybit.errors import OptionError
from anybit.quantizers.fit_result import FitResult
from anybit.quantizers.kmeans import KMeansOptions, learn_codebook
from anybit.quantizers.method import FitSettings, VectorMethod
from anybit.quantizers.options import FitOptions
from anybit.quantizers.recurrent_adam import AdamOptions, fit_by_adam
from anybit.quantizers.recurrent_steps import (
    Encoding,
    encode_by_beam,
    encode_prefixes,
    moments,
    solve_codebook,
    solve_powers,
    solve_scales,
)
from anybit.types import Float32Array, ProgressCallback

__all__ = ["DRQ", "DRQ_BEAM", "RecurrentFitOptions", "fit_recurrent"]

# A level that takes off less than 2 % of what the first one does, has collapsed.
_SMALL_SCALE = 0.02
# Squares of longer codewords overflow float32. One huge vector may ask for them: the pass before
# such a step is then the last.
_LARGEST_CODEWORD = 1e17


@dataclass(frozen=True)
class RecurrentFitOptions(FitOptions):
    """How `fit_recurrent` learns; see `FitOptions` for the rest.

    Parameters
    ----------
    optimizer : {"als", "adam"}
        Alternating least squares, or Adam on mini-batches. ALS has no rate to tune and kept the
        scales positive on all data tried. Adam, at its best rate for the data, ended 0.4 to 3.5 %
        lower in 1.4 to 1.9 times the CPU time; at a rate too high it did not leave its start, or
        turned scales negative.
    start : {"split", "kmeans"}
        Start from k-means codewords, half of the vectors and half of their residuals; or all of
        the vectors, as in the paper, where the scales of clustered data collapse.
    scale_rule : {"free", "power"}
        A free scale per level, or powers of one w above 0, level m using ``w^m`` (paper). The
        powers are fitted under this constraint, by ALS only.
    n_iterations : int
        Most passes over the training vectors.
    tolerance : float
        ALS stops when a pass lowers the objective by less than this share of it.
    level_weights : tuple of float, optional
        Weight of each prefix's distortion, M numbers >= 0, the last > 0. All 1 when left out.
    beam_size : int
        Codes of a vector that are kept at each level when it is encoded, by ALS in learning, too;
        1 is greedy. Prefixes are weighted by `level_weights`.
    adam : AdamOptions
        Learning rate and batch size; ALS ignores them.
    """

    n_iterations: int = 30
    max_train: int | None = 262_144
    optimizer: Literal["als", "adam"] = "als"
    start: Literal["split", "kmeans"] = "split"
    scale_rule: Literal["free", "power"] = "free"
    tolerance: float = 1e-5
    level_weights: tuple[float, ...] | None = None
    beam_size: int = 1
    adam: AdamOptions = field(default_factory=AdamOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beam_size < 1 or (self.beam_size > 1 and self.optimizer == "adam"):
            raise OptionError(
                f"beam_size must be at least 1, and 1 with adam, got {self.beam_size}."
            )
        choices = (
            ("optimizer", ("als", "adam")),
            ("start", ("split", "kmeans")),
            ("scale_rule", ("free", "power")),
        )
        for name, allowed in choices:
            if getattr(self, name) not in allowed:
                raise OptionError(
                    f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}."
                )
        if self.scale_rule == "power" and self.optimizer == "adam":
            raise OptionError('scale_rule power must be fitted by "als", got optimizer "adam".')
        weights = np.asarray(self.weights)
        is_fit = np.isfinite(weights).all() and (weights >= 0).all()
        if len(weights) != self.n_levels or not is_fit or weights[-1] <= 0:
            raise OptionError(
                f"level_weights must be {self.n_levels} numbers >= 0, the last above 0, "
                f"got {self.level_weights}. Leave them out to weigh all lengths alike."
            )

    @property
    def rule(self) -> BeamRule:
        """How a beam weighs the prefixes."""
        shorter = tuple(one / self.weights[-1] for one in self.weights[:-1])
        return BeamRule(self.beam_size, self.n_levels, shorter)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each prefix, M numbers."""
        return (1.0,) * self.n_levels if self.level_weights is None else self.level_weights


@dataclass(frozen=True)
class _Trained:
    """The best pass: codebook (K, D), scales (M,), and how training went."""

    codebook: Float32Array
    scales: NDArray[np.float64]
    history: tuple[float, ...]
    n_revived: int = 0


def fit_recurrent(
    features: Float32Array,
    options: RecurrentFitOptions | None = None,
    progress: ProgressCallback | None = None,
) -> FitResult:
    """Learn one codebook and the level scales jointly, for every prefix length at once.

    Minimises the weighted sum over prefixes t of ``mean_n |x_n - sum_{i <= t} s_i C[b_i(n)]|^2``
    with greedy codes b, ``s_0 = 1``: the hard distortions E_H of DRQ, without a network.

    Parameters
    ----------
    features : ndarray of shape (N, D), float32
        At least K vectors.
    options : RecurrentFitOptions, optional
    progress : callable, optional
        Called with (passes done, most passes).

    Returns
    -------
    FitResult
        With shared codebooks; distortion and usage over all vectors given.

    Raises
    ------
    ShapeError, DTypeError, DataError
        If the vectors are not (N, D) finite numbers with N >= K.

    Notes
    -----
    ALS repeats: scales by an (M, M) system, codebook by a (K, K) system, both exact for the codes
    at hand, then greedy re-encoding. Re-encoding can raise the objective, because it minimises
    one level after the other; the best pass is kept. Cost of a pass: O(N K (D + M)).

    The paper ties the scales by one factor w (``s_t = w^t``, ``scale_rule="power"``); the authors'
    code leaves them free. The paper's soft distortions steer gradients into a
    network; there is none here.

    References
    ----------
    Song et al., "Deep Recurrent Quantization for Generating Sequential Binary Codes", IJCAI 2019,
    section 3 (recurrence and distortions, as reconstructed).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(500, 8)).astype(np.float32)
    >>> result = fit_recurrent(features, RecurrentFitOptions(n_levels=3, n_codewords=16))
    >>> result.codebooks.kind, result.codebooks.bits
    ('shared', 12)
    """
    options = options or RecurrentFitOptions()
    features, train, offset = options.prepared(features)
    rng = np.random.default_rng(options.seed)
    codebook, scales = _start(train, options)
    if options.optimizer == "als":
        trained = _fit_by_least_squares(train, codebook, scales, options, progress)
    else:
        best = fit_by_adam(
            train,
            (codebook, scales),
            np.asarray(options.weights),
            (options.n_iterations, options.adam),
            rng,
            progress,
        )
        trained = _Trained(best.codebook, best.scales, best.history)
    codebooks = Codebooks.shared(
        trained.codebook,
        trained.scales.astype(np.float32),
        offset=offset,
        metric=options.metric,
        beam_size=options.beam_size,
        prefix_weights=options.rule.prefix_weights if options.beam_size > 1 else (),
    )
    symptoms = _symptoms(trained.scales)
    return FitResult.of(codebooks, features, trained.history, trained.n_revived, symptoms)


def _start(
    features: Float32Array, options: RecurrentFitOptions
) -> tuple[Float32Array, NDArray[np.float64]]:
    """Return a codebook (K, D) and scales (M,) to begin with, from k-means.

    With codewords of the vectors alone, least squares sees that scaled copies of them describe
    residuals badly, and shrinks the scales. Codewords of residuals from the start, usable at
    scales near 1, end lower with ALS on every data set tried, most on clustered ones. One coarse
    and one fine codeword would both be the mean of centred vectors, zero up to rounding, so two
    codewords start from k-means.
    """
    n_coarse = options.n_codewords
    is_split = options.start == "split" and options.n_levels > 1 and n_coarse > 2
    if is_split:
        n_coarse //= 2
    # A rough start does: 8 iterations on part of the vectors, as the passes that follow move all.
    sample = max(32_768, options.n_codewords)
    settings = KMeansOptions(n_coarse, 8, max_train=sample, seed=options.seed)
    coarse = learn_codebook(features, settings)
    if not is_split:
        left = coarse.distortion / max(float(np.einsum("nd,nd->", features, features)), 1e-30)
        ratio = min(0.9, max(0.1, float(np.sqrt(left * len(features)))))
        return coarse.codebook, _powers(ratio, options.n_levels)
    residual = features - coarse.codebook[coarse.codes]
    fine = learn_codebook(residual, settings)
    codebook = np.concatenate([coarse.codebook, fine.codebook])
    if options.scale_rule == "power":
        return codebook, _powers(0.9, options.n_levels)
    return codebook, np.linspace(1.0, 0.6, options.n_levels)


def _powers(factor: float, n_levels: int) -> NDArray[np.float64]:
    return np.power(factor, np.arange(n_levels, dtype=np.float64))


def _fit_by_least_squares(
    features: Float32Array,
    codebook: Float32Array,
    scales: NDArray[np.float64],
    options: RecurrentFitOptions,
    progress: ProgressCallback | None,
) -> _Trained:
    """Alternate exact updates and greedy encoding; keep the best pass."""
    weights = np.asarray(options.weights, dtype=np.float64)
    encoding = _encoded(features, codebook, scales, options)
    history = [float(weights @ encoding.distortions)]
    best, n_revived = (history[0], codebook, scales), 0
    for iteration in range(options.n_iterations):
        stats = moments(encoding.codes, weights)
        solve = solve_powers if options.scale_rule == "power" else solve_scales
        scales = solve(codebook, encoding.projections, stats, scales)
        codebook = solve_codebook(features, scales, stats, codebook)
        if float(np.abs(scales).max()) * float(np.abs(codebook).max()) > _LARGEST_CODEWORD:
            break
        codebook, revived = _revived(features, codebook, encoding)
        n_revived += revived
        encoding = _encoded(features, codebook, scales, options)
        history.append(float(weights @ encoding.distortions))
        if progress is not None:
            progress(iteration + 1, options.n_iterations)
        gain = best[0] - history[-1]
        if gain > 0:
            best = (history[-1], codebook, scales)
        if not revived and gain <= options.tolerance * best[0]:
            break
    return _Trained(best[1], best[2], tuple(history), n_revived)


def _encoded(
    features: Float32Array,
    codebook: Float32Array,
    scales: NDArray[np.float64],
    options: RecurrentFitOptions,
) -> Encoding:
    if options.beam_size == 1:
        return encode_prefixes(features, codebook, scales)
    return encode_by_beam(features, codebook, scales, options.rule)


def _revived(
    features: Float32Array, codebook: Float32Array, encoding: Encoding
) -> tuple[Float32Array, int]:
    """Move codewords that no level uses to the vectors with the largest errors."""
    is_used = np.zeros(len(codebook), dtype=bool)
    is_used[np.unique(encoding.codes)] = True
    dead = np.flatnonzero(~is_used)
    if len(dead) == 0:
        return codebook, 0
    farthest = np.argsort(-encoding.errors, kind="stable")[: len(dead)]
    # Vectors described exactly, up to float32 rounding, need no codeword of their own.
    rows = features[farthest]
    rounding = np.float32(1e-12) * np.einsum("nd,nd->n", rows, rows)
    farthest = farthest[encoding.errors[farthest] > rounding]
    codebook = codebook.copy()
    codebook[dead[: len(farthest)]] = features[farthest]
    return codebook, len(farthest)


def _symptoms(scales: NDArray[np.float64]) -> dict[int, str]:
    """Return what to say of levels whose scale is near zero or below."""
    return {
        level: f"level_scales[{level}] should be well above 0, got {scale:.4f}. Near zero a level "
        "hardly improves the code, below zero it turns codewords round. Use fewer levels, or "
        "independent codebooks (method rq, fit_residual)."
        for level, scale in enumerate(scales.tolist())
        if scale < _SMALL_SCALE
    }


def _fit(features: Float32Array, labels: Labels | None, settings: FitSettings) -> FitResult:
    return fit_recurrent(features, RecurrentFitOptions.of(settings), settings.progress)


def _fit_by_beam(features: Float32Array, labels: Labels | None, settings: FitSettings) -> FitResult:
    options = RecurrentFitOptions.of(settings, beam_size=8)
    return fit_recurrent(features, options, settings.progress)


DRQ = VectorMethod(
    "drq",
    "recurrent quantisation: one codebook for all levels, a scale per level",
    "Song et al., IJCAI 2019",
    _fit,
)
DRQ_BEAM = VectorMethod(
    "drq-beam", "recurrent quantisation, encoded by a beam", "Song et al., IJCAI 2019", _fit_by_beam
)
