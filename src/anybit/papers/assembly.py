"""Put the results of single runs together to a table or figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anybit.bench import environment
from anybit.errors import DataError
from anybit.evaluation import DEFINITIONS
from anybit.papers.artefact import Artefact
from anybit.papers.protocols.held_back import HELD_BACK_NOTE
from anybit.papers.protocols.protocol import Protocol
from anybit.papers.results.published import published
from anybit.papers.results.result import ArtefactResult, Curve, Embedding, ResultRow, Values
from anybit.papers.results.seeded import Seeded
from anybit.papers.results.tsne import embed_2d
from anybit.papers.runs.configurations import Configuration
from anybit.papers.runs.item_sample import SAMPLE_NOTE, ItemSample
from anybit.papers.runs.run import Run
from anybit.training import IMAGE_METHODS

__all__ = ["Assembly", "Found", "assembled"]

_NOTES = (
    "Models are those after the last epoch; the split is one and the same for all seeds.",
    "Trivial classifier: the predicted class is the code (Sablayrolles et al. 2017), expected "
    "value over all orders of equal scores.",
    "Unseen classes: trained without three tenths of the classes, queries and database of these "
    "classes only; fewer classes and items than in the other rows.",
)
_HELD_BACK_NOTES = (
    f"{HELD_BACK_NOTE}. What the protocol searches and asks was not read: to choose options by, "
    "not comparable with figures of the protocol.",
)


@dataclass(frozen=True)
class Found:
    """What a run left.

    Parameters
    ----------
    run : Run
    result : dict
        See `anybit.papers.runs.run.perform`.
    folder : Path
        With its model.
    sample : ItemSample or None
        Reconstructions of database items, where they are drawn.
    """

    run: Run
    result: dict[str, Any]
    folder: Path
    sample: ItemSample | None = None


@dataclass(frozen=True)
class Assembly:
    """What is put together.

    Parameters
    ----------
    artefact : Artefact
    protocol : Protocol
    methods : tuple of Configuration
    seeds : tuple of int
    split_checksum : str
    found : tuple of Found
        In the order of the runs.
    is_held_back : bool
        The runs searched and asked training items that they were not trained on: nothing of a
        paper stands beside their figures.
    """

    artefact: Artefact
    protocol: Protocol
    methods: tuple[Configuration, ...]
    seeds: tuple[int, ...]
    split_checksum: str
    found: tuple[Found, ...]
    is_held_back: bool = False

    @property
    def bits(self) -> tuple[int, ...]:
        """Code lengths that are shown."""
        return self.artefact.curve_bits or self.protocol.bits

    def of(self, method: Configuration, *, has_unseen: bool = False) -> list[Found]:
        """Return what the runs of a method left."""
        return [
            one
            for one in self.found
            if one.run.configuration == method and one.run.has_unseen == has_unseen
        ]


def assembled(parts: Assembly) -> ArtefactResult:
    """Return the table or figure of some runs, with mean and interval over the seeds."""
    wanted, rule, bits = parts.artefact, parts.protocol, parts.bits
    tables = [] if parts.is_held_back else [published(name) for name in wanted.published]
    paper: dict[str, tuple[float | None, ...]] = {
        name: row for table in tables for name, row in table.methods.items()
    }
    rows = tuple(_row(parts, method, paper.pop(method.title, None)) for method in parts.methods)
    told = environment(("numpy", "torch", "torchvision", "timm", "scikit-learn"))
    first = parts.found[0]
    at = min(rule.at, first.result["sizes"]["database"])
    measure = f"mAP@{at}" if at else "mAP over the whole database"
    return ArtefactResult(
        name=wanted.name,
        title=_title(parts),
        kind=wanted.kind,
        rows=rows,
        bits=bits,
        metric=f"{measure}: {DEFINITIONS['map_at']}. Denominator: {rule.denominator}; "
        f"a query without a hit: {rule.zero_hit}; compared by {rule.metric}",
        seeds=parts.seeds,
        protocol={
            "name": rule.name,
            "checksum": rule.checksum,
            "split_checksum": parts.split_checksum,
            "sizes": first.result["sizes"],
            "n_codewords": rule.n_codewords,
        },
        published=paper,
        curves={kind: _curves(kind, parts) for kind in wanted.curves},
        embeddings=_embeddings(parts) if wanted.has_embedding else (),
        training=_costs(parts),
        notes=(
            *_NOTES,
            *_label_vector_notes(parts),
            *(_HELD_BACK_NOTES if parts.is_held_back else rule.notes),
            *(note for table in tables for note in table.notes),
            *_drawn_notes(wanted),
        ),
        command=told["command"],
        commit=told["commit"],
        machine=told["machine"],
        versions=told["versions"],
        recipe=asdict(first.run.recipe),
    )


def _label_vector_notes(parts: Assembly) -> tuple[str, ...]:
    """Return which vectors stand for the classes in L_A, for the methods that have it."""
    titles = [
        method.title for method in parts.methods if IMAGE_METHODS[method.method].takes_label_vectors
    ]
    if not titles:
        return ()
    described = [one.result["run"] for one in parts.found if not one.run.has_unseen]
    sums = {run["label_vectors_sha256"] for run in described} - {None}
    who = f"Class vectors in L_A of {', '.join(titles)}"
    if not sums:
        return (f"{who}: orthogonal, no word vectors were given; the paper takes word2vec.",)
    return (
        f"{who}: the file given as --label-vectors, SHA-256 {', '.join(sorted(sums))}; the models "
        "of unseen classes take orthogonal vectors.",
    )


def _title(parts: Assembly) -> str:
    """Return the artefact's title, with what sets these figures apart from the paper's."""
    title = parts.artefact.title
    if parts.protocol.name not in parts.artefact.protocols[:1]:
        title += f" ({parts.protocol.name})"
    return f"{title}, training images held back" if parts.is_held_back else title


def _drawn_notes(wanted: Artefact) -> tuple[str, ...]:
    """Return what a picture shows, and which methods of the paper's it lacks."""
    if not wanted.has_embedding:
        return ()
    absent = ", ".join(wanted.absent_methods)
    missing = f"Panels of the paper's figure that are not drawn, not available here: {absent}."
    return (SAMPLE_NOTE, missing) if absent else (SAMPLE_NOTE,)


def _row(
    parts: Assembly, method: Configuration, paper: tuple[float | None, ...] | None
) -> ResultRow:
    """Return the figures of a method by length."""
    bits = parts.bits
    seen = [one.result for one in parts.of(method)]
    unseen = [one.result for one in parts.of(method, has_unseen=True)]
    companions = {
        "float features": _values(bits, seen, _float_map),
        "trivial classifier": _values(bits, seen, _classifier_map),
    }
    if unseen:
        companions["unseen classes"] = _values(bits, unseen, _code_map)
        companions["unseen classes, float"] = _values(bits, unseen, _float_map)
    shown = {"overrides": method.overrides} if method.overrides else {}
    return ResultRow(
        method.title,
        _values(bits, seen, _code_map),
        paper,
        {"name": method.name, "method": method.method, **shown},
        companions,
    )


Reader = Callable[[dict[str, Any], int], float | None]


def _values(bits: Sequence[int], found: list[dict[str, Any]], read: Reader) -> Values:
    """Return mean and interval at each length over the runs that have it."""
    every = ([read(one, length) for one in found] for length in bits)
    known = ([value for value in values if value is not None] for values in every)
    return tuple(Seeded.of(values) if values else None for values in known)


def _length(found: dict[str, Any], bits: int) -> dict[str, Any] | None:
    every: list[dict[str, Any]] = found["evaluation"]["lengths"]
    return next((one for one in every if one["bits"] == bits), None)


def _map_of(figures: dict[str, Any] | None) -> float | None:
    """Return the mAP@R of the protocol's definition: the first that an evaluation lists."""
    if figures is None:
        return None
    measures: list[dict[str, Any]] = figures["measures"]
    return next(float(one["value"]) for one in measures if one["name"] == "map_at")


def _code_map(found: dict[str, Any], bits: int) -> float | None:
    return _map_of(_length(found, bits))


def _float_map(found: dict[str, Any], bits: int) -> float | None:
    has_length = _length(found, bits) is not None
    return _map_of(found["evaluation"]["float_features"]) if has_length else None


def _classifier_map(found: dict[str, Any], bits: int) -> float | None:
    value = found["classifier"]["map_at"].get(str(bits))
    return None if value is None else float(value)


def _curves(kind: str, parts: Assembly) -> tuple[Curve, ...]:
    """Return the mean curve of each method and length, and the range over the seeds."""
    curves = []
    for method in parts.methods:
        for length in parts.bits:
            own = (_length(one.result, length) for one in parts.of(method))
            found = [one for one in own if one is not None]
            if not found:
                continue
            if kind == "precision_recall":
                x = found[0]["curve"]["recall"]
                lines = np.array([one["curve"]["precision"] for one in found])
            else:
                x, lines = found[0]["ranks"], np.array([one["precision"] for one in found])
            order = np.argsort(x)
            low, middle, high = (
                tuple(np.round(part[order], 5).tolist())
                for part in (lines.min(axis=0), lines.mean(axis=0), lines.max(axis=0))
            )
            band = (low, high) if len(found) > 1 else (None, None)
            place = tuple(np.asarray(x, dtype=float)[order].tolist())
            curves.append(Curve(f"{method.title} {length} bits", place, middle, *band))
    return tuple(curves)


def _embeddings(parts: Assembly) -> tuple[Embedding, ...]:
    """Return the sampled items of each method's first run in two dimensions."""
    panels = []
    for method in parts.methods:
        found = parts.of(method)[0]
        if found.sample is None:
            raise DataError(f"an embedding needs reconstructions of {method.title}, got none.")
        points = np.round(embed_2d(found.sample.vectors, found.run.seed), 3)
        panels.append(
            Embedding(
                tuple((float(x), float(y)) for x, y in points),
                tuple(found.sample.classes.tolist()),
                tuple(found.result["class_names"]),
                f"{method.title}, {found.run.bits[-1]} bits",
            )
        )
    return tuple(panels)


def _costs(parts: Assembly) -> dict[str, Any]:
    """Return models, parameters and seconds of training that all lengths of a seed take."""
    costs = {}
    for method in parts.methods:
        own = parts.of(method)
        n_seeds = max(1, len({one.run.seed for one in own}))
        numbers = [sum(one.result["n_parameters"].values()) for one in own]
        seconds = math.fsum(one.result["training_s"] for one in own)
        costs[method.title] = {
            "models": len(own) // n_seeds,
            "parameters": sum(numbers) // n_seeds,
            "training_s": round(seconds / n_seeds, 1),
        }
    return costs
