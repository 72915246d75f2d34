"""Draw the papers' figures: precision against recall and rank, mAP against bits, ties."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from anybit.errors import OptionError
from anybit.evaluation import LIGHT, Theme, dressed, painted
from anybit.papers.results.result import Curve, ResultRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "PictureKind",
    "colours_of",
    "draw_map",
    "draw_precision_at",
    "draw_precision_recall",
    "draw_ties",
    "finished",
]

PictureKind: TypeAlias = Literal["png", "svg"]
"""File format of a picture."""

_PALETTE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#7f7f7f",
    "#8c6d31",
    "#5e3c99",
    "#b5a300",
)
"""Okabe and Ito's colours, told apart by the colour-blind, without black and with three more."""

_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
_LABEL = re.compile(r"(.+) (\d+) bits")


@dataclass(frozen=True)
class _Style:
    """How a line is told apart from the others."""

    colour: str
    dash: str
    marker: str


def colours_of(n_colours: int) -> tuple[str, ...]:
    """Return so many colours that the colour-blind can tell apart; they repeat after ten."""
    return tuple(_PALETTE[number % len(_PALETTE)] for number in range(n_colours))


def draw_precision_recall(
    curves: Sequence[Curve], kind: PictureKind, theme: Theme = LIGHT
) -> bytes:
    """Draw precision against recall of the relevant items.

    Parameters
    ----------
    curves : sequence of Curve
        x is recall, from 0 to 1. With labels such as ``DRQ 16 bits`` of several methods the
        colour says the method and the dashes say the bits.
    kind : {"png", "svg"}
    theme : Theme

    Returns
    -------
    bytes
        The file; the same curves give the same bytes.

    Raises
    ------
    OptionError
        If there is no curve, or the kind is unknown.
    DependencyError
        If matplotlib is not installed.

    References
    ----------
    Figure 3 of Song et al., "Deep Recurrent Quantization for Generating Sequential Binary Codes",
    IJCAI 2019.
    """

    def dress(axes: Axes) -> None:
        axes.set_xlim(0, 1)
        axes.set_xlabel("recall of the relevant items")
        axes.set_ylabel("precision")

    return _draw_curves(curves, kind, theme, dress)


def draw_precision_at(curves: Sequence[Curve], kind: PictureKind, theme: Theme = LIGHT) -> bytes:
    """Draw precision among the first R against R.

    Parameters
    ----------
    curves : sequence of Curve
        x is the rank R. The axis is logarithmic when ranks span more than a factor of 100.
    kind : {"png", "svg"}
    theme : Theme

    Returns
    -------
    bytes
        The file; the same curves give the same bytes.

    Raises
    ------
    OptionError, DependencyError
        As `draw_precision_recall`.

    References
    ----------
    Figure 4 of Song et al., IJCAI 2019.
    """

    def dress(axes: Axes) -> None:
        ranks = [rank for curve in curves for rank in curve.x]
        if max(ranks) > 100 * max(1.0, min(ranks)):
            axes.set_xscale("log")
        axes.set_xlim(min(ranks), max(ranks))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("number of items R that are looked at")
        axes.set_ylabel("precision@R")

    return _draw_curves(curves, kind, theme, dress)


def draw_map(
    rows: Sequence[ResultRow],
    bits: Sequence[int],
    kind: PictureKind,
    theme: Theme = LIGHT,
    *,
    measure: str = "mAP",
) -> bytes:
    """Draw a measure against bits: ours with 95 % intervals, the paper's values hollow.

    Parameters
    ----------
    rows : sequence of ResultRow
        Each with one entry a code length; entries without a value are left out.
    bits : sequence of int
        The code lengths.
    kind : {"png", "svg"}
    theme : Theme
    measure : str
        Label of the axis.

    Returns
    -------
    bytes
        The file; the same rows give the same bytes.

    Raises
    ------
    OptionError
        If no row has a value, a row does not fit `bits`, or the kind is unknown.
    DependencyError
        If matplotlib is not installed.
    """
    _check_kind(kind)
    for row in rows:
        if {len(row.ours), len(row.paper or row.ours)} != {len(bits)}:
            raise OptionError(
                f"each row must have {len(bits)} entries, one a code length, got "
                f"{len(row.ours)} for {row.method}."
            )
    if not any(value is not None for row in rows for value in (*row.ours, *(row.paper or ()))):
        raise OptionError("at least one row must have a value, got none. Leave the picture out.")

    def paint(figure: Figure) -> None:
        axes = dressed(figure.add_subplot(), theme)
        # Markers of equal values lie side by side, not on top of each other.
        shift = 0.006 * (max(bits) - min(bits) or 1)
        for number, row in enumerate(rows):
            style = _Style(colours_of(number + 1)[-1], "-", _MARKERS[number % len(_MARKERS)])
            offset = shift * (number - (len(rows) - 1) / 2)
            _draw_row(axes, row, [one + offset for one in bits], style, theme)
        axes.set_xticks(list(bits))
        axes.set_xlabel("bits per item")
        axes.set_ylabel(measure)
        if axes.get_ylim()[1] >= 1000:
            axes.yaxis.set_major_formatter("{x:,.0f}")
        finished(axes, theme, len(axes.get_legend_handles_labels()[1]))

    return painted(paint, kind, theme)


def draw_ties(curves: Sequence[Curve], kind: PictureKind, theme: Theme = LIGHT) -> bytes:
    """Draw what the order of equal scores can do to a measure, against bits.

    Parameters
    ----------
    curves : sequence of Curve
        x is bits. One with a band is drawn as bars from `lower` to `upper`, its y as points; one
        without as points only.
    kind : {"png", "svg"}
    theme : Theme

    Returns
    -------
    bytes
        The file; the same curves give the same bytes.

    Raises
    ------
    OptionError, DependencyError
        As `draw_precision_recall`.
    """
    _check_kind(kind)
    _check_some(curves)

    def paint(figure: Figure) -> None:
        axes = dressed(figure.add_subplot(), theme)
        axes.set_xscale("log", base=2)
        for curve, colour, marker in zip(
            curves, colours_of(len(curves)), _MARKERS * len(curves), strict=False
        ):
            if curve.lower is not None and curve.upper is not None:
                axes.vlines(
                    curve.x, curve.lower, curve.upper, color=colour, alpha=0.25, linewidth=14
                )
            axes.plot(
                curve.x,
                curve.y,
                color=colour,
                marker=marker,
                linestyle="-" if curve.lower is not None else "none",
                linewidth=1.8,
                markersize=6,
                label=curve.label,
            )
        ticks = sorted({one for curve in curves for one in curve.x})
        axes.set_xticks(ticks, [f"{one:g}" for one in ticks])
        axes.minorticks_off()
        axes.set_xlim(ticks[0] / 1.4, ticks[-1] * 1.4)
        axes.set_xlabel("bits per item (logarithmic)")
        axes.set_ylabel("mAP")
        finished(axes, theme, len(curves))

    return painted(paint, kind, theme)


def finished(axes: Axes, theme: Theme, n_entries: int) -> None:
    """Put the legend to the right of the axes, where it hides no line."""
    axes.tick_params(pad=6)
    axes.legend(
        frameon=False,
        labelcolor=theme.ink,
        fontsize=9 if n_entries <= 16 else 7,
        handlelength=3,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )


def _draw_curves(
    curves: Sequence[Curve], kind: PictureKind, theme: Theme, dress: Callable[[Axes], None]
) -> bytes:
    """Draw one line a curve, its band shaded; the legend has the highest line first."""
    _check_kind(kind)
    _check_some(curves)
    styles = _styles([curve.label for curve in curves])
    order = sorted(range(len(curves)), key=lambda one: -float(np.mean(curves[one].y)))

    def paint(figure: Figure) -> None:
        axes = dressed(figure.add_subplot(), theme)
        for number in order:
            curve, style = curves[number], styles[number]
            if curve.lower is not None and curve.upper is not None:
                axes.fill_between(
                    curve.x, curve.lower, curve.upper, color=style.colour, alpha=0.18, linewidth=0
                )
            axes.plot(
                curve.x,
                curve.y,
                color=style.colour,
                linestyle=style.dash,
                linewidth=1.9,
                marker=style.marker if len(curve.x) <= 12 else "",
                markersize=4,
                clip_on=False,  # a marker at the edge is whole
                label=curve.label,
            )
        lows = [min(curve.lower or curve.y) for curve in curves]
        highs = [max(curve.upper or curve.y) for curve in curves]
        # From 0, unless all lines lie high: then they would be one thick line at the top.
        axes.set_ylim(max(0.0, min(lows) - 0.05) if min(lows) > 0.5 else 0.0, max(highs) + 0.02)
        dress(axes)
        finished(axes, theme, len(curves))

    return painted(paint, kind, theme)


def _styles(labels: Sequence[str]) -> list[_Style]:
    """Return a style a label: one method, a colour a length; else a colour a method."""
    parts = [_LABEL.fullmatch(label) for label in labels]
    methods = list(
        dict.fromkeys(part[1] if part else label for part, label in zip(parts, labels, strict=True))
    )
    lengths = sorted({int(part[2]) for part in parts if part})
    if len(methods) == 1 or len(lengths) < 2:
        return [
            _Style(colour, _DASHES[number % len(_DASHES)], _MARKERS[number % len(_MARKERS)])
            for number, colour in enumerate(colours_of(len(labels)))
        ]
    colours = colours_of(len(methods))
    styles = []
    for part, label in zip(parts, labels, strict=True):
        method = methods.index(part[1] if part else label)
        dash = lengths.index(int(part[2])) if part else 0
        styles.append(
            _Style(colours[method], _DASHES[dash % len(_DASHES)], _MARKERS[method % len(_MARKERS)])
        )
    return styles


def _draw_row(axes: Axes, row: ResultRow, x: Sequence[float], style: _Style, theme: Theme) -> None:
    """Draw a method: filled markers with intervals, and hollow ones for the paper."""
    ours = [(at, value) for at, value in zip(x, row.ours, strict=True) if value is not None]
    known = [(at, one.mean, one.half_width) for at, one in ours if one.half_width is not None]
    if known:
        middles, means, halves = zip(*known, strict=True)
        axes.errorbar(
            middles, means, yerr=halves, fmt="none", ecolor=style.colour, elinewidth=1.9, capsize=3
        )
    if ours:
        axes.plot(
            [at for at, _ in ours],
            [value.mean for _, value in ours],
            color=style.colour,
            marker=style.marker,
            markersize=6,
            linewidth=1.9,
            label=f"{row.method}, ours",
        )
    paper = [
        (at, value) for at, value in zip(x, row.paper or (), strict=False) if value is not None
    ]
    if paper:
        axes.plot(
            [at for at, _ in paper],
            [value for _, value in paper],
            color=style.colour,
            linestyle=":",
            linewidth=1.2,
            marker=style.marker,
            markersize=7,
            markerfacecolor=theme.background,
            label=f"{row.method}, paper",
        )


def _check_kind(kind: str) -> None:
    if kind not in ("png", "svg"):
        raise OptionError(f"kind must be png or svg, got {kind!r}.")


def _check_some(curves: Sequence[Curve]) -> None:
    if not curves:
        raise OptionError("at least one curve must be given, got none. Leave the picture out.")
