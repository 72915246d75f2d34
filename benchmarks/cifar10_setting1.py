"""CIFAR-10 setting 1: one DRQ model from scratch, 50,000 images as training set and database.

The 10,000 test images are the queries; mAP@5000 at 16, 24, 36 and 48 bits from one model with 16
codewords per level. Song et al., IJCAI 2019, Table 1, prints .942/.943/.943/.943 for AlexNet
pretrained on ImageNet; here nothing is pretrained.

Usage: python benchmarks/cifar10_setting1.py DATA --output DIR [--widths W W W] [--epochs E E E]

DATA holds ``train.parquet`` and ``test.parquet`` with the columns image and label. A run that was
stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from cifar10_evaluation import evaluate_sources, write_result

from anybit.data import open_source
from anybit.models import DRQ
from anybit.training import TrainOptions, train

BITS = (16, 24, 36, 48)


def main() -> None:
    """Train, evaluate, and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="folder for model and result")
    parser.add_argument("--widths", type=int, nargs=3, default=(48, 96, 192))
    parser.add_argument("--epochs", type=int, nargs=3, default=(10, 1, 3))
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="32-true")
    arguments = parser.parse_args()
    options = TrainOptions(
        bits=48,
        n_codewords=16,
        backbone_options={"widths": list(arguments.widths)},
        epochs=tuple(arguments.epochs),
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        device=arguments.device,
        precision=arguments.precision,
    )
    database = open_source(arguments.data / "train.parquet")
    queries = open_source(arguments.data / "test.parquet")
    folder = arguments.output / "model"
    seconds = None
    if not folder.exists():
        started = time.monotonic()
        train(database, options, output=folder, resume=True, progress=print_progress)
        seconds = time.monotonic() - started
    model = DRQ.from_pretrained(folder)
    result = evaluate_sources(model, database, queries, BITS, at=5000)
    result["training_s"] = seconds
    write_result(arguments.output / "cifar10_setting1.json", result, vars(arguments))


def print_progress(done: int, total: int | None) -> None:
    """Say every 100 steps where training is."""
    if done % 100 == 0:
        print(f"{time.strftime('%H:%M:%S')} step {done} of {total}", flush=True)


if __name__ == "__main__":
    main()
