"""CIFAR-10 by the papers' two settings: one DRQ model, every code length, float features beside it.

Usage:
    python benchmarks/cifar10.py setting1 DATA --output DIR
    python benchmarks/cifar10.py setting2 DATA --output DIR --backbone NAME --weights FILE ...

DATA holds ``train.parquet`` and ``test.parquet`` with the columns image and label. A run that was
stopped goes on where it was; the result is ``DIR/result.json``.

Setting 1: 50,000 training images are also the database, 10,000 queries, mAP@5000 at 16, 24, 36
and 48 bits with 16 codewords a level (Song et al., IJCAI 2019, Table 1: .942/.943/.943/.943).
Setting 2: 500 images a class for training, 100 a class as queries, the other 54,000 the database,
mAP@54000 at 8, 16, 24 and 32 bits with 256 codewords (Table 3: .803/.824/.832/.837).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import environment, write_result

from anybit.data import Labels, Preprocessor, Source, open_source, split_positions
from anybit.evaluation import EvaluationInput, EvaluationOptions, evaluate
from anybit.models import DRQ
from anybit.training import TrainOptions, train

LENGTHS = {"setting1": (16, 24, 36, 48), "setting2": (8, 16, 24, 32)}
CODEWORDS = {"setting1": 16, "setting2": 256}
AT = {"setting1": 5000, "setting2": 54_000}


def splits(setting: str, data: Path, seed: int) -> tuple[Source, Source, Source]:
    """Return train, database and query sources of a setting."""
    train_part = open_source(data / "train.parquet")
    test_part = open_source(data / "test.parquet")
    if setting == "setting1":
        return train_part, train_part, test_part
    split = split_positions(train_part.labels, query=0, train=500, seed=seed)
    query = split_positions(test_part.labels, query=100, seed=seed)
    return (
        train_part.take(split.train),
        Both(train_part, split.database, test_part, query.database),
        (test_part.take(query.query)),
    )


class Both:
    """The rest of both files, one after the other: the database of setting 2."""

    def __init__(self, first: Source, first_rows: Any, second: Source, second_rows: Any) -> None:
        self.parts = (first.take(first_rows), second.take(second_rows))
        integers = [part.labels.integers() for part in self.parts]
        self.labels = Labels.from_integers(np.concatenate(integers), self.parts[0].class_names)


def features_of(model: DRQ, source: Any, device: str) -> np.ndarray:
    """Return the features of a source, (N, D) float32."""
    if isinstance(source, Both):
        return np.concatenate([features_of(model, part, device) for part in source.parts])
    preprocessor = Preprocessor.from_dict(model.preprocessor)
    model.to(device)
    parts = []
    for batch in source.iter_batches(256, preprocessor):
        if not batch.is_ok.all():
            raise SystemExit("an image of CIFAR-10 cannot be decoded: fetch the files again")
        parts.append(model.features(preprocessor.normalise(batch.data)))
    return np.concatenate(parts)


def main() -> None:
    """Train, evaluate, and write one JSON file."""
    args = parsed()
    started = environment()
    training, database, queries = splits(args.setting, args.data, args.split_seed)
    folder = args.output / "model"
    if not folder.exists():
        train(training, options_of(args), output=folder, resume=True, progress=say_progress)
    model = DRQ.from_pretrained(folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    codebooks = model.export_codebooks()
    items = features_of(model, database, device)
    found = evaluate(
        EvaluationInput(
            codebooks,
            codebooks.encode(items),
            features_of(model, queries, device),
            queries.labels,
            database.labels,
            items,
        ),
        EvaluationOptions(bits=LENGTHS[args.setting], at=AT[args.setting]),
    )
    figures = {row.label: row.measure("map_at").value for row in found.all_results()}
    print(figures)
    result = {
        **started,
        "seed": args.seed,
        "map_at": {"R": AT[args.setting], **figures},
        "evaluation": found.to_dict(),
        "training": model.summary,
    }
    write_result(args.output / "result.json", result)


def options_of(args: argparse.Namespace) -> TrainOptions:
    """Return the training options of the command line."""
    return TrainOptions(
        bits=LENGTHS[args.setting][-1],
        n_codewords=CODEWORDS[args.setting],
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
    )


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("setting", choices=sorted(LENGTHS))
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="folder for model and result")
    parser.add_argument("--backbone", default="resnet-small")
    parser.add_argument("--backbone-options", default='{"widths": [48, 96, 192]}', help="JSON")
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
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split-seed", type=int, default=0)
    return parser.parse_args()


def say_progress(done: int, total: int | None) -> None:
    """Say every 100 steps where training is."""
    if done % 100 == 0:
        print(f"{time.strftime('%H:%M:%S')} step {done} of {total}", flush=True)


if __name__ == "__main__":
    main()
