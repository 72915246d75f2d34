"""A folder with one sub-folder of images per class, or simply a folder of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa

from anybit.data.decode import IMAGE_SUFFIXES
from anybit.data.labels import Labels
from anybit.data.sources.base import Items
from anybit.data.sources.images import ImageSource
from anybit.data.sources.item_ids import hash_keys
from anybit.data.sources.options import SourceOptions
from anybit.errors import DataError

__all__ = ["SPLIT_FOLDERS", "FolderImages", "image_files"]

SPLIT_FOLDERS = frozenset(
    {
        "train", "training", "val", "valid", "validation", "dev", "test", "testing", "trainval",
        "database", "db", "gallery", "query", "queries",
    }
)  # fmt: skip
"""Top folders of these names (any case) are splits, not classes, when all top folders are."""


class FolderImages(ImageSource):
    """Pictures in class folders (``cat/1.jpg`` or ``train/cat/1.jpg``), or one picture file.

    Ids are hashes of the relative path, so adding a picture changes no other id. Pictures that
    lie in no class folder are unlabelled.

    Parameters
    ----------
    path : Path
        The folder, or one image file.
    options : SourceOptions
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        if path.is_file():
            root, keys, n_others = path.parent, [path.name], 0
        else:
            root = path
            keys, n_others = image_files(path)
        if not keys:
            raise DataError(
                f"{path} must hold images (class folders), a metadata file or Parquet files; "
                f"{n_others} other files were found. Image names end in "
                f"{', '.join(sorted(IMAGE_SUFFIXES))}."
            )
        splits, classes = _splits_and_classes(keys)
        labels = None
        if any(name is not None for name in classes):
            labels = Labels.from_lists([[] if name is None else [name] for name in classes])
        metadata = pa.table({options.split_column: pa.array(splits, pa.string())}) if any(
            splits
        ) else None  # fmt: skip
        words = [f"{path}: folder of images" if labels is None else f"{path}: class folders"]
        if any(splits):
            words.append(f"splits {', '.join(sorted({name for name in splits if name}))}")
        if n_others:
            words.append(f"{n_others:,} other files passed over")
        super().__init__(
            Items(hash_keys(keys), tuple(keys), labels, metadata),
            ", ".join(words),
            options.max_pixels,
        )
        self._root = root

    def _encoded(self, position: int) -> Path:
        return self._root / self._items.key_of(position)


def image_files(root: Path) -> tuple[list[str], int]:
    """Find all image files below a folder.

    Hidden files and folders are passed over; links to folders are followed, each folder once.

    Returns
    -------
    keys : list of str
        Relative paths with forward slashes, sorted.
    n_others : int
        Number of other files.
    """
    keys, n_others, seen = [], 0, set()

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot read the folder {error.filename}: {error.strerror}.") from error

    for folder, names, files in os.walk(root, followlinks=True, onerror=refuse):
        real = os.path.realpath(folder)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(n for n in names if not n.startswith(".") and n != "__MACOSX")
        for name in files:
            if name.startswith("."):
                continue
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:
                keys.append(Path(folder, name).relative_to(root).as_posix())
            else:
                n_others += 1
    return sorted(keys), n_others


def _splits_and_classes(keys: Sequence[str]) -> tuple[list[str | None], list[str | None]]:
    """Split and class of each relative path; None where there is none."""
    parts = [PurePosixPath(key).parts[:-1] for key in keys]
    tops = {folders[0].lower() for folders in parts if folders}
    has_splits = bool(tops) and tops <= SPLIT_FOLDERS
    depth = 1 if has_splits else 0
    splits = [folders[0] if has_splits and folders else None for folders in parts]
    classes = [folders[depth] if len(folders) > depth else None for folders in parts]
    return splits, classes
