"""What a store and a collection ask of the place where their files lie."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

__all__ = ["Checksum", "Folder", "Hold", "checksum_of_parts"]


@dataclass(frozen=True)
class Checksum:
    """What a file must be.

    Parameters
    ----------
    size_bytes : int
    sha256 : str
        Hexadecimal.
    ids : tuple of int, optional
        Lowest and highest id of its rows, for messages: a damaged file is never read.
    """

    size_bytes: int
    sha256: str
    ids: tuple[int, ...] | None = None


def checksum_of_parts(parts: Iterable[bytes]) -> Checksum:
    """Return the checksum of a content that comes in parts; about 1.5 GB/s on one core."""
    digest, size_bytes = hashlib.sha256(), 0
    for part in parts:
        digest.update(part)
        size_bytes += len(part)
    return Checksum(size_bytes, digest.hexdigest())


class Hold(Protocol):
    """A lock while it is held."""

    def check(self) -> None:
        """Raise OSError if another process may hold the lock by now."""


class Folder(Protocol):
    """A folder of files. Names are relative to it, with slashes.

    What cannot be done raises OSError; FileNotFoundError where the file is missing.
    """

    @property
    def place(self) -> Path | str:
        """The path, or the URL: for messages, and what users see."""

    def n_parallel(self, n_bytes: int | None = None) -> int:
        """Return how many files to read at a time, of `n_bytes` in all; None where unknown."""

    @property
    def max_age_s(self) -> float:
        """How old, in seconds, what is known of other processes' writing may be when searching."""

    def child(self, name: str) -> Folder:
        """Return the folder of that name below this one, there or not."""

    def is_there(self) -> bool:
        """Tell whether the folder exists."""

    def names(self, below: str = "") -> list[str]:
        """Return the names of files and folders directly in a folder; none where it is missing."""

    def exists(self, name: str) -> bool:
        """Tell whether there is such a file."""

    def size_of(self, name: str) -> int:
        """Return the bytes of a file."""

    def changed_at(self, name: str) -> datetime:
        """Return when a file, or any file of a folder, was last written; UTC, no time zone."""

    def stamp_of(self, name: str) -> Hashable | None:
        """Return what is another value when the file was replaced; None where it is missing."""

    def quiet_stamp_of(self, name: str) -> Hashable | None:
        """Return what is another value when a name in a folder came or went.

        None where the place cannot tell, or where one came or went within the last tenth of a
        second: the clock of a file system may stand still for some milliseconds.
        """

    def total_bytes(self) -> int:
        """Return the bytes of all files below."""

    def read(self, name: str) -> bytes:
        """Return the content of a file."""

    def checksum_of(self, name: str) -> Checksum:
        """Read a file and return its checksum."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file: whole or not at all, and it survives a power cut."""

    def take_in(self, source: Path, name: str) -> None:
        """Copy a folder of this machine to `name`; it survives a power cut.

        A folder that is there with the same files stays; one that is incomplete is replaced. Links
        that lead out of the folder raise DataError, see `files_below`.
        """

    def settle(self, names: Iterable[str] = ()) -> None:
        """Wait until files that others wrote survive a power cut; without names, this folder."""

    def move(self, name: str, to: str) -> None:
        """Give a file another name; durable."""

    def remove(self, names: Iterable[str]) -> None:
        """Delete files and folders with all that is in them; missing ones are no error.

        On a disk a folder is gone at once: none is left with some of its files.
        """

    def local_copy(self, name: str) -> Path:
        """Return a folder of this machine with the files of a folder that is never changed."""

    def cache_file(self, name: str) -> Path:
        """Return where this machine keeps what can be made again, `name` is never used twice."""

    def lock(self, name: str, *, wait: bool = True) -> AbstractContextManager[Hold]:
        """Hold a lock file; others wait. It frees itself when its holder dies.

        Without `wait`, BlockingIOError is raised where another one holds it.
        """
