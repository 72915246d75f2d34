"""The lock of whoever replaces the model of a collection, or the whole collection."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from anybit.codes import write_errors
from anybit.collection.manifest import read_manifest
from anybit.errors import FormatError, OptionError
from anybit.store import Folder, Hold, writer_lock

__all__ = ["REPLACEMENT_LOCK", "locked_for_overwriting", "replacement_lock"]

_LOG = logging.getLogger(__name__)
REPLACEMENT_LOCK = "replacement.lock"


@contextmanager
def replacement_lock(folder: Folder) -> Iterator[Hold]:
    """Be the only process that gives a collection another model or removes replaced folders.

    It is held for the whole of a migration and ends with the process. The locks of the stores are
    others: rows are added and searched meanwhile.

    Raises
    ------
    OptionError
        If the collection cannot be written.
    """
    with ExitStack() as stack:
        with write_errors(folder.place):
            try:
                hold = stack.enter_context(folder.lock(REPLACEMENT_LOCK, wait=False))
            except BlockingIOError:
                _LOG.warning("%s is getting a model from another process: waiting", folder.place)
                hold = stack.enter_context(folder.lock(REPLACEMENT_LOCK))
        yield hold


@contextmanager
def locked_for_overwriting(folder: Folder) -> Iterator[list[Hold]]:
    """Keep out whoever writes to a collection or migrates it, while another one takes its place.

    Raises
    ------
    OptionError
        If another process does so now.
    """
    holds = []
    with ExitStack() as locks:
        try:
            holds.append(locks.enter_context(folder.lock(REPLACEMENT_LOCK, wait=False)))
            with suppress(FormatError):  # a damaged collection can be replaced
                items = folder.child(read_manifest(folder).items)
                if items.is_there():
                    holds.append(locks.enter_context(writer_lock(items, wait=False)))
        except BlockingIOError as cause:
            raise OptionError(
                f"{folder.place} must not be in use while it is replaced, got one that another "
                "process writes to or gives another model. Run the same command again when that "
                "has ended."
            ) from cause
        yield holds
