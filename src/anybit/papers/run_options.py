"""How an artefact is run, and the runs that it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from anybit.errors import OptionError

__all__ = ["PlannedRun", "RunListener", "RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """How an artefact is run.

    Parameters
    ----------
    data : Path or None
        Folder of the data set.
    cache : Path
        Folder of models and results of single runs; what is there is not trained again.
    protocol : str or None
        One of the artefact's protocols; None takes the first, which is the paper's.
    recipe : {"cpu", "full", "modern", "paper", "quick"}
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
    protocol: str | None = None
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


RunListener: TypeAlias = Callable[[PlannedRun, int, int], None]
"""Called before each run with it, its number from 0, and the number of runs."""
