"""Product quantisation, with or without an optimised rotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from anybit.codes import MOST_LEVELS, Codebooks
from anybit.data import Labels
from anybit.errors import DataError, DependencyError, OptionError
from anybit.quantizers.fit_result import FitResult
from anybit.quantizers.kmeans import KMeansOptions, learn_codebook
from anybit.quantizers.method import FitSettings, VectorMethod
from anybit.quantizers.options import FitOptions
from anybit.types import Float32Array, ProgressCallback

__all__ = ["OPQ", "PQ", "ProductFitOptions", "fit_product"]


@dataclass(frozen=True)
class ProductFitOptions(FitOptions):
    """How `fit_product` learns; see `FitOptions` for the rest.

    Parameters
    ----------
    n_levels : int
        Subspaces M; the dimension D must be a multiple of it.
    has_rotation : bool
        Learn a rotation of the space first (OPQ; needs FAISS).
    n_rotation_rounds : int
        Rounds of codes and rotation. Tight classes take many: of features of 10 classes the error
        at 64 bits was 13.5, 9.7 and 4.5 after 30, 50 (as FAISS) and 100 rounds.
    """

    has_offset: bool = False
    has_rotation: bool = False
    n_rotation_rounds: int = 50


def fit_product(
    features: Float32Array,
    options: ProductFitOptions | None = None,
    progress: ProgressCallback | None = None,
) -> FitResult:
    """Learn codewords of each part of the vectors by k-means.

    Parameters
    ----------
    features : ndarray of shape (N, D), float32
        At least K vectors; D a multiple of M.
    options : ProductFitOptions, optional
    progress : callable, optional
        Called with (subspaces done, subspaces).

    Returns
    -------
    FitResult
        With product codebooks. Its distortions are those of the first t subspaces, the others
        at the mean: product codes cannot be cut, only the last one is of use.

    Raises
    ------
    ShapeError, DTypeError, DataError
        If the vectors are not (N, D) finite numbers with N >= K.
    OptionError
        If D is not a multiple of M.
    DependencyError
        If a rotation is wanted and FAISS is missing.

    Notes
    -----
    The rotation is FAISS's, by alternating codes and Procrustes from the order in which FAISS
    deals out the principal components; its codewords are then learned anew by our k-means.

    References
    ----------
    Jégou et al., "Product quantization for nearest neighbor search", TPAMI 2011; Ge et al.,
    "Optimized product quantization", CVPR 2013 (the non-parametric variant).
    """
    options = options or ProductFitOptions()
    features, centred, offset = options.prepared(features)
    dim = features.shape[1]
    if dim % options.n_levels:
        raise OptionError(
            f"the dimension must be a multiple of the {options.n_levels} levels (subspaces) of a "
            f"product quantiser, got {dim}. {_cure_of_levels(dim, options.n_codewords)}"
        )
    rotation = _rotation(centred, options) if options.has_rotation else None
    if rotation is not None:
        centred = centred @ rotation
    width = dim // options.n_levels
    codebooks, n_revived, history = [], 0, []
    for level in range(options.n_levels):
        part = np.ascontiguousarray(centred[:, level * width : (level + 1) * width])
        found = learn_codebook(part, KMeansOptions(**options.kmeans(level)))
        codebooks.append(found.codebook)
        history.append(found.distortion)
        n_revived += found.n_revived
        if progress is not None:
            progress(level + 1, options.n_levels)
    made = Codebooks.product(
        np.stack(codebooks), rotation=rotation, offset=offset, metric=options.metric
    )
    return FitResult.of(made, features, history, n_revived)


def _cure_of_levels(dim: int, n_codewords: int) -> str:
    """Name the numbers of levels that divide a dimension."""
    levels = [number for number in range(1, min(dim, MOST_LEVELS) + 1) if dim % number == 0]
    bits = [number * (n_codewords.bit_length() - 1) for number in levels]
    return (
        f"With {n_codewords} codewords take {_one_of(bits)} bits ({_one_of(levels)} levels), or "
        "another method: rq has no subspaces."
    )


def _one_of(numbers: list[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} or {last}" if first else last


def _rotation(centred: Float32Array, options: ProductFitOptions) -> Float32Array:
    """Return the rotation (D, D) for ``x @ rotation``."""
    faiss = _faiss()
    dim = centred.shape[1]
    if len(centred) < dim:  # FAISS would end the process
        raise DataError(
            f"a rotation of {dim} dimensions needs at least as many vectors, got {len(centred)}. "
            "Give more vectors, or leave the rotation out."
        )
    matrix = faiss.OPQMatrix(dim, options.n_levels)
    matrix.niter = options.n_rotation_rounds
    # As many codewords as the codes will have: FAISS assumes 256.
    quantizer = faiss.ProductQuantizer(dim, options.n_levels, options.n_codewords.bit_length() - 1)
    quantizer.cp.seed = (options.seed + 1) % (2**31 - 1)
    quantizer.cp.min_points_per_centroid = 1  # a warning for every round otherwise
    matrix.pq = quantizer
    matrix.train(centred)
    found: Float32Array = faiss.vector_to_array(matrix.A).reshape(dim, dim).T.copy()
    return found


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as cause:
        raise DependencyError("this method needs FAISS: pip install 'anybit[faiss]'.") from cause
    return faiss


def _fit(features: Float32Array, labels: Labels | None, settings: FitSettings) -> FitResult:
    return fit_product(features, ProductFitOptions.of(settings), settings.progress)


def _fit_rotated(features: Float32Array, labels: Labels | None, settings: FitSettings) -> FitResult:
    options = ProductFitOptions.of(settings, has_rotation=True)
    return fit_product(features, options, settings.progress)


PQ = VectorMethod(
    "pq", "product quantisation", "Jégou et al., TPAMI 2011", _fit, is_sequential=False
)
OPQ = VectorMethod(
    "opq",
    "product quantisation after a learned rotation (needs FAISS)",
    "Ge et al., CVPR 2013",
    _fit_rotated,
    is_sequential=False,
    needs=("faiss",),
)
