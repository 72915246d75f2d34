"""What was wrong when something could not be written or read: told from errors of the system.

Libraries that write by themselves (Lance, FAISS) keep the system's error number or its reason in
the text only.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anybit.errors import AnybitError, OptionError

__all__ = ["access_error", "panics_as_errors", "write_errors"]

_AGAIN = "then run the same command again."
_CURES = {
    errno.ENOSPC: f"Free space, {_AGAIN}",
    errno.EDQUOT: f"Free space or raise the quota, {_AGAIN}",
    errno.EACCES: f"Change its permissions or its owner, {_AGAIN}",
    errno.EPERM: f"Change its permissions or its owner, {_AGAIN}",
    errno.EROFS: f"Mount the file system for writing, {_AGAIN}",
    errno.EFBIG: f"Raise the limit of the size of a file (ulimit -f), {_AGAIN}",
    errno.EMFILE: f"Raise the limit of open files (ulimit -n), {_AGAIN}",
    errno.ENFILE: f"Close other programs or raise the system's limit of open files, {_AGAIN}",
    errno.ENOENT: "Check the path; if a file of it was removed, restore that from a copy.",
    errno.ENOTDIR: "A folder above it is a file: choose another path.",
    errno.EEXIST: "Something else has this name: choose another path.",
    errno.ENAMETOOLONG: "Choose a shorter path.",
    errno.ENOLCK: f"Choose a file system that can lock files, {_AGAIN}",
    errno.EOPNOTSUPP: f"Choose a file system that can lock files, {_AGAIN}",
    errno.ENOMEM: f"Free memory, {_AGAIN}",
    errno.EIO: f"Check the disk, {_AGAIN}",
}
# Why something that may be sound cannot be read; after other errors it counts as damaged.
_NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_NUMBER = re.compile(r"\(os error (\d+)\)")
_OF_LANCE = re.compile(r"LanceError|Task was aborted|/rust/lance|Invalid user input")
_NOT_FOUND = re.compile(r"LanceError\(IO\).*Not found: ([^,]+)")


@contextmanager
def write_errors(place: Path | str) -> Iterator[None]:
    """Say what was wrong where a place cannot be written.

    Raises
    ------
    OptionError
        With the system's reason and its cure.
    AnybitError
        For a failure inside Lance, which has nothing to do with the place.
    """
    try:
        yield
    except AnybitError:
        raise
    except BaseException as cause:  # a panic of Lance is no Exception
        error = _error_of(place, cause)
        if error is None:
            raise
        raise error from cause


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Turn a panic of Lance, which is no `Exception`, into a RuntimeError.

    Lance 14 panics at some files that are cut off, where it raises a ValueError at most others.
    """
    try:
        yield
    except BaseException as cause:
        if not _is_panic(cause):
            raise
        raise RuntimeError(f"Lance panicked: {cause}") from cause


def _is_panic(cause: BaseException) -> bool:
    return type(cause).__name__ == "PanicException"


def access_error(place: Path | str, cause: BaseException) -> OptionError | None:
    """Return the error for what may not or cannot be opened now, though it may be sound.

    Parameters
    ----------
    place : Path or str
    cause : BaseException
        Of the system, or of Lance.

    Returns
    -------
    OptionError or None
        None where the cause is another one, such as a file that is missing or damaged.
    """
    number = _number_of(cause)
    if number not in _NO_ACCESS:
        return None
    reason, cure = f"{os.strerror(number)}{_file_of(cause)}", _CURES.get(number)
    return OptionError(f"{place} must be readable, got: {reason}. {cure or f'Mend this, {_AGAIN}'}")


def _error_of(place: Path | str, cause: BaseException) -> AnybitError | None:
    """Return the error to raise; None where neither the system nor Lance is the cause."""
    number, text = _number_of(cause), " ".join(str(cause).split())
    if number is not None:
        reason = f"{os.strerror(number)}{_file_of(cause)}"
        cure = _CURES.get(number, f"Mend this, {_AGAIN}")
        return OptionError(f"{place} must be writable, got: {reason}. {cure}")
    is_of_lance = _is_panic(cause) or _OF_LANCE.search(text) is not None
    if is_of_lance and not text.startswith("LanceError(IO)"):
        return AnybitError(
            f"{place} was not changed: Lance failed ({_short(text)}). This is a fault of anybit or "
            "of Lance, not of the disk or its permissions. Please report it with the command."
        )
    if isinstance(cause, OSError):
        return OptionError(
            f"{place} must be writable, got: {_short(text)}. Free space or change permissions, "
            f"{_AGAIN}"
        )
    return None


def _number_of(cause: BaseException) -> int | None:
    """Return the system's error number, from the error or from what Lance says."""
    if isinstance(cause, OSError) and cause.errno is not None:
        return cause.errno
    text = str(cause)
    if found := _NUMBER.search(text):
        return int(found[1])
    if isinstance(cause, OSError):
        for number in _CURES:
            if os.strerror(number) in text:
                return number
    return errno.ENOENT if _NOT_FOUND.search(text) else None


def _file_of(cause: BaseException) -> str:
    """Return the file that an error names, in brackets."""
    if missing := _NOT_FOUND.search(str(cause)):
        return f" ({missing[1]})"
    name = getattr(cause, "filename", None)
    return "" if name is None else f" ({os.fsdecode(name)})"


def _short(text: str) -> str:
    """Leave out the lines of Lance's source code."""
    return re.split(r", /", text)[0][:300].rstrip(".")
