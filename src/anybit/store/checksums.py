"""Our own checksums of a dataset's files: Lance reads a flipped bit back without a word.

Lance never changes a file that it has written. So every file is recorded once, before the version
that it belongs to is acknowledged, and compared when it is first used. The folder ``_checksums``
holds one JSON file a commit, until some are merged: then files that only earlier versions use go to
records of their own, which are read only when such a file is needed
(docs/collection-format.md).
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from anybit.codes import access_error
from anybit.store.folders import Checksum, Folder

__all__ = ["ChecksumLog", "Damage"]

_T = TypeVar("_T")
_FOLDER, _FORMAT, _VERSION = "_checksums", "anybit-checksums", 1
_RECORD, _PAST = ".json", ".past.json"  # a past record is one too: earlier releases read both


@dataclass(frozen=True)
class Damage:
    """A file that is not what was written.

    Parameters
    ----------
    path : str
        Relative to the dataset.
    reason : str
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


class ChecksumLog:
    """The recorded checksums of one dataset.

    Parameters
    ----------
    dataset : Folder
        The one that Lance writes.
    """

    def __init__(self, dataset: Folder) -> None:
        self._dataset = dataset
        self._known: dict[str, Checksum] = {}
        self._past: dict[str, Checksum] = {}  # of past records, once they are read
        self._reads_past = False
        self._read: set[str] = set()
        self._intact: set[str] = set()  # compared once by this object
        self.damages: list[Damage] = []  # of the records themselves, as far as they were read

    @property
    def exists(self) -> bool:
        """Whether there are records: stores of format version 1 start without."""
        return bool(self._known or self._past or self.damages)

    def __contains__(self, path: str) -> bool:
        return self._checksum(path) is not None

    def _checksum(self, path: str) -> Checksum | None:
        """Return what is recorded of a file; past records are read where the others lack it."""
        found = self._known.get(path)
        if found is None and not self._reads_past:
            self.refresh(whole=True)
            found = self._known.get(path)
        return self._past.get(path) if found is None else found

    @property
    def n_records(self) -> int:
        """How many files the records are in, without past ones, as far as they were read."""
        return len(self._read) - self.n_past_records

    @property
    def n_past_records(self) -> int:
        """How many files past records are in, as far as they were read."""
        return sum(name.endswith(_PAST) for name in self._read)

    @property
    def newest_manifests(self) -> list[str]:
        """Recorded manifests, at least that of the newest acknowledged version."""
        return [path for path in self._known if path.startswith("_versions/")]

    def refresh(self, *, whole: bool = False) -> None:
        """Read the records that were written since the last time.

        Past ones only when `whole`, or when they were needed before, or when there are no others.
        """
        self._reads_past = self._reads_past or whole
        while not self._has_read_all():
            continue
        if not self._reads_past and not self._known:
            self.refresh(whole=True)

    def _has_read_all(self) -> bool:
        """Read further records; tell whether none was merged into another one meanwhile."""
        listed = sorted(self._dataset.names(_FOLDER))
        names = [
            one
            for one in listed
            if one.endswith(_RECORD)
            and one not in self._read
            and (self._reads_past or not one.endswith(_PAST))
        ]
        if not names:
            return True
        contents = self._mapped(self._content_of, names, 0)  # they are small
        for name, content in zip(names, contents, strict=True):
            if content is None:
                continue
            self._read.add(name)
            files = _files_of(content)
            if files is None:
                self.damages.append(Damage(f"{_FOLDER}/{name}", "is damaged"))
            else:
                (self._past if name.endswith(_PAST) else self._known).update(files)
        return None not in contents

    def _content_of(self, name: str) -> bytes | None:
        try:
            return self._dataset.read(f"{_FOLDER}/{name}")
        except FileNotFoundError:  # merged with others meanwhile, see `compact`
            return None

    def ids_of(self, path: str) -> tuple[int, ...] | None:
        """Return the lowest and the highest id in a data file, where they were recorded."""
        known = self._checksum(path)
        return None if known is None else known.ids

    def record(self, paths: Iterable[str], ids: tuple[int, ...] | None = None) -> None:
        """Bring files that are not known to the disk, and remember their checksums."""
        fresh = sorted({path for path in paths if path not in self})
        if not fresh:
            return
        self._dataset.settle(fresh)
        found = dict(zip(fresh, self._mapped(self._dataset.checksum_of, fresh), strict=True))
        if ids is not None:
            found = {
                path: replace(one, ids=ids) if path.startswith("data/") else one
                for path, one in found.items()
            }
        self._write(found)
        self._known.update(found)
        self._intact.update(fresh)

    def _write(self, files: dict[str, Checksum], suffix: str = _RECORD) -> None:
        self._dataset.settle()  # the folder of the records may be new
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}{suffix}"
        self._dataset.write(f"{_FOLDER}/{name}", _content_of(files))
        self._read.add(name)

    def compact(self, newest: Iterable[str], *, whole: bool) -> None:
        """Merge records into one of the newest version's files, and a past one of all others.

        Parameters
        ----------
        newest : iterable of str
            All files of the newest version.
        whole : bool
            Merge past records too, and leave out files that are gone.
        """
        self.refresh(whole=whole)
        drafts = [one for one in self._dataset.names(_FOLDER) if one.startswith(".")]
        self._dataset.remove(f"{_FOLDER}/{one}" for one in drafts)  # of writers that were killed
        merged = {name for name in self._read if whole or not name.endswith(_PAST)}
        if len(merged) < 2:
            return
        files = {**self._past, **self._known} if whole else self._known
        if whole:
            folders = sorted({path.rpartition("/")[0] for path in files})
            listed = {f"{one}/{name}" for one in folders for name in self._dataset.names(one)}
            files = {path: known for path, known in files.items() if path in listed}
        wanted = set(newest)
        known = {path: one for path, one in files.items() if path in wanted}
        past = {path: one for path, one in files.items() if path not in wanted}
        if past:  # first: until the old records are gone, both have it
            self._write(past, _PAST)
        self._write(known)
        self._dataset.remove(f"{_FOLDER}/{name}" for name in merged)
        self._read -= merged
        self._known, self._past = known, past if whole else {**self._past, **past}
        if whole:
            self._intact &= files.keys()

    def damages_of(self, paths: Iterable[str], *, again: bool = False) -> list[Damage]:
        """Compare files with their records; those already compared only when asked `again`."""
        wanted = sorted({path for path in paths if again or path not in self._intact})
        if not wanted:
            return []
        n_bytes = sum(known.size_bytes for known in map(self._checksum, wanted) if known)
        found = self._mapped(self._damage_of, wanted, n_bytes)
        damages = [damage for damage in found if damage is not None]
        self._intact.update(set(wanted) - {damage.path for damage in damages})
        return damages

    def _mapped(
        self, work: Callable[[str], _T], names: list[str], n_bytes: int | None = None
    ) -> list[_T]:
        """Do something for each of some files, a share of them in each thread.

        Files are often small: handing them over one by one takes longer than reading them.
        """
        n_threads = min(len(names), self._dataset.n_parallel(n_bytes))
        if n_threads == 1:  # the usual case when writing
            return [work(one) for one in names]
        shares = [names[start::n_threads] for start in range(n_threads)]
        with ThreadPoolExecutor(n_threads) as pool:
            done = list(pool.map(lambda share: [work(one) for one in share], shares))
        return [done[at % n_threads][at // n_threads] for at in range(len(names))]

    def _damage_of(self, path: str) -> Damage | None:
        known = self._checksum(path)
        if known is None:
            return Damage(path, "has no checksum")
        try:
            size_bytes = self._dataset.size_of(path)
            if size_bytes != known.size_bytes:
                return Damage(path, f"must have {known.size_bytes} bytes, got {size_bytes}")
            if self._dataset.checksum_of(path).sha256 != known.sha256:
                return Damage(path, "is not what was written (its checksum differs)")
        except FileNotFoundError:
            return Damage(path, "is missing")
        except OSError as cause:
            if (no_access := access_error(self._dataset.place, cause)) is not None:
                raise no_access from cause
            return Damage(path, f"cannot be read ({cause.strerror or cause})")
        return None


def _content_of(files: dict[str, Checksum]) -> bytes:
    body = {
        path: {"size_bytes": one.size_bytes, "sha256": one.sha256, "ids": one.ids}
        for path, one in files.items()
    }
    listed = json.dumps(body, sort_keys=True)
    own = hashlib.sha256(listed.encode()).hexdigest()
    content = {"format": _FORMAT, "format_version": _VERSION, "files": body, "sha256": own}
    return json.dumps(content, sort_keys=True).encode()


def _files_of(content: bytes) -> dict[str, Checksum] | None:
    """Return what a record holds, or None where it is damaged."""
    try:
        record = json.loads(content)
        body = record["files"]
        listed = json.dumps(body, sort_keys=True)
        if record["format"] != _FORMAT or record["format_version"] != _VERSION:
            return None
        if hashlib.sha256(listed.encode()).hexdigest() != record["sha256"]:
            return None
        return {
            path: Checksum(
                one["size_bytes"], one["sha256"], tuple(one["ids"]) if one.get("ids") else None
            )
            for path, one in body.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
