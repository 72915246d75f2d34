"""Manifests: a table (CSV, TSV, JSONL, Parquet) with a path and labels for each image."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json

from anybit.data.sources.columns import find_path_column, items_of_table
from anybit.data.sources.folder import image_files
from anybit.data.sources.images import ImageSource
from anybit.data.sources.options import SourceOptions
from anybit.data.sources.row_groups import read_parquet
from anybit.errors import DataError, FormatError

__all__ = ["MANIFEST_SUFFIXES", "ManifestImages", "find_manifests", "read_table"]

MANIFEST_SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"})
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
    """

    def __init__(self, path: Path, manifests: Sequence[Path], options: SourceOptions) -> None:
        root = path if path.is_dir() else path.parent
        tables, keys, columns = [], [], set()
        for manifest in manifests:
            table = read_table(manifest)
            column = find_path_column(table.schema, options.path_column)
            if column is None:
                raise DataError(
                    f"{manifest} must have a column of image paths (file_name, path or "
                    f"image_path), got: {', '.join(table.column_names)}. Name it with path_column."
                )
            keys.extend(_keys(table.column(column), manifest, root))
            tables.append(table)
            columns.add(column)
        try:
            table = tables[0] if len(tables) == 1 else pa.concat_tables(
                tables, promote_options="permissive"
            )  # fmt: skip
            items, words = items_of_table(
                table, options, keys=keys, is_keyed=True, skip=sorted(columns)
            )
        except (DataError, pa.ArrowException) as error:
            raise DataError(f"{path}: {error}") from error
        named = ", ".join(map(str, manifests))
        words = f"{named}: manifest, paths from column {', '.join(sorted(columns))}, {words}"
        if path.is_dir():
            n_unlisted = len(set(image_files(path)[0]) - set(keys))
            if n_unlisted:
                words += f"; {n_unlisted:,} image files are not listed and passed over"
        super().__init__(items, words, options.max_pixels)
        self._paths = [root / key for key in keys]

    def _encoded(self, position: int) -> Path:
        return self._paths[position]


def find_manifests(folder: Path) -> list[Path]:
    """Find ``metadata.*`` in a folder, else in each of its direct sub-folders."""
    for place in (folder, *sorted(sub for sub in folder.iterdir() if sub.is_dir())):
        found = [place / name for name in _FOLDER_MANIFESTS if (place / name).is_file()]
        if found and place == folder:
            return found[:1]
        if found:
            below = (sub for sub in sorted(folder.iterdir()) if sub.is_dir())
            firsts = (
                [sub / name for name in _FOLDER_MANIFESTS if (sub / name).is_file()][:1]
                for sub in below
            )
            return [manifest for first in firsts for manifest in first]
    return []


def read_table(path: Path) -> pa.Table:
    """Read a CSV, TSV, JSONL or Parquet file.

    In CSV an empty cell is none; a column is integers only when every cell is one written in the
    usual way (so the id ``007`` stays a text).

    Raises
    ------
    FormatError
        If the file is damaged.
    DataError
        If it does not exist, is empty or of another kind.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return read_parquet([path])
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty; a manifest needs a header and rows.")
        if suffix in (".jsonl", ".ndjson"):
            return pa_json.read_json(path)
        if suffix in (".csv", ".tsv"):
            return _read_csv(path, "\t" if suffix == ".tsv" else ",")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except (OSError, pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path} cannot be read as {suffix[1:]}: {error}") from error
    raise DataError(
        f"{path} must be a table of kind {', '.join(sorted(MANIFEST_SUFFIXES))}, got {suffix!r}."
    )


def _read_csv(path: Path, delimiter: str) -> pa.Table:
    """Read CSV, with texts that only look like numbers kept as texts."""
    parse = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file, delimiter=delimiter))
    if len(set(header)) != len(header):
        raise DataError(f"{path}: column names must be unique, got {', '.join(header)}.")
    kinds = dict.fromkeys(header, pa.string())
    convert = pa_csv.ConvertOptions(
        column_types=kinds,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    texts = pa_csv.read_csv(path, parse_options=parse, convert_options=convert)
    columns = {name: _number_column(texts.column(name)) for name in texts.column_names}
    return pa.table(columns)


def _number_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a text column as int64 or float64 when every cell is such a number."""
    if column.null_count == len(column):
        return column
    for pattern, kind in (
        (r"^(0|-?[1-9][0-9]{0,17})$", pa.int64()),
        (r"^-?[0-9]+\.[0-9]+([eE][-+]?[0-9]+)?$", pa.float64()),
    ):
        if pc.all(pc.match_substring_regex(column, pattern)).as_py():
            return column.cast(kind)
    return column


def _keys(column: pa.ChunkedArray, manifest: Path, root: Path) -> list[str]:
    """Paths relative to `root`, with forward slashes."""
    if column.null_count:
        raise DataError(f"{manifest}: every row needs a path, {column.null_count} have none.")
    below = manifest.parent.relative_to(root)
    return [(below / str(name).replace("\\", "/")).as_posix() for name in column.to_pylist()]
