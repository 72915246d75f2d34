"""Manifests: a table (CSV, TSV, JSONL, Parquet) with a path and labels for each image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from anybit.data.bad_items import BadItem
from anybit.data.path_text import path_text, shown_name
from anybit.data.sources.base import FilePaths
from anybit.data.sources.columns import find_path_column, items_of_table
from anybit.data.sources.file_listing import list_folder, sub_folders
from anybit.data.sources.images import ImageSource
from anybit.data.sources.item_ids import origin_of
from anybit.data.sources.item_paths import find_file, manifest_key, match_paths
from anybit.data.sources.joined_tables import join_tables
from anybit.data.sources.options import SourceOptions
from anybit.data.sources.table_files import read_table
from anybit.errors import DataError

__all__ = ["ManifestImages", "find_manifests"]

_FOLDER_MANIFESTS = ("metadata.parquet", "metadata.jsonl", "metadata.csv", "metadata.tsv")


class ManifestImages(ImageSource):
    """Pictures listed in manifests; paths are relative to the manifest's folder.

    A file that is missing is an item all the same: it is reported as bad when it is read.

    Parameters
    ----------
    path : Path
        What the user named: the manifest or the folder that holds it.
    manifests : sequence of Path
        The manifest files, each of the same columns.
    options : SourceOptions
    unusable : sequence of BadItem
        Sub-folders that may hold a manifest but cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        manifests: Sequence[Path],
        options: SourceOptions,
        unusable: Sequence[BadItem] = (),
    ) -> None:
        root = path if path.is_dir() else path.parent
        tables, columns = [], set()
        keys: list[str] = []
        notes: list[str] = []
        self._names: list[tuple[Path, str]] = []
        for manifest in manifests:
            read = read_table(manifest)
            column = find_path_column(read.table.schema, options.path_column)
            if column is None:
                names = ", ".join(map(shown_name, read.table.column_names))
                raise DataError(
                    f"{shown_name(manifest)} must have a column of image paths (file_name, path "
                    f"or image_path), got: {names}. Name it with path_column."
                )
            names_given = _names(read.table.column(column), manifest)
            below = path_text(manifest.parent.relative_to(root))
            keys.extend(manifest_key(name, below) for name in names_given)
            self._names.extend((manifest.parent, name) for name in names_given)
            tables.append(read.table)
            notes.extend(read.notes)
            columns.add(column)
        try:
            table = join_tables(tables, manifests)
            items, words = items_of_table(
                table,
                options,
                keys=keys,
                is_keyed=True,
                skip=sorted(columns),
                origin=origin_of(root),
            )
        except (DataError, pa.ArrowException) as error:
            raise DataError(f"{shown_name(path)}: {error}") from error
        named = ", ".join(map(shown_name, manifests))
        shown = ", ".join(map(shown_name, sorted(columns)))
        found = [f"{named}: manifest, paths from column {shown}, {words}", *notes]
        if path.is_dir():
            files = list(list_folder(path).files)
            n_unlisted = len(files) - len(set(match_paths(keys, files, root, root)) - {-1})
            if n_unlisted:
                found.append(f"Skipped image files that are not listed: {n_unlisted:,}")
        super().__init__(items, "\n".join(found), options.max_pixels, unusable)
        self.file_paths = FilePaths(root, tuple(keys))

    def _encoded(self, position: int) -> Path:
        return find_file(*self._names[position])


def find_manifests(folder: Path) -> tuple[list[Path], list[BadItem]]:
    """Find ``metadata.*`` in a folder, else in each of its direct sub-folders.

    Returns
    -------
    manifests : list of Path
        Empty if there is none.
    unusable : list of BadItem
        Sub-folders that cannot be opened.

    Raises
    ------
    DataError
        If the folder itself cannot be read.
    """
    folders, unusable = sub_folders(folder)
    own = _manifest_in(folder)
    if own is not None:
        return [own], []
    return [found for sub in folders if (found := _manifest_in(sub)) is not None], unusable


def _manifest_in(folder: Path) -> Path | None:
    paths = (folder / name for name in _FOLDER_MANIFESTS)
    return next((path for path in paths if os.path.isfile(path)), None)


def _names(column: pa.ChunkedArray, manifest: Path) -> list[str]:
    """Return the paths as they are written; every row needs one."""
    names = [None if one is None else str(one) for one in column.to_pylist()]
    given = [name for name in names if name is not None and name.strip()]
    if len(given) != len(names):
        raise DataError(
            f"{shown_name(manifest)}: every row needs a path, {len(names) - len(given)} have none."
        )
    return given
