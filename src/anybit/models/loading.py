"""Read a model folder, whichever method it holds."""

from __future__ import annotations

from pathlib import Path

from anybit.codes import read_model_folder
from anybit.errors import FormatError
from anybit.models.dqn import DQN
from anybit.models.drq import DRQ

__all__ = ["load_model"]

_CLASSES: tuple[type[DRQ] | type[DQN], ...] = (DRQ, DQN)


def load_model(path: str | Path) -> DRQ | DQN:
    """Read a model folder with a network; its config.json names the method.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    DRQ or DQN
        On the CPU, ready for evaluation.

    Raises
    ------
    FormatError
        If the folder is damaged, or holds another method.
    """
    folder = read_model_folder(path)
    method = folder.config.get("method")
    for known in _CLASSES:
        if method in known.methods:
            return known.of_folder(folder, path)
    names = ", ".join(name for known in _CLASSES for name in known.methods)
    raise FormatError(f"{path} must hold a model of one of {names}, got {method!r}. Update anybit.")
