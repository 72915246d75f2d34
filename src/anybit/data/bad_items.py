"""The list of items that could not be used, so that nothing is dropped silently."""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from anybit.codes import write_errors
from anybit.data.path_text import shown_name
from anybit.errors import DataError, OptionError

__all__ = ["BadItem", "BadItems"]


@dataclass(frozen=True)
class BadItem:
    """One item that could not be used.

    Parameters
    ----------
    position : int or None
        Its position in the source; None for what is no item of the source: a folder that cannot
        be opened, or a picture in a format that cannot be read.
    key : str
        Its name for a person: a relative path, a given id or the row number.
    reason : str
        Why it could not be used.
    """

    position: int | None
    key: str
    reason: str


class BadItems:
    """Collects items that could not be used; safe to use from several threads.

    Examples
    --------
    >>> bad = BadItems()
    >>> bad.add(7, "cat/7.jpg", "image file is truncated")
    >>> len(bad), bad.check(n_total=1000, max_bad=0.01)
    (1, None)
    """

    def __init__(self) -> None:
        self._items: dict[int, BadItem] = {}
        self._others: dict[str, BadItem] = {}
        self._lock = threading.Lock()

    def add(self, position: int, key: str, reason: str) -> None:
        """Note one item; the same position noted again replaces its reason."""
        with self._lock:
            self._items[position] = BadItem(position, shown_name(key), _one_line(reason))

    def add_unlisted(self, items: Iterable[BadItem]) -> None:
        """Note what is no item of the source: its `Source.unusable`."""
        with self._lock:
            for one in items:
                key = shown_name(one.key)
                self._others[key] = BadItem(None, key, _one_line(one.reason))

    def __len__(self) -> int:
        return len(self._items) + len(self._others)

    def __iter__(self) -> Iterator[BadItem]:
        """Iterate by position; what has none comes last, by key."""
        with self._lock:
            items = [self._items[position] for position in sorted(self._items)]
            items += [self._others[key] for key in sorted(self._others)]
        return iter(items)

    def check(self, n_total: int, max_bad: float) -> None:
        """Raise when more than the share `max_bad` of `n_total` items are bad.

        What is no item of the source (`add_unlisted`) is listed but does not count here.

        Raises
        ------
        DataError
            If more than ``max_bad * n_total`` items are bad; names the first of them.
        OptionError
            If `max_bad` is not from 0 to 1.
        """
        if not 0 <= max_bad <= 1:
            raise OptionError(f"max_bad must be a share from 0 to 1, got {max_bad}.")
        n_bad = len(self._items)
        if n_bad <= max_bad * n_total:
            return
        first = next(iter(self))
        raise DataError(
            f"at most {max_bad:.2%} of the items may be unusable, got {n_bad} of {n_total} "
            f"({n_bad / max(n_total, 1):.2%}); the first: {first.key}: {first.reason} "
            "Repair or remove them, or raise max_bad (--max-bad)."
        )

    def to_csv(self) -> bytes:
        """Return the list as CSV with the columns position (empty for None), key, reason."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(["position", "key", "reason"])
        writer.writerows([item.position, item.key, item.reason] for item in self)
        return text.getvalue().encode("utf-8", errors="backslashreplace")

    def write(self, path: str | Path) -> Path:
        """Write the list as CSV (see `to_csv`); return its path.

        Raises
        ------
        OptionError
            If it cannot be written.
        """
        path = Path(path)
        draft = path.with_name(path.name + ".part")
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(self.to_csv())
            os.replace(draft, path)
        return path


def _one_line(reason: str) -> str:
    """Return a reason in one line, without control characters."""
    return shown_name(" ".join(reason.split()))
