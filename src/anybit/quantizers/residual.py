"""Residual quantisation: an independent codebook per level, each k-means of what is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybit.codes import Beam, BeamRule, Codebooks, CodewordTables, rows_of_a_block
from anybit.data import Labels
from anybit.errors import OptionError
from anybit.quantizers.additive import solve_codebooks
from anybit.quantizers.fit_result import FitResult
from anybit.quantizers.kmeans import KMeansOptions, learn_codebook
from anybit.quantizers.method import FitSettings, VectorMethod
from anybit.quantizers.options import FitOptions
from anybit.types import Float32Array, ProgressCallback

__all__ = ["RQ", "RQ_GREEDY", "VQ", "ResidualFitOptions", "fit_residual"]

# k-means++ leaves no codeword with most of the vectors where there are so few.
_FEW_CODEWORDS = 16


@dataclass(frozen=True)
class ResidualFitOptions(FitOptions):
    """How `fit_residual` learns; see `FitOptions` for the rest.

    Parameters
    ----------
    beam_size : int
        Codes of a vector that are kept at each level, in learning and in encoding; 1 is greedy.
    prefix_weight : float
        How much all shorter prefixes together count beside the whole code, each measured in units
        of its mean error; 0 looks at the whole code alone.
    n_refinements : int
        How often, at the end, all codebooks are solved for together and the vectors encoded anew.
        Greedy codes go without.
    max_residuals : int
        k-means of a level learns from at most so many residuals, drawn from all codes kept.
    """

    n_iterations: int = 10
    beam_size: int = 5
    prefix_weight: float = 1.0
    n_refinements: int = 1
    max_residuals: int = 262_144

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.beam_size <= 256:
            raise OptionError(f"beam_size must be from 1 to 256, got {self.beam_size}.")
        if not 0 <= self.prefix_weight <= 1:
            raise OptionError(f"prefix_weight must be from 0 to 1, got {self.prefix_weight}.")
        if self.n_refinements < 0 or self.max_residuals < self.n_codewords:
            raise OptionError(
                "n_refinements must be at least 0 and max_residuals at least n_codewords, got "
                f"{self.n_refinements} and {self.max_residuals}."
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
        With stacked codebooks. With greedy codes a further level never raises the distortion of
        the vectors learned from.

    Raises
    ------
    ShapeError, DTypeError, DataError
        If the vectors are not (N, D) finite numbers with N >= K.

    Notes
    -----
    With a beam a level learns from the residuals of all codes that are kept, several a vector. On
    60,000 sentence embeddings that lowered the error of vectors not learned from by 4 to 6 % at 64
    bits, far more than the beam itself in encoding: later levels have too many codewords for
    their vectors otherwise.

    References
    ----------
    Chen et al., "Approximate nearest neighbor search by residual vector quantization",
    Sensors 2010 (greedy); the training from a beam follows FAISS's ``ResidualQuantizer``; the
    weights of prefixes and the joint solution by them are ours.
    """
    options = options or ResidualFitOptions()
    features, centred, offset = options.prepared(features)
    learned = _Levels(centred, options)
    for level in range(options.n_levels):
        learned.add_level()
        if progress is not None:
            progress(level + 1, options.n_levels)
    codebooks = np.stack(learned.codebooks)
    rule = BeamRule(options.beam_size, options.n_levels)
    if options.beam_size > 1:
        rule = learned.rule_of_all_lengths()
        if not learned.is_exact:
            codebooks = _refined(centred, codebooks, rule, options.n_refinements)
    made = Codebooks.stacked(
        codebooks,
        offset=offset,
        metric=options.metric,
        beam_size=rule.size,
        prefix_weights=rule.prefix_weights,
    )
    return FitResult.of(made, features, learned.history, learned.n_revived)


class _Levels:
    """Codebooks as they come, and the codes of the vectors that are kept by then."""

    def __init__(self, centred: Float32Array, options: ResidualFitOptions) -> None:
        self._options = options
        self._rule = BeamRule(options.beam_size, options.n_levels)
        n_rows = rows_of_a_block(self._rule, options.n_codewords)
        starts = range(0, len(centred), n_rows)
        self._beams = [Beam(centred[start : start + n_rows]) for start in starts]
        self._rng = np.random.default_rng(options.seed)
        self.codebooks: list[Float32Array] = []
        self.history: list[float] = []
        self.n_revived = 0
        # Mean squared error below which only float32 rounding is left.
        sq_norms = np.einsum("nd,nd->n", centred, centred)
        self._rounding = 1e-12 * float(sq_norms.mean(dtype=np.float64))

    @property
    def is_exact(self) -> bool:
        """Whether the levels so far describe every vector, up to rounding."""
        return bool(self.history) and self.history[-1] <= self._rounding

    def add_level(self) -> None:
        """Learn the codebook of the next level, and encode by it."""
        settings = self._options.kmeans(len(self.codebooks))
        if self._options.n_codewords > _FEW_CODEWORDS:
            settings["init"] = "progressive"
        found = learn_codebook(self._residuals(), KMeansOptions(**settings))
        self.codebooks.append(found.codebook)
        self.n_revived += found.n_revived
        tables = CodewordTables(np.stack(self.codebooks))
        for beam in self._beams:
            beam.extend(tables, self._rule)
        best = [beam.errors.min(axis=1) for beam in self._beams]
        self.history.append(float(np.concatenate(best).mean(dtype=np.float64)))

    def _residuals(self) -> Float32Array:
        """Return what is left over by the codes that are kept, or by a sample of them."""
        if self.is_exact:  # the other codes kept would teach further levels to undo the first
            return self._least_residuals()
        n_kept = self._beams[0].codes.shape[1]
        total = sum(len(beam.vectors) for beam in self._beams) * n_kept
        most = max(self._options.max_residuals, total // n_kept)
        share = min(1.0, most / total)
        parts = []
        for beam in self._beams:
            chosen = np.arange(len(beam.vectors) * n_kept)
            if share < 1:
                chosen = self._rng.permutation(len(chosen))[: max(1, round(share * len(chosen)))]
            rows, places = np.divmod(chosen, n_kept)
            left = beam.vectors[rows]
            for level, codebook in enumerate(self.codebooks):
                left = left - codebook[beam.codes[rows, places, level]]
            parts.append(left)
        return np.concatenate(parts)

    def _least_residuals(self) -> Float32Array:
        """Return what the best code of each vector leaves over, (N, D)."""
        parts = []
        for beam in self._beams:
            rows = np.arange(len(beam.vectors))
            best = beam.codes[rows, beam.errors.argmin(axis=1)]  # (n, t)
            left = beam.vectors
            for level, codebook in enumerate(self.codebooks):
                left = left - codebook[best[:, level]]
            parts.append(left)
        return np.concatenate(parts)

    def rule_of_all_lengths(self) -> BeamRule:
        """Return the rule that weighs each prefix by the inverse of its mean error."""
        floor = self._rounding or 1.0  # exact prefixes weigh alike
        *shorter, whole = [max(one, floor) for one in self.history]
        each = self._options.prefix_weight * whole / max(len(shorter), 1)
        weights = tuple(each / one for one in shorter)
        return BeamRule(self._rule.size, self._rule.n_levels, weights)


def _refined(
    centred: Float32Array, codebooks: Float32Array, rule: BeamRule, n_refinements: int
) -> Float32Array:
    """Encode, and solve for all codebooks together, in turn."""
    for _ in range(n_refinements):
        made = Codebooks.stacked(codebooks, beam_size=rule.size, prefix_weights=rule.prefix_weights)
        codebooks = solve_codebooks(centred, made.encode(centred).planes, codebooks, rule)
    return codebooks


def _fit_beam(features: Float32Array, labels: Labels | None, settings: FitSettings) -> FitResult:
    return fit_residual(features, ResidualFitOptions.of(settings), settings.progress)


def _fit_greedily(
    features: Float32Array, labels: Labels | None, settings: FitSettings
) -> FitResult:
    options = ResidualFitOptions.of(settings, beam_size=1)
    return fit_residual(features, options, settings.progress)


def _fit_one_level(
    features: Float32Array, labels: Labels | None, settings: FitSettings
) -> FitResult:
    if settings.n_levels != 1:
        raise OptionError(f"vq has one level, got {settings.n_levels}. Use rq for longer codes.")
    return _fit_greedily(features, labels, settings)


RQ = VectorMethod(
    "rq",
    "residual quantisation, a codebook per level, a beam that weighs all lengths",
    "Chen et al., Sensors 2010",
    _fit_beam,
)
RQ_GREEDY = VectorMethod(
    "rq-greedy",
    "residual quantisation, encoded greedily",
    "Chen et al., Sensors 2010",
    _fit_greedily,
)
VQ = VectorMethod("vq", "k-means: one level", "Lloyd, IEEE Trans. Inf. Theory 1982", _fit_one_level)
