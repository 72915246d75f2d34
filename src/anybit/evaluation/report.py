"""One self-contained HTML page: the figures, the plots, and example queries with their hits."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from anybit.evaluation.plots import DARK, LIGHT, PLOTS, draw
from anybit.evaluation.report_style import STYLE
from anybit.evaluation.results import DEFINITIONS, Evaluation, write_bytes

__all__ = ["ExampleHit", "ExampleHits", "ExampleQuery", "write_report"]

_PLOT_TEXTS = {
    "map_against_bits": "mAP at every code length, with the interval that the order of ties "
    "leaves open and the level of the float features.",
    "precision_against_recall": "Precision against recall, one line a code length.",
    "precision_against_rank": "Precision among the first R results, one line a code length.",
}
# Pictures up to this many pixels wide are shown with sharp pixels instead of being smoothed.
_SMALL_PX = 64


@dataclass(frozen=True)
class ExampleHit:
    """One result of an example query.

    Parameters
    ----------
    key : str
        Name of the item; shown when there is no picture.
    labels : tuple of str
        Its class names.
    score : float
        Larger is closer.
    is_relevant : bool
        Whether it shares a class label with the query.
    thumbnail : bytes or None
        PNG, JPEG, GIF or WebP file.
    """

    key: str
    labels: tuple[str, ...]
    score: float
    is_relevant: bool
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class ExampleHits:
    """The first results of an example query at one code length.

    Parameters
    ----------
    bits : int
        Code length.
    hits : tuple of ExampleHit
        Best first.
    """

    bits: int
    hits: tuple[ExampleHit, ...]


@dataclass(frozen=True)
class ExampleQuery:
    """A query with its results, usually at the shortest and at the full length.

    Parameters
    ----------
    key : str
        Name of the query; shown when there is no picture.
    labels : tuple of str
        Its class names.
    thumbnail : bytes or None
        PNG, JPEG, GIF or WebP file.
    results : tuple of ExampleHits
        One for each code length shown.
    """

    key: str
    labels: tuple[str, ...]
    thumbnail: bytes | None
    results: tuple[ExampleHits, ...]


def write_report(
    directory: str | Path,
    evaluation: Evaluation,
    examples: Sequence[ExampleQuery] = (),
    *,
    title: str = "Retrieval at every code length",
) -> Path:
    """Write ``report.html``: one file, no scripts, nothing loaded from elsewhere.

    Parameters
    ----------
    directory : path
        Made if missing; an earlier report is replaced.
    evaluation : Evaluation
        The figures.
    examples : sequence of ExampleQuery
        Shown with pictures, or with their keys where there is none.
    title : str
        Heading of the page.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    DataError
        If the file cannot be written.
    DependencyError
        If matplotlib is missing.
    """
    parts = [
        _header(evaluation, title),
        "<h2>Figures</h2>",
        _table(evaluation),
        "<h2>Plots</h2>",
        f'<div class="plots">{"".join(_plot(evaluation, name) for name in PLOTS)}</div>',
    ]
    if examples:
        parts.append("<h2>Example queries</h2>")
        parts.append(
            '<p class="note">A tick and a solid frame mark a result that shares a class with the '
            "query; a cross and a dashed frame mark one that does not.</p>"
        )
        parts += [_example(example) for example in examples]
    parts.append(_definitions())
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n<footer>Written by anybit. The figures with all their definitions are in "
        "metrics.json beside this page.</footer>\n</main>\n</body>\n</html>\n"
    )
    return write_bytes(Path(directory) / "report.html", page.encode())


def _header(evaluation: Evaluation, title: str) -> str:
    last = evaluation.lengths[-1]
    best = last.measure("map_at", denominator=evaluation.denominator).value
    facts = [
        (f"{evaluation.n_queries:,}", "queries"),
        (f"{evaluation.n_database:,}", "items in the database"),
        (f"{evaluation.n_classes:,}", "classes"),
        (f"{best:.4f}", f"mAP@{evaluation.at} at {last.bits} bits ({last.code_bytes} bytes)"),
    ]
    if evaluation.float_features is not None:
        bound = evaluation.float_features
        value = bound.measure("map_at", denominator=evaluation.denominator).value
        facts.append((f"{value:.4f}", f"with float features ({bound.code_bytes:,} bytes)"))
    items = "".join(f"<li><b>{escape(value)}</b><span>{name}</span></li>" for value, name in facts)
    kind = (
        "several class labels an item" if evaluation.is_multi_label else "one class label an item"
    )
    side = " of the codes of both" if evaluation.comparison == "sqd" else ""
    return (
        f"<header><h1>{escape(title)}</h1><p>Codes from {evaluation.lengths[0].bits} to "
        f"{last.bits} bits, all cut from one model. Items compared by "
        f"{_METRIC_NAMES[evaluation.metric]}{side}; {kind}.</p></header>"
        f'<ul class="facts">{items}</ul>'
    )


_METRIC_NAMES = {"ip": "inner product", "l2": "Euclidean distance", "cosine": "cosine"}


def _table(evaluation: Evaluation) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in evaluation.table_columns())
    lines = []
    for row in evaluation.table_rows():
        cells = "".join(f"<td>{escape(value)}</td>" for value in row.values)
        kind = ' class="float"' if row.label == "float" else ""
        unit = "byte" if row.code_bytes == 1 else "bytes"
        lines.append(
            f"<tr{kind}><td><b>{escape(row.label)}</b> <small>{row.code_bytes:,} {unit}</small>"
            f"</td>{cells}</tr>"
        )
    note = (
        f"mAP@{evaluation.at} divides by the relevant items "
        f"{_DENOMINATOR_NAMES[evaluation.denominator]}; a query that finds none "
        f"{'counts 0' if evaluation.zero_hit == 'zero' else 'is left out'}. Equal scores rank by "
        "position in the database; the second column shows what other orders would give. "
    )
    missing = evaluation.n_queries_without_relevant
    if missing:
        note += f"{missing:,} queries share no class with any item."
    return (
        f'<div class="card"><table><thead><tr><th>Length</th>{heads}</tr></thead>'
        f'<tbody>{"".join(lines)}</tbody></table></div><p class="note">{note}</p>'
    )


_DENOMINATOR_NAMES = {
    "found": "found within R",
    "reachable": "that R could hold",
    "database": "in the whole database",
}


def _plot(evaluation: Evaluation, name: str) -> str:
    light, dark = (
        _data_url(draw(evaluation, name, "svg", theme), "image/svg+xml") for theme in (LIGHT, DARK)
    )
    return (
        f'<div class="card"><picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{escape(_PLOT_TEXTS[name])}"></picture></div>'
    )


def _example(example: ExampleQuery) -> str:
    rows = []
    for result in example.results:
        n_relevant = sum(hit.is_relevant for hit in result.hits)
        rows.append(
            f'<div class="row"><h3>{result.bits} bits <small>{n_relevant} of {len(result.hits)} '
            f'relevant</small></h3><ol class="hits">{"".join(map(_hit, result.hits))}</ol></div>'
        )
    return (
        '<section class="card example"><figure class="query"><h3>Query</h3>'
        f"{_picture(example.thumbnail, example.key)}"
        f'<figcaption class="labels">{escape(", ".join(example.labels))}</figcaption></figure>'
        f"<div>{''.join(rows)}</div></section>"
    )


def _hit(hit: ExampleHit) -> str:
    kind, mark, text = (
        ("hit relevant", "✓", "relevant") if hit.is_relevant else ("hit", "✗", "not relevant")
    )
    return (
        f'<li class="{kind}"><figure>{_picture(hit.thumbnail, hit.key)}'
        f'<span class="mark" role="img" aria-label="{text}">{mark}</span>'
        f"<figcaption>{escape(', '.join(hit.labels))}<br>{hit.score:.3f}</figcaption></figure></li>"
    )


def _picture(thumbnail: bytes | None, key: str) -> str:
    kind = None if thumbnail is None else _image_type(thumbnail)
    if thumbnail is None or kind is None:
        return f'<div class="key">{escape(key)}</div>'
    small = " pixel" if kind == "image/png" and _png_width(thumbnail) <= _SMALL_PX else ""
    return (
        f'<img class="picture{small}" src="{_data_url(thumbnail, kind)}" alt="{escape(key)}" '
        f'title="{escape(key)}">'
    )


def _image_type(content: bytes) -> str | None:
    """Return the media type of a picture file by its first bytes, None when unknown."""
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    starts = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
    return next((kind for start, kind in starts.items() if content.startswith(start)), None)


def _png_width(content: bytes) -> int:
    return int.from_bytes(content[16:20], "big")


def _data_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _definitions() -> str:
    entries = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}.</dd>" for name, text in DEFINITIONS.items()
    )
    return f'<h2>What the names mean</h2><div class="card"><dl>{entries}</dl></div>'
