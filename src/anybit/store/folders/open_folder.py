"""Which kind of folder a path or URL means."""

from __future__ import annotations

from pathlib import Path

from anybit.errors import DependencyError, OptionError
from anybit.store.folders.base import Folder
from anybit.store.folders.local import LocalFolder

__all__ = ["open_folder"]


def open_folder(place: str | Path) -> Folder:
    """Return the folder at a path or at an ``s3://bucket/prefix`` URL; nothing is read yet.

    Raises
    ------
    OptionError
        If the URL is of another kind, or incomplete.
    DependencyError
        If the library for object stores is missing.
    """
    if isinstance(place, Path) or "://" not in place:
        return LocalFolder(Path(place))
    url = str(place).rstrip("/")
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket or not prefix:
        raise OptionError(f"a URL must be s3://BUCKET/NAME, got {place}.")
    try:
        from anybit.store.folders.object_store import ObjectFolder
    except ImportError as cause:
        raise DependencyError(
            f"{url} needs obstore: {cause}. Run `pip install anybit[s3]`."
        ) from cause
    return ObjectFolder(url)
