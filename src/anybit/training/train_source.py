"""`train`: from a source to a trained model."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anybit.codes import check_writable
from anybit.data import Labels, Preprocessor, Source, open_source
from anybit.errors import DataError, OptionError
from anybit.models import ImageModel
from anybit.quantizers import VectorQuantizer, train_on_vectors
from anybit.training.engine.augment import Augmenter
from anybit.training.engine.definition import definition_of
from anybit.training.engine.images import TrainingImages
from anybit.training.engine.loop import TrainingData, TrainingRun, make_fabric
from anybit.training.engine.plain_images import PlainImages
from anybit.training.engine.train_options import TrainOptions
from anybit.training.frozen import train_frozen
from anybit.training.registry import IMAGE_METHODS
from anybit.types import ProgressCallback

__all__ = ["train"]

_log = logging.getLogger(__name__)


def train(
    source: str | Path | Source,
    options: TrainOptions | None = None,
    *,
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    **settings: Any,
) -> ImageModel | VectorQuantizer:
    """Train a model: a network on labelled images, or a quantiser on vectors.

    A method on vectors takes images, too: their vectors are then the features of a backbone with
    given weights, which is not trained. Labels are needed only where the method needs them.

    Parameters
    ----------
    source : str, Path or Source
        Images, or vectors (see `anybit.data.open_source`).
    options : TrainOptions, optional
    output : str or Path, optional
        Model folder to write. Checkpoints and logs go to the folder ``OUTPUT.run`` beside it.
    resume : bool
        Go on from the newest checkpoint of ``OUTPUT.run``, or start if there is none.
    overwrite : bool
        Replace an earlier model and run.
    progress : callable, optional
        Called with (steps done, steps in all).
    **settings
        Fields of `TrainOptions`, in place of `options`.

    Returns
    -------
    ImageModel or VectorQuantizer
        Both have ``save_pretrained`` and ``export_codebooks``; the method names the class.

    Raises
    ------
    OptionError
        If options contradict each other, or the output is there already.
    DataError
        If the source is empty, lacks labels, or too much of it cannot be used.

    Examples
    --------
    >>> model = train("photos/", bits=32, output="model/")  # doctest: +SKIP
    """
    if options is not None and settings:
        raise OptionError("give options or single settings, not both.")
    options = options or TrainOptions(**settings)
    target = Path(output) if output is not None else None
    if target is not None and target.exists() and not (overwrite or resume):
        raise OptionError(f"{target} must not exist yet. Choose another path, or overwrite.")
    if target is not None:
        check_writable(target)
    opened = source if isinstance(source, Source) else open_source(Path(source), options.source)
    _log.info("%s", opened.describe())
    if len(opened) == 0:
        raise DataError(f"the source must hold at least one item, got none in {source}.")
    options = options.for_kind(opened.kind)
    if opened.kind == "vectors":
        return _train_vectors(opened, options, target, overwrite or resume, progress)
    folder = None if target is None else target.with_name(target.name + ".run")
    if folder is not None and folder.exists():
        if overwrite and not resume:
            shutil.rmtree(folder, ignore_errors=True)
        elif not resume:
            raise OptionError(
                f"{folder} holds an unfinished run. Resume it (--resume), or start again "
                "(--overwrite)."
            )
    is_first_process, model = True, None
    if options.method in IMAGE_METHODS:
        model, is_first_process = _train_images(opened, options, folder, resume, progress)
    else:
        model = train_frozen(opened, options, folder, progress)
    if target is not None and is_first_process:
        model.save_pretrained(target, overwrite=overwrite or resume)
    return model


def _train_vectors(
    source: Source,
    options: TrainOptions,
    target: Path | None,
    overwrite: bool,
    progress: ProgressCallback | None,
) -> VectorQuantizer:
    """Fit a quantiser to fixed features."""
    if options.backbone not in ("none", TrainOptions.backbone):
        raise OptionError(f"vectors need no backbone, got {options.backbone!r}. Leave it out.")
    model = train_on_vectors(
        source.vectors(0, len(source)),
        options.method,
        progress,
        n_levels=options.n_levels,
        n_codewords=options.n_codewords,
        metric=options.metric or "ip",
        seed=options.seed,
        labels=source.labels,
    )
    for text in model.summary["warnings"]:
        _log.warning("%s", text)
    if target is not None:
        model.save_pretrained(target, overwrite=overwrite)
    return model


def _train_images(
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
