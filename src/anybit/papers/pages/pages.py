"""Pages of results: Markdown, tables and pictures from the JSON files of artefacts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from anybit.errors import DataError
from anybit.evaluation import write_bytes
from anybit.papers.pages.embedding import draw_embeddings
from anybit.papers.pages.figures import (
    PictureKind,
    draw_map,
    draw_precision_at,
    draw_precision_recall,
    draw_ties,
)
from anybit.papers.protocols.protocol import recorded_protocol
from anybit.papers.results.result import ArtefactResult, Curve, read_result, table_of

__all__ = ["index_text", "page_text", "pictures", "write_pages"]

_CURVES: dict[str, tuple[str, Callable[[Sequence[Curve], PictureKind], bytes]]] = {
    "precision_recall": ("Precision against recall of the relevant items", draw_precision_recall),
    "precision_at": ("Precision among the first R", draw_precision_at),
    "orders": ("Expected value, and all that the order of equal scores can make of it", draw_ties),
}
"""Caption and drawing function of each kind of curves."""

_COMPANIONS = {
    "float features": "the same model's features, not quantised: what a code can reach",
    "trivial classifier": "items ranked by the class that a classifier gives them, which is stored "
    "as the code: what naming the class alone reaches",
    "unseen classes": "a separate model, trained without these classes; only they are searched",
    "unseen classes, float": "the features of that separate model, not quantised",
}


_PROTOCOL = {"name": "protocol", "checksum": "checksum of the protocol"}
_MAX_LISTED = 5


def write_pages(results: Path, output: Path) -> list[Path]:
    """Write a page for each artefact result, its pictures, and an index.

    Parameters
    ----------
    results : Path
        Folder of JSON files, one an artefact; see `ArtefactResult`. A file is ``NAME.json``, or
        ``NAME.WORD.json`` where the same table was run more than once, as with two networks.
    output : Path
        Folder of the pages ``<name>.md`` and ``index.md``; made if missing. Files of the same
        names are replaced, others stay.

    Returns
    -------
    list of Path
        What was written, the index last.

    Raises
    ------
    DataError
        If `results` holds no JSON file, or a file cannot be read or written.
    FormatError
        If a file is no artefact result.
    DependencyError
        If there is something to draw and matplotlib is not installed.
    """
    sources = sorted(results.glob("*.json"), key=lambda path: path.stem)
    if not sources:
        raise DataError(
            f"{results} must hold at least one JSON file of an artefact, got none. Run one with: "
            f"anybit papers run NAME --output {results}"
        )
    written = []
    found = []
    for source in sources:
        result = read_result(source)
        expected = source.stem.partition(".")[0]
        if result.name != expected:
            raise DataError(
                f"{source.name} must hold the result {expected!r}, got {result.name!r}. Rename "
                f"the file to {result.name}.json, or to {result.name}.WORD.json."
            )
        result = replace(result, name=source.stem)
        found.append(result)
        for name, (_, draw) in pictures(result).items():
            written.append(write_bytes(output / name, draw()))
        text = page_text(result, checksum=hashlib.sha256(source.read_bytes()).hexdigest())
        written.append(write_bytes(output / f"{result.name}.md", text.encode()))
    written.append(write_bytes(output / "index.md", index_text(found).encode()))
    return written


def pictures(result: ArtefactResult) -> dict[str, tuple[str, Callable[[], bytes]]]:
    """Return caption and drawing function of each picture of a page, by file name.

    Parameters
    ----------
    result : ArtefactResult

    Returns
    -------
    dict of str to (str, callable)
        mAP against bits is drawn when at least two code lengths were run. Curves and mAP are SVG,
        an embedding is PNG: its points would make a large SVG.
    """
    found: dict[str, tuple[str, Callable[[], bytes]]] = {}
    for kind, curves in result.curves.items():
        if kind not in _CURVES:
            raise DataError(f"curves must be one of {', '.join(_CURVES)}, got {kind!r}.")
        caption, draw = _CURVES[kind]
        if kind != "orders" and any(curve.lower is not None for curve in curves):
            caption += "; band: all seeds"
        found[f"{result.name}-{kind.replace('_', '-')}.svg"] = (
            caption,
            lambda draw=draw, curves=curves: draw(curves, "svg"),  # type: ignore[misc]
        )
    n_lengths = sum(
        any(row.ours[column] is not None for row in result.rows)
        for column in range(len(result.bits))
    )
    if n_lengths > 1 and not result.columns and "orders" not in result.curves:
        measure = result.metric.split(":")[0] or "mAP"
        has_paper = any(row.paper is not None for row in result.rows)
        found[f"{result.name}-bits.svg"] = (
            f"{measure} against bits" + "; hollow markers: the paper's values" * has_paper,
            lambda: draw_map(result.rows, result.bits, "svg", measure=measure),
        )
    if result.embeddings:
        found[f"{result.name}-tsne.png"] = (
            "t-SNE of reconstructions, one colour a class; items of one reconstruction form a disc",
            lambda: draw_embeddings(result.embeddings, "png"),
        )
    return found


def page_text(result: ArtefactResult, *, checksum: str) -> str:
    """Return the Markdown page of a result.

    Parameters
    ----------
    result : ArtefactResult
    checksum : str
        SHA-256 of its JSON file, in hexadecimal: it says which figures the pictures show.

    Returns
    -------
    str
    """
    parts = [f"# {_title(result)}", *_what(result)]
    if result.rows or result.published:
        parts += _table(result)
    for name, (caption, _) in pictures(result).items():
        parts.append(f"![{caption}]({name})\n\n*{caption}.*")
    if result.training:
        parts += ["## Training", _bullets(result.training)]
    configured = {row.method: row.configuration for row in result.rows if row.configuration}
    if configured:
        parts += ["## Configuration", _bullets(configured)]
    if result.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in result.notes)]
    parts += ["## How it was run", *_run(result)]
    parts.append(f"Generated from `{result.name}.json` (SHA-256 `{checksum}`); not edited by hand.")
    return "\n\n".join(parts) + "\n"


def index_text(results: Sequence[ArtefactResult]) -> str:
    """Return the Markdown page that lists all results.

    Parameters
    ----------
    results : sequence of ArtefactResult

    Returns
    -------
    str
    """
    header = ("result", "title", "protocol", "network", "run", "seeds")
    rows = [
        (
            f"[{result.name}]({result.name}.md)",
            _title(result),
            _protocol_name(result),
            str(result.recipe.get("backbone", "-")).removeprefix("timm:"),
            _methods(result),
            str(len(result.seeds)) if result.seeds else "-",
        )
        for result in results
    ]
    return (
        "# Results\n\nTables and figures that were run again, with what the papers report beside "
        "them. Each page says its protocol, command, commit, machine and versions.\n\n"
        f"{_markdown_table(header, rows, n_left=5)}\n"
    )


def _protocol_name(result: ArtefactResult) -> str:
    """Return the present name of a result's protocol: the checksum says which one it is."""
    name = str(result.protocol.get("name", "-"))
    known = recorded_protocol(name, str(result.protocol.get("checksum", "")))
    return known.name if known is not None else name


def _title(result: ArtefactResult) -> str:
    """Return the title; of a protocol that was renamed since with its present name."""
    name = _protocol_name(result)
    is_renamed = name not in (result.protocol.get("name", "-"), "-")
    return f"{result.title} ({name})" if is_renamed else result.title


def _methods(result: ArtefactResult) -> str:
    """Return the methods of a result, or their number where there are many."""
    if len(result.rows) > _MAX_LISTED:
        return f"{len(result.rows)} rows"
    return ", ".join(row.method for row in result.rows) or "-"


def _what(result: ArtefactResult) -> list[str]:
    """Return what was measured, and on what."""
    parts = []
    if result.metric:
        parts.append(f"Measure: {result.metric.rstrip('.')}.")
    if result.protocol:
        known = {key: value for key, value in result.protocol.items() if value not in (None, "")}
        name = _protocol_name(result)
        if name != known.get("name", name):
            known = {"name": name, "recorded as": known["name"]} | {
                key: value for key, value in known.items() if key != "name"
            }
        parts.append(_bullets({_PROTOCOL.get(key, key): value for key, value in known.items()}))
    return parts


def _table(result: ArtefactResult) -> list[str]:
    """Return the table, and what its lines mean."""
    header, rows = table_of(result)
    parts = ["## Values", _markdown_table(header, rows, n_left=2)]
    spread = any(
        value is not None and value.interval_95 is not None
        for row in result.rows
        for value in row.ours
    )
    lines = []
    if len(result.seeds) > 1 and spread:
        seeds = ", ".join(str(seed) for seed in result.seeds)
        lines.append(
            f"- ours: mean over the seeds {seeds} ± half of its 95 % interval by Student's t; data "
            "and split are the same in all, so the interval says nothing about other data"
        )
    elif len(result.seeds) == 1 and result.rows:
        lines.append(f"- ours: one run (seed {result.seeds[0]}), so there is no interval")
    if result.published or any(row.paper is not None for row in result.rows):
        lines.append("- paper: as printed there, not run here")
    names = dict.fromkeys(name for row in result.rows for name in row.companions)
    lines += [f"- {name}: {_COMPANIONS[name]}" for name in names if name in _COMPANIONS]
    return [*parts, "\n".join(lines)] if lines else parts


def _run(result: ArtefactResult) -> list[str]:
    """Return command, commit, machine, versions and the recipe of a full run."""
    parts = []
    if result.command:
        parts.append(f"```sh\n{result.command}\n```")
    facts = {
        "commit": result.commit,
        "machine": result.machine,
        "versions": ", ".join(f"{name} {version}" for name, version in result.versions.items()),
    }
    known = {key: value for key, value in facts.items() if value}
    if known:
        parts.append(_bullets(known))
    if result.recipe:
        parts.append(_bullets({f"recipe {key}": value for key, value in result.recipe.items()}))
    return parts or ["Not recorded."]


def _bullets(content: Mapping[str, Any]) -> str:
    return "\n".join(f"- {_heading(key)}: {_words(value)}" for key, value in content.items())


def _heading(key: str) -> str:
    """Return the name of a JSON field as words: ``training_s`` is "training (s)".

    Titles, such as "Remove L_A", stay as they are.
    """
    if key != key.lower() or " " in key:
        return key
    words = key.removeprefix("n_").split("_")
    if len(words) > 1 and words[-1] in ("s", "ms", "bytes", "px"):
        words[-1] = f"({words[-1]})"
    return " ".join(words)


def _words(value: object) -> str:
    """Return a JSON value as words: numbers of an item count with commas, nested ones in a row."""
    if isinstance(value, Mapping):
        inner = (f"{_heading(str(key))} {_words(one)}" for key, one in value.items())
        return "; ".join(inner)
    if isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
        return f"{len(value)} entries, in the JSON file"
    if isinstance(value, list | tuple):
        return ", ".join(_words(one) for one in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.5g}"
    text = str(value)
    is_checksum = len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)
    return f"`{text}`" if is_checksum else text


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, n_left: int) -> str:
    """Return a Markdown table whose first columns are set left, the others right."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    marks = ["---" if number < n_left else "---:" for number in range(len(header))]
    return "\n".join([line(header), line(marks), *map(line, rows)])
