"""One run: train a configuration under a protocol, evaluate it, and remember the result."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from anybit.codes import bits_per_level
from anybit.data import Labels, Preprocessor, Source
from anybit.errors import DataError, OptionError
from anybit.evaluation import EvaluationInput, evaluate, write_bytes
from anybit.models import ImageModel, load_model
from anybit.papers.protocols.protocol import Protocol
from anybit.papers.protocols.splits import Prepared, SplitSources
from anybit.papers.runs.companions import LabelledFeatures, classifier_code, unseen_classes
from anybit.papers.runs.configurations import Configuration, Recipe
from anybit.training import IMAGE_METHODS, TrainOptions, train
from anybit.types import Float32Array, ProgressCallback

__all__ = ["Run", "features_of", "n_parameters", "perform"]

_VERSION = 1
_CLASSIFIER_IMAGES = 10_000
_BATCH_IMAGES = 256
_PRODUCT_DIM = 240


@dataclass(frozen=True)
class Run:
    """One training and its evaluation.

    Parameters
    ----------
    protocol : Protocol
    configuration : Configuration
    recipe : Recipe
    bits : tuple of int
        Lengths that this model is evaluated at; it is trained for the longest.
    seed : int
        Of the training; the split has its own.
    weights : Path or None
        Local file of pretrained weights.
    label_vectors : Path or None
        Local file with a vector a class, for DRQ; orthogonal vectors without, and where classes
        are kept from training.
    has_unseen : bool
        Keep some classes from training, and search among these only.
    """

    protocol: Protocol
    configuration: Configuration
    recipe: Recipe
    bits: tuple[int, ...]
    seed: int
    weights: Path | None = None
    label_vectors: Path | None = None
    has_unseen: bool = False

    def __post_init__(self) -> None:
        if self.recipe.needs_weights and self.weights is None:
            raise OptionError(
                f"recipe {self.recipe.name} of {self.protocol.name} starts {self.recipe.backbone} "
                "from pretrained weights: name their file (--weights), or take a backbone that "
                "learns from scratch (--backbone resnet-small)."
            )

    def describe(self) -> dict[str, Any]:
        """Return all that the result depends on, in JSON values, but for the data's split."""
        return {
            "version": _VERSION,
            "protocol": self.protocol.name,
            "protocol_checksum": self.protocol.checksum,
            "configuration": self.configuration.describe(),
            "recipe": asdict(self.recipe),
            "bits": list(self.bits),
            "n_codewords": self.protocol.n_codewords,
            "seed": self.seed,
            "weights_sha256": None if self.weights is None else _sha256(self.weights),
            "label_vectors_sha256": None
            if self.label_vectors is None
            else _sha256(self.label_vectors),
            "has_unseen": self.has_unseen,
        }

    def folder_name(self, split_checksum: str) -> str:
        """Return a name that says what the run is, and a hash of everything it depends on."""
        told = json.dumps([self.describe(), split_checksum], sort_keys=True)
        parts = (self.name, hashlib.sha256(told.encode()).hexdigest()[:12])
        return "-".join(parts).replace(":", "_")

    @property
    def name(self) -> str:
        """What a person calls it."""
        lengths = f"{self.bits[-1]}bits" if len(self.bits) == 1 else "all"
        unseen = "-unseen" if self.has_unseen else ""
        backbone = self.recipe.backbone
        return (
            f"{self.protocol.name}-{self.configuration.name}-{backbone}-{lengths}"
            f"-seed{self.seed}{unseen}"
        )

    def train_options(self, device: str = "auto") -> TrainOptions:
        """Return the options of the training."""
        recipe, method = self.recipe, IMAGE_METHODS[self.configuration.method]
        epochs = recipe.epochs
        if not self.configuration.is_supervised:
            epochs = (0, *epochs[1:])
        is_by_stage = len(method.stages) == len(epochs)
        overrides: dict[str, Any] = dict(self.configuration.overrides)
        if method.codes == "product":
            overrides["head"] = {"dim": self._product_dim()} | overrides.get("head", {})
        return TrainOptions(
            method=self.configuration.method,
            bits=self.bits[-1],
            n_codewords=self.protocol.n_codewords,
            backbone=recipe.backbone,
            backbone_options=recipe.backbone_options,
            weights=self.weights,
            preset=self.configuration.preset or recipe.preset,
            preset_overrides=overrides,
            label_vectors=self.label_vectors
            if method.takes_label_vectors and not self.has_unseen
            else None,
            input_px=recipe.input_px,
            input_mean=recipe.input_mean,
            input_std=recipe.input_std,
            epochs=epochs if is_by_stage else sum(recipe.epochs),
            batch_size=recipe.batch_size,
            seed=self.seed,
            precision=recipe.precision,
            augmentation=recipe.augmentation,
            device=device,
        )

    def _product_dim(self) -> int:
        """Return the least dimension from 240 on that the subspaces of every length divide."""
        step = bits_per_level(self.protocol.n_codewords)
        common = math.lcm(*(bits // step for bits in self.protocol.bits))
        return -(-_PRODUCT_DIM // common) * common


def perform(
    run: Run,
    prepared: Prepared,
    folder: Path,
    *,
    device: str = "auto",
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Return the result of a run; train and evaluate first what is not there yet.

    Parameters
    ----------
    run : Run
    prepared : Prepared
        Data set and split of the run's protocol.
    folder : Path
        Of this run: model, checkpoints while it trains, ``result.json``.
    device : str
    progress : callable, optional
        Called with (steps done, steps in all) of the training.

    Returns
    -------
    dict
        JSON values: ``run``, ``evaluation`` (see `anybit.evaluation.Evaluation`), ``classifier``,
        ``sizes``, ``n_parameters``, ``training_s``.
    """
    path = folder / "result.json"
    if path.is_file():
        return cast("dict[str, Any]", json.loads(path.read_text("utf-8")))
    sources = prepared.sources
    names = _class_names(sources.train)
    unseen = unseen_classes(names) if run.has_unseen else ()
    training = prepared.without_classes(unseen).train if unseen else sources.train
    if unseen:
        sources = prepared.only_classes(unseen)
    folder.mkdir(parents=True, exist_ok=True)
    model = _trained(run, training, folder / "model", device, progress)
    result = _evaluated(run, model, training, sources)
    result |= {
        "run": run.describe(),
        "split_checksum": prepared.manifest.checksum,
        "unseen_classes": list(unseen),
        "n_parameters": n_parameters(model),
        "training_s": model.summary["training_s"],
        "training": {k: v for k, v in model.summary.items() if k != "options"},
    }
    write_bytes(path, (json.dumps(result, indent=1) + "\n").encode())
    return result


def _trained(
    run: Run, source: Source, target: Path, device: str, progress: ProgressCallback | None
) -> ImageModel:
    """Return the model of a folder; train it, or go on, where it is not there yet."""
    if not target.exists():
        options = run.train_options(device)
        train(source, options, output=target, resume=True, progress=progress)
    return load_model(target)


def _evaluated(
    run: Run, model: ImageModel, training: Source, sources: SplitSources
) -> dict[str, Any]:
    """Measure the codes at every length, float features, and the classifier code."""
    items = _labelled(model, sources.database)
    queries = _labelled(model, (sources.query,))
    codebooks = model.export_codebooks()
    options = replace(run.protocol.evaluation_options(len(items.x)), bits=run.bits)
    found = evaluate(
        EvaluationInput(
            codebooks,
            codebooks.encode(items.x),
            queries.x,
            queries.labels,
            items.labels,
            items.x,
            metric=run.protocol.metric,
        ),
        options,
    )
    result: dict[str, Any] = {
        "evaluation": found.to_dict(),
        "class_names": list(queries.labels.class_names),
        "sizes": {"train": len(training), "database": len(items.x), "query": len(queries.x)},
    }
    if run.has_unseen:
        return result
    rows = np.sort(np.random.default_rng(0).permutation(len(training))[:_CLASSIFIER_IMAGES])
    code = classifier_code(_labelled(model, (training.take(rows),)), items, queries, run.bits)
    used = tuple(sorted(set(code.bits_of.values())))
    measured = evaluate(code.data, replace(options, bits=used))
    by_bits = {row.bits: row.measure("map_at", ties=True) for row in measured.lengths}
    result["classifier"] = {
        "accuracy": code.accuracy,
        "map_at": {str(b): by_bits[u].value for b, u in code.bits_of.items()},
        "bits_used": {str(b): u for b, u in code.bits_of.items()},
        "ties": "expected value over all orders of items with equal scores",
    }
    return result


def features_of(model: ImageModel, source: Source) -> Float32Array:
    """Return the features of all pictures of a source, (N, D).

    Raises
    ------
    DataError
        If a picture cannot be decoded: a figure over fewer items would not be comparable.
    """
    if model.preprocessor is None:
        raise DataError("the model must have a preprocessor: load it from its folder.")
    preprocessor = Preprocessor.from_dict(model.preprocessor)
    parts = []
    for batch in source.iter_batches(_BATCH_IMAGES, preprocessor):
        if not batch.is_ok.all():
            first = source.items.key_of(int(batch.positions[np.argmin(batch.is_ok)]))
            raise DataError(f"{first} cannot be decoded. Fetch the data set again.")
        parts.append(model.features(preprocessor.normalise(batch.data)))
    return np.concatenate(parts)


def _labelled(model: ImageModel, sources: tuple[Source, ...]) -> LabelledFeatures:
    """Return features and labels of several sources, one after the other."""
    every = [source.labels for source in sources]
    known = [labels for labels in every if labels is not None]
    if len(known) != len(sources):
        raise DataError("every part of a protocol's data needs labels, got one without.")
    names = known[0].class_names
    lists = [row for labels in known for row in labels.aligned_to(names).lists()]
    x = np.concatenate([features_of(model, source) for source in sources])
    return LabelledFeatures(x, Labels.from_lists(lists, names))


def _class_names(source: Source) -> tuple[str, ...]:
    if source.labels is None:
        raise DataError("training under a protocol needs labels, got a source without.")
    return source.labels.class_names


def n_parameters(model: ImageModel) -> dict[str, int]:
    """Count the numbers of ``network``, and of ``codebooks``, scales, offset and rotation."""
    network = sum(p.numel() for part in (model.backbone, model.head) for p in part.parameters())
    arrays, _ = model.export_codebooks().to_tensors()
    return {"network": network, "codebooks": sum(array.size for array in arrays.values())}


@cache
def _sha256(path: Path) -> str:
    """Return the hash of a file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as cause:
        raise DataError(f"cannot read the weights {path}: {cause.strerror}.") from cause
