"""What `cifar10.py`, `dqn_variants.py` and `voc2007.py` share: options, training, figures."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from anybit.data import Source
from anybit.evaluation import EvaluationInput, EvaluationOptions, evaluate
from anybit.models import ImageModel, load_model
from anybit.training import TrainOptions, train

__all__ = ["add_training_arguments", "map_at", "options_of", "trained"]


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every run on images can be told; what is left out, the preset decides."""
    parser.add_argument("--output", type=Path, required=True, help="folder for model and result")
    parser.add_argument("--backbone", default="resnet-small")
    parser.add_argument("--backbone-options", default="{}", help="JSON")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--label-vectors", type=Path)
    parser.add_argument("--preset", default="anybit")
    parser.add_argument("--preset-overrides", default="{}", help="JSON")
    parser.add_argument("--epochs", type=int, nargs=3)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--input-px", type=int)
    parser.add_argument("--input-mean", type=float)
    parser.add_argument("--input-std", type=float)
    parser.add_argument("--augmentation", default="flip_crop")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--seed", type=int, default=0)


def options_of(args: argparse.Namespace, bits: int, n_codewords: int) -> TrainOptions:
    """Return the training options of a command line."""
    return TrainOptions(
        bits=bits,
        n_codewords=n_codewords,
        backbone=args.backbone,
        backbone_options=json.loads(args.backbone_options),
        weights=args.weights,
        label_vectors=args.label_vectors,
        preset=args.preset,
        preset_overrides=json.loads(args.preset_overrides),
        epochs=tuple(args.epochs) if args.epochs else None,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        input_px=args.input_px,
        input_mean=args.input_mean,
        input_std=args.input_std,
        seed=args.seed,
        precision=args.precision,
        augmentation=args.augmentation,
    )


def trained(source: Source, options: TrainOptions, folder: Path) -> ImageModel:
    """Return the model of `folder`; train it first, or go on, where it is not there yet."""
    if not folder.exists():
        train(source, options, output=folder, resume=True, progress=_say_progress)
    model = load_model(folder)
    named = model.summary["options"]
    for name in ("weights", "label_vectors"):
        named[name] = named[name] and Path(named[name]).name
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def map_at(data: EvaluationInput, bits: Sequence[int], at: int) -> dict[str, Any]:
    """Return mAP@R by code length, that of the float features, and every other figure."""
    n_items = len(data.database_labels)
    found = evaluate(data, EvaluationOptions(bits=tuple(bits), at=min(at, n_items)))
    figures = {row.label: round(row.measure("map_at").value, 5) for row in found.all_results()}
    print(figures)
    return {"map_at": {"R": min(at, n_items), **figures}, "evaluation": found.to_dict()}


def _say_progress(done: int, total: int | None) -> None:
    """Say every 100 steps where training is."""
    if done % 100 == 0:
        print(f"{time.strftime('%H:%M:%S')} step {done} of {total}", flush=True)
