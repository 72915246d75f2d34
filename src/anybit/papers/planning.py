"""From the name of a table or figure to its runs, and to the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from anybit.errors import DataError, OptionError
from anybit.papers.artefacts import Artefact, artefact, members
from anybit.papers.assembling import Assembly, Found, assembled
from anybit.papers.datasets import open_dataset
from anybit.papers.parameters import parameters_result
from anybit.papers.protocols.protocol import Protocol, protocol
from anybit.papers.protocols.split_checks import Finding, check_split
from anybit.papers.protocols.split_manifest import SplitManifest
from anybit.papers.protocols.splits import Prepared, prepare
from anybit.papers.results.result import ArtefactResult
from anybit.papers.runs.configurations import Configuration, configuration, recipe, stages_of
from anybit.papers.runs.run import Run, perform
from anybit.papers.training_time import TrainingTimeOptions, training_time_result
from anybit.types import ProgressCallback

__all__ = ["PlannedRun", "RunOptions", "check", "plan", "run"]


@dataclass(frozen=True)
class RunOptions:
    """How an artefact is run.

    Parameters
    ----------
    data : Path or None
        Folder of the data set.
    cache : Path
        Folder of models and results of single runs; what is there is not trained again.
    recipe : {"cpu", "full", "modern", "quick"}
        See `anybit.papers.Recipe`.
    seeds : tuple of int
        Of the training; the split is the same for all.
    split_seed : int
    methods : tuple of str or None
        Some of the artefact's configurations, or others.
    preset, backbone, input_px, epochs, batch_size
        In place of the recipe's; epochs of the three stages, or in all.
    weights, label_vectors : Path or None
        Local files of pretrained weights, and of a vector a class.
    device : str
    n_unseen_seeds : int
        Runs with classes kept from training: for so many of the seeds, beside every method.
    is_held_back : bool
        Divide the training items once more, into what is trained on, searched and asked; the
        protocol's database and queries are not touched. To choose options by.
    """

    data: Path | None = None
    cache: Path = Path("papers-cache")
    recipe: str = "cpu"
    seeds: tuple[int, ...] = (0, 1, 2)
    split_seed: int = 0
    methods: tuple[str, ...] | None = None
    preset: str | None = None
    backbone: str | None = None
    weights: Path | None = None
    label_vectors: Path | None = None
    input_px: int | None = None
    epochs: int | tuple[int, int, int] | None = None
    batch_size: int | None = None
    device: str = "auto"
    n_unseen_seeds: int = 1
    is_held_back: bool = False

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise OptionError(f"seeds must be different numbers, at least one, got {self.seeds}.")
        if isinstance(self.epochs, int) and self.epochs < 3:
            raise OptionError(
                f"epochs must be at least 3, one for each stage of DRQ, got {self.epochs}."
            )


@dataclass(frozen=True)
class PlannedRun:
    """A run that an artefact needs.

    Parameters
    ----------
    name : str
    folder : Path
        Where its model and result are kept.
    is_done : bool
    """

    name: str
    folder: Path
    is_done: bool


def plan(name: str, options: RunOptions) -> list[PlannedRun]:
    """Return the runs of an artefact, in their order, and which of them are done.

    Raises
    ------
    OptionError
        If there is no such artefact, method or recipe, or weights are missing.
    DataError
        If the data set is missing or is not what the protocol says.
    """
    wanted = _wanted(name, options.data)
    if not wanted.needs_data:
        return []
    prepared = _prepared(wanted, options)
    return [_planned(one, prepared, options) for one in _runs(wanted, options)]


def check(
    name: str,
    data: Path,
    *,
    split_seed: int = 0,
    reads_images: bool = True,
    progress: ProgressCallback | None = None,
) -> tuple[SplitManifest, list[Finding]]:
    """Open the data set of an artefact, divide it, and look for what is wrong with it.

    Parameters
    ----------
    name : str
        One of `ARTEFACTS` that needs data.
    data : Path
    split_seed : int
    reads_images : bool
        Whether the same picture in two parts is looked for, which reads every picture.
    progress : callable, optional
        Called with (pictures read, pictures in all).

    Returns
    -------
    SplitManifest
    list of Finding
        Warnings.

    Raises
    ------
    OptionError
        If there is no such artefact, or it needs no data.
    DataError
        If the data set is missing, or does not fit the protocol: names all that is wrong.
    """
    wanted = _wanted(name, data)
    if not wanted.needs_data:
        raise OptionError(f"{name} needs no data: there is nothing to check.")
    rule = protocol(wanted.protocols[0])
    found = prepare(rule, data, split_seed)
    warnings = check_split(
        rule, found.dataset, found.manifest, reads_images=reads_images, progress=progress
    )
    return found.manifest, warnings


def run(
    name: str,
    options: RunOptions,
    on_run: Callable[[PlannedRun, int, int], None] | None = None,
    progress: ProgressCallback | None = None,
) -> ArtefactResult:
    """Return a table or figure of a paper, with our figures beside the paper's.

    Parameters
    ----------
    name : str
        One of `ARTEFACTS`.
    options : RunOptions
    on_run : callable, optional
        Called before each run with it, its number from 0, and the number of runs.
    progress : callable, optional
        Called with (steps done, steps in all) of the training at hand.

    Returns
    -------
    ArtefactResult
        Mean and 95 % interval over the seeds. A model is evaluated as it is after its last epoch;
        nothing is chosen by the queries.

    Raises
    ------
    OptionError, DataError
        As `plan`.
    """
    wanted = _wanted(name, options.data)
    if name == "drq-table4":
        return parameters_result()
    if name == "drq-training-time":
        return training_time_result(_training_time_options(options), progress)
    prepared, runs = _prepared(wanted, options), _runs(wanted, options)
    every = []
    for number, one in enumerate(runs):
        planned = _planned(one, prepared, options)
        if on_run is not None:
            on_run(planned, number, len(runs))
        found = perform(one, prepared, planned.folder, device=options.device, progress=progress)
        every.append(Found(one, found, planned.folder))
    methods = tuple(configuration(name) for name in options.methods or wanted.methods)
    parts = Assembly(
        wanted,
        protocol(wanted.protocols[0]),
        methods,
        options.seeds,
        prepared.manifest.checksum,
        tuple(every),
        options.is_held_back,
    )
    return assembled(parts)


def _wanted(name: str, data: Path | None) -> Artefact:
    """Return the artefact; of one with a part for each data set the part whose data is there."""
    parts = members(name)
    if len(parts) == 1 or data is None:
        return artefact(name)
    for one in parts:
        try:
            open_dataset(protocol(one.protocols[0]).dataset, data)
        except DataError:
            continue
        return one
    names = ", ".join(one.name for one in parts)
    raise DataError(
        f"{data} must hold the data set of one of {names}. `anybit papers show NAME` says which "
        "files those are."
    )


def _training_time_options(options: RunOptions) -> TrainingTimeOptions:
    """Return what `drq-training-time` takes of the options; on the processor if auto."""
    given, epochs = TrainingTimeOptions(seeds=options.seeds), options.epochs
    if epochs is not None:
        given = replace(given, n_epochs=epochs if isinstance(epochs, int) else sum(epochs))
    return given if options.device == "auto" else replace(given, device=options.device)


def _prepared(wanted: Artefact, options: RunOptions) -> Prepared:
    """Open the data set and divide it."""
    rule = protocol(wanted.protocols[0])
    if options.data is None:
        raise OptionError(
            f"{wanted.name} needs the data set {rule.dataset}: name its folder (--data). "
            f"`anybit papers show {wanted.name}` says what it must hold."
        )
    prepared = prepare(rule, options.data, options.split_seed)
    return prepared.held_back() if options.is_held_back else prepared


def _planned(one: Run, prepared: Prepared, options: RunOptions) -> PlannedRun:
    folder = options.cache / one.folder_name(prepared.manifest.checksum)
    return PlannedRun(one.name, folder, (folder / "result.json").is_file())


def _runs(wanted: Artefact, options: RunOptions) -> list[Run]:
    """Return the runs of an artefact: a model a length where codes cannot be cut."""
    rule = protocol(wanted.protocols[0])
    bits = wanted.curve_bits or rule.bits
    if wanted.has_embedding:
        bits = rule.bits  # the same models as in the table
    runs = []
    for number, seed in enumerate(options.seeds):
        for name in options.methods or wanted.methods:
            method = configuration(name)
            lengths = [rule.bits] if method.is_sequential else [(one,) for one in bits]
            for has_unseen in (False, True)[: 1 + (number < options.n_unseen_seeds)]:
                if has_unseen and wanted.kind == "figure":
                    continue
                runs += [_run(rule, method, one, seed, has_unseen, options) for one in lengths]
    return runs


def _run(
    rule: Protocol,
    method: Configuration,
    bits: tuple[int, ...],
    seed: int,
    has_unseen: bool,
    options: RunOptions,
) -> Run:
    epochs = options.epochs
    if isinstance(epochs, int):
        epochs = stages_of(epochs)
    sizes = recipe(
        options.recipe,
        rule.name,
        preset=options.preset,
        backbone=options.backbone,
        input_px=options.input_px,
        epochs=epochs,
        batch_size=options.batch_size,
    )
    return Run(rule, method, sizes, bits, seed, options.weights, options.label_vectors, has_unseen)
