"""A prefix of an object store (S3, or what speaks its protocol).

A PUT is whole or not at all, and durable when it returns: there is nothing to sync. Credentials
and endpoint come from the environment (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_SESSION_TOKEN``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``, ``AWS_ALLOW_HTTP``), or from the role
of the machine; Lance reads the same ones.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from anybit.store.folders.base import Checksum, Hold, checksum_of_parts
from anybit.store.folders.lease import Lease, reason_of
from anybit.store.folders.source_tree import files_below

__all__ = ["ObjectFolder"]

_RETRY: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=20)}
_N_PARALLEL = 16
_TIMEOUTS: Any = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=120)}


class ObjectFolder:
    """See `Folder`.

    Parameters
    ----------
    place : str
        Its URL, ``s3://bucket/prefix``.
    """

    max_age_s = 1.0

    def __init__(self, place: str) -> None:
        self.place = place
        _, _, rest = place.partition("://")
        self._bucket, _, self._prefix = rest.partition("/")

    def n_parallel(self, n_bytes: int | None = None) -> int:
        """Return how many requests to send at a time: most of it is waiting."""
        return _N_PARALLEL

    @cached_property
    def _store(self) -> S3Store:
        options: Any = {**_TIMEOUTS, "allow_http": os.environ.get("AWS_ALLOW_HTTP") == "true"}
        with _plain_errors(self.place):
            return S3Store(
                self._bucket, prefix=self._prefix, retry_config=_RETRY, client_options=options
            )

    def child(self, name: str) -> ObjectFolder:
        """Return the folder of that name below this one, there or not."""
        return ObjectFolder(f"{self.place}/{name}")

    def is_there(self) -> bool:
        """Tell whether any object lies below."""
        return bool(self.names())

    def names(self, below: str = "") -> list[str]:
        """Return the names of files and folders directly in a folder; none where it is missing."""
        with _plain_errors(self.place):
            found = obstore.list_with_delimiter(self._store, below or None)
        paths = [*found["common_prefixes"], *(one["path"] for one in found["objects"])]
        return [path.rstrip("/").rpartition("/")[2] for path in paths]

    def exists(self, name: str) -> bool:
        """Tell whether there is such an object."""
        return self.stamp_of(name) is not None

    def size_of(self, name: str) -> int:
        """Return the bytes of an object."""
        return int(self._head(name)["size"])

    def changed_at(self, name: str) -> datetime:
        """Return when a file, or any file of a folder, was last written; UTC, no time zone."""
        try:
            times = [self._head(name)["last_modified"]]
        except FileNotFoundError:
            times = [one["last_modified"] for one in self._all(name)]
        return max(times, default=datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)

    def stamp_of(self, name: str) -> Hashable | None:
        """Return what is another value when the file was replaced; None where it is missing."""
        try:
            facts = self._head(name)
        except FileNotFoundError:
            return None
        return facts["e_tag"], facts["last_modified"]

    def quiet_stamp_of(self, name: str) -> Hashable | None:
        """Return None: a prefix has no time of its own."""

    def total_bytes(self) -> int:
        """Return the bytes of all files below."""
        return sum(int(one["size"]) for one in self._all(""))

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with _plain_errors(f"{self.place}/{name}"):
            return bytes(obstore.get(self._store, name).bytes())

    def checksum_of(self, name: str) -> Checksum:
        """Read a file and return its checksum."""
        with _plain_errors(f"{self.place}/{name}"):
            parts = obstore.get(self._store, name).stream()
            return checksum_of_parts(bytes(part) for part in parts)

    def write(self, name: str, content: bytes) -> None:
        """Write a file: whole or not at all, durable."""
        with _plain_errors(f"{self.place}/{name}"):
            obstore.put(self._store, name, content)

    def take_in(self, source: Path, name: str) -> None:
        """Copy a folder of this machine to `name`; files that are there already stay."""
        files = files_below(source)
        if set(files) <= set(self.names(name)):
            return
        for file in files:
            self.write(f"{name}/{file}", (source / file).read_bytes())

    def settle(self, names: Iterable[str] = ()) -> None:
        """Do nothing: what is there survives."""

    def move(self, name: str, to: str) -> None:
        """Give a file another name: a copy, then a deletion."""
        with _plain_errors(f"{self.place}/{name}"):
            obstore.rename(self._store, name, to)

    def remove(self, names: Iterable[str]) -> None:
        """Delete files and folders with all that is in them; missing ones are no error."""
        paths = [path for name in names for path in (name, *self._paths_below(name))]
        with _plain_errors(self.place):
            if paths:
                obstore.delete(self._store, paths)

    def local_copy(self, name: str) -> Path:
        """Return a folder of this machine with the files of a folder that is never changed."""
        target = self.cache_file(name)
        if target.is_dir():
            return target
        paths = self._paths_below(name)
        draft = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=target.parent))
        try:
            for path in paths:
                file = draft / path.removeprefix(f"{name}/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self.read(path))
            if not paths:
                return target
            try:
                os.rename(draft, target)
            except OSError:  # another process was quicker
                if not target.is_dir():
                    raise
            return target
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def cache_file(self, name: str) -> Path:
        """Return where this machine keeps what can be made again: in the user's cache folder."""
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        key = hashlib.sha256(f"{endpoint} {self.place}".encode()).hexdigest()[:16]
        folder = base / "anybit" / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def lock(self, name: str, *, wait: bool = True) -> AbstractContextManager[Hold]:
        """Hold a lease on an object; others wait. It ends by itself when its holder dies.

        Without `wait`, BlockingIOError is raised where another one holds it, or died lately.
        """
        return Lease(self._store, name, f"{self.place}/{name}", wait=wait)

    def _head(self, name: str) -> Any:
        with _plain_errors(f"{self.place}/{name}"):
            return obstore.head(self._store, name)

    def _all(self, name: str) -> list[Any]:
        with _plain_errors(f"{self.place}/{name}"):
            return [one for some in obstore.list(self._store, name or None) for one in some]

    def _paths_below(self, name: str) -> list[str]:
        return [one["path"] for one in self._all(name)]


@contextmanager
def _plain_errors(place: str) -> Iterator[None]:
    """Turn the library's errors, which are pages long, into OSError."""
    try:
        yield
    except FileNotFoundError as cause:
        raise FileNotFoundError(f"{place} is not there") from cause
    except BaseError as cause:
        raise OSError(
            f"{place} cannot be used: {reason_of(cause)}. Check the AWS_* variables of the "
            "environment"
        ) from cause
