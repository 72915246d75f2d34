"""A hundred classes of ImageNet: folders of synsets, or the lists of HashNet."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from anybit.data import Labels
from anybit.errors import DataError
from anybit.papers.datasets.dataset import DataSet
from anybit.papers.datasets.list_files import LISTS_TEXT, find_lists, open_lists
from anybit.papers.datasets.pictures import ListedImages

__all__ = ["IMAGENET_TEXT", "open_imagenet"]

IMAGENET_TEXT = f"""ImageNet (ILSVRC 2012), one of:
- from the download page of image-net.org (an account is needed), ILSVRC2012_img_train.tar (md5
  1d675b47d978889d74fa0da5fadfb00e), unpacked to train/<synset>/*.JPEG, and ILSVRC2012_img_val.tar
  (md5 29b22e2961454d5413ddabcf34fc5622), unpacked to val/<synset>/*.JPEG, or to val/*.JPEG with
  imagenet_2012_validation_synset_labels.txt (the synset of each picture, a line) or
  LOC_val_solution.csv; and classes.txt, the synsets of the 100 classes, one a line (it may be
  left out where train/ holds just those 100);
- {LISTS_TEXT}.
Put these into the folder that is named here."""

_SYNSET = re.compile(r"n\d{8}")
_N_CLASSES = 100
_SUFFIXES = (".jpeg", ".jpg", ".png")


def open_imagenet(folder: Path) -> DataSet | None:
    """Open the 100 classes of ImageNet in a folder.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    DataSet or None
        Parts ``train`` and ``val`` with the synsets as class names, or the parts of the lists.
        None where nothing is recognised.

    Raises
    ------
    DataError
        If classes or pictures are missing, or it is not said which classes are meant.

    References
    ----------
    Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015.
    """
    if find_lists(folder):
        return open_lists("imagenet100", folder)
    if not (folder / "train").is_dir() or not (folder / "val").is_dir():
        return None
    classes = _classes(folder)
    train = _class_folders(folder, "train", classes)
    has_folders = any((folder / "val" / name).is_dir() for name in classes)
    val = _class_folders(folder, "val", classes) if has_folders else _flat_val(folder, classes)
    return DataSet("imagenet100", "folders", {"train": train, "val": val})


def _classes(folder: Path) -> list[str]:
    """Synsets of the classes, from their list or from the folders."""
    listed = folder / "classes.txt"
    if listed.is_file():
        found = [_SYNSET.search(line) for line in listed.read_text("utf-8").splitlines()]
        names = [match.group() for match in found if match]
        if not names or len(set(names)) != len(names):
            raise DataError(f"{listed} must name each synset once, got {len(names)} synsets.")
        return names
    names = sorted(
        entry.name for entry in (folder / "train").iterdir() if _SYNSET.fullmatch(entry.name)
    )
    if len(names) != _N_CLASSES:
        raise DataError(
            f"{folder / 'train'} must hold the folders of {_N_CLASSES} synsets, got {len(names)}. "
            f"Write the synsets of the classes to {listed}, one a line."
        )
    return names


def _class_folders(folder: Path, part: str, classes: list[str]) -> ListedImages:
    """Pictures in one folder per synset."""
    missing = [name for name in classes if not (folder / part / name).is_dir()]
    if missing:
        raise DataError(
            f"{folder / part} must hold a folder for each of the {len(classes)} classes; missing: "
            f"{', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}."
        )
    files = [_pictures(folder / part / name) for name in classes]
    keys = [
        f"{part}/{synset}/{name}"
        for synset, names in zip(classes, files, strict=True)
        for name in names
    ]
    numbers = np.repeat(np.arange(len(classes)), [len(names) for names in files])
    labels = Labels.from_integers(numbers, classes)
    return ListedImages(folder, keys, labels, f"{folder / part}: folders of synsets")


def _pictures(folder: Path) -> list[str]:
    """Names of the picture files in a folder, sorted."""
    names = (entry.name for entry in folder.iterdir())
    return sorted(name for name in names if name.lower().endswith(_SUFFIXES))


def _flat_val(folder: Path, classes: list[str]) -> ListedImages:
    """Open validation pictures in one folder, with a file that gives their synsets."""
    names = _pictures(folder / "val")
    synset_of = _synsets_of_val(folder, names)
    unknown = [name for name in names if Path(name).stem not in synset_of]
    if unknown:
        raise DataError(
            f"every picture of {folder / 'val'} must have a synset in the ground truth, "
            f"{len(unknown)} have none; the first: {unknown[0]}."
        )
    number_of = {synset: number for number, synset in enumerate(classes)}
    of_classes = [name for name in names if synset_of[Path(name).stem] in number_of]
    numbers = [number_of[synset_of[Path(name).stem]] for name in of_classes]
    return ListedImages(
        folder,
        [f"val/{name}" for name in of_classes],
        Labels.from_integers(np.array(numbers, dtype=np.int64), classes),
        f"{folder / 'val'}: validation pictures",
    )


def _synsets_of_val(folder: Path, names: list[str]) -> dict[str, str]:
    """Synset of each validation picture by the name of its file, without suffix."""
    for place in (folder, folder / "val"):
        table = place / "LOC_val_solution.csv"
        if table.is_file():
            with table.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            if not rows or not {"ImageId", "PredictionString"} <= rows[0].keys():
                raise DataError(f"{table} must have the columns ImageId and PredictionString.")
            return {row["ImageId"]: row["PredictionString"].split(" ")[0] for row in rows}
        ordered = place / "imagenet_2012_validation_synset_labels.txt"
        if ordered.is_file():
            synsets = ordered.read_text("utf-8").split()
            if len(synsets) != len(names):
                raise DataError(
                    f"{ordered} must have one line per validation picture: {len(names):,}, got "
                    f"{len(synsets):,}."
                )
            return {Path(name).stem: synset for name, synset in zip(names, synsets, strict=True)}
    raise DataError(
        f"{folder / 'val'} must hold one folder per synset, or a ground truth must give the "
        "synsets. The devkit's ILSVRC2012_validation_ground_truth.txt alone does not: its numbers "
        f"are not explained in it.\n{IMAGENET_TEXT}"
    )
