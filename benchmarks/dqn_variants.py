"""DQN, DQN2+, DQNip and DRQ on CIFAR-10: mAP at four lengths, parameters, seconds of training.

Usage:
    python benchmarks/dqn_variants.py DATA --output DIR [--seeds 0 1 2] [--small]

DATA holds ``train.parquet`` and ``test.parquet`` with the columns image and label. Every method
gets the same small network, pictures and number of epochs. A product code cannot be cut, so each
DQN needs a model for each of the four lengths; one DRQ model serves them all. A run that was
stopped is resumed by the same command; ``DIR/result.json`` is rewritten after every run.

All lengths, 12, 24, 32 and 48 bits, are made of 16 codewords (4 bits) a level or subspace: with
256 there are none of 12 bits. Features of DQN have 240 dimensions, a multiple of 3, 6, 8 and 12
subspaces; the 300 of the authors' code are none of 8.

Setting 1: 50,000 training images are also the database, 10,000 queries, mAP@5000. Setting 2: 500
images a class for training, 100 a class as queries, the other 54,000 the database, mAP@54000.
``--small`` takes 100, 20 and 200 images a class, a narrow network and 4 epochs: a few minutes on
one core, to see that all works; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cifar10 import SETTINGS, splits
from image_runs import map_at, trained
from scipy.stats import t as student_t

from anybit.bench import environment, write_result
from anybit.data import Labels, Source
from anybit.evaluation import EvaluationInput
from anybit.models import DQN, DRQ
from anybit.papers import features_of
from anybit.training import TrainOptions

BITS = (12, 24, 32, 48)
N_CODEWORDS = 16
DIM = 240
METHODS = ("drq", "dqn", "dqn2+", "dqnip")


@dataclass(frozen=True)
class Data:
    """Training pictures, the parts of the database, queries, and the R of mAP@R."""

    train: Source
    database: list[Source]
    queries: Source
    at: int


@dataclass(frozen=True)
class Run:
    """One training run: a model of DRQ serves all lengths, one of DQN its own."""

    method: str
    bits: tuple[int, ...]
    seed: int

    @property
    def name(self) -> str:
        lengths = "all" if len(self.bits) > 1 else str(self.bits[0])
        return f"{self.method}-{lengths}-seed{self.seed}"


def data_of(args: argparse.Namespace) -> Data:
    """Return the pictures of a setting, the first of each class only where a few will do."""
    train, database, queries = splits(args.setting, args.data, args.split_seed)
    at = SETTINGS[args.setting].at
    if args.per_class is None:
        return Data(train, database, queries, at)
    parts = zip((train, database[0], queries), args.per_class, strict=True)
    few = [first_of_class(part, n_items) for part, n_items in parts]
    return Data(few[0], [few[1]], few[2], min(at, len(few[1])))


def first_of_class(source: Source, n_items: int) -> Source:
    """Return the first items of each class."""
    classes = source.labels.integers()
    rows = [np.flatnonzero(classes == number)[:n_items] for number in np.unique(classes)]
    return source.take(np.sort(np.concatenate(rows)))


def stages(n_epochs: int) -> tuple[int, int, int]:
    """Share a number of epochs among DRQ's stages as preset anybit does: 10, 1 and 5 of 16."""
    one, all_levels = max(1, round(n_epochs / 16)), max(1, round(5 * n_epochs / 16))
    return n_epochs - one - all_levels, one, all_levels


def options_of(run: Run, args: argparse.Namespace) -> TrainOptions:
    """Return the options of a run: the same for every method but for what the method is."""
    is_drq = run.method == "drq"
    return TrainOptions(
        method=run.method,
        bits=run.bits[-1],
        n_codewords=N_CODEWORDS,
        backbone="resnet-small",
        backbone_options=json.loads(args.backbone_options),
        preset=args.preset,
        preset_overrides={} if is_drq else {"head": {"dim": DIM}},
        epochs=stages(args.epochs) if is_drq else args.epochs,
        seed=run.seed,
        precision=args.precision,
        augmentation="flip_crop",
    )


def done(run: Run, data: Data, args: argparse.Namespace) -> dict[str, Any]:
    """Return what a run gave; do it first where it is not done yet."""
    folder = args.output / run.name
    result = folder / "result.json"
    if result.is_file():
        return json.loads(result.read_text())
    model = trained(data.train, options_of(run, args), folder / "model")
    items = np.concatenate([features_of(model, part) for part in data.database])
    classes = np.concatenate([part.labels.integers() for part in data.database])
    codebooks = model.export_codebooks()
    found = map_at(
        EvaluationInput(
            codebooks,
            codebooks.encode(items),
            features_of(model, data.queries),
            data.queries.labels,
            Labels.from_integers(classes, data.queries.class_names),
            items,
        ),
        run.bits,
        data.at,
    )
    row = {
        "method": run.method,
        "seed": run.seed,
        "map_at": found["map_at"],
        "n_parameters": n_parameters(model),
        "training_s": model.summary["training_s"],
        "training": model.summary,
    }
    write_result(result, row)
    return row


def n_parameters(model: DRQ | DQN) -> int:
    """Count the numbers of network, codebooks, scales, offset and rotation."""
    network = sum(p.numel() for part in (model.backbone, model.head) for p in part.parameters())
    arrays, _ = model.export_codebooks().to_tensors()
    return network + sum(array.size for array in arrays.values())


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean and interval of mAP by length, and what all lengths together cost a seed."""
    table: dict[str, Any] = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        n_seeds = len({row["seed"] for row in own})
        found: dict[str, Any] = {"models_per_seed": len(own) / n_seeds}
        for name in ("n_parameters", "training_s"):
            found[f"{name}_per_seed"] = round(sum(row[name] for row in own) / n_seeds, 1)
        for label in dict.fromkeys(key for row in own for key in row["map_at"] if key != "R"):
            # The float features of one seed's four models are not four independent values.
            by_seed: dict[int, list[float]] = {}
            for row in own:
                if label in row["map_at"]:
                    by_seed.setdefault(row["seed"], []).append(row["map_at"][label])
            values = [float(np.mean(found_of_seed)) for found_of_seed in by_seed.values()]
            found[label] = {"map": values, **mean_and_interval(values)}
        table[method] = found
    return table


def mean_and_interval(values: list[float]) -> dict[str, Any]:
    """Return the mean, and its 95 % interval by Student's t where there are several values."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return {"mean": round(mean, 5), "interval_95": None}
    half = float(
        student_t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    )
    return {"mean": round(mean, 5), "interval_95": [round(mean - half, 5), round(mean + half, 5)]}


def check_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Store the settings with the runs; a folder is resumed only with the same settings."""
    names = (
        "setting",
        "per_class",
        "preset",
        "epochs",
        "backbone_options",
        "precision",
        "split_seed",
    )
    settings = {name: getattr(args, name) for name in names}
    path = args.output / "settings.json"
    if path.is_file() and json.loads(path.read_text()) != settings:
        raise SystemExit(f"{path} has other settings than this command: choose another --output")
    write_result(path, settings)
    return settings


def main() -> None:
    """Do all runs, and write one JSON file after each."""
    args = parsed()
    started, settings, data = environment(), check_settings(args), data_of(args)
    runs = [
        Run(method, bits, seed)
        for seed in args.seeds
        for method in args.methods
        for bits in ([BITS] if method == "drq" else [(length,) for length in BITS])
    ]
    rows = []
    for run in runs:
        print(run.name, flush=True)
        rows.append(done(run, data, args))
        sizes = {
            "train": len(data.train),
            "database": sum(map(len, data.database)),
            "queries": len(data.queries),
        }
        write_result(
            args.output / "result.json",
            {
                **started,
                **settings,
                "bits": BITS,
                "n_codewords": N_CODEWORDS,
                "dqn_dim": DIM,
                "sizes": sizes,
                "note": "DQN2+ trains its network without codes: with one seed its four networks "
                "are the same, and one training would do for them.",
                "summary": summary(rows),
                "runs": rows,
            },
        )


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="folder for models and results")
    parser.add_argument("--setting", choices=sorted(SETTINGS), default="setting2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--preset", default="anybit")
    parser.add_argument("--epochs", type=int, help="of every method; 16, or 4 when small")
    parser.add_argument("--backbone-options", help="JSON for resnet-small, such as its widths")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="few images, a narrow network")
    parser.add_argument(
        "--per-class",
        type=int,
        nargs=3,
        metavar=("TRAIN", "DATABASE", "QUERIES"),
        help="images a class; all of the setting when left out, 100 200 20 when small",
    )
    args = parser.parse_args()
    if args.small and args.per_class is None:
        args.per_class = [100, 200, 20]
    args.epochs = args.epochs or (4 if args.small else 16)
    if args.epochs < 3:
        parser.error("--epochs must be at least 3, one for each stage of DRQ")
    widths = [16, 32, 64] if args.small else [48, 96, 192]
    args.backbone_options = args.backbone_options or json.dumps({"widths": widths})
    args.output.mkdir(parents=True, exist_ok=True)
    return args


if __name__ == "__main__":
    main()
