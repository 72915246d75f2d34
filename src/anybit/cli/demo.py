"""``anybit demo``: handwritten digits from first image to evaluated search, offline."""

from __future__ import annotations

import shlex
import shutil
import time
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console
from anybit.cli.evaluate import EvaluateFlags, evaluate_collection, show_evaluation
from anybit.cli.source_flags import SourceFlags, open_said
from anybit.cli.train import TrainFlags, train_model

__all__ = ["demo"]

_SIDE_PX = 32
# Per class. All others are the database: neither they nor the queries are trained on.
_N_QUERIES, _N_TRAIN = 20, 100
# A narrow network and small batches: 1,000 pictures of 8 x 8 scanned dots need no more.
_TRAINING = TrainFlags(
    bits=32,
    backbone_options='{"widths": [24, 48, 96]}',
    input_px=_SIDE_PX,
    batch_size=50,
    learning_rate=0.1,
    augmentation="crop",
    epochs="30,1,6",
)


@command
def demo(
    console: Console,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for images, model, report.")
    ] = Path("demo"),
    is_overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier demo in that folder.")
    ] = False,
) -> None:
    """Show everything on handwritten digits, offline.

    Train, index, cut to every length, evaluate, report.

    Each step says the command that does the same with your own images.
    """
    from anybit.collection import AddOptions, Collection

    started_s = time.monotonic()
    _make_room(output, is_overwrite)
    digits, model, codes = output / "digits", output / "model", output / "digits.anybit"
    console.say("1. handwritten digits as image files, a folder for each class")
    _write_digits(digits)

    console.say(f"\n2. anybit train {digits}/train --output {model} {_in_words(_TRAINING)}")
    source = open_said(digits / "train", SourceFlags(), console)
    train_model(source, _TRAINING.options(SourceFlags()), model, console)

    console.say(f"\n3. anybit create {codes} --model {model}")
    collection = Collection.create(codes, model)
    console.say(f"\n4. anybit add {codes} {digits}/database --store-features")
    source = open_said(digits / "database", SourceFlags(), console)
    with console.progress("encoding") as progress:
        collection.add(source, AddOptions(store_features=True), progress)

    report = output / "report"
    console.say(f"\n5. anybit evaluate {codes} {digits}/query --output {report}")
    queries = open_said(digits / "query", SourceFlags(), console)
    evaluation = evaluate_collection(collection, queries, report, EvaluateFlags(), console)
    query = min((digits / "query").rglob("*.png"))
    console.say(f"\nNow try: anybit search {codes} {query} --bits 8\n")
    show_evaluation(evaluation, console)
    page = report / "report.html"
    console.result(
        {
            **evaluation.to_dict(),
            "report": str(page),
            "seconds": round(time.monotonic() - started_s, 1),
        },
        f"report: {page}  ({time.monotonic() - started_s:.0f} s in all)",
    )


def _in_words(flags: TrainFlags) -> str:
    """Write the flags that differ from their defaults, as one would type them."""
    changed = [
        (field.name.replace("_", "-"), getattr(flags, field.name))
        for field in fields(flags)
        if getattr(flags, field.name) != field.default
    ]
    return " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in changed)


def _make_room(output: Path, is_overwrite: bool) -> None:
    """Make the folder; an earlier demo, and nothing else, may be replaced."""
    from anybit.codes import write_errors
    from anybit.errors import OptionError

    if output.exists() and any(output.iterdir()):
        is_ours = (output / "digits").is_dir()
        if not (is_ours and is_overwrite):
            cure = "pass --overwrite" if is_ours else "choose another one with --output"
            raise OptionError(f"{output} must be an empty folder, got a full one: {cure}.")
        with write_errors(output):
            shutil.rmtree(output)
    with write_errors(output):
        output.mkdir(parents=True, exist_ok=True)


def _write_digits(folder: Path) -> None:
    """Write scikit-learn's 1,797 digits as PNG files: split/class/number.png."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    from anybit.data import Labels, split_positions

    digits = load_digits()
    labels = Labels.from_integers(digits.target)
    split = split_positions(labels, query=_N_QUERIES, train=_N_TRAIN, seed=0)
    parts = {"train": split.train, "database": split.database, "query": split.query}
    for name, positions in parts.items():
        for position in positions.tolist():
            pixels = np.minimum(digits.images[position] * 16, 255).astype(np.uint8)  # (8, 8)
            image = Image.fromarray(pixels).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC)
            place = folder / name / str(digits.target[position])
            place.mkdir(parents=True, exist_ok=True)
            image.save(place / f"{position:04}.png")
