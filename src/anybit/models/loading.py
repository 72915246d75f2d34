"""Read a model folder, whichever method it holds."""

from __future__ import annotations

from pathlib import Path

from anybit.codes import read_model_folder
from anybit.errors import FormatError
from anybit.models.code_model import CodeModel
from anybit.models.dqn import DQN
from anybit.models.drq import DRQ
from anybit.models.frozen import FrozenModel
from anybit.models.image_model import ImageModel

__all__ = ["load_model"]

_CLASSES: tuple[type[ImageModel], ...] = (DRQ, DQN, CodeModel, FrozenModel)


def load_model(path: str | Path) -> ImageModel:
    """Read a model folder with a network; its config.json names the method.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    ImageModel
        `DRQ`, `DQN`, `CodeModel` or `FrozenModel`, on the CPU, ready for evaluation.

    Raises
    ------
    FormatError
        If the folder is damaged, or holds another kind of model.
    """
    folder = read_model_folder(path)
    for known in _CLASSES:
        if known.reads(folder.config):
            return known.of_folder(folder, path)
    names = ", ".join(name for known in _CLASSES for name in known.methods)
    raise FormatError(
        f"{path} must hold a model of one of {names}, a {CodeModel.kind} or a "
        f"{FrozenModel.kind}, got {folder.config.get('method')!r}. Update anybit."
    )
