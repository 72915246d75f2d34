"""A table or figure of the papers: what it shows, what it needs, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from anybit.errors import OptionError
from anybit.papers.protocols.protocol import Protocol, protocol
from anybit.papers.results.result import ArtefactResult
from anybit.papers.run_options import PlannedRun, RunListener, RunOptions
from anybit.types import ProgressCallback

__all__ = ["Artefact", "Runner"]


@dataclass(frozen=True)
class Runner:
    """How an artefact is planned and made.

    Parameters
    ----------
    plan : callable
        Returns the runs that are kept in the cache, from the artefact and the options.
    result : callable
        Returns the result, from the artefact, the options, a listener and a progress callback.
    """

    plan: Callable[[Artefact, RunOptions], list[PlannedRun]]
    result: Callable[
        [Artefact, RunOptions, RunListener | None, ProgressCallback | None], ArtefactResult
    ]


@dataclass(frozen=True)
class Artefact:
    """A table or figure of a paper.

    Parameters
    ----------
    name : str
    kind : {"table", "figure"}
    title : str
    runner : Runner
    protocols : tuple of str
        The first is run unless another one is chosen; none where no data is needed.
    methods : tuple of str
        Configurations that are run.
    published : tuple of str
        Tables of the paper that are printed beside.
    curves : tuple of str
        ``precision_recall``, ``precision_at``: what a figure draws.
    curve_bits : tuple of int
        Lengths that are drawn; all when empty.
    has_embedding : bool
        Whether reconstructions at the longest code are drawn in two dimensions, a panel a method.
    absent_methods : tuple of str
        Methods of the paper's figure that are left out until they are available.
    """

    name: str
    kind: Literal["table", "figure"]
    title: str
    runner: Runner
    protocols: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    curve_bits: tuple[int, ...] = ()
    has_embedding: bool = False
    absent_methods: tuple[str, ...] = ()

    @property
    def needs_data(self) -> bool:
        """Whether a data set must be named."""
        return bool(self.protocols)

    def protocol(self, name: str | None = None) -> Protocol:
        """Return the chosen protocol, the first without a name.

        Raises
        ------
        OptionError
            If it is not one of this artefact's, or the artefact needs none.
        """
        if not self.protocols:
            raise OptionError(f"{self.name} needs no data: it has no protocol.")
        if name is not None and name not in self.protocols:
            raise OptionError(
                f"protocol of {self.name} must be one of {', '.join(self.protocols)}, got {name!r}."
            )
        return protocol(name or self.protocols[0])
