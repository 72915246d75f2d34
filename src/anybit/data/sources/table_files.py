"""Tables in files of their own: CSV, TSV, JSON lines and Parquet, in the encodings people have."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json

from anybit.data.path_text import shown_name
from anybit.data.sources.row_groups import read_parquet
from anybit.errors import DataError, FormatError

__all__ = ["TABLE_SUFFIXES", "TableFile", "read_lines", "read_table"]

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"})
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS = (",", ";", "\t")
_DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}
_LARGEST_BLOCK = 2**31 - 1
_SPACED_QUOTE = re.compile(r'[,;\t] +"')


@dataclass(frozen=True, eq=False)
class TableFile:
    """A table and what was noticed while it was read.

    Parameters
    ----------
    table : pyarrow.Table
    notes : tuple of str
        An unusual encoding or separator, renamed columns.
    """

    table: pa.Table
    notes: tuple[str, ...] = ()


def read_table(path: Path) -> TableFile:
    """Read a CSV, TSV, JSON lines or Parquet file.

    In CSV an empty cell is none; a column is integers only when every cell is one written in the
    usual way (so the id ``007`` stays a text). Text is UTF-8, UTF-16 or UTF-32 by its byte order
    mark, else UTF-8, else Windows-1252, which is noted. A row may be as long as the file.

    Raises
    ------
    FormatError
        If the file is damaged.
    DataError
        If it does not exist, cannot be read, is empty or of another kind.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return TableFile(read_parquet([path]))
    if suffix not in TABLE_SUFFIXES:
        raise DataError(
            f"{shown_name(path)} must be a table of kind {', '.join(sorted(TABLE_SUFFIXES))}, "
            f"got {suffix!r}."
        )
    data, notes = _read_text(path)
    if not data.strip():
        raise DataError(f"{shown_name(path)} is empty; a manifest needs a header and rows.")
    try:
        if suffix in (".jsonl", ".ndjson"):
            return TableFile(_parse_json_lines(data, path), tuple(notes))
        table = _parse_csv(data, path, "\t" if suffix == ".tsv" else ",", notes)
        return TableFile(table, tuple(notes))
    except (pa.ArrowException, csv.Error) as error:
        raise FormatError(f"{shown_name(path)} cannot be read as {suffix[1:]}: {error}") from error


def read_lines(path: Path) -> tuple[list[str], list[str]]:
    """Return the lines of a text file, and notes on its encoding."""
    data, notes = _read_text(path)
    lines = data.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return (lines[:-1] if lines[-1] == "" else lines), notes


def _read_text(path: Path) -> tuple[bytes, list[str]]:
    """Return a file's text as UTF-8 without byte order mark, and notes on its encoding."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{shown_name(path)} does not exist.") from error
    except OSError as error:
        raise DataError(f"cannot read {shown_name(path)}: {error.strerror}.") from error
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            if encoding == "utf-8":
                data = data[len(mark) :]
                break
            return _recoded(data, encoding, path), [f"{shown_name(path)} read as {encoding}"]
    if guess := _utf16_without_mark(data):
        return _recoded(data, guess, path), [f"{shown_name(path)} read as {guess}"]
    try:
        codecs.decode(data, "utf-8")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
        note = f"{shown_name(path)} is not UTF-8: read as Windows-1252"
        return text.encode(), [note]
    return data, []


def _recoded(data: bytes, encoding: str, path: Path) -> bytes:
    try:
        return data.decode(encoding).encode()
    except UnicodeError as error:
        raise FormatError(f"{shown_name(path)} must be text in {encoding}: {error}.") from error


def _utf16_without_mark(data: bytes) -> str | None:
    """Recognise UTF-16 without a mark: every other byte of its first characters is zero."""
    head = data[:200]
    pairs = len(head) // 2
    if pairs >= 2 and len(data) % 2 == 0:
        if not any(head[1::2]) and all(head[0::2]):
            return "utf-16-le"
        if not any(head[0::2]) and all(head[1::2]):
            return "utf-16-be"
    return None


def _parse_json_lines(data: bytes, path: Path) -> pa.Table:
    """Parse JSON lines in one block: Arrow limits a row, and fixes types, by block."""
    options = pa_json.ReadOptions(block_size=max(1, min(len(data) + 1, _LARGEST_BLOCK)))
    try:
        return pa_json.read_json(pa.BufferReader(data), read_options=options)
    except pa.ArrowException as error:
        fault = _json_fault(data) or str(error)
        raise FormatError(f"{shown_name(path)}: {fault}") from error


def _json_fault(data: bytes) -> str | None:
    """Name the first line that is no JSON object, or that gives a column another type."""
    first_seen: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(io.BytesIO(data), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            return f"line {number} must be a JSON object: {error}."
        if not isinstance(row, dict):
            return f"line {number} must be a JSON object, got {_json_kind(row)}."
        for place, kind in _json_kinds(row, ""):
            before, at = first_seen.setdefault(place, (kind, number))
            if before != kind:
                return (
                    f"line {number}: {shown_name(place)} holds {kind}, but {before} in line {at}. "
                    "A column must have one type."
                )
    return None


def _json_kinds(value: Any, place: str) -> list[tuple[str, str]]:
    """Kinds of all values below an object, by column: ``objects[].box``."""
    if isinstance(value, dict):
        inside = [(f"{place}.{name}" if place else name, one) for name, one in value.items()]
    else:
        inside = [(f"{place}[]", one) for one in value]
    found = []
    for name, one in inside:
        if one is None:
            continue
        found.append((name, _json_kind(one)))
        if isinstance(one, dict | list):
            found += _json_kinds(one, name)
    return found


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, dict) else "null"


def _parse_csv(data: bytes, path: Path, delimiter: str, notes: list[str]) -> pa.Table:
    """Parse CSV, with texts that only look like numbers kept as texts."""
    delimiter, header = _header_of(data, delimiter)
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    if delimiter != usual:
        notes.append(f"{shown_name(path)} is separated by {_DELIMITER_NAMES[delimiter]}")
    names = _column_names(header, notes, path)
    if len(set(names)) != len(names):
        raise DataError(
            f"{shown_name(path)}: column names must be unique, got "
            f"{', '.join(map(shown_name, names))}."
        )
    if _SPACED_QUOTE.search(data[:65_536].decode("utf-8", "replace")):
        data = _without_spaces_before_quotes(data, delimiter)
        header = next(csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter))
    read = pa_csv.ReadOptions(block_size=max(1, min(len(data) + 1, _LARGEST_BLOCK)))
    parse = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    texts = pa_csv.read_csv(pa.BufferReader(data), read, parse, convert)
    columns = [_number_column(texts.column(number)) for number in range(texts.num_columns)]
    return pa.table(columns, names=names)


def _header_of(data: bytes, delimiter: str) -> tuple[str, list[str]]:
    """Return the separator and the header's cells.

    Another separator than the usual one is taken only if the header has none of that and has the
    other.
    """
    first = io.StringIO(data.decode(), newline="")
    for one in (delimiter, *(other for other in _DELIMITERS if other != delimiter)):
        first.seek(0)
        cells = next(csv.reader(first, delimiter=one, skipinitialspace=True), [])
        if len(cells) > 1:
            first.seek(0)
            return one, next(csv.reader(first, delimiter=one))
    first.seek(0)
    return delimiter, next(csv.reader(first, delimiter=delimiter))


def _column_names(header: list[str], notes: list[str], path: Path) -> list[str]:
    """Return the names of the columns, without spaces around them; unnamed ones get a name."""
    names = [cell.strip().removeprefix('"').removesuffix('"').strip() for cell in header]
    for number, name in enumerate(names):
        if not name:
            # pandas writes its row labels so, as the first column.
            wanted = "index" if number == 0 else f"column_{number + 1}"
            names[number] = wanted if wanted not in names else f"{wanted}_{number + 1}"
            notes.append(
                f"{shown_name(path)}: column {number + 1} has no name and is called {names[number]}"
            )
    return names


def _without_spaces_before_quotes(data: bytes, delimiter: str) -> bytes:
    """Write CSV again in the strict form: Arrow takes a quote after a space for a character."""
    rows = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter,
                      skipinitialspace=True)  # fmt: skip
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode()


def _number_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a text column as int64 or float64 when every cell is such a number."""
    if column.null_count == len(column):
        return column
    trimmed = pc.utf8_trim_whitespace(column)
    for pattern, kind in (
        (r"^(0|-?[1-9][0-9]{0,17})$", pa.int64()),
        (r"^-?[0-9]+\.[0-9]+([eE][-+]?[0-9]+)?$", pa.float64()),
    ):
        if pc.all(pc.match_substring_regex(trimmed, pattern)).as_py():
            return trimmed.cast(kind)
    return column
