"""Train a network on labelled images."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anybit.data import Labels, Preprocessor, Source
from anybit.errors import DataError
from anybit.models import ImageModel
from anybit.training.engine.augment import Augmenter
from anybit.training.engine.definition import definition_of
from anybit.training.engine.images import TrainingImages
from anybit.training.engine.loop import TrainingData, TrainingRun, make_fabric
from anybit.training.engine.plain_images import PlainImages
from anybit.training.engine.train_options import TrainOptions
from anybit.types import ProgressCallback

__all__ = ["train_network"]

_log = logging.getLogger(__name__)


def train_network(
    source: Source,
    options: TrainOptions,
    folder: Path | None,
    resume: bool,
    progress: ProgressCallback | None,
) -> tuple[ImageModel, bool]:
    """Train a network on labelled images; say whether this process is the one that saves."""
    labels = _labels_of(source)
    fabric = make_fabric(options)
    fabric.launch()
    torch.manual_seed(options.seed)
    definition = definition_of(options.method)
    preset = definition.resolved(options)
    model: ImageModel = definition.new_model(preset, options)
    size = model.input_px
    preprocessor = Preprocessor(size_px=size, resize_px=size, mean=model.mean, std=model.std)
    max_bad = options.source.max_bad if options.source else 0.01
    images = TrainingImages(source, preprocessor, max_bad)
    data = TrainingData(
        images,
        labels,
        Augmenter(options.augmentation, size, model.mean, model.std),
        Augmenter("none", size, model.mean, model.std),
    )
    model = model.to(memory_format=torch.channels_last).to(fabric.device)
    plain = PlainImages(model, images, data.plain, options.seed)
    method = definition.training(model, preset, plain, labels, options)
    run = TrainingRun(method, data, options, fabric, folder)
    if resume and not run.resume():
        _log.info("no checkpoint yet: starting from the beginning")
    run.run(progress)
    if folder is not None and len(images.bad_items):
        images.bad_items.write(folder / "bad_items.csv")
    model = model.to("cpu").eval()
    model.describe(
        preprocessor.to_dict(), tuple(labels.class_names), _summary(run, options, labels)
    )
    return model, bool(fabric.is_global_zero)


def _labels_of(source: Source) -> Labels:
    labels = source.labels
    if labels is None or labels.n_classes < 2:
        found = "none" if labels is None else f"{labels.n_classes} class"
        raise DataError(
            f"training on images needs labels of at least 2 classes, got {found}. Put the images "
            "into one folder per class, or name a label column."
        )
    return labels


def _summary(run: TrainingRun, options: TrainOptions, labels: Labels) -> dict[str, Any]:
    """Say what was trained on what, in JSON values."""
    report = run.method.report()
    for warning in report["warnings"]:
        _log.warning("%s", warning)
    return {
        "options": options.to_dict(),
        "n_images": len(run.data.images.positions),
        "n_bad": len(run.data.images.bad_items),
        "n_classes": labels.n_classes,
        "class_counts": np.asarray(labels.counts()).tolist(),
        "n_steps": run.n_steps,
        "training_s": round(run.seconds, 1),
        "epochs": list(run.preset.epochs),
        "is_backbone_pretrained": run.model.is_backbone_pretrained,
        **report,
    }
