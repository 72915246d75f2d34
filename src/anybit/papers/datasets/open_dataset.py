"""From a name and a folder to a data set."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from anybit.errors import DataError, OptionError
from anybit.papers.datasets.cifar10 import CIFAR10_TEXT, open_cifar10
from anybit.papers.datasets.dataset import DataSet
from anybit.papers.datasets.flickr25k import FLICKR25K_TEXT, open_flickr25k
from anybit.papers.datasets.imagenet import IMAGENET_TEXT, open_imagenet
from anybit.papers.datasets.list_files import find_lists
from anybit.papers.datasets.nuswide import NUSWIDE_TEXT, open_nuswide

__all__ = ["dataset_names", "expected_files", "open_dataset"]

_DATASETS: dict[str, tuple[str, Callable[[Path], DataSet | None]]] = {
    "cifar10": (CIFAR10_TEXT, open_cifar10),
    "nuswide21": (NUSWIDE_TEXT, partial(open_nuswide, n_concepts=21)),
    "nuswide81": (NUSWIDE_TEXT, partial(open_nuswide, n_concepts=81)),
    "imagenet100": (IMAGENET_TEXT, open_imagenet),
    "flickr25k": (FLICKR25K_TEXT, open_flickr25k),
}


def dataset_names() -> tuple[str, ...]:
    """Return the names of the data sets that can be opened."""
    return tuple(_DATASETS)


def expected_files(name: str) -> str:
    """Say what to fetch for a data set and where to put it.

    Raises
    ------
    OptionError
        If there is no data set of that name.
    """
    return _of_name(name)[0]


def open_dataset(name: str, folder: Path) -> DataSet:
    """Open a data set as its authors distribute it.

    The distribution is recognised by its files, in the folder or in one of its sub-folders (such
    as ``cifar-10-batches-py``); lists are recognised only in the folder itself. Pictures in files
    are opened when they are read.

    Parameters
    ----------
    name : str
        ``cifar10``, ``nuswide21``, ``nuswide81``, ``imagenet100`` or ``flickr25k``.
    folder : Path

    Returns
    -------
    DataSet

    Raises
    ------
    OptionError
        If there is no data set of that name.
    DataError
        If the data set is not there (the message says what to fetch and where to put it), files
        of it are missing, or their counts disagree.
    FormatError
        If a file is cut or damaged.
    """
    text, opened = _of_name(name)
    folder = Path(folder)
    if folder.is_dir():
        below = sorted(place for place in folder.iterdir() if place.is_dir())
        # Lists do not say what they are of: below the folder they may be another data set's.
        for place in (folder, *(place for place in below if not find_lists(place))):
            dataset = opened(place)
            if dataset is not None:
                return dataset
    state = "nothing of it was found" if folder.is_dir() else "the folder does not exist"
    raise DataError(f"{folder} must hold the data set {name}, but {state}. Fetch {text}")


def _of_name(name: str) -> tuple[str, Callable[[Path], DataSet | None]]:
    """Text and function of a data set."""
    if name not in _DATASETS:
        raise OptionError(f"the data set must be one of {', '.join(_DATASETS)}, got {name!r}.")
    return _DATASETS[name]
