"""CIFAR-10 at the sizes of the papers' settings: one DRQ model, every code length.

Usage:
    python benchmarks/cifar10.py setting1 DATA --output DIR
    python benchmarks/cifar10.py setting2 DATA --output DIR --backbone NAME --weights FILE ...

DATA holds ``train.parquet`` and ``test.parquet`` with the columns image and label. A run that was
stopped is resumed by the same command; the result is ``DIR/result.json``.

The parts are those of the distribution, as protocols cifar10-setting1-parts and
cifar10-setting2-parts of `anybit papers`; the papers pool both parts and draw from them. Unlike
`anybit papers run` this takes every option of the training.

Setting 1: 50,000 training images are also the database, 10,000 queries, mAP@5000 at 16, 24, 36
and 48 bits with 16 codewords a level (Song et al., IJCAI 2019, Table 1: .942/.943/.943/.943).
Setting 2: 500 images a class for training, 100 a class as queries, the other 54,000 the database,
mAP@54000 at 8, 16, 24 and 32 bits with 256 codewords (Table 3: .803/.824/.832/.837).
Small: 100 images a class for training and 100 as queries, the other 4,000 of 5,000 training images
the database; a check of a preset within minutes, no setting of a paper. Chance is .100.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from image_runs import add_training_arguments, map_at, options_of, trained

from anybit.bench import environment, write_result
from anybit.data import Labels, Source, open_source, split_positions
from anybit.evaluation import EvaluationInput
from anybit.papers import features_of


@dataclass(frozen=True)
class Setting:
    """Code lengths, codewords a level and the R of mAP@R."""

    bits: tuple[int, ...]
    n_codewords: int
    at: int


SETTINGS = {
    "setting1": Setting((16, 24, 36, 48), 16, 5000),
    "setting2": Setting((8, 16, 24, 32), 256, 54_000),
    "small": Setting((8, 16, 24, 32), 256, 4000),
}


def splits(setting: str, data: Path, seed: int) -> tuple[Source, list[Source], Source]:
    """Return training source, the parts of the database, and queries of a setting."""
    train_part = open_source(data / "train.parquet")
    test_part = open_source(data / "test.parquet")
    if setting == "setting1":
        return train_part, [train_part], test_part
    if setting == "small":
        part = split_positions(train_part.labels, query=400, train=100, seed=seed)
        asked = split_positions(test_part.labels, query=100, seed=seed)
        database = [train_part.take(part.query)]
        return train_part.take(part.train), database, test_part.take(asked.query)
    train_split = split_positions(train_part.labels, query=0, train=500, seed=seed)
    query_split = split_positions(test_part.labels, query=100, seed=seed)
    database = [train_part.take(train_split.database), test_part.take(query_split.database)]
    return train_part.take(train_split.train), database, test_part.take(query_split.query)


def main() -> None:
    """Train, evaluate, and write one JSON file."""
    args = parsed()
    started, setting = environment(), SETTINGS[args.setting]
    training, database, queries = splits(args.setting, args.data, args.split_seed)
    model = trained(
        training, options_of(args, setting.bits[-1], setting.n_codewords), args.output / "model"
    )
    items = np.concatenate([features_of(model, part) for part in database])
    classes = np.concatenate([part.labels.integers() for part in database])
    codebooks = model.export_codebooks()
    data = EvaluationInput(
        codebooks,
        codebooks.encode(items),
        features_of(model, queries),
        queries.labels,
        Labels.from_integers(classes, queries.class_names),
        items,
    )
    sizes = {"train": len(training), "database": len(items), "queries": len(queries)}
    write_result(
        args.output / "result.json",
        {
            **started,
            "seed": args.seed,
            "sizes": sizes,
            **map_at(data, setting.bits, setting.at),
            "training": model.summary,
        },
    )


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("setting", choices=sorted(SETTINGS))
    parser.add_argument("data", type=Path)
    parser.add_argument("--split-seed", type=int, default=0)
    add_training_arguments(parser)
    args = parser.parse_args()
    if args.backbone == "resnet-small" and args.backbone_options == "{}":
        args.backbone_options = '{"widths": [48, 96, 192]}'
    return args


if __name__ == "__main__":
    main()
