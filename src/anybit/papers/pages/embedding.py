"""The t-SNE pictures of reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anybit.errors import DependencyError, OptionError, ShapeError
from anybit.evaluation import LIGHT, Theme, dressed, painted
from anybit.papers.pages.figures import PictureKind, colours_of, finished
from anybit.papers.results.result import Embedding
from anybit.types import Float32Array, Int64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_embeddings", "embed_2d"]

_MIN_DISTINCT = 8  # fewer rows have too few neighbours for a perplexity above 2
_MAX_COLUMNS = 2  # panels side by side
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


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
    `draw_embeddings` shows that number by the size of a disc. Perplexity is 30, or a third of the
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


def draw_embeddings(
    embeddings: Sequence[Embedding], kind: PictureKind, theme: Theme = LIGHT
) -> bytes:
    """Draw items on planes, coloured by class, one panel an embedding.

    Parameters
    ----------
    embeddings : sequence of Embedding
        Points from `embed_2d`, of the same classes. Items at the same point are laid out as a
        disc around it, like the seeds of a sunflower, so its area is their number.
    kind : {"png", "svg"}
    theme : Theme

    Returns
    -------
    bytes
        The file; the same points give the same bytes.

    Raises
    ------
    OptionError
        If there is no embedding, one has no points, their classes differ, or the kind is unknown.
    DependencyError
        If matplotlib is not installed.
    """
    names = {one.class_names for one in embeddings}
    if len(names) != 1 or not all(one.points for one in embeddings):
        raise OptionError(
            "embeddings must be at least one, each with points, all of the same classes, got "
            f"{len(embeddings)} with {len(names)} lists of classes."
        )
    if kind not in ("png", "svg"):
        raise OptionError(f"kind must be png or svg, got {kind!r}.")
    n_columns = min(_MAX_COLUMNS, len(embeddings))
    n_rows = -(-len(embeddings) // n_columns)

    def paint(figure: Figure) -> None:
        width, height = figure.get_size_inches()
        figure.set_size_inches(width * (1 + 0.6 * (n_columns - 1)), height * n_rows)
        panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        for axes in panels[len(embeddings) :]:
            axes.set_visible(False)
        for axes, one in zip(panels, embeddings, strict=False):
            _draw_panel(dressed(axes, theme), one, theme)
        # One legend, to the right of the first row.
        last = panels[n_columns - 1]
        finished(last, theme, len(embeddings[0].class_names))
        for handle in last.get_legend().legend_handles:
            handle.set_sizes([40])

    return painted(paint, kind, theme)


def _draw_panel(axes: Axes, embedding: Embedding, theme: Theme) -> None:
    """Draw the points of an embedding, a colour a class."""
    points = np.asarray(embedding.points, dtype=np.float64)  # (N, 2)
    classes = np.asarray(embedding.classes, dtype=np.int64)
    spread = _spread(points, classes)
    for number, colour in enumerate(colours_of(len(embedding.class_names))):
        x, y = spread[classes == number].T
        axes.scatter(
            x, y, s=9, color=colour, alpha=0.8, linewidths=0, label=embedding.class_names[number]
        )
    axes.set_title(embedding.title, color=theme.ink, fontsize=11)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])  # coordinates of t-SNE have no meaning
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


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


def _spread(points: NDArray[np.float64], classes: Int64Array) -> NDArray[np.float64]:
    """Lay out items of one point as a disc, class by class; (N, 2)."""
    _, groups = np.unique(points, axis=0, return_inverse=True)
    order = np.lexsort((classes, groups.ravel()))
    sorted_groups = groups.ravel()[order]
    first = np.searchsorted(sorted_groups, sorted_groups)  # (N,)
    number = np.arange(len(points)) - first  # position of an item within its point
    # All items side by side would cover about a quarter of the picture.
    extent = np.ptp(points, axis=0).max() or 1.0
    step = 0.25 * extent / np.sqrt(len(points))
    radius = step * np.sqrt(number)
    moved = points.copy()
    moved[order, 0] += radius * np.cos(number * _GOLDEN_ANGLE)
    moved[order, 1] += radius * np.sin(number * _GOLDEN_ANGLE)
    return moved
