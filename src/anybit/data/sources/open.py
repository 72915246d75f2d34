"""From a path to the fitting source."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np

from anybit.data.formats import missing_format, readable_suffixes
from anybit.data.path_text import shown_name
from anybit.data.sources.arrays import open_array
from anybit.data.sources.base import Source
from anybit.data.sources.columns import find_image_column, find_path_column, find_vector_column
from anybit.data.sources.file_listing import is_skipped
from anybit.data.sources.folder import FolderImages
from anybit.data.sources.label_files import read_labels
from anybit.data.sources.manifest import ManifestImages, find_manifests
from anybit.data.sources.options import SourceOptions
from anybit.data.sources.parquet import ParquetImages, ParquetVectors
from anybit.data.sources.row_groups import open_parquet
from anybit.data.sources.table_files import TABLE_SUFFIXES
from anybit.errors import DataError

__all__ = ["open_source"]

_ARRAY_SUFFIXES = frozenset({".npy", ".npz", ".fvecs", ".bvecs"})


def open_source(path: str | Path, options: SourceOptions | None = None) -> Source:
    """Open a folder or file of images or vectors.

    Parameters
    ----------
    path : str or Path
        A folder with one sub-folder per class (also below ``train/`` and the like), a folder of
        images, a folder with ``metadata.csv``, ``.jsonl`` or ``.parquet``, a folder of Parquet
        files; a manifest (CSV, TSV, JSONL, Parquet); Parquet with images or vectors; `.npy`,
        `.npz` (x, y, ids, class_names), `.fvecs`, `.bvecs`; or one image file.
    options : SourceOptions, optional
        Columns, separate labels, split and limits.

    Returns
    -------
    Source
        `kind` is "images" or "vectors".

    Raises
    ------
    DataError
        If nothing usable is found, ids repeat, or labels and items do not fit.
    FormatError
        If a file is damaged.

    Notes
    -----
    Ids: given integers stay; given texts and paths of image files are hashed to 63 bits; rows of
    arrays and Parquet files without an id column are numbered. Two pictures or vectors with the
    same id are refused.
    """
    path, options = Path(path), options or SourceOptions()
    _check_kind(path)
    source = _open(path, options if options.labels is None else replace(options, label_column=None))
    if options.labels is not None:
        read = read_labels(Path(options.labels), source, options)
        source = source.with_labels(read.labels, read.found)
    if options.split is not None:
        source = _only_split(source, options)
    if len(source) == 0:
        raise DataError(f"the source {shown_name(path)} is empty: it must hold at least one item.")
    return source


def _check_kind(path: Path) -> None:
    """Raise DataError unless the path is a folder or a regular file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise DataError(f"the source {shown_name(path)} does not exist.") from error
    except OSError as error:
        raise DataError(f"cannot read the source {shown_name(path)}: {error.strerror}.") from error
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise DataError(
            f"the source must be a folder or a regular file, got {shown_name(path)}, a pipe, "
            "socket or device."
        )


def _open(path: Path, options: SourceOptions) -> Source:
    """Choose the source of a path by its kind."""
    if path.is_dir():
        manifests, unusable = find_manifests(path)
        if manifests:
            return ManifestImages(path, manifests, options, unusable)
        shards = sorted(
            file
            for file in path.iterdir()
            if file.suffix.lower() == ".parquet" and not is_skipped(file.name) and file.is_file()
        )
        return _open_parquet(shards, options) if shards else FolderImages(path, options)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _open_parquet([path], options)
    if suffix in _ARRAY_SUFFIXES:
        return open_array(path, options)
    if suffix in TABLE_SUFFIXES:
        return ManifestImages(path, [path], options)
    if suffix in readable_suffixes():
        return FolderImages(path, options)
    if cure := missing_format(suffix):
        raise DataError(f"{shown_name(path)}: {cure}")
    raise DataError(
        f"the source must be a folder, an image or a file of kind "
        f"{', '.join(sorted(_ARRAY_SUFFIXES | TABLE_SUFFIXES))}, got {shown_name(path)}."
    )


def _open_parquet(paths: list[Path], options: SourceOptions) -> Source:
    """Parquet files as images, vectors or a manifest, by their columns."""
    schema = open_parquet(paths[0]).schema_arrow
    if options.vector_column is None and find_image_column(schema, options.image_column):
        return ParquetImages(paths, options)
    if options.path_column is None and find_vector_column(schema, options.vector_column):
        return ParquetVectors(paths, options)
    if find_path_column(schema, options.path_column):
        return ManifestImages(paths[0], paths, options)
    raise DataError(
        f"{shown_name(paths[0])} must have a column of encoded images, of vectors (lists of "
        "numbers) or of image paths, got: "
        f"{', '.join(f'{shown_name(field.name)} ({field.type})' for field in schema)}. Lists of "
        "integers that are vectors are named with vector_column (--vector-column)."
    )


def _only_split(source: Source, options: SourceOptions) -> Source:
    """Return the items whose split column says `options.split`."""
    table = source.metadata
    if table is None or options.split_column not in table.column_names:
        raise DataError(
            f"split {options.split} was asked for, but there is no column {options.split_column}."
        )
    values = np.array([str(v) for v in table.column(options.split_column).to_pylist()])
    is_wanted = values == options.split
    if not is_wanted.any():
        raise DataError(
            f"split must be one of {', '.join(sorted(set(values.tolist()))[:10])}, "
            f"got {options.split}."
        )
    return source.take(is_wanted)
