"""The lock that whoever writes the rows of a store holds."""

from __future__ import annotations

from contextlib import AbstractContextManager

from anybit.store.folders import Folder, Hold

__all__ = ["writer_lock"]

_LOCK = "_checksums/lock"


def writer_lock(folder: Folder, *, wait: bool = True) -> AbstractContextManager[Hold]:
    """Keep all writers of the store in a folder out, whatever state it is in.

    Parameters
    ----------
    folder : Folder
        Of the store; it must be there.
    wait : bool
        Wait for a writer that holds the lock.

    Raises
    ------
    BlockingIOError
        If another one holds the lock and this one does not wait.
    OSError
        If the folder cannot be written.
    """
    return folder.lock(_LOCK, wait=wait)
