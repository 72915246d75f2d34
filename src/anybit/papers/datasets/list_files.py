"""Lists of pictures with their classes as zeros and ones, as DeepHash and HashNet publish them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from anybit.data import Labels, Source
from anybit.errors import DataError, FormatError
from anybit.papers.datasets.dataset import DataSet
from anybit.papers.datasets.pictures import ListedImages
from anybit.types import BoolArray

__all__ = ["LISTS_TEXT", "find_lists", "missing_note", "open_lists", "present"]

LISTS_TEXT = (
    "lists train.txt, test.txt and database.txt, one picture a line: its path and for each class "
    "0 or 1, as thulab/DeepHash and thuml/HashNet publish them, with the pictures below the same "
    "folder"
)

_FILES = {"train": "train.txt", "query": "test.txt", "database": "database.txt"}
_SYNSET = re.compile(r"n\d{8}")
_N_PROBES = 200


def find_lists(folder: Path) -> dict[str, Path]:
    """Return the list files in a folder by part; without train and test none at all."""
    found = {part: folder / name for part, name in _FILES.items() if (folder / name).is_file()}
    return found if {"train", "query"} <= found.keys() else {}


def open_lists(name: str, folder: Path, class_names: Sequence[str] | None = None) -> DataSet:
    """Open a data set that comes as lists.

    Leading folders of the paths, which are those of the authors' machines, are left out until
    the paths fit below `folder`. The names of the classes are read from ``classes.txt`` (one a
    line) where there is one; else they are `class_names` if their number fits, the synsets that
    stand in the paths if each belongs to one column, or numbers.

    Parameters
    ----------
    name : str
        Name of the data set.
    folder : Path
        Holds the lists and the pictures.
    class_names : sequence of str, optional

    Returns
    -------
    DataSet
        Pictures that are not on disk are left out and counted.

    Raises
    ------
    FormatError
        If a line is not a path with zeros and ones, or lines differ in length.
    DataError
        If a list is empty, none of the pictures is found, or lists differ in their classes.
    """
    lists = {part: _read_list(path) for part, path in find_lists(folder).items()}
    widths = {part: hot.shape[1] for part, (_, hot) in lists.items()}
    if len(set(widths.values())) > 1:
        raise DataError(f"the lists in {folder} must have the same classes, got {widths}.")
    paths = [path for listed, _ in lists.values() for path in listed]
    depth = _foreign_depth(folder, paths)
    hot = np.concatenate([labels for _, labels in lists.values()])  # (N, C)
    names = _class_names(folder, paths, hot, class_names)
    parts: dict[str, Source] = {}
    notes, n_missing = [], 0
    for part, (listed, labels) in lists.items():
        keys = ["/".join(_steps(path)[depth:]) for path in listed]
        is_there = present(folder, keys)
        if not is_there.all():
            lost = int((~is_there).sum())
            n_missing += lost
            notes.append(missing_note(lost, keys, is_there, _FILES[part]))
        kept = np.flatnonzero(is_there)
        parts[part] = ListedImages(
            folder,
            [keys[row] for row in kept],
            Labels.from_multi_hot(labels[kept], names),
            f"{folder / _FILES[part]}: list with {hot.shape[1]} classes",
        )
    return DataSet(name, "lists", parts, tuple(notes), n_missing)


def missing_note(n_missing: int, keys: Sequence[str], is_there: BoolArray, of: str) -> str:
    """Say how many pictures are not on disk, and which is the first."""
    first = keys[int(np.argmin(is_there))]
    return (
        f"{n_missing:,} of the {len(keys):,} pictures of {of} are not on disk and left out; "
        f"the first: {first}"
    )


def present(root: Path, keys: Sequence[str]) -> BoolArray:
    """Return which paths below `root` are files, shape (N,); each folder is read once."""
    held: dict[str, set[str]] = {}
    is_there = np.zeros(len(keys), dtype=np.bool_)
    for row, key in enumerate(keys):
        below, _, name = key.rpartition("/")
        if below not in held:
            place = root / below
            held[below] = set(os.listdir(place)) if place.is_dir() else set()
        is_there[row] = name in held[below]
    return is_there


def _read_list(path: Path) -> tuple[list[str], BoolArray]:
    """Paths, and classes as zeros and ones (N, C)."""
    lines = [line.rstrip() for line in path.read_bytes().splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{path} must list at least one picture, it is empty.")
    first = re.search(rb"(?: [01])+$", lines[0])
    if first is None or first.start() == 0:
        raise FormatError(
            f"{path}: a line must be a path and for each class 0 or 1, divided by spaces, got "
            f"{lines[0][:80].decode(errors='replace')!r}."
        )
    width = len(first.group())
    tails = b"".join(line[-width:] for line in lines if len(line) > width)
    if len(tails) != width * len(lines):
        raise FormatError(f"{path}: every line must have a path and {width // 2} labels.")
    table = np.frombuffer(tails, dtype=np.uint8).reshape(len(lines), width)  # (N, 2 C)
    is_right = (table[:, ::2] == ord(" ")).all(axis=1)
    is_right &= np.isin(table[:, 1::2], (ord("0"), ord("1"))).all(axis=1)
    # A line with more labels leaves some of them at the end of its path.
    is_right &= np.array([not line[:-width].endswith((b" 0", b" 1")) for line in lines])
    if not is_right.all():
        row = int(np.argmin(is_right))
        raise FormatError(
            f"{path}: every line must have a path and {width // 2} labels 0 or 1, line {row + 1} "
            f"is {lines[row][:80].decode(errors='replace')!r}."
        )
    return [line[:-width].decode() for line in lines], table[:, 1::2] == ord("1")


def _steps(path: str) -> tuple[str, ...]:
    """Folders and name of a path, without root, drive and dots."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return tuple(part for part in parts if part not in ("/", ".", ".."))


def _foreign_depth(folder: Path, paths: Sequence[str]) -> int:
    """Count the leading folders to leave out, so that paths fit below `folder`."""
    probes = paths[:: max(1, len(paths) // _N_PROBES)]
    steps = [_steps(path) for path in probes]
    for depth in range(max(map(len, steps))):
        if any(folder.joinpath(*part[depth:]).is_file() for part in steps if len(part) > depth):
            return depth
    raise DataError(
        f"the pictures of the lists in {folder} must lie below it, got none of {len(probes)} "
        f"looked for; the first is listed as {paths[0]}."
    )


def _class_names(
    folder: Path, paths: Sequence[str], hot: BoolArray, class_names: Sequence[str] | None
) -> list[str]:
    """Names of the columns, see `open_lists`."""
    n_classes = hot.shape[1]
    given = folder / "classes.txt"
    if given.is_file():
        names = given.read_text("utf-8").split("\n")
        names = [name.strip() for name in names if name.strip()]
        if len(names) != n_classes:
            raise DataError(
                f"{given} must name the {n_classes} classes of the lists, got {len(names)}."
            )
        return names
    if class_names is not None and len(class_names) == n_classes:
        return list(class_names)
    synset_of: dict[int, set[str]] = {}
    if (hot.sum(axis=1) == 1).all():
        for column, path in zip(hot.argmax(axis=1).tolist(), paths, strict=True):
            synset_of.setdefault(column, set()).update(_SYNSET.findall(path)[:1])
    found = [synset_of.get(column, set()) for column in range(n_classes)]
    if all(len(names) == 1 for names in found) and len(set().union(*found)) == n_classes:
        return [next(iter(names)) for names in found]
    return [str(number) for number in range(n_classes)]
