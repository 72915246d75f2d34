r"""Paths as people write them in tables, and the items or files that they mean.

Manifests and label files name pictures in many forms: ``./red/0.jpg``, ``red\0.jpg``, an absolute
path, a path from the folder above, with spaces around it, in another Unicode normal form, or in
another case. The functions here are the one place that knows these forms.
"""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from anybit.data.path_text import path_text, raw_bytes, text_path
from anybit.errors import DataError
from anybit.types import Int64Array

__all__ = ["find_file", "manifest_key", "match_paths"]

_AMBIGUOUS = -2


def manifest_key(name: str, below: str) -> str:
    """Return the path of a manifest's row relative to the source, with forward slashes.

    Parameters
    ----------
    name : str
        As the row has it.
    below : str
        The manifest's folder relative to the source.
    """
    return Path(below, name.strip().replace("\\", "/")).as_posix()


def find_file(folder: Path, name: str) -> Path:
    """Return the file that a manifest in `folder` means by `name`.

    The name as it is written comes first, then its other forms, relative to `folder` and, where
    it begins with that folder's own name, to the folder above. Letter case is ignored only if
    exactly one file fits.

    Returns
    -------
    Path
        A path that does not exist if no form names a file.

    Raises
    ------
    DataError
        If the name holds a NUL character.
    """
    if "\0" in name:
        raise DataError("a path must not hold a NUL character.")
    plain = name.strip().replace("\\", "/")
    bases = [folder]
    if posixpath.normpath(plain).split("/")[0] == path_text(folder.name):
        bases.append(folder.parent)
    for base in bases:
        for form in _written_forms(name, plain):
            if os.path.lexists(base / form):
                return base / form
        decoded = text_path(str(base / name.strip()))
        if os.path.lexists(decoded):
            return decoded
    for base in bases:
        found = _without_case(base, plain)
        if found is not None:
            return found
    return folder / plain


def match_paths(
    names: Sequence[str | None], keys: Sequence[str], root: Path, table_folder: Path
) -> Int64Array:
    """Find the item that each row of a label file names.

    Parameters
    ----------
    names : sequence of str or None
        Paths in the rows; None matches nothing.
    keys : sequence of str
        Paths of the N items relative to `root`, with forward slashes.
    root : Path
        Folder of the items.
    table_folder : Path
        Folder of the label file.

    Returns
    -------
    ndarray of shape (n_rows,), int64
        Positions of items; -1 where none, or more than one, fits.

    Notes
    -----
    Relative names start at `root`, at the label file's folder or at the folder above `root`: the
    one of these that matches most rows is taken for the whole file, the earlier one on a tie.
    """
    index = _KeyIndex(keys, root)
    best = np.full(len(names), -1, dtype=np.int64)
    for base in dict.fromkeys((index.root, _absolute(table_folder), posixpath.dirname(index.root))):
        found = np.array(
            [-1 if name is None else index.find(name, base) for name in names], dtype=np.int64
        )
        if (found >= 0).sum() > (best >= 0).sum():
            best = found
        if (best >= 0).all():
            break
    return best


class _KeyIndex:
    """Items by the forms of their paths."""

    def __init__(self, keys: Sequence[str], root: Path) -> None:
        self.root = _absolute(root)
        self._real_root = _plain(path_text(os.path.realpath(root)))
        self._keys = keys
        self._exact = {key: position for position, key in enumerate(keys)}

    def find(self, name: str, base: str) -> int:
        """Return the position of the item that a name means, -1 if there is none."""
        if base == self.root and name in self._exact:
            return self._exact[name]
        path = posixpath.normpath(posixpath.join(base, _plain(name)))
        if path.startswith(self._real_root + "/"):
            path = self.root + path[len(self._real_root) :]
        for index, entry in zip(self._other_forms, (path, path.casefold()), strict=True):
            if entry in index:
                return max(index[entry], -1)
        return -1

    @cached_property
    def _other_forms(self) -> tuple[dict[str, int], dict[str, int]]:
        """Positions by absolute path in one form, and without regard to letter case."""
        plain: dict[str, int] = {}
        folded: dict[str, int] = {}
        for position, key in enumerate(self._keys):
            for form in _key_forms(key):
                path = posixpath.normpath(posixpath.join(self.root, form))
                for index, entry in ((plain, path), (folded, path.casefold())):
                    if index.setdefault(entry, position) != position:
                        index[entry] = _AMBIGUOUS
        return plain, folded


def _key_forms(key: str) -> Iterator[str]:
    r"""Yield the forms of an item's path: itself and, with ``\xHH``, as Windows-1252 reads it."""
    yield _plain(key)
    raw = raw_bytes(key)
    if raw != key.encode():
        yield _plain(raw.decode("cp1252", "replace"))


def _plain(name: str) -> str:
    """Return a path without surrounding spaces, with forward slashes, in normal form C."""
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/"))


def _absolute(folder: Path) -> str:
    return _plain(posixpath.normpath(path_text(os.path.abspath(folder))))


def _written_forms(name: str, plain: str) -> Iterator[str]:
    """Yield the spellings of a file's name on disk that a text may mean."""
    yield name
    yield plain
    yield unicodedata.normalize("NFC", plain)
    yield unicodedata.normalize("NFD", plain)
    if not plain.isascii():  # a disk of an old system, and a table written on the same one
        try:
            yield os.fsdecode(plain.encode("cp1252"))
        except UnicodeEncodeError:
            pass


def _without_case(base: Path, plain: str) -> Path | None:
    """Return the one file that differs from a relative path by letter case alone."""
    found = base
    for part in posixpath.normpath(plain).split("/"):
        if part in ("", "..") or os.path.lexists(found / part):
            found = found / part
            continue
        folded = unicodedata.normalize("NFC", part).casefold()
        try:
            fitting = [
                one
                for one in os.listdir(found)
                if unicodedata.normalize("NFC", one).casefold() == folded
            ]
        except OSError:
            return None
        if len(fitting) != 1:
            return None
        found = found / fitting[0]
    return found
