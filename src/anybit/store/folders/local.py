"""A folder of this machine."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from anybit.codes import replace_file
from anybit.store.folders.base import Checksum, Hold, checksum_of_parts

__all__ = ["LocalFolder", "sync_folder", "sync_tree"]

_CHUNK_BYTES = 1 << 20


class _Flock:
    """The system keeps the lock until we let go or die."""

    def check(self) -> None:
        """Do nothing: nobody can take the lock away."""


@dataclass(frozen=True)
class LocalFolder:
    """See `Folder`; Lance and users see the same path.

    Parameters
    ----------
    place : Path
    """

    place: Path
    max_age_s: float = 0.0

    @property
    def n_parallel(self) -> int:
        """One file a processor: comparing is hashing."""
        return os.cpu_count() or 1

    def child(self, name: str) -> LocalFolder:
        """Return the folder of that name below this one, there or not."""
        return LocalFolder(self.place / name)

    def is_there(self) -> bool:
        """Tell whether the folder exists."""
        return self.place.is_dir()

    def names(self, below: str = "") -> list[str]:
        """Return the names of files and folders directly in a folder; none where it is missing."""
        try:
            return os.listdir(self.place / below)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, name: str) -> bool:
        """Tell whether there is such a file."""
        return (self.place / name).is_file()

    def size_of(self, name: str) -> int:
        """Return the bytes of a file."""
        return (self.place / name).stat().st_size

    def changed_at(self, name: str) -> datetime:
        """Return when a file was last written, or the names in a folder changed."""
        seconds = (self.place / name).stat().st_mtime
        return datetime.fromtimestamp(seconds, tz=UTC).replace(tzinfo=None)

    def stamp_of(self, name: str) -> Hashable | None:
        """Return what is another value when the file was replaced; None where it is missing."""
        try:
            facts = (self.place / name).stat()
        except OSError:
            return None
        return facts.st_ino, facts.st_mtime_ns

    def total_bytes(self) -> int:
        """Return the bytes of all files below."""
        total = 0
        for path in self.place.rglob("*"):
            try:
                total += path.stat().st_size if path.is_file() else 0
            except FileNotFoundError:  # removed meanwhile
                continue
        return total

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.place / name).read_bytes()

    def checksum_of(self, name: str) -> Checksum:
        """Read a file and return its checksum."""
        with (self.place / name).open("rb") as file:
            return checksum_of_parts(iter(lambda: file.read(_CHUNK_BYTES), b""))

    def write(self, name: str, content: bytes) -> None:
        """Write a file: whole or not at all, and it survives a power cut."""
        path = self.place / name
        path.parent.mkdir(exist_ok=True)
        replace_file(path, content)

    def take_in(self, source: Path, name: str) -> None:
        """Copy a folder of this machine to `name`, unless it is there; it survives a power cut."""
        if (self.place / name).exists():
            return
        draft = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=self.place))
        try:
            shutil.copytree(source, draft, dirs_exist_ok=True)
            draft.chmod(0o755)
            sync_tree(draft)
            os.rename(draft, self.place / name)
            sync_folder(self.place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def settle(self, names: Iterable[str] = ()) -> None:
        """Wait until files that others wrote survive a power cut; without names, this folder."""
        paths = [self.place / name for name in names]
        for path in paths:
            _sync(path, os.O_RDONLY)
        for folder in sorted({path.parent for path in paths} or {self.place, self.place.parent}):
            sync_folder(folder)

    def move(self, name: str, to: str) -> None:
        """Give a file another name; durable."""
        os.replace(self.place / name, self.place / to)
        for folder in sorted({(self.place / name).parent, (self.place / to).parent}):
            sync_folder(folder)

    def remove(self, names: Iterable[str]) -> None:
        """Delete files and folders with all that is in them; missing ones are no error."""
        for path in [self.place / name for name in names]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def local_copy(self, name: str) -> Path:
        """Return a folder of this machine with the files of a folder: itself."""
        return self.place / name

    def cache_file(self, name: str) -> Path:
        """Return where what can be made again is kept: beside the rest."""
        return self.place / name

    @contextmanager
    def lock(self, name: str) -> Iterator[Hold]:
        """Hold a lock file; other processes and threads wait. The system frees it when we die."""
        path = self.place / name
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield _Flock()
        finally:
            os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def sync_tree(folder: Path) -> None:
    """Wait until all files and folders below a folder are on the disk."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            sync_folder(path)
        else:
            _sync(path, os.O_RDONLY)
    sync_folder(folder)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
