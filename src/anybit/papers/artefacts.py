"""The tables and figures of the papers by name, and what each needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from anybit.errors import OptionError
from anybit.papers.runs.configurations import ABLATIONS

__all__ = ["ARTEFACTS", "Artefact", "artefact", "members"]


@dataclass(frozen=True)
class Artefact:
    """A table or figure of a paper.

    Parameters
    ----------
    name : str
    kind : {"table", "figure"}
    title : str
    protocols : tuple of str
        One; none where no data is needed.
    methods : tuple of str
        Configurations that are run.
    published : tuple of str
        Tables of the paper that are printed beside.
    curves : tuple of str
        ``precision_recall``, ``precision_at``: what a figure draws.
    curve_bits : tuple of int
        Lengths that are drawn; all when empty.
    has_embedding : bool
        Whether reconstructions of the first method are drawn in two dimensions.
    """

    name: str
    kind: Literal["table", "figure"]
    title: str
    protocols: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    curve_bits: tuple[int, ...] = ()
    has_embedding: bool = False

    @property
    def needs_data(self) -> bool:
        """Whether a data set must be named."""
        return bool(self.protocols)


def _table3(dataset: str, title: str, protocol_name: str) -> Artefact:
    name = f"drq-table3-{dataset}"
    return Artefact(
        name, "table", f"mAP on {title}, setting 2", (protocol_name,), ("drq", "dqn"), (name,)
    )


def _dqn(kind: str, dataset: str, title: str, protocol_name: str) -> Artefact:
    name = f"dqn-{kind}-{dataset}"
    methods = ("dqn", "drq") if kind == "table1" else ("dqn", "dqn2+", "dqnip")
    what = "mAP" if kind == "table1" else "mAP of DQN and its variants"
    return Artefact(name, "table", f"{what} on {title}", (protocol_name,), methods, (name,))


_DQN_SETS = (
    ("cifar10", "CIFAR-10", "cifar10-dqn"),
    ("nuswide", "NUS-WIDE", "nuswide21-dqn"),
    ("flickr25k", "MIRFlickr-25k", "flickr25k-dqn"),
)
_BOTH = ("precision_recall", "precision_at")

ARTEFACTS: dict[str, Artefact] = {
    one.name: one
    for one in (
        Artefact(
            "drq-table1", "table", "mAP@5000 on CIFAR-10, setting 1", ("cifar10-setting1",),
            ("drq", "dqn"), ("drq-table1",),
        ),
        Artefact(
            "drq-table2", "table", "mAP@5000 on NUS-WIDE, setting 1", ("nuswide21-setting1",),
            ("drq", "dqn"), ("drq-table2",),
        ),
        _table3("cifar10", "CIFAR-10", "cifar10-setting2"),
        _table3("nuswide21", "NUS-WIDE", "nuswide21-setting2"),
        _table3("imagenet100", "ImageNet-100", "imagenet100-dtq"),
        Artefact("drq-table4", "table", "Parameters of the codebooks", published=("drq-table4",)),
        Artefact(
            "drq-table5", "table", "Ablations on NUS-WIDE, setting 2", ("nuswide21-setting2",),
            ("drq", *ABLATIONS), ("drq-table5",),
        ),
        Artefact(
            "drq-table5-cifar10", "table", "Ablations on CIFAR-10, setting 2",
            ("cifar10-setting2",), ("drq", *ABLATIONS),
        ),
        Artefact(
            "drq-fig3", "figure", "Precision against recall on CIFAR-10, setting 2",
            ("cifar10-setting2",), ("drq", "dqn"), curves=("precision_recall",),
        ),
        Artefact(
            "drq-fig4", "figure", "Precision of the first R on CIFAR-10, setting 2",
            ("cifar10-setting2",), ("drq", "dqn"), curves=("precision_at",),
        ),
        Artefact(
            "drq-fig5", "figure", "t-SNE of 32-bit reconstructions of CIFAR-10, setting 2",
            ("cifar10-setting2",), ("drq",), has_embedding=True,
        ),
        *(
            Artefact(
                f"anybit-cifar10-{setting}", "table", f"CIFAR-10, {text}, by one model of DRQ",
                (f"cifar10-{setting}",), ("drq",), (table,),
            )
            for setting, text, table in (
                ("setting1", "setting 1", "drq-table1"),
                ("setting2", "setting 2", "drq-table3-cifar10"),
            )
        ),
        Artefact("drq-training-time", "table", "One DRQ model against one model per length"),
        *(_dqn("table1", *names) for names in _DQN_SETS),
        *(_dqn("variants", *names) for names in _DQN_SETS),
        Artefact(
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
