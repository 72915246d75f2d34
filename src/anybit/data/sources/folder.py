"""A folder with one sub-folder of images per class, or simply a folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa

from anybit.data.formats import readable_suffixes
from anybit.data.labels import Labels
from anybit.data.path_text import path_text, shown_name
from anybit.data.sources.base import FilePaths, Items
from anybit.data.sources.file_listing import Listing, list_folder
from anybit.data.sources.images import ImageSource
from anybit.data.sources.item_ids import hash_keys, origin_of
from anybit.data.sources.options import SourceOptions
from anybit.errors import DataError

__all__ = ["SPLIT_FOLDERS", "FolderImages"]

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
        if path.is_dir():
            listing = list_folder(path)
        else:
            listing = Listing({path_text(path.name): str(path)})
        keys, skipped = tuple(listing.files), listing.describe()
        if not keys:
            raise DataError(_nothing_found(path, listing))
        splits, classes = _splits_and_classes(keys)
        labels = None
        if any(name is not None for name in classes):
            labels = Labels.from_lists([[] if name is None else [name] for name in classes])
        metadata = pa.table({options.split_column: pa.array(splits, pa.string())}) if any(
            splits
        ) else None  # fmt: skip
        kind = "folder of images" if labels is None else "class folders"
        words = [f"{shown_name(path)}: {kind}"]
        if any(splits):
            names = sorted({shown_name(name) for name in splits if name})
            words.append(f"splits {', '.join(names)}")
        root = path if path.is_dir() else path.parent
        super().__init__(
            Items(hash_keys(keys), keys, labels, metadata, "keys", origin_of(root)),
            "\n".join([", ".join(words), *skipped]),
            options.max_pixels,
            listing.unusable,
        )
        self._files = tuple(listing.files.values())
        self.file_paths = FilePaths(root, keys)

    def _encoded(self, position: int) -> Path:
        return Path(self._files[position])


def _nothing_found(path: Path, listing: Listing) -> str:
    """Say that a folder holds no picture that can be read, and what it holds."""
    message = (
        f"{shown_name(path)} must hold images (class folders), a metadata file or Parquet files, "
        f"got none. Names of images end in {', '.join(sorted(readable_suffixes()))}."
    )
    if words := listing.describe():
        message += f" {' '.join(word.rstrip('.') + '.' for word in words)}"
    return message


def _splits_and_classes(keys: Sequence[str]) -> tuple[list[str | None], list[str | None]]:
    """Split and class of each relative path; None where there is none."""
    parts = [PurePosixPath(key).parts[:-1] for key in keys]
    tops = {folders[0].lower() for folders in parts if folders}
    has_splits = bool(tops) and tops <= SPLIT_FOLDERS
    depth = 1 if has_splits else 0
    splits = [folders[0] if has_splits and folders else None for folders in parts]
    classes = [folders[depth] if len(folders) > depth else None for folders in parts]
    return splits, classes
