"""Progress with rate and time left: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from anybit.types import ProgressCallback

__all__ = ["ProgressLines", "progress_on"]

_SECONDS_BETWEEN_LINES = 5.0


class ProgressLines:
    """Progress as lines of text, for log files and pipes.

    The first call sets the mark from which the rate is counted, so that work that was resumed
    does not claim the speed of what it found done.

    Parameters
    ----------
    stream : text file
        Where the lines go.
    what : str
        Name of the work.
    clock : callable
        Seconds, for tests.
    """

    def __init__(
        self, stream: TextIO, what: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._what = what
        self._clock = clock
        self._start_s = clock()
        self._first_done: int | None = None
        self._last_line_s = self._start_s

    def __call__(self, done: int, total: int | None) -> None:
        """Note that `done` of `total` items are done; write a line when one is due."""
        now_s = self._clock()
        if self._first_done is None:
            self._first_done = 0 if done <= 0 else done
            self._start_s = now_s if done > 0 else self._start_s
        is_last = total is not None and done >= total
        if is_last or now_s - self._last_line_s >= _SECONDS_BETWEEN_LINES:
            self._last_line_s = now_s
            self._stream.write(self._line(done, total, now_s - self._start_s) + "\n")
            self._stream.flush()

    def _line(self, done: int, total: int | None, elapsed_s: float) -> str:
        """Say how far the work is, how fast it goes and when it will be done."""
        text = f"{self._what}: {done:,}" + ("" if total is None else f" of {total:,}")
        n_new = done - (self._first_done or 0)
        if n_new <= 0 or elapsed_s <= 0:
            return text
        rate = n_new / elapsed_s
        text += f", {rate:,.0f}/s" if rate >= 10 else f", {rate:.2g}/s"
        if total is not None and done < total:
            text += f", {duration((total - done) / rate)} left"
        return text


def duration(seconds: float) -> str:
    """Write seconds as people do: 42 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@contextmanager
def progress_on(stream: TextIO, what: str) -> Iterator[ProgressCallback]:
    """Give a progress callback that writes to `stream` for as long as the work lasts."""
    if not stream.isatty():
        yield ProgressLines(stream, what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    rate = TextColumn("{task.fields[rate]}")
    with Progress(*columns, rate, Left(), console=Console(file=stream)) as bar:
        task = bar.add_task(what, total=None, rate="")

        def update(done: int, total: int | None) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield update
