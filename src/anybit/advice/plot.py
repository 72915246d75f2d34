"""Draw an advice: quality above, milliseconds a search below, both against bytes an item."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from anybit.advice.result import Advice
from anybit.evaluation import LIGHT, dressed, painted, write_bytes, write_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["write_advice"]

_RECALL_DASHES = {1: ":", 10: "-", 100: "--"}


def write_advice(advice: Advice, directory: str | Path) -> tuple[Path, ...]:
    """Write ``advice.json`` and ``advice.png`` into a folder.

    Parameters
    ----------
    advice : Advice
    directory : path
        Made if missing; files of the same names are replaced.

    Returns
    -------
    tuple of Path
        What was written.

    Raises
    ------
    DataError
        If the folder cannot be written.
    DependencyError
        If matplotlib is missing; ``advice.json`` has been written by then.
    """
    folder = Path(directory)
    written = write_json(folder / "advice.json", advice.to_dict())
    return written, write_bytes(folder / "advice.png", _drawn(advice))


def _drawn(advice: Advice) -> bytes:
    """Return the picture as a PNG."""

    def paint(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
        _quality(advice, dressed(upper, LIGHT))
        _times(advice, dressed(lower, LIGHT))

    return painted(paint, "png")


def _sizes(advice: Advice) -> list[float]:
    return [one.bits / 8 for one in advice.lengths]


def _quality(advice: Advice, axes: Axes) -> None:
    sizes = _sizes(advice)
    for column, rank in enumerate(advice.recall_at):
        values = [one.recall[column] for one in advice.lengths if one.recall is not None]
        axes.plot(
            sizes,
            values,
            color=LIGHT.accent,
            linestyle=_RECALL_DASHES[rank],
            marker="o",
            linewidth=2,
            label=f"1-recall@{rank}",
        )
    if advice.at is not None:
        values = [one.map_at for one in advice.lengths if one.map_at is not None]
        axes.plot(
            sizes, values, color=LIGHT.float_line, marker="s", linewidth=2, label=f"mAP@{advice.at}"
        )
    _mark(advice, axes, f"suggested: {advice.suggested_bits} bits")
    axes.set_ylim(0, 1.03)
    axes.set_ylabel("quality")
    axes.set_title(
        "What each code length finds, and takes",
        loc="left",
        fontweight="bold",
        color=LIGHT.ink,
        pad=12,
    )
    axes.legend(
        frameon=False,
        labelcolor=LIGHT.ink,
        fontsize=9,
        handlelength=3,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )


def _times(advice: Advice, axes: Axes) -> None:
    axes.plot(
        _sizes(advice),
        [one.search_ms for one in advice.lengths],
        color=LIGHT.ink,
        marker="o",
        linewidth=2,
    )
    _mark(advice, axes, None)
    axes.set_ylim(0, 1.2 * max(one.search_ms for one in advice.lengths))
    axes.set_ylabel("ms a query")
    axes.set_xlabel(f"bytes an item ({advice.n_items:,} items)")
    if len(advice.lengths) <= 16:
        axes.set_xticks(_sizes(advice), [f"{size:g}" for size in _sizes(advice)])


def _mark(advice: Advice, axes: Axes, label: str | None) -> None:
    """Draw a line at the suggested length."""
    axes.axvline(
        advice.suggested_bits / 8, color=LIGHT.accent, alpha=0.25, linewidth=8, label=label
    )
