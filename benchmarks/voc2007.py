"""PASCAL VOC2007, multi-label: codes of 16 to 48 bits against the pretrained float features.

Usage:
    python benchmarks/voc2007.py DATA.parquet --output DIR --backbone NAME --weights FILE ...

DATA has the columns image, labels (a list of names) and split (trainval / test). The model is
trained on trainval. Two protocols, mAP over the whole list, relevant is what shares a label:
``trainval`` is the database and test the queries; and, with a database that training never saw,
every fifth picture of test a query and the other four fifths the database. Beside the
model stand the pooled features of the pretrained backbone (cosine), uncompressed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anybit.bench import environment, write_result
from anybit.data import Preprocessor, Source, SourceOptions, open_source
from anybit.evaluation import EvaluationInput, EvaluationOptions, evaluate
from anybit.models import BackboneConfig, ImageModel, build_backbone, load_model
from anybit.papers import features_of
from anybit.quantizers import RecurrentFitOptions, fit_recurrent
from anybit.training import TrainOptions, train

BITS = (16, 24, 32, 40, 48)
N_CODEWORDS = 256


def main() -> None:
    """Train, evaluate by both protocols, and write one JSON file."""
    args = parsed()
    started = environment()
    trainval = open_source(args.data, SourceOptions(split="trainval"))
    test = open_source(args.data, SourceOptions(split="test"))
    model = trained(trainval, options_of(args, BITS[-1], N_CODEWORDS), args.output / "model")
    codebooks = model.export_codebooks()
    learned = [features_of(model, source) for source in (trainval, test)]
    pooled = [pretrained_features(args, model.preprocessor, s) for s in (trainval, test)]
    options = RecurrentFitOptions(n_levels=6, n_codewords=N_CODEWORDS, metric="cosine")
    unsupervised = fit_recurrent(pooled[0], options).codebooks
    report: dict[str, Any] = {**started, "seed": args.seed}
    is_query = np.arange(len(test)) % 5 == 0
    for name, (base, queried, rows, asked) in {
        "trainval_to_test": (0, 1, slice(None), slice(None)),
        "test_to_test": (1, 1, ~is_query, is_query),
    }.items():
        labels = (trainval.labels, test.labels)
        at = np.arange(len(labels[base]))[rows], np.arange(len(labels[queried]))[asked]
        for kind, vectors, books in (
            ("trained", learned, codebooks),
            ("pretrained", pooled, unsupervised),
        ):
            items = vectors[base][at[0]]
            data = EvaluationInput(
                books,
                books.encode(items),
                vectors[queried][at[1]],
                labels[queried].take(at[1]),
                labels[base].take(at[0]),
                items,
            )
            print(name, kind)
            report[f"{name}_{kind}"] = map_at(data, BITS, len(items))
    write_result(args.output / "result.json", {**report, "training": model.summary})


def pretrained_features(
    args: argparse.Namespace, settings: dict[str, Any], source: Source
) -> np.ndarray:
    """Return the pooled features of the pretrained backbone alone, (N, D) float32, unit length."""
    options = options_of(args, BITS[-1], N_CODEWORDS)
    config = BackboneConfig(
        options.backbone,
        options.input_px,
        options.backbone_options,
        options.input_mean,
        options.input_std,
    )
    network = build_backbone(config, args.weights).module.eval()
    preprocessor = Preprocessor.from_dict(settings)
    parts = []
    with torch.inference_mode():
        for batch in source.iter_batches(256, preprocessor):
            pixels = torch.from_numpy(preprocessor.normalise(batch.data))
            parts.append(network(pixels).numpy())
    found = np.concatenate(parts)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


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


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
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
    return parser.parse_args()


if __name__ == "__main__":
    main()
