"""Result of an artefact (a table or figure of a paper) as a value, as JSON and as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from anybit.errors import DataError, FormatError
from anybit.papers.results.seeded import Seeded, value_text

__all__ = [
    "ArtefactResult",
    "Curve",
    "Embedding",
    "ResultRow",
    "Seeded",
    "Values",
    "read_result",
    "table_of",
    "value_text",
]

FORMAT_VERSION = 1
KINDS = ("table", "figure")
_ALSO = ("format_version", "embedding")
"""Keys of a file that are no fields: ``embedding`` is the one panel of older results."""


Values = tuple[Seeded | None, ...]
"""One figure a column of the table; None where nothing was measured."""


@dataclass(frozen=True)
class ResultRow:
    """A method of the paper: what the paper reports and what we measured.

    Parameters
    ----------
    method : str
        Such as ``DRQ``.
    ours : tuple of (Seeded or None)
        One entry a column of the table.
    paper : tuple of (float or None) or None
        The paper's values, one a column; None when the paper has none.
    configuration : dict
        What the run was told: preset, backbone, epochs, ....
    companions : dict of str to tuple of (Seeded or None)
        What stands beside a figure so that it can be judged: ``float features``, ``trivial
        classifier``, ``unseen classes``; one entry a column.
    """

    method: str
    ours: Values
    paper: tuple[float | None, ...] | None = None
    configuration: dict[str, Any] = field(default_factory=dict)
    companions: dict[str, Values] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "method": self.method,
            "configuration": dict(self.configuration),
            "paper": None if self.paper is None else list(self.paper),
            "ours": _written(self.ours),
            "companions": {name: _written(values) for name, values in self.companions.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ResultRow:
        """Read what `to_dict` gave.

        Raises
        ------
        FormatError
            If a field is missing, unknown or not of its kind.
        """
        _check_fields(cls, content, ("method", "ours"))
        paper = content.get("paper")
        return cls(
            method=str(content["method"]),
            ours=_read(content["ours"]),
            paper=None if paper is None else _numbers(paper),
            configuration=dict(content.get("configuration", {})),
            companions={
                name: _read(values) for name, values in content.get("companions", {}).items()
            },
        )


@dataclass(frozen=True)
class Curve:
    """A line of a figure.

    Parameters
    ----------
    label : str
        Such as ``DRQ 16 bits``.
    x, y : tuple of float
        Points in order of x; y is the mean over the seeds.
    lower, upper : tuple of float or None
        Band of the seeds at the same x.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    lower: tuple[float, ...] | None = None
    upper: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        lengths = [len(part) for part in (self.x, self.y, self.lower, self.upper) if part]
        if not self.x or set(lengths) != {len(self.x)} or (self.lower and not self.upper):
            raise DataError(
                f"curve {self.label!r} must have as many y as x, at least one, and both edges of "
                f"a band or neither, got {len(self.x)} x and {len(self.y)} y."
            )


@dataclass(frozen=True)
class Embedding:
    """Points of a t-SNE picture, one panel of a figure.

    Parameters
    ----------
    points : tuple of (float, float)
    classes : tuple of int
        Class of each point, a position in `class_names`.
    class_names : tuple of str
    title : str
        Of the panel, such as the method.
    """

    points: tuple[tuple[float, float], ...]
    classes: tuple[int, ...]
    class_names: tuple[str, ...]
    title: str = ""

    def __post_init__(self) -> None:
        known = range(len(self.class_names))
        if len(self.points) != len(self.classes) or not all(one in known for one in self.classes):
            raise DataError(
                f"an embedding must have one class a point, each below {len(self.class_names)}, "
                f"got {len(self.points)} points and {len(self.classes)} classes."
            )


@dataclass(frozen=True)
class ArtefactResult:
    """Everything that is known of a table or figure that was run again.

    Parameters
    ----------
    name : str
        Such as ``drq-table1``.
    title : str
    kind : {"table", "figure"}
    rows : tuple of ResultRow
        Methods that were run; each has one entry a column.
    bits : tuple of int
        Code lengths: the columns.
    columns : tuple of str
        Headings where columns are no code lengths; else empty.
    metric : str
        The measure with its definition, such as ``mAP@5000: ...``.
    seeds : tuple of int
    protocol : dict
        Name, checksum, split_checksum, sizes, measure.
    published : dict of str to tuple of (float or None)
        Rows of the paper that are not run, one value a column.
    curves : dict of str to tuple of Curve
        By the kind of figure: ``precision_recall``, ``precision_at``.
    embeddings : tuple of Embedding
        Panels of a t-SNE picture.
    training : dict
        ``n_parameters``, ``training_s`` and the like.
    notes : tuple of str
        What differs from the paper.
    command, commit, machine : str
    versions : dict of str to str
    recipe : dict
        What is needed to run it in full.
    """

    name: str
    title: str
    kind: str
    rows: tuple[ResultRow, ...]
    bits: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    metric: str = ""
    seeds: tuple[int, ...] = ()
    protocol: dict[str, Any] = field(default_factory=dict)
    published: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    curves: dict[str, tuple[Curve, ...]] = field(default_factory=dict)
    embeddings: tuple[Embedding, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    command: str = ""
    commit: str = ""
    machine: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}.")
        n_columns = len(self.headings)
        for row in self.rows:
            for part, values in (("ours", row.ours), ("paper", row.paper), *row.companions.items()):
                self._check_width(f"{part} of {row.method}", values, n_columns)
        for method, published in self.published.items():
            self._check_width(f"published values of {method}", published, n_columns)

    @staticmethod
    def _check_width(what: str, values: Sequence[Any] | None, n_columns: int) -> None:
        if values is not None and len(values) != n_columns:
            raise DataError(
                f"{what} must have {n_columns} entries, one for each of bits (or columns), got "
                f"{len(values)}. Put null where there is none."
            )

    @property
    def headings(self) -> tuple[str, ...]:
        """Headings of the columns of values: `columns`, or the code lengths."""
        return self.columns or tuple(f"{bits} bits" for bits in self.bits)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        content: dict[str, Any] = {"format_version": FORMAT_VERSION}
        content |= {one.name: getattr(self, one.name) for one in fields(self)}
        content["rows"] = [row.to_dict() for row in self.rows]
        content["published"] = {name: list(values) for name, values in self.published.items()}
        content["curves"] = {
            kind: {curve.label: _curve_points(curve) for curve in curves}
            for kind, curves in self.curves.items()
        }
        content["embeddings"] = [_embedding_points(one) for one in self.embeddings]
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in content.items()
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ArtefactResult:
        """Read what `to_dict` gave; only name, title, kind and rows must be there.

        Raises
        ------
        FormatError
            If a field is missing, unknown or not of its kind, or rows do not fit the columns.
        """
        _check_fields(cls, content, ("name", "title", "kind", "rows"), _ALSO)
        version = content.get("format_version", FORMAT_VERSION)
        if version != FORMAT_VERSION:
            raise FormatError(f"format_version must be {FORMAT_VERSION}, got {version!r}.")
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in content.items()
            if key not in _ALSO
        }
        try:
            given["rows"] = tuple(ResultRow.from_dict(row) for row in content["rows"])
            given["published"] = {
                name: _numbers(values) for name, values in content.get("published", {}).items()
            }
            given["curves"] = {
                kind: tuple(_curve(label, points) for label, points in lines.items())
                for kind, lines in content.get("curves", {}).items()
            }
            panels = content.get("embeddings") or [content.get("embedding")]
            given["embeddings"] = tuple(_embedding(one) for one in panels if one is not None)
            return cls(**given)
        except (DataError, TypeError, KeyError, ValueError, AttributeError) as cause:
            raise FormatError(f"result {content['name']!r}: {cause}") from cause


def read_result(path: Path) -> ArtefactResult:
    """Read the JSON file of an artefact result.

    Parameters
    ----------
    path : Path

    Returns
    -------
    ArtefactResult

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it is not JSON or not of this form.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as cause:
        raise DataError(f"cannot read {path}: {cause.strerror}. Give the file of a run.") from cause
    except ValueError as cause:
        raise FormatError(f"{path} must be JSON: {cause}.") from cause
    try:
        return ArtefactResult.from_dict(content)
    except FormatError as cause:
        raise FormatError(f"{path}: {cause}") from cause


def table_of(result: ArtefactResult) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the table of a result as text: ours, the paper's below it, then the companions.

    Parameters
    ----------
    result : ArtefactResult

    Returns
    -------
    header : tuple of str
        ``method``, ``source``, then one heading a column.
    rows : list of tuple of str
        The name of a method stands in its first line only. Methods that were not run come last,
        with the paper's values.
    """
    header = ("method", "source", *result.headings)
    rows: list[tuple[str, ...]] = []
    for row in result.rows:
        rows.append((row.method, "ours", *map(value_text, row.ours)))
        if row.paper is not None:
            rows.append(("", "paper", *map(value_text, row.paper)))
        for name, values in row.companions.items():
            rows.append(("", name, *map(value_text, values)))
    for method, published in result.published.items():
        rows.append((method, "paper", *map(value_text, published)))
    return header, rows


def _check_fields(
    kind: type[Any],
    content: Mapping[str, Any],
    required: tuple[str, ...],
    also: tuple[str, ...] = (),
) -> None:
    """Raise FormatError when a field is missing or unknown."""
    if not isinstance(content, Mapping):
        raise FormatError(f"{kind.__name__} must be a JSON object, got {content!r}.")
    known = {one.name for one in fields(kind)} | set(also)
    wrong = [name for name in required if name not in content] or sorted(set(content) - known)
    if wrong:
        raise FormatError(
            f"{kind.__name__} must have the fields {', '.join(required)} and may have "
            f"{', '.join(sorted(known - set(required)))}; missing or unknown: {', '.join(wrong)}."
        )


def _written(values: Values) -> list[dict[str, Any] | None]:
    return [None if value is None else value.to_dict() for value in values]


def _read(values: Sequence[Mapping[str, Any] | None]) -> Values:
    return tuple(None if value is None else Seeded.from_dict(value) for value in values)


def _numbers(values: Sequence[float | None]) -> tuple[float | None, ...]:
    return tuple(None if value is None else float(value) for value in values)


def _curve_points(curve: Curve) -> dict[str, list[float]]:
    parts = {"x": curve.x, "y": curve.y, "lower": curve.lower, "upper": curve.upper}
    return {name: list(part) for name, part in parts.items() if part is not None}


def _curve(label: str, points: Mapping[str, Sequence[float]]) -> Curve:
    return Curve(label, **{name: tuple(map(float, part)) for name, part in points.items()})


def _embedding_points(embedding: Embedding) -> dict[str, Any]:
    return {
        "title": embedding.title,
        "points": [list(point) for point in embedding.points],
        "classes": list(embedding.classes),
        "class_names": list(embedding.class_names),
    }


def _embedding(content: Mapping[str, Any]) -> Embedding:
    points = tuple((float(x), float(y)) for x, y in content["points"])
    return Embedding(
        points,
        tuple(content["classes"]),
        tuple(content["class_names"]),
        str(content.get("title", "")),
    )
