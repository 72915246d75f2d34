"""MIRFlickr-25k: numbered pictures and one file of picture numbers per label."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from anybit.data import Labels
from anybit.errors import DataError, FormatError
from anybit.papers.datasets.dataset import DataSet
from anybit.papers.datasets.list_files import missing_note
from anybit.papers.datasets.pictures import ListedImages

__all__ = ["FLICKR25K_TEXT", "open_flickr25k"]

FLICKR25K_TEXT = """MIRFlickr-25k, from the page "MIRFLICKR download" (press.liacs.nl/mirflickr),
unpacked:
- mirflickr25k.zip (3,069,184,257 bytes, md5 a23d0a8564ee84cda5622a6c2f947785): mirflickr/im1.jpg
  to im25000.jpg;
- mirflickr25k_annotations_v080.zip: <label>.txt (24 potential labels) and <label>_r1.txt (14
  relevant labels), each with picture numbers, one a line, in the folder
  mirflickr25k_annotations_v080, mirflickr/annotations or annotations.
Put these into the folder that is named here."""

_ANNOTATIONS = (
    "mirflickr25k_annotations_v080",
    "annotations",
    "annotations_v080",
    "mirflickr/annotations",
    "mirflickr/mirflickr25k_annotations_v080",
)
_PICTURE = re.compile(r"im(\d+)\.jpg")


def open_flickr25k(folder: Path) -> DataSet | None:
    """Open MIRFlickr-25k in a folder.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    DataSet or None
        One part ``all``, in the order of the picture numbers; a potential label ``baby`` and a
        relevant label ``baby_r1`` are two classes. Pictures without any label are kept,
        unlabelled. None where nothing is recognised.

    Raises
    ------
    FormatError
        If a label file holds anything but numbers.
    DataError
        If annotations or pictures are missing.

    References
    ----------
    Huiskes and Lew, "The MIR Flickr Retrieval Evaluation", MIR 2008.
    """
    places = (folder / "mirflickr", folder / "images", folder)
    root = next((place for place in places if any(place.glob("im[0-9]*.jpg"))), None)
    if root is None:
        return None
    notes_in = next((folder / name for name in _ANNOTATIONS if (folder / name).is_dir()), None)
    if notes_in is None:
        raise DataError(f"{folder} must hold the annotations too.\n{FLICKR25K_TEXT}")
    files = sorted(path for path in notes_in.glob("*.txt") if path.stem.lower() != "readme")
    if not files:
        raise DataError(f"{notes_in} must hold a file <label>.txt per label, got none.")
    matches = (_PICTURE.fullmatch(path.name) for path in root.iterdir())
    on_disk = sorted(int(match.group(1)) for match in matches if match)
    annotated = {path.stem: _numbers(path) for path in files}
    highest = max(on_disk[-1], *(max(numbers, default=0) for numbers in annotated.values()))
    hot = np.zeros((highest + 1, len(files)), dtype=np.bool_)  # (N + 1, C), by picture number
    for column, numbers in enumerate(annotated.values()):
        hot[list(numbers), column] = True
    is_there = np.zeros(highest + 1, dtype=np.bool_)
    is_there[on_disk] = True
    # Pictures are numbered without gaps, so that a gap is a picture that is not there.
    wanted = [f"im{number}.jpg" for number in range(1, highest + 1)]
    n_missing = int((~is_there[1:]).sum())
    notes = [f"{int((~hot[on_disk].any(axis=1)).sum()):,} pictures have no label and are kept"]
    if n_missing:
        notes.append(missing_note(n_missing, wanted, is_there[1:], "MIRFlickr-25k"))
    source = ListedImages(
        root,
        [f"im{number}.jpg" for number in on_disk],
        Labels.from_multi_hot(hot[on_disk], list(annotated)),
        f"{root}: numbered pictures with {len(files)} labels",
    )
    return DataSet("flickr25k", "original", {"all": source}, tuple(notes), n_missing)


def _numbers(path: Path) -> set[int]:
    """Picture numbers of a label file."""
    words = path.read_text("utf-8", "replace").split()
    wrong = [word for word in words if not (word.isascii() and word.isdigit() and len(word) < 8)]
    if wrong or "0" in words:
        raise FormatError(
            f"{path} must hold picture numbers from 1, one a line, got {(wrong or ['0'])[0]!r}."
        )
    return {int(word) for word in words}
