"""The registry of methods on fixed vectors, by the names of the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType

from anybit.data import Labels
from anybit.errors import OptionError
from anybit.quantizers.fit_result import FitResult
from anybit.quantizers.method import FitSettings, VectorMethod
from anybit.types import Float32Array, Metric, ProgressCallback

__all__ = ["METHODS", "fit_vectors"]

# File of this package, and the `VectorMethod` in it: all that a new method adds here is its line.
_ENTRIES = (
    "residual:RQ",
    "residual:RQ_GREEDY",
    "stacked:SQ",
    "local_search:LSQ",
    "product:PQ",
    "product:OPQ",
    "residual:VQ",
    "recurrent:DRQ",
    "recurrent:DRQ_BEAM",
    "recurrent_rotated:DRQ_ROTATED",
)


def _declared() -> Iterator[VectorMethod]:
    """Yield what the entries name."""
    for entry in _ENTRIES:
        file, _, name = entry.partition(":")
        yield getattr(import_module(f"anybit.quantizers.{file}"), name)


METHODS: Mapping[str, VectorMethod] = MappingProxyType({one.name: one for one in _declared()})


def fit_vectors(
    features: Float32Array,
    method: str = "rq",
    *,
    labels: Labels | None = None,
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
    labels : Labels, optional
        Classes of the N items, for the methods that learn from them.
    n_levels : int
        Levels M; 1 for ``vq``.
    n_codewords : int
        Codewords K of a level.
    metric : {"ip", "l2", "cosine"}
    seed : int
    progress : callable, optional

    Returns
    -------
    FitResult
        Its codebooks belong to ``result.feature_map.apply(features)`` where there is a feature
        map, to the features themselves otherwise.

    Raises
    ------
    OptionError
        If the method is unknown, or settings do not fit it.
    ShapeError, DTypeError, DataError
        If the vectors cannot be learned from, or labels are missing that the method needs.
    """
    if method not in METHODS:
        raise OptionError(
            f"method must be one of {', '.join(METHODS)} for vectors, got {method!r}."
        )
    settings = FitSettings(n_levels, n_codewords, metric, seed, progress)
    return METHODS[method].learn(features, labels, settings)
