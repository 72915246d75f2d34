"""The methods on fixed features by the names of the command line."""

from __future__ import annotations

from anybit.errors import OptionError
from anybit.quantizers.fit_result import FitResult
from anybit.quantizers.local_search import LocalSearchFitOptions, fit_local_search
from anybit.quantizers.product import ProductFitOptions, fit_product
from anybit.quantizers.recurrent import RecurrentFitOptions, fit_recurrent
from anybit.quantizers.recurrent_rotated import RotatedFitOptions, fit_rotated
from anybit.quantizers.residual import ResidualFitOptions, fit_residual
from anybit.quantizers.stacked import StackedFitOptions, fit_stacked
from anybit.types import Float32Array, Metric, ProgressCallback

__all__ = ["METHODS", "fit_vectors"]

METHODS: dict[str, str] = {
    "rq": "residual quantisation, a codebook per level, a beam that weighs all lengths",
    "rq-greedy": "residual quantisation, encoded greedily",
    "sq": "stacked quantizers: residual codebooks refined together",
    "lsq": "local search quantisation, additive codebooks (needs FAISS)",
    "pq": "product quantisation",
    "opq": "product quantisation after a learned rotation (needs FAISS)",
    "vq": "k-means: one level",
    "drq": "recurrent quantisation: one codebook for all levels, a scale per level",
    "drq-beam": "the same, encoded by a beam",
    "drq-rotated": "the same with a rotation per level",
}


def fit_vectors(
    features: Float32Array,
    method: str = "rq",
    *,
    n_levels: int = 4,
    n_codewords: int = 256,
    metric: Metric = "ip",
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> FitResult:
    """Learn codebooks by a method's name, with its own defaults.

    Parameters
    ----------
    features : ndarray of shape (N, D), float32
    method : str
        One of `METHODS`.
    n_levels : int
        Levels M; 1 for ``vq``.
    n_codewords : int
        Codewords K of a level.
    metric : {"ip", "l2", "cosine"}
    seed : int
    progress : callable, optional

    Raises
    ------
    OptionError
        If the method is unknown, or settings do not fit it.
    ShapeError, DTypeError, DataError
        If the vectors cannot be learned from.
    """
    if method not in METHODS:
        raise OptionError(
            f"method must be one of {', '.join(METHODS)} for vectors, got {method!r}."
        )
    if method == "vq" and n_levels != 1:
        raise OptionError(f"vq has one level, got {n_levels}. Use rq for longer codes.")
    common = (n_levels, n_codewords, metric)
    if method in ("rq", "rq-greedy", "vq"):
        beam_size = ResidualFitOptions.beam_size if method == "rq" else 1
        return fit_residual(
            features, ResidualFitOptions(*common, seed=seed, beam_size=beam_size), progress
        )
    if method == "sq":
        return fit_stacked(features, StackedFitOptions(*common, seed=seed), progress)
    if method == "lsq":
        return fit_local_search(features, LocalSearchFitOptions(*common, seed=seed), progress)
    if method in ("pq", "opq"):
        rotates = method == "opq"
        return fit_product(
            features, ProductFitOptions(*common, seed=seed, has_rotation=rotates), progress
        )
    if method == "drq-rotated":
        return fit_rotated(features, RotatedFitOptions(*common, seed=seed), progress)
    beam_size = 8 if method == "drq-beam" else 1
    return fit_recurrent(
        features, RecurrentFitOptions(*common, seed=seed, beam_size=beam_size), progress
    )
