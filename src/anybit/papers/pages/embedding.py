"""The t-SNE pictures of reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anybit.errors import OptionError
from anybit.evaluation import LIGHT, Theme, dressed, painted
from anybit.papers.pages.figures import PictureKind, colours_of, finished
from anybit.papers.results.result import Embedding
from anybit.types import Int64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_embeddings"]

_MAX_COLUMNS = 2  # panels side by side
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


def draw_embeddings(
    embeddings: Sequence[Embedding], kind: PictureKind, theme: Theme = LIGHT
) -> bytes:
    """Draw items on planes, coloured by class, one panel an embedding.

    Parameters
    ----------
    embeddings : sequence of Embedding
        Of the same classes. Items at the same point are laid out as a disc around it, like the
        seeds of a sunflower, so its area is their number.
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
