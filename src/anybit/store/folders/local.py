"""A folder of this machine."""

from __future__ import annotations

import fcntl
import filecmp
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from anybit.codes import replace_file
from anybit.store.folders.base import Checksum, Hold, checksum_of_parts
from anybit.store.folders.source_tree import files_below

__all__ = ["REMOVED_PREFIX", "LocalFolder", "sync_folder", "sync_tree"]

# Of folders that are being removed; what a killed process has left is removed by `compact`.
REMOVED_PREFIX = ".removed-"

_CHUNK_BYTES = 1 << 20
_FEW_BYTES = 1 << 20
_QUIET_NS = 100_000_000


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

    def n_parallel(self, n_bytes: int | None = None) -> int:
        """Return one file a processor: comparing is hashing.

        It takes longer to start a thread than to read a few kilobytes.
        """
        return 1 if n_bytes is not None and n_bytes < _FEW_BYTES else os.cpu_count() or 1

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
        """Return when a file, or any file of a folder, was last written; UTC, no time zone."""
        path = self.place / name
        facts = [path.stat(), *_facts_below(path)]
        seconds = max(one.st_mtime for one in facts)
        return datetime.fromtimestamp(seconds, tz=UTC).replace(tzinfo=None)

    def stamp_of(self, name: str) -> Hashable | None:
        """Return what is another value when the file was replaced; None where it is missing."""
        try:
            facts = (self.place / name).stat()
        except OSError:
            return None
        return facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size

    def quiet_stamp_of(self, name: str) -> Hashable | None:
        """Return what is another value when a name in a folder came or went, see `Folder`."""
        try:
            facts = (self.place / name).stat()
        except OSError:
            return None
        is_quiet = time.time_ns() - facts.st_mtime_ns > _QUIET_NS
        return (facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns) if is_quiet else None

    def total_bytes(self) -> int:
        """Return the bytes of all files below."""
        return sum(one.st_size for one in _facts_below(self.place) if stat.S_ISREG(one.st_mode))

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
        _make_folder(path.parent)
        replace_file(path, content)

    def take_in(self, source: Path, name: str) -> None:
        """Copy a folder of this machine to `name`; it survives a power cut.

        A folder that is there with the same files stays; one that is incomplete is replaced.
        """
        files = files_below(source)
        if _have_same_files(source, self.place / name):
            return
        draft = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=self.place))
        try:
            for file in files:
                (draft / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / file, draft / file)
            draft.chmod(0o755)
            sync_tree(draft)
            self.remove([name])
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
        """Delete files and folders with all that is in them; missing ones are no error.

        A folder gets a hidden name first: a process that is killed leaves no half of it behind.
        """
        for path in [self.place / name for name in names]:
            if path.is_dir() and not path.is_symlink():
                gone = Path(tempfile.mkdtemp(prefix=REMOVED_PREFIX, dir=path.parent))
                os.replace(path, gone)
                shutil.rmtree(gone, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def local_copy(self, name: str) -> Path:
        """Return a folder of this machine with the files of a folder: itself."""
        return self.place / name

    def cache_file(self, name: str) -> Path:
        """Return where what can be made again is kept: beside the rest."""
        return self.place / name

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[Hold]:
        """Hold a lock file; other processes and threads wait. The system frees it when we die.

        Without `wait`, BlockingIOError is raised where another one holds it.
        """
        path = self.place / name
        while True:
            _make_folder(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                # The folder may have been replaced while we waited, and its lock with it.
                if _is_at(descriptor, path):
                    yield _Flock()
                    return
            finally:
                os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _make_folder(path: Path) -> None:
    """Make a folder unless it is there; its name survives a power cut."""
    try:
        path.mkdir()
    except FileExistsError:
        return
    sync_folder(path.parent)


def _facts_below(folder: Path) -> Iterator[os.stat_result]:
    """Yield what the system knows of all files and folders below; those removed meanwhile not."""
    for root, names, files in os.walk(folder):
        for name in (*names, *files):
            try:
                yield os.stat(os.path.join(root, name))
            except FileNotFoundError:
                continue


def _have_same_files(source: Path, target: Path) -> bool:
    """Tell whether a folder holds the files of another one, by content."""
    files = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    try:
        return target.is_dir() and all(
            filecmp.cmp(source / one, target / one, shallow=False) for one in files
        )
    except OSError:
        return False


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
