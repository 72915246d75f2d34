"""Draw an evaluation: mAP against bits, precision against recall, precision against rank."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anybit.errors import DependencyError
from anybit.evaluation.results import Evaluation, LengthResult, write_bytes, write_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LIGHT", "PLOTS", "Theme", "draw", "dressed", "painted", "write_evaluation"]


@dataclass(frozen=True)
class Theme:
    """Colours of a picture, for a light or a dark page."""

    background: str
    ink: str
    grid: str
    accent: str
    float_line: str
    colormap: str
    span: tuple[float, float]


LIGHT = Theme("#ffffff", "#1f2933", "#dde3ea", "#1f6feb", "#b4540a", "viridis", (0.0, 0.8))
DARK = Theme("#161b22", "#d7dde4", "#30363d", "#6cb0ff", "#f0a45d", "viridis", (0.3, 1.0))
_DASHES = ("-", "--", "-.", ":")


def write_evaluation(
    evaluation: Evaluation, directory: str | Path, *, plots: bool = True
) -> tuple[Path, ...]:
    """Write ``metrics.json`` and the plots (PNG and SVG) into a folder.

    Parameters
    ----------
    evaluation : Evaluation
    directory : path
        Made if missing; files of the same names are replaced.
    plots : bool
        Whether to draw; needs matplotlib.

    Returns
    -------
    tuple of Path
        What was written.

    Raises
    ------
    DataError
        If the folder cannot be written.
    DependencyError
        If matplotlib is missing; ``metrics.json`` has been written by then.
    """
    folder = Path(directory)
    written = write_json(folder / "metrics.json", evaluation.to_dict())
    return (written, *_save_plots(evaluation, folder)) if plots else (written,)


def _save_plots(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write every plot as PNG and SVG; return the paths."""
    return [
        write_bytes(folder / f"{name}.{kind}", draw(evaluation, name, kind))
        for name in PLOTS
        for kind in ("png", "svg")
    ]


def draw(evaluation: Evaluation, name: str, kind: str, theme: Theme = LIGHT) -> bytes:
    """Return one of PLOTS as the bytes of a PNG or SVG file.

    Raises
    ------
    DependencyError
        If matplotlib is not installed.
    """

    def paint(figure: Figure) -> None:
        PLOTS[name](evaluation, dressed(figure.add_subplot(), theme), theme)

    return painted(paint, kind, theme)


def painted(paint: Callable[[Figure], None], kind: str, theme: Theme = LIGHT) -> bytes:
    """Return what a function paints on an empty figure as the bytes of a PNG or SVG file.

    Raises
    ------
    DependencyError
        If matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as cause:
        raise DependencyError(
            "drawing needs matplotlib. Install it with: pip install 'anybit[report]'"
        ) from cause
    # A fixed salt and no date: the same figures give the same file.
    settings: dict[Any, Any] = {
        "svg.hashsalt": "anybit",
        "font.size": 11,
        "font.family": "DejaVu Sans",
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(7.2, 4.4), layout="constrained", facecolor=theme.background)
        FigureCanvasAgg(figure)
        paint(figure)
        return _bytes(figure, kind)


def _bytes(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(
        buffer, format=kind, dpi=160, metadata=metadata, facecolor=figure.get_facecolor()
    )
    return buffer.getvalue()


def dressed(axes: Axes, theme: Theme) -> Axes:
    """Give axes the colours of a theme."""
    axes.set_facecolor(theme.background)
    axes.grid(visible=True, color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.grid)
    axes.tick_params(which="both", colors=theme.ink, length=0)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set_color(theme.ink)
    return axes


def _title(axes: Axes, theme: Theme, text: str) -> None:
    axes.set_title(text, loc="left", fontweight="bold", color=theme.ink, pad=12)


def _legend(axes: Axes, theme: Theme, n_entries: int) -> None:
    legend = axes.legend(
        frameon=False, labelcolor=theme.ink, fontsize=9, ncols=2 if n_entries > 8 else 1
    )
    legend.set_in_layout(True)


def _map_against_bits(evaluation: Evaluation, axes: Axes, theme: Theme) -> None:
    results = evaluation.lengths
    bits = [result.bits for result in results]
    values = [result.measure("map_at", denominator=evaluation.denominator) for result in results]
    ties = [result.measure("map_at", ties=True).interval for result in results]
    spans = [(tie.worst, tie.best) for tie in ties if tie is not None]
    worst, best = zip(*spans, strict=True)
    highs = list(best)
    width = 0.012 * max(bits) + 0.25
    axes.bar(
        bits,
        np.subtract(best, worst),
        bottom=worst,
        width=2 * width,
        color=theme.accent,
        alpha=0.28,
        label="worst to best order of ties",
    )
    axes.plot(
        bits,
        [value.value for value in values],
        color=theme.accent,
        marker="o",
        linewidth=2,
        label=f"codes, mAP@{evaluation.at}",
    )
    if evaluation.float_features is not None:
        level = evaluation.float_features.measure("map_at").value
        highs.append(level)
        axes.axhline(
            level,
            color=theme.float_line,
            linestyle="--",
            linewidth=1.8,
            label=f"float features, {level:.3f}",
        )
    axes.set_xticks(bits)
    axes.set_xlim(min(bits) - 4 * width, max(bits) + 4 * width)
    axes.set_xlabel("bits per item")
    axes.set_ylabel(f"mAP@{evaluation.at}")
    # The bars would otherwise touch the edge, and a flat line look like a jagged one.
    margin = max(0.01, 0.12 * (max(highs) - min(worst)))
    axes.set_ylim(max(0.0, min(worst) - margin), min(1.005, max(highs) + margin))
    _title(axes, theme, "Retrieval quality at every code length")
    _legend(axes, theme, 3)


def _precision_against_recall(evaluation: Evaluation, axes: Axes, theme: Theme) -> None:
    def points(result: LengthResult) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return result.curve.recall, result.curve.precision

    _curves(evaluation, axes, theme, points)
    axes.set_xlim(0, 1)
    axes.set_xlabel("recall of the relevant items")
    axes.set_ylabel("precision")
    _title(axes, theme, "Precision against recall")


def _precision_against_rank(evaluation: Evaluation, axes: Axes, theme: Theme) -> None:
    def points(result: LengthResult) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return tuple(float(rank) for rank in result.ranks), result.precision

    _curves(evaluation, axes, theme, points)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("rank R (logarithmic)")
    axes.set_ylabel("precision@R")
    _title(axes, theme, "Precision among the first R")


def _curves(
    evaluation: Evaluation,
    axes: Axes,
    theme: Theme,
    points: Callable[[LengthResult], tuple[tuple[float, ...], tuple[float, ...]]],
) -> None:
    """Draw one line a code length, told apart by colour and dashes, and the float features."""
    from matplotlib import colormaps

    shades = np.linspace(*theme.span, len(evaluation.lengths))
    lowest = 1.0
    for number, (result, shade) in enumerate(zip(evaluation.lengths, shades, strict=True)):
        x, y = points(result)
        lowest = min(lowest, *y)
        axes.plot(
            x,
            y,
            color=colormaps[theme.colormap](shade),
            linestyle=_DASHES[number % len(_DASHES)],
            linewidth=2,
            label=result.label,
        )
    if evaluation.float_features is not None:
        x, y = points(evaluation.float_features)
        axes.plot(x, y, color=theme.float_line, linewidth=1.6, label="float features")
    axes.set_ylim(max(0.0, lowest - 0.05) if lowest > 0.5 else 0.0, 1.01)
    _legend(axes, theme, len(evaluation.lengths) + 1)


PLOTS: dict[str, Callable[[Evaluation, Any, Theme], None]] = {
    "map_against_bits": _map_against_bits,
    "precision_against_recall": _precision_against_recall,
    "precision_against_rank": _precision_against_rank,
}
"""The plots by the name of their file."""
