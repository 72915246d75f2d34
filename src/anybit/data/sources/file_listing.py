"""What a folder holds: pictures, files of other kinds, and what cannot be read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from anybit.data.bad_items import BadItem
from anybit.data.formats import missing_format, readable_suffixes
from anybit.data.path_text import path_text, shown_name
from anybit.errors import DataError

__all__ = ["SYSTEM_FOLDERS", "Listing", "is_skipped", "list_folder", "sub_folders"]

SYSTEM_FOLDERS = frozenset(
    {
        # Synology, QNAP and other network storage
        "@eadir", "@tmp", "@sharebin", "@recycle", "@recently-snapshot", "@__thumb", "#recycle",
        "#snapshot", "~snapshot", "lost+found",
        # Windows
        "$recycle.bin", "recycler", "system volume information", "found.000",
        # macOS; those that begin with a dot are skipped as hidden
        "__macosx", "network trash folder", "temporary items",
    }
)  # fmt: skip
"""Sub-folders of operating systems and network storage that are skipped, in lower case."""

_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})


@dataclass
class Listing:
    """The files below a folder, by what can be done with them.

    Parameters
    ----------
    files : dict of str to str
        Text of the relative path (forward slashes) to the path of the file itself; pictures only,
        sorted.
    unusable : list of BadItem
        Folders that cannot be opened, pictures in formats that cannot be read, and entries with
        a picture's name that are no files.
    unsupported : Counter
        Number of other files by suffix in lower case ("" for none).
    skipped : Counter
        Number of system and hidden files and folders by name.
    """

    files: dict[str, str] = field(default_factory=dict)
    unusable: list[BadItem] = field(default_factory=list)
    unsupported: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    _shown: dict[str, str] = field(default_factory=dict)

    def describe(self) -> list[str]:
        """Say what was not taken: a phrase for each kind."""
        words, by_reason = [], Counter(one.reason for one in self.unusable)
        for reason, n in by_reason.most_common(_MOST_REASONS):
            first = next(one.key for one in self.unusable if one.reason == reason)
            words.append(f"Skipped {n:,} unreadable, such as {shown_name(first)}: {reason}")
        if self.unsupported:
            shown = Counter({self._shown[one]: n for one, n in self.unsupported.items()})
            words.append(_counted("unsupported file", "unsupported files", shown))
        if self.skipped:
            words.append(
                _counted("system or hidden entry", "system or hidden entries", self.skipped)
            )
        return words

    def _take(self, entry: os.DirEntry[str], key: str) -> None:
        """Sort one entry that is no folder."""
        suffix = os.path.splitext(entry.name)[1]
        if suffix.lower() not in readable_suffixes():
            self._shown.setdefault(suffix.lower(), shown_name(suffix) or "no suffix")
            self.unsupported[suffix.lower()] += 1
            if cure := missing_format(suffix):
                self.unusable.append(BadItem(None, key, cure))
        elif not _is_file(entry):
            self.unusable.append(BadItem(None, key, _why_no_file(entry.path)))
        elif key in self.files:
            self.unusable.append(BadItem(None, key, "another file's name reads the same."))
        else:
            self.files[key] = entry.path


_NO_FOLDER = "the folder cannot be read"
_MOST_REASONS = 5


def is_skipped(name: str) -> bool:
    """Whether a file or folder of this name is hidden or belongs to the system."""
    lower = name.lower()
    return name.startswith(".") or lower in SYSTEM_FOLDERS or lower in _SYSTEM_FILES


def list_folder(root: Path) -> Listing:
    """Find the pictures below a folder.

    System folders, and files and folders whose name begins with a dot, are skipped. Links are
    followed, each folder once. A sub-folder that cannot be opened is listed as unusable.

    Parameters
    ----------
    root : Path

    Returns
    -------
    Listing

    Raises
    ------
    DataError
        If `root` itself cannot be read.
    """
    listing = Listing()
    waiting, seen = [(str(root), "")], {os.path.realpath(root)}
    while waiting:
        folder, prefix = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if not prefix:
                raise DataError(_unreadable_root(root, error)) from error
            reason = f"{_NO_FOLDER}: {error.strerror}."
            listing.unusable.append(BadItem(None, prefix.rstrip("/"), reason))
            continue
        below = []
        for entry in entries:
            key = prefix + path_text(entry.name)
            if is_skipped(entry.name):
                listing.skipped["._*" if entry.name.startswith("._") else entry.name] += 1
            elif _is_folder(entry):
                real = os.path.realpath(entry.path)
                if real not in seen:
                    seen.add(real)
                    below.append((entry.path, f"{key}/"))
            else:
                listing._take(entry, key)
        waiting.extend(reversed(below))
    listing.files = dict(sorted(listing.files.items()))
    return listing


def sub_folders(root: Path) -> tuple[list[Path], list[BadItem]]:
    """Return the direct sub-folders that are neither hidden nor the system's, sorted.

    Returns
    -------
    folders : list of Path
    unusable : list of BadItem
        Those that cannot be opened.

    Raises
    ------
    DataError
        If `root` itself cannot be read.
    """
    folders, unusable = [], []
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(_unreadable_root(root, error)) from error
    for entry in entries:
        if is_skipped(entry.name) or not _is_folder(entry):
            continue
        try:
            os.scandir(entry.path).close()
            folders.append(Path(entry.path))
        except OSError as error:
            key = path_text(entry.name)
            unusable.append(BadItem(None, key, f"{_NO_FOLDER}: {error.strerror}."))
    return folders, unusable


def _unreadable_root(root: Path, error: OSError) -> str:
    return f"cannot read the folder {shown_name(root)}: {error.strerror}."


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, or into a folder without the right to enter
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _why_no_file(path: str) -> str:
    """Say why an entry with a picture's name cannot be opened as a file."""
    try:
        os.stat(path)
    except OSError as error:
        kind = "the link leads nowhere" if os.path.islink(path) else "it cannot be read"
        return f"{kind}: {error.strerror}."
    return "it is no regular file (a pipe, socket or device)."


def _counted(one: str, many: str, counts: Counter[str]) -> str:
    """``Skipped 3 unsupported files (.HEIC: 2, .txt: 1)``."""
    n = counts.total()
    top = ", ".join(f"{shown_name(name)}: {count:,}" for name, count in _most(counts))
    return f"Skipped {n:,} {one if n == 1 else many} ({top})"


def _most(counts: Counter[str]) -> Iterator[tuple[str, int]]:
    """Return the ten largest counts, and the sum of the others."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    yield from ordered[:10]
    if len(ordered) > 10:
        yield "others", sum(n for _, n in ordered[10:])
