"""Stages of a run: which of a method's losses count at which epoch."""

from __future__ import annotations

from dataclasses import dataclass

from anybit.errors import OptionError

__all__ = ["Stage", "stage_at"]


@dataclass(frozen=True)
class Stage:
    """One of the stages of a run.

    Parameters
    ----------
    name : str
    number : int
        Counted from 1.
    """

    name: str
    number: int


def stage_at(epoch: int, epochs: tuple[int, ...], names: tuple[str, ...]) -> Stage:
    """Return the stage of an epoch counted from 0, where stages take so many epochs each."""
    end = 0
    for number, (name, length) in enumerate(zip(names, epochs, strict=True), start=1):
        end += length
        if epoch < end:
            return Stage(name, number)
    raise OptionError(f"epoch must be below {sum(epochs)}, got {epoch}.")
