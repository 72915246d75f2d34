"""Vectors placed on a plane by t-SNE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anybit.errors import DependencyError, ShapeError
from anybit.types import Float32Array

__all__ = ["embed_2d"]

_MIN_DISTINCT = 8  # fewer rows have too few neighbours for a perplexity above 2


def embed_2d(vectors: Float32Array, seed: int) -> NDArray[np.float64]:
    """Place vectors on a plane by t-SNE, equal vectors at the same point.

    Parameters
    ----------
    vectors : ndarray of shape (N, D), float32
        Reconstructions of items.
    seed : int
        Of the start, which is the plane of the first two principal components, slightly shaken.

    Returns
    -------
    ndarray of shape (N, 2), float64
        Centred. The same vectors and seed give the same points on one machine.

    Raises
    ------
    ShapeError
        If the vectors do not have shape (N, D) with at least one item and dimension, or are not
        finite.
    DependencyError
        If openTSNE is not installed.

    Notes
    -----
    Many items share a code, hence a reconstruction. As neighbours they would see nothing but
    their equals, and t-SNE would tear the picture into as many islands as there are codes. So
    each distinct reconstruction is embedded once, whatever the number of its items, and
    a picture shows that number by the size of a disc. Perplexity is 30, or a third of the
    distinct reconstructions less one when that is smaller; below eight distinct ones their two
    first principal components are returned, without t-SNE.

    References
    ----------
    van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008; Policar et al.,
    "openTSNE", 2019. Figure 5 of Song et al., IJCAI 2019, shows 32-bit reconstructions.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or vectors.size == 0 or not np.isfinite(vectors).all():
        raise ShapeError(
            "vectors must have shape (N, D) with at least one item and dimension and finite "
            f"entries, got {vectors.shape}."
        )
    distinct, item_rows = np.unique(vectors, axis=0, return_inverse=True)  # (n, D), (N,)
    principal = _principal_plane(distinct)  # (n, 2)
    if len(distinct) < _MIN_DISTINCT:
        return principal[item_rows.ravel()]
    try:
        from openTSNE import TSNE
    except ImportError as cause:
        raise DependencyError(
            "embedding needs openTSNE. Install it with: pip install 'anybit[papers]'"
        ) from cause
    # openTSNE starts from coordinates of standard deviation 1e-4; the seed shakes them a little.
    start = principal / principal[:, 0].std() * 1e-4
    start += np.random.default_rng(seed).normal(scale=1e-6, size=start.shape)
    tsne = TSNE(
        perplexity=min(30.0, (len(distinct) - 1) / 3),
        initialization=start,
        neighbors="exact",
        negative_gradient_method="bh" if len(distinct) < 5000 else "fft",
        n_jobs=1,  # sums in one order: the same picture every time
        random_state=seed,
    )
    points = np.asarray(tsne.fit(distinct), dtype=np.float64)  # (n, 2)
    centred: NDArray[np.float64] = (points - points.mean(axis=0))[item_rows.ravel()]
    return centred


def _principal_plane(rows: Float32Array) -> NDArray[np.float64]:
    """Return the first two principal components of rows; (n, 2)."""
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)  # (r, D)
    # The sign of a singular vector is arbitrary: its largest entry is made positive.
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    plane = np.zeros((len(rows), 2))
    plane[:, : min(2, len(axes))] = centred @ axes[:2].T
    return plane
