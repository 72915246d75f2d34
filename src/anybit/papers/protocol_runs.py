"""The runs of an artefact whose models are trained and searched under a protocol."""

from __future__ import annotations

from anybit.errors import OptionError
from anybit.papers.artefact import Artefact
from anybit.papers.assembly import Assembly, Found, assembled
from anybit.papers.protocols.protocol import Protocol
from anybit.papers.protocols.splits import Prepared, prepare
from anybit.papers.results.result import ArtefactResult
from anybit.papers.run_options import PlannedRun, RunListener, RunOptions
from anybit.papers.runs.configurations import Configuration, configuration, recipe, stages_of
from anybit.papers.runs.item_sample import item_sample
from anybit.papers.runs.run import Run, perform
from anybit.types import ProgressCallback

__all__ = ["planned_run", "planned_runs", "prepared_data", "protocol_result", "run_of"]


def planned_runs(wanted: Artefact, options: RunOptions) -> list[PlannedRun]:
    """Return the runs of an artefact, in their order, and which of them are done."""
    prepared = prepared_data(wanted, options)
    return [planned_run(one, prepared, options) for one in _runs(wanted, options)]


def protocol_result(
    wanted: Artefact,
    options: RunOptions,
    on_run: RunListener | None = None,
    progress: ProgressCallback | None = None,
) -> ArtefactResult:
    """Train and evaluate what is not in the cache yet, and put the results together."""
    prepared, runs = prepared_data(wanted, options), _runs(wanted, options)
    every = []
    for number, one in enumerate(runs):
        planned = planned_run(one, prepared, options)
        if on_run is not None:
            on_run(planned, number, len(runs))
        found = perform(one, prepared, planned.folder, device=options.device, progress=progress)
        sample = item_sample(planned.folder, prepared) if wanted.has_embedding else None
        every.append(Found(one, found, planned.folder, sample))
    methods = tuple(configuration(name) for name in options.methods or wanted.methods)
    parts = Assembly(
        wanted,
        wanted.protocol(options.protocol),
        methods,
        options.seeds,
        prepared.manifest.checksum,
        tuple(every),
        options.is_held_back,
    )
    return assembled(parts)


def prepared_data(wanted: Artefact, options: RunOptions) -> Prepared:
    """Open the data set of an artefact and divide it."""
    rule = wanted.protocol(options.protocol)
    if options.data is None:
        raise OptionError(
            f"{wanted.name} needs the data set {rule.dataset}: name its folder (--data). "
            f"`anybit papers show {wanted.name}` says what it must hold."
        )
    prepared = prepare(rule, options.data, options.split_seed)
    return prepared.held_back() if options.is_held_back else prepared


def planned_run(one: Run, prepared: Prepared, options: RunOptions) -> PlannedRun:
    """Return where a run on this data is kept, and whether it is done."""
    folder = options.cache / one.folder_name(prepared.manifest.checksum)
    return PlannedRun(one.name, folder, (folder / "result.json").is_file())


def _runs(wanted: Artefact, options: RunOptions) -> list[Run]:
    """Return the runs of an artefact: a model a length where codes cannot be cut."""
    rule = wanted.protocol(options.protocol)
    bits = rule.bits[-1:] if wanted.has_embedding else wanted.curve_bits or rule.bits
    runs = []
    for number, seed in enumerate(options.seeds):
        for name in options.methods or wanted.methods:
            method = configuration(name)
            lengths = [rule.bits] if method.is_sequential else [(one,) for one in bits]
            for has_unseen in (False, True)[: 1 + (number < options.n_unseen_seeds)]:
                if has_unseen and wanted.kind == "figure":
                    continue
                runs += [
                    run_of(rule, method, one, seed, options, has_unseen=has_unseen)
                    for one in lengths
                ]
    return runs


def run_of(
    rule: Protocol,
    method: Configuration,
    bits: tuple[int, ...],
    seed: int,
    options: RunOptions,
    *,
    has_unseen: bool = False,
) -> Run:
    """Return the run of a method: the recipe with what the options replace of it."""
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
