"""From the name of a table or figure to its runs, and to the result."""

from __future__ import annotations

from pathlib import Path

from anybit.errors import DataError, OptionError
from anybit.papers.artefact import Artefact
from anybit.papers.artefacts import artefact, members
from anybit.papers.datasets import open_dataset
from anybit.papers.protocols.split_checks import Finding, check_split
from anybit.papers.protocols.split_manifest import SplitManifest
from anybit.papers.protocols.splits import prepare
from anybit.papers.results.result import ArtefactResult
from anybit.papers.run_options import PlannedRun, RunListener, RunOptions
from anybit.types import ProgressCallback

__all__ = ["check", "plan", "run", "wanted_artefact"]


def plan(name: str, options: RunOptions) -> list[PlannedRun]:
    """Return the runs of an artefact, in their order, and which of them are done.

    Raises
    ------
    OptionError
        If there is no such artefact, method or recipe, or weights are missing.
    DataError
        If the data set is missing or is not what the protocol says.
    """
    wanted = wanted_artefact(name, options.data)
    return wanted.runner.plan(wanted, options)


def check(
    name: str,
    data: Path,
    *,
    protocol_name: str | None = None,
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
    protocol_name : str, optional
        One of the artefact's protocols; the first without.
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
    wanted = wanted_artefact(name, data)
    if not wanted.needs_data:
        raise OptionError(f"{name} needs no data: there is nothing to check.")
    rule = wanted.protocol(protocol_name)
    found = prepare(rule, data, split_seed)
    warnings = check_split(
        rule, found.dataset, found.manifest, reads_images=reads_images, progress=progress
    )
    return found.manifest, warnings


def run(
    name: str,
    options: RunOptions,
    on_run: RunListener | None = None,
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
    wanted = wanted_artefact(name, options.data)
    return wanted.runner.result(wanted, options, on_run, progress)


def wanted_artefact(name: str, data: Path | None) -> Artefact:
    """Return the artefact; of one with a part for each data set the part whose data is there."""
    parts = members(name)
    if len(parts) == 1 or data is None:
        return artefact(name)
    for one in parts:
        try:
            open_dataset(one.protocol().dataset, data)
        except DataError:
            continue
        return one
    names = ", ".join(one.name for one in parts)
    raise DataError(
        f"{data} must hold the data set of one of {names}. `anybit papers show NAME` says which "
        "files those are."
    )
