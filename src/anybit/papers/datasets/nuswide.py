"""NUS-WIDE: the original lists and ground truth, with all 81 concepts or the 21 most frequent."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anybit.data import Labels
from anybit.errors import DataError, FormatError
from anybit.papers.datasets.dataset import DataSet
from anybit.papers.datasets.list_files import (
    LISTS_TEXT,
    find_lists,
    missing_note,
    open_lists,
    present,
)
from anybit.papers.datasets.pictures import ListedImages
from anybit.types import BoolArray

__all__ = ["NUSWIDE_TEXT", "open_nuswide"]

NUSWIDE_TEXT = f"""NUS-WIDE, one of:
- from the page "NUS-WIDE" of the Lab for Media Search, National University of Singapore, unpacked:
  ImageList/Imagelist.txt (269,648 lines), Groundtruth/AllLabels/Labels_<concept>.txt (81 files of
  269,648 lines), ConceptsList/Concepts81.txt, and the pictures (asked for by e-mail there) below
  Flickr/ or images/, named as in the list;
- {LISTS_TEXT}.
Put these into the folder that is named here. Flickr has removed many of the pictures: without them
sizes differ from the papers'."""

_PICTURE_FOLDERS = ("Flickr", "images", "image", "")


def open_nuswide(folder: Path, n_concepts: int) -> DataSet | None:
    """Open NUS-WIDE in a folder.

    Parameters
    ----------
    folder : Path
    n_concepts : int
        The most frequent concepts over all pictures are kept, in the order of their frequency;
        81 is all of them.

    Returns
    -------
    DataSet or None
        One part ``all`` of the pictures that have one of the concepts (of 21: 195,834) and are
        on disk; the others are counted in `n_missing`. None where nothing is recognised.

    Raises
    ------
    FormatError
        If a label file has other lines than 0 and 1.
    DataError
        If a file is missing, label files and image list differ in length, or there are fewer
        concepts than asked for.

    References
    ----------
    Chua et al., "NUS-WIDE: A Real-World Web Image Database from National University of
    Singapore", CIVR 2009.
    """
    name = f"nuswide{n_concepts}"
    listing = _first_file(folder, ("ImageList/Imagelist.txt", "Imagelist.txt"))
    if listing is None:
        return open_lists(name, folder) if find_lists(folder) else None
    concepts = _concepts(folder)
    if len(concepts) < n_concepts:
        raise DataError(
            f"{folder} must have at least {n_concepts} concepts, got {len(concepts)} in its list."
        )
    lines = listing.read_text("utf-8", "surrogateescape").splitlines()
    keys = [line.strip().replace("\\", "/") for line in lines if line.strip()]
    hot = np.stack(
        [_read_column(_label_file(folder, concept), len(keys)) for concept in concepts], axis=1
    )  # (N, 81)
    # Stable: of two concepts as frequent as each other, the first in the list is kept.
    chosen = np.argsort(-hot.sum(axis=0), kind="stable")[:n_concepts]
    has_concept = hot[:, chosen].any(axis=1)
    root = _picture_root(folder, keys)
    is_there = present(root, keys)
    kept, n_missing = np.flatnonzero(has_concept & is_there), int((has_concept & ~is_there).sum())
    notes = [
        f"{int((~has_concept).sum()):,} of {len(keys):,} pictures have none of the {n_concepts} "
        "concepts and are left out"
    ]
    if n_missing:
        wanted = np.flatnonzero(has_concept)
        named = [keys[row] for row in wanted]
        notes.append(missing_note(n_missing, named, is_there[wanted], listing.name))
    source = ListedImages(
        root,
        [keys[row] for row in kept],
        Labels.from_multi_hot(hot[np.ix_(kept, chosen)], [concepts[at] for at in chosen]),
        f"{listing}: NUS-WIDE with {n_concepts} concepts",
    )
    return DataSet(name, "original", {"all": source}, tuple(notes), n_missing)


def _first_file(folder: Path, names: tuple[str, ...]) -> Path | None:
    """Return the first of some files that exists."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _concepts(folder: Path) -> list[str]:
    """Names of all concepts, in the order of their list."""
    path = _first_file(
        folder, ("ConceptsList/Concepts81.txt", "Concepts81.txt", "Groundtruth/Concepts81.txt")
    )
    if path is None:
        raise DataError(f"{folder} must hold ConceptsList/Concepts81.txt.\n{NUSWIDE_TEXT}")
    return path.read_text("utf-8").split()


def _label_file(folder: Path, concept: str) -> Path:
    """Path of a concept's labels."""
    name = f"Labels_{concept}.txt"
    path = _first_file(folder, (f"Groundtruth/AllLabels/{name}", f"AllLabels/{name}"))
    if path is None:
        raise DataError(
            f"{folder} must hold Groundtruth/AllLabels/{name} for the concept {concept} of "
            "Concepts81.txt; it is missing."
        )
    return path


def _read_column(path: Path, n_items: int) -> BoolArray:
    """Zeros and ones of a label file, shape (N,)."""
    text = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    is_space = np.isin(text, (ord(" "), ord("\t"), ord("\r"), ord("\n")))
    is_digit = np.isin(text, (ord("0"), ord("1")))
    if not (is_space | is_digit).all() or (is_digit[1:] & is_digit[:-1]).any():
        words = path.read_bytes().split()
        row = next(row for row, word in enumerate(words) if word not in (b"0", b"1"))
        raise FormatError(
            f"{path}: every line must be 0 or 1, line {row + 1} is {words[row][:20]!r}."
        )
    digits = text[is_digit]  # (N,)
    if len(digits) != n_items:
        raise DataError(
            f"{path} must have one line per picture of the image list: {n_items:,}, got "
            f"{len(digits):,}. It is cut or belongs to another list."
        )
    return np.asarray(digits == ord("1"), dtype=np.bool_)


def _picture_root(folder: Path, keys: list[str]) -> Path:
    """Return the folder below which the paths of the list lie."""
    probes = keys[:: max(1, len(keys) // 200)]
    for name in _PICTURE_FOLDERS:
        if any((folder / name / probe).is_file() for probe in probes):
            return folder / name
    raise DataError(
        f"the pictures of {folder} must lie below {folder / 'Flickr'} as in its image list, such "
        f"as {keys[0] if keys else '(empty list)'}; none of {len(probes)} looked for is there.\n"
        f"{NUSWIDE_TEXT}"
    )
