"""The tables and figures of the papers by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from anybit.errors import OptionError
from anybit.papers.artefact import Artefact, Runner
from anybit.papers.protocols.protocol import all_protocols
from anybit.papers.results.result import ArtefactResult
from anybit.papers.run_options import PlannedRun, RunListener, RunOptions
from anybit.papers.runs.configurations import ABLATIONS, CONFIGURATIONS
from anybit.types import ProgressCallback

__all__ = ["ARTEFACTS", "artefact", "members"]


# What runs is imported when it is called: artefacts are listed without torch.
def _plan_of_protocol(wanted: Artefact, options: RunOptions) -> list[PlannedRun]:
    from anybit.papers.protocol_runs import planned_runs

    return planned_runs(wanted, options)


def _result_of_protocol(
    wanted: Artefact,
    options: RunOptions,
    on_run: RunListener | None,
    progress: ProgressCallback | None,
) -> ArtefactResult:
    from anybit.papers.protocol_runs import protocol_result

    return protocol_result(wanted, options, on_run, progress)


def _parameters(
    wanted: Artefact,
    options: RunOptions,
    on_run: RunListener | None,
    progress: ProgressCallback | None,
) -> ArtefactResult:
    from anybit.papers.parameters import parameters_result

    return parameters_result()


def _training_time(
    wanted: Artefact,
    options: RunOptions,
    on_run: RunListener | None,
    progress: ProgressCallback | None,
) -> ArtefactResult:
    from anybit.papers.training_time import TrainingTimeOptions, training_time_result

    given, epochs = TrainingTimeOptions(seeds=options.seeds), options.epochs
    if epochs is not None:
        given = replace(given, n_epochs=epochs if isinstance(epochs, int) else sum(epochs))
    if options.device != "auto":  # times are compared on the processor unless told otherwise
        given = replace(given, device=options.device)
    return training_time_result(given, progress)


def _no_runs(wanted: Artefact, options: RunOptions) -> list[PlannedRun]:
    return []


_UNDER_PROTOCOL = Runner(_plan_of_protocol, _result_of_protocol)


def _of_protocol(
    name: str,
    kind: Literal["table", "figure"],
    title: str,
    protocols: tuple[str, ...],
    methods: tuple[str, ...],
    published: tuple[str, ...] = (),
    **drawn: Any,
) -> Artefact:
    """Return an artefact whose models are trained and searched under a protocol."""
    return Artefact(name, kind, title, _UNDER_PROTOCOL, protocols, methods, published, **drawn)


def _with_parts(protocol_name: str) -> tuple[str, ...]:
    """Return a protocol and, where there is one, that of the same sizes on distributed parts."""
    both = (protocol_name, f"{protocol_name}-parts")
    return tuple(name for name in both if name in all_protocols())


def _table3(dataset: str, title: str, protocol_name: str) -> Artefact:
    name = f"drq-table3-{dataset}"
    return _of_protocol(
        name,
        "table",
        f"mAP on {title}, setting 2",
        _with_parts(protocol_name),
        ("drq", "dqn"),
        (name,),
    )


def _dqn(kind: str, dataset: str, title: str, protocol_name: str) -> Artefact:
    name = f"dqn-{kind}-{dataset}"
    methods = ("dqn", "drq") if kind == "table1" else ("dqn", "dqn2+", "dqnip")
    what = "mAP" if kind == "table1" else "mAP of DQN and its variants"
    return _of_protocol(name, "table", f"{what} on {title}", (protocol_name,), methods, (name,))


_DQN_SETS = (
    ("cifar10", "CIFAR-10", "cifar10-dqn"),
    ("nuswide", "NUS-WIDE", "nuswide21-dqn"),
    ("flickr25k", "MIRFlickr-25k", "flickr25k-dqn"),
)
_SETTING1 = _with_parts("cifar10-setting1")
_SETTING2 = _with_parts("cifar10-setting2")
_PANELS = {"drq": "DRQ", "dtq": "DTQ", "dvsq": "DVSQ", "drq-unsupervised": "Unsupervised"}
"""Panels of Figure 5 by method; a method that is not registered is left out, with a note."""
_BOTH = ("precision_recall", "precision_at")

ARTEFACTS: dict[str, Artefact] = {
    one.name: one
    for one in (
        _of_protocol(
            "drq-table1", "table", "mAP@5000 on CIFAR-10, setting 1", _SETTING1,
            ("drq", "dqn"), ("drq-table1",),
        ),
        _of_protocol(
            "drq-table2", "table", "mAP@5000 on NUS-WIDE, setting 1", ("nuswide21-setting1",),
            ("drq", "dqn"), ("drq-table2",),
        ),
        _table3("cifar10", "CIFAR-10", "cifar10-setting2"),
        _table3("nuswide21", "NUS-WIDE", "nuswide21-setting2"),
        _table3("imagenet100", "ImageNet-100", "imagenet100-dtq"),
        Artefact(
            "drq-table4", "table", "Parameters of the codebooks",
            Runner(_no_runs, _parameters), published=("drq-table4",),
        ),
        _of_protocol(
            "drq-table5", "table", "Ablations on NUS-WIDE, setting 2", ("nuswide21-setting2",),
            ABLATIONS, ("drq-table5",),
        ),
        _of_protocol(
            "drq-table5-cifar10", "table", "Ablations on CIFAR-10, setting 2",
            _SETTING2, ABLATIONS,
        ),
        _of_protocol(
            "drq-fig3", "figure", "Precision against recall on CIFAR-10, setting 2",
            _SETTING2, ("drq", "dqn"), curves=("precision_recall",),
        ),
        _of_protocol(
            "drq-fig4", "figure", "Precision of the first R on CIFAR-10, setting 2",
            _SETTING2, ("drq", "dqn"), curves=("precision_at",),
        ),
        _of_protocol(
            "drq-fig5", "figure", "t-SNE of 32-bit reconstructions, CIFAR-10, setting 2",
            _SETTING2, tuple(name for name in _PANELS if name in CONFIGURATIONS),
            has_embedding=True,
            absent_methods=tuple(
                title for name, title in _PANELS.items() if name not in CONFIGURATIONS
            ),
        ),
        *(
            _of_protocol(
                f"anybit-cifar10-{setting}", "table", f"CIFAR-10, {text}, by one model of DRQ",
                _with_parts(f"cifar10-{setting}"), ("drq",), (table,),
            )
            for setting, text, table in (
                ("setting1", "setting 1", "drq-table1"),
                ("setting2", "setting 2", "drq-table3-cifar10"),
            )
        ),
        Artefact(
            "drq-training-time", "table", "One DRQ model against one model per length",
            Runner(_no_runs, _training_time),
        ),
        *(_dqn("table1", *names) for names in _DQN_SETS),
        *(_dqn("variants", *names) for names in _DQN_SETS),
        _of_protocol(
            "dqn-curves", "figure", "Curves of DQN and its variants on CIFAR-10",
            ("cifar10-dqn",), ("dqn", "dqn2+", "dqnip"), curves=_BOTH, curve_bits=(48,),
        ),
    )
}  # fmt: skip


def artefact(name: str) -> Artefact:
    """Return a table or figure.

    Raises
    ------
    OptionError
        If there is none of that name, or it is a table of several data sets.
    """
    found = members(name)
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise OptionError(f"{name} has a part for each data set: choose one of {names}.")
    return found[0]


def members(name: str) -> tuple[Artefact, ...]:
    """Return a table or figure, or all parts of a table that has one for each data set.

    Parameters
    ----------
    name : str
        Such as ``drq-table1``; ``drq-table3`` has three parts.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    if name in ARTEFACTS:
        return (ARTEFACTS[name],)
    found = tuple(one for one in ARTEFACTS.values() if one.name.rpartition("-")[0] == name)
    if len(found) < 2:
        raise OptionError(f"the name must be one of {', '.join(ARTEFACTS)}, got {name!r}.")
    return found
