"""Images through a backbone that is not trained, to the codebooks of a method on vectors."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np

from anybit.data import BadItems, Labels, Preprocessor, Source
from anybit.errors import DataError, OptionError
from anybit.models import FrozenConfig, FrozenModel
from anybit.quantizers import METHODS, train_on_vectors
from anybit.training.engine.definition import backbone_of
from anybit.training.engine.loop import make_fabric
from anybit.training.engine.train_options import TrainOptions
from anybit.types import Float32Array, Int64Array, ProgressCallback

__all__ = ["train_frozen"]

_log = logging.getLogger(__name__)

_BATCH_IMAGES = 128
# As many vectors as any method learns from (`RecurrentFitOptions.max_train`): 2 GiB of 2,048
# dimensions.
_MOST_IMAGES = 262_144


def train_frozen(
    source: Source,
    options: TrainOptions,
    folder: Path | None,
    progress: ProgressCallback | None,
) -> FrozenModel:
    """Learn codebooks from the features of a frozen backbone.

    Parameters
    ----------
    source : Source
        Of images; labels are needed where the method needs them.
    options : TrainOptions
        The backbone's weights must be given. Presets, epochs, augmentation and the like are for
        networks that are trained.
    folder : Path or None
        Where ``bad_items.csv`` is written, if there are any.
    progress : callable, optional
        Called with (images read, images in all).

    Returns
    -------
    FrozenModel

    Raises
    ------
    OptionError
        If there are no weights: features of a random network tell hardly more than the pixels.
    DataError
        If too many images cannot be used, or labels are missing that the method needs.

    Notes
    -----
    Of more than 262,144 images so many are drawn at random.
    """
    start_s = time.perf_counter()
    _check(source.labels, options)
    model = FrozenModel(
        FrozenConfig(backbone_of(options)),
        options.method,
        weights=options.weights,
        is_pretrained=options.is_pretrained,
    )
    model.to(make_fabric(options).device)
    size = model.input_px
    preprocessor = Preprocessor(size_px=size, resize_px=size, mean=model.mean, std=model.std)
    bad = BadItems()
    features, positions = _features(source, model, preprocessor, options, bad, progress)
    if folder is not None and len(bad):
        bad.write(folder / "bad_items.csv")
    labels = None if source.labels is None else source.labels.take(positions)
    fitted = train_on_vectors(
        features,
        options.method,
        labels=labels,
        n_levels=options.n_levels,
        n_codewords=options.n_codewords,
        metric=options.metric or "cosine",
        seed=options.seed,
    )
    for text in fitted.summary["warnings"]:
        _log.warning("%s", text)
    model.to("cpu").set_codebooks(fitted.codebooks, fitted.feature_map)
    is_of_classes = labels is not None and METHODS[options.method].needs_labels
    model.describe(
        preprocessor.to_dict(),
        labels.class_names if labels is not None and is_of_classes else None,
        {
            "options": options.to_dict(),
            "n_images": len(positions),
            "n_bad": len(bad),
            "training_s": round(time.perf_counter() - start_s, 1),
            "is_backbone_pretrained": True,
            **fitted.summary,
        },
    )
    return model


def _check(labels: Labels | None, options: TrainOptions) -> None:
    """Refuse before the images are read what would be refused after it."""
    if options.weights is None and not options.is_pretrained:
        raise OptionError(
            f"method {options.method} does not train the backbone, which therefore needs weights, "
            f"got none for {options.backbone}. Name a file (weights, --weights), fetch them "
            "(is_pretrained, --pretrained), or train the network (method drq)."
        )
    if options.n_devices > 1:
        raise OptionError(
            f"n_devices must be 1 where the backbone is not trained, got {options.n_devices}."
        )
    METHODS[options.method].check_labels(labels)


def _features(
    source: Source,
    model: FrozenModel,
    preprocessor: Preprocessor,
    options: TrainOptions,
    bad: BadItems,
    progress: ProgressCallback | None,
) -> tuple[Float32Array, Int64Array]:
    """Return features (N, D) of the usable images, and their positions (N,) in the source."""
    order = np.arange(len(source), dtype=np.int64)
    if len(order) > _MOST_IMAGES:
        rng = np.random.default_rng(options.seed)
        order = np.sort(rng.choice(order, _MOST_IMAGES, replace=False))
        _log.info("features of %d images, drawn at random", _MOST_IMAGES)
    bad.add_unlisted(source.unusable)
    max_bad = options.source.max_bad if options.source else 0.01
    features = np.empty((len(order), model.backbone_dim), dtype=np.float32)
    positions, n_used = np.empty_like(order), 0
    for batch in source.iter_batches(
        _BATCH_IMAGES, preprocessor, progress, positions=order, bad_items=bad
    ):
        bad.check(len(order), max_bad)
        n_ok = int(batch.is_ok.sum())
        if n_ok == 0:
            continue
        rows = slice(n_used, n_used + n_ok)
        features[rows] = model.network_features(preprocessor.normalise(batch.data[batch.is_ok]))
        positions[rows], n_used = batch.positions[batch.is_ok], n_used + n_ok
    bad.check(len(order), max_bad)
    if n_used == 0:
        raise DataError("the source must hold at least one usable image, got none.")
    return features[:n_used], positions[:n_used]
