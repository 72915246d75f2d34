"""A lock on an object store, by conditional writes.

The holder writes a new content every few seconds. Whoever waits and sees the same content for as
long as a lease lasts, by its own clock, takes the lock over: no clocks are compared. S3 refuses a
conditional write when the object has changed meanwhile, so that only one can take it.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
import uuid
from types import TracebackType
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

__all__ = ["LEASE_S", "Lease", "reason_of"]

LEASE_S = 30.0
_RENEWALS = 3  # in the time of a lease
_LOST = (AlreadyExistsError, PreconditionError, FileNotFoundError)


def reason_of(cause: BaseError) -> str:
    """Return what an object store had to say, without the pages around it."""
    text = str(cause)
    code = re.search("<Code>(.*?)</Code>", text)
    first = text.split("\n", 1)[0].split(": <?xml", 1)[0]
    return f"{first} ({code.group(1)})" if code else first


class Lease:
    """Hold a lock object for the time of a ``with`` block.

    Parameters
    ----------
    store : object store of obstore
    name : str
        Of the object.
    place : str
        Its URL, for messages.
    lease_s : float, optional
        How long after its last sign of life a holder counts as dead; `LEASE_S` when left out.
    wait : bool
        Wait while another one holds the lock.
    """

    def __init__(
        self,
        store: Any,
        name: str,
        place: str,
        lease_s: float | None = None,
        *,
        wait: bool = True,
    ) -> None:
        self._store, self._name, self._place = store, name, place
        self._lease_s = LEASE_S if lease_s is None else lease_s
        self._wait = wait
        self._owner = uuid.uuid4().hex
        self._tag: str | None = None
        self._renewed_s = 0.0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Lease:
        """Wait for the lock.

        Raises
        ------
        BlockingIOError
            If another one holds it and this one does not wait.
        OSError
            If the object store cannot be reached or written.
        """
        seen, since_s, pause_s = "", time.monotonic(), 0.02
        try:
            while True:
                found, is_held = self._look()
                if found != seen:
                    seen, since_s = found, time.monotonic()
                is_dead = time.monotonic() - since_s > self._lease_s
                if (not is_held or is_dead) and self._take(found):
                    break
                if not self._wait:
                    raise BlockingIOError(f"{self._place} is held by another process")
                time.sleep(pause_s * random.uniform(0.5, 1.5))
                pause_s = min(1.5 * pause_s, 0.5)
        except BaseError as cause:
            raise OSError(f"{self._place} cannot be written: {reason_of(cause)}") from cause
        self._ended.clear()
        self._thread = threading.Thread(target=self._keep, name="anybit-lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the lock go; where that fails, it ends by itself."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        try:
            self._put(is_held=False)
        except (BaseError, FileNotFoundError):
            return

    def check(self) -> None:
        """Raise OSError if the lease may have passed to another process."""
        if time.monotonic() - self._renewed_s > self._lease_s / 2:
            raise OSError(
                f"{self._place}: the lock was not kept for {self._lease_s / 2:g} s (the process "
                "was stopped, or the network was down); another process may write now"
            )

    def _look(self) -> tuple[str, bool]:
        """Return the tag of the object, empty without one, and whether it is held."""
        try:
            found = obstore.get(self._store, self._name)
        except FileNotFoundError:
            return "", False
        try:
            is_held = bool(json.loads(bytes(found.bytes()))["is_held"])
        except (ValueError, TypeError, KeyError):
            is_held = True  # not ours: taken over when it does not change
        return str(found.meta["e_tag"]), is_held

    def _take(self, tag: str) -> bool:
        self._tag = tag
        try:
            self._put(is_held=True)
        except _LOST:
            return False
        return True

    def _put(self, *, is_held: bool) -> None:
        began_s = time.monotonic()
        content = {"owner": self._owner, "is_held": is_held, "number": uuid.uuid4().hex}
        mode: Any = {"e_tag": self._tag} if self._tag else "create"
        made = obstore.put(
            self._store, self._name, json.dumps(content).encode(), mode=mode, use_multipart=False
        )
        self._tag, self._renewed_s = made["e_tag"], began_s

    def _keep(self) -> None:
        """Renew the lease until it is let go or lost."""
        while not self._ended.wait(self._lease_s / _RENEWALS):
            try:
                self._put(is_held=True)
            except _LOST:
                self._renewed_s = float("-inf")
                return
            except BaseError:
                continue  # tried again; `check` tells when it took too long
