"""One DRQ model for every code length against one model per length: time, size and quality."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from anybit.bench import environment
from anybit.data import ArrayImages, Labels, split_positions
from anybit.errors import OptionError
from anybit.evaluation import EvaluationInput, EvaluationOptions, evaluate
from anybit.models import ImageModel
from anybit.papers.results.result import ArtefactResult, ResultRow, Values
from anybit.papers.results.seeded import Seeded
from anybit.papers.runs.configurations import stages_of
from anybit.papers.runs.run import features_of, n_parameters
from anybit.training import IMAGE_METHODS, TrainOptions, train
from anybit.types import Int64Array, ProgressCallback

__all__ = ["TrainingTimeOptions", "training_time_result"]

ONE_MODEL = "DRQ, one model"
PER_LENGTH = {"DQN, one a length": "dqn", "DRQ, one a length": "drq"}
_PACKAGES = ("numpy", "torch", "scikit-learn")


@dataclass(frozen=True)
class TrainingTimeOptions:
    """What is trained, how long and how often.

    Parameters
    ----------
    bits : tuple of int
        Code lengths, ascending; DQN's four in its paper.
    n_codewords : int
        Codewords K of a level; 16 gives all of these lengths.
    seeds : tuple of int
    n_epochs : int
        Of every model; DRQ's are shared among its three stages.
    n_train, n_query : int
        Images a class; all others are the database.
    input_px : int
        Side of the network's input.
    widths : tuple of int
        Channels of the network's three stages.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    bits: tuple[int, ...] = (12, 24, 32, 48)
    n_codewords: int = 16
    seeds: tuple[int, ...] = (0, 1, 2)
    n_epochs: int = 8
    n_train: int = 100
    n_query: int = 20
    input_px: int = 16
    widths: tuple[int, ...] = (24, 48, 96)
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.bits or list(self.bits) != sorted(set(self.bits)):
            raise OptionError(f"bits must be ascending code lengths, got {self.bits}.")
        if not self.seeds:
            raise OptionError("seeds must be at least one number, got none.")
        if self.n_epochs < 3:
            raise OptionError(
                f"n_epochs must be at least 3, one for each stage of DRQ, got {self.n_epochs}."
            )


@dataclass(frozen=True)
class _Digits:
    """The pictures, and the positions of the three parts."""

    images: ArrayImages
    labels: Labels
    train: Int64Array
    database: Int64Array
    query: Int64Array


@dataclass(frozen=True)
class _Trained:
    """What one training run gave."""

    method: str  # the row of the table
    bits: int  # of the full code
    seed: int
    wall_s: float
    cpu_s: float
    n_parameters: int
    n_codebook_parameters: int
    map_at: dict[int, float]  # by code length
    float_map_at: float

    def cost_s(self, options: TrainingTimeOptions) -> float:
        """Return what is compared: on a processor its own seconds, which others' work spares."""
        return self.cpu_s if options.device == "cpu" else self.wall_s

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "map_at": {str(bits): map_ for bits, map_ in self.map_at.items()}}


def training_time_result(
    options: TrainingTimeOptions | None = None, progress: ProgressCallback | None = None
) -> ArtefactResult:
    """Train one DRQ model for all code lengths, and models for one length each, in turns.

    Handwritten digits that come with scikit-learn, a small network, the same number of epochs for
    every model; nothing is fetched.

    Parameters
    ----------
    options : TrainingTimeOptions, optional
    progress : callable, optional
        Called with (models trained, models in all).

    Returns
    -------
    ArtefactResult
        ``drq-training-time``. A row is a way to serve all lengths, with mAP at each length. Its
        companions say what that takes, by length where each has a model of its own, and for all
        lengths together: models, numbers in networks and in codebooks, seconds of training by the
        clock and of the processor, and the latter (by the clock, where the device is not ``cpu``)
        over those of the one model of the same seed.

    Raises
    ------
    OptionError
        If a code length is not whole levels of so many codewords.
    DataError
        If there are not so many images of a class.

    Notes
    -----
    Seconds are those of the whole training, the start of codebooks and their last fit included.
    A first, short run that is not counted loads what is loaded once.

    References
    ----------
    Song et al., "Deep Recurrent Quantization for Generating Sequential Binary Codes", IJCAI 2019,
    sections 1 and 3: one training for all lengths. The paper gives no seconds.
    """
    options, told = options or TrainingTimeOptions(), environment(_PACKAGES)
    digits = _digits(options)
    plan = list(_plan(options))
    if progress is not None:
        progress(0, len(plan))
    _trained(digits, "dqn", options.bits[0], 0, options, n_epochs=1)  # warms up
    found: list[_Trained] = []
    for row, bits, seed in plan:
        found.append(_measured(digits, row, bits, seed, options))
        if progress is not None:
            progress(len(found), len(plan))
    return _result(found, digits, options, told)


def _plan(options: TrainingTimeOptions) -> Iterator[tuple[str, int, int]]:
    """Yield row, bits and seed of each run: the contenders in turns."""
    for seed in options.seeds:
        yield ONE_MODEL, options.bits[-1], seed
        for bits in options.bits:
            for row in PER_LENGTH:
                yield row, bits, seed


def _digits(options: TrainingTimeOptions) -> _Digits:
    """Return scikit-learn's 1,797 digits, divided by a seed that is always the same."""
    from sklearn.datasets import load_digits

    data = load_digits()
    labels = Labels.from_integers(data.target)
    split = split_positions(labels, query=options.n_query, train=options.n_train, seed=0)
    pixels = np.minimum(data.images * 16, 255).astype(np.uint8)  # (N, 8, 8)
    images = ArrayImages(pixels, labels)
    return _Digits(images, labels, split.train, split.database, split.query)


def _trained(
    digits: _Digits,
    method: str,
    bits: int,
    seed: int,
    options: TrainingTimeOptions,
    n_epochs: int | None = None,
) -> ImageModel:
    """Train one model."""
    epochs: tuple[int, ...] | int = n_epochs or options.n_epochs
    if IMAGE_METHODS[method].stages:
        epochs = stages_of(options.n_epochs)
    settings = TrainOptions(
        method=method,
        bits=bits,
        n_codewords=options.n_codewords,
        backbone="resnet-small",
        backbone_options={"widths": list(options.widths)},
        input_px=options.input_px,
        epochs=epochs,
        batch_size=50,
        learning_rate=0.1,
        augmentation="crop",
        seed=seed,
        device=options.device,
    )
    model: Any = train(digits.images.take(digits.train), settings)
    if not isinstance(model, ImageModel):
        raise OptionError(f"method must train a network, got {method!r}.")
    return model


def _measured(
    digits: _Digits, row: str, bits: int, seed: int, options: TrainingTimeOptions
) -> _Trained:
    """Train one model; return its cost, and mAP at every length that it serves."""
    wall, cpu = time.perf_counter(), time.process_time()
    model = _trained(digits, PER_LENGTH.get(row, "drq"), bits, seed, options)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    codebooks = model.export_codebooks()
    items = features_of(model, digits.images.take(digits.database))
    evaluation = evaluate(
        EvaluationInput(
            codebooks,
            codebooks.encode(items),
            features_of(model, digits.images.take(digits.query)),
            digits.labels.take(digits.query),
            digits.labels.take(digits.database),
            items,
        ),
        EvaluationOptions(bits=options.bits if row == ONE_MODEL else (bits,), at=len(items)),
    )
    numbers = n_parameters(model)
    values = {one.bits: one.measure("map_at").value for one in evaluation.lengths}
    floats = evaluation.float_features
    return _Trained(
        row,
        bits,
        seed,
        wall,
        cpu,
        numbers["network"],
        numbers["codebooks"],
        values,
        floats.measure("map_at").value if floats is not None else float("nan"),
    )


def _result(
    found: list[_Trained], digits: _Digits, options: TrainingTimeOptions, told: dict[str, Any]
) -> ArtefactResult:
    """Put the runs together: a row for each way to serve all lengths."""
    rows = [_row(name, found, options) for name in (ONE_MODEL, *PER_LENGTH)]
    sizes = {name: len(getattr(digits, name)) for name in ("train", "database", "query")}
    return ArtefactResult(
        name="drq-training-time",
        title="One model for every code length against one model per length",
        kind="table",
        rows=tuple(rows),
        columns=(*(f"{bits} bits" for bits in options.bits), "all lengths"),
        metric=f"mAP@{sizes['database']}, the whole database, denominator found; "
        "network and codebooks in numbers of parameters, seconds of training",
        seeds=options.seeds,
        protocol={"name": "digits", "sizes": sizes},
        training={
            "runs": [run.to_dict() for run in found],
            "settings": _settings(options),
            "threads": told["threads"],
            "load_before": told["load_before"],
        },
        notes=(
            "Digits of scikit-learn and a small network: the ratios are of interest, not the mAP.",
            "The same epochs for every model. DRQ ends with the fit of a new head to the features "
            "of the finished network (preset anybit); this is in its seconds.",
            "The times are of one run in one process, the contenders in turns; the interval is "
            "that of the seeds. Seconds of the processor do not count what other programs took.",
            "The separate DRQ model of the longest code is the one model again: its time is "
            "measured twice, and differs by the noise of the measurement; its mAP is the same.",
        ),
        command=told["command"],
        commit=told["commit"],
        machine=told["machine"],
        versions=told["versions"],
    )


def _settings(options: TrainingTimeOptions) -> dict[str, Any]:
    """Return the options as JSON values."""
    fields = asdict(options).items()
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields}


def _row(name: str, found: list[_Trained], options: TrainingTimeOptions) -> ResultRow:
    """Return the row of one way to serve all lengths."""
    own = [run for run in found if run.method == name]
    by_seed = [[run for run in own if run.seed == seed] for seed in options.seeds]
    one_model = {run.seed: run.cost_s(options) for run in found if run.method == ONE_MODEL}

    def of_length(bits: int, value: Callable[[_Trained], float]) -> Seeded:
        served = [next(run for run in runs if bits in run.map_at) for runs in by_seed]
        return Seeded.of([value(run) for run in served])

    def cost(value: Callable[[_Trained], float], *, is_fixed: bool = False) -> Values:
        """Return the cost of the model of each length, then of all; the one model is for all."""
        totals = [sum(map(value, runs)) for runs in by_seed]
        parts: Values = tuple(
            None if name == ONE_MODEL else of_length(bits, value) for bits in options.bits
        )
        every = (*parts, Seeded.of(totals))
        # Sizes do not depend on the seed: without an interval they read as what they are.
        return tuple(Seeded.of(one.values[:1]) if one and is_fixed else one for one in every)

    def map_of(bits: int) -> Seeded:
        return of_length(bits, lambda run: run.map_at[bits])

    floats = (of_length(bits, lambda run: run.float_map_at) for bits in options.bits)
    return ResultRow(
        name,
        (*map(map_of, options.bits), None),
        configuration={
            "method": PER_LENGTH.get(name, "drq"),
            "preset": "anybit",
            "epochs": options.n_epochs,
            "backbone": "resnet-small",
            "widths": list(options.widths),
            "K": options.n_codewords,
        },
        companions={
            "float features": (*floats, None),
            "models": cost(lambda run: 1, is_fixed=True),
            "network": cost(lambda run: run.n_parameters, is_fixed=True),
            "codebooks": cost(lambda run: run.n_codebook_parameters, is_fixed=True),
            "seconds": cost(lambda run: run.wall_s),
            "processor seconds": cost(lambda run: run.cpu_s),
            "times one model": cost(lambda run: run.cost_s(options) / one_model[run.seed]),
        },
    )
