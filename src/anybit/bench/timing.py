"""Fair times: contenders in turns, the least of all rounds, one processor, one thread."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["ReadProbe", "Times", "in_turns", "on_one_processor"]

Work = Callable[[], object]


@dataclass(frozen=True)
class Times:
    """Seconds of one contender over all rounds."""

    least: float
    median: float


def in_turns(works: dict[str, Work], n_rounds: int) -> dict[str, Times]:
    """Run all contenders A B C A B C ..., after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(n_rounds):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: Times(min(own), float(np.median(own))) for name, own in seconds.items()}


class ReadProbe:
    """Reads memory from one end to the other, as fast as one thread of NumPy can.

    Parameters
    ----------
    n_bytes : int
    """

    def __init__(self, n_bytes: int = 64 * 2**20) -> None:
        self._words = np.ones(n_bytes // 8, dtype=np.int64)

    def __call__(self) -> object:
        """Read everything once."""
        return np.bitwise_or.reduce(self._words)

    def gb_per_s(self, times: Times) -> float:
        """Return the speed of the fastest round."""
        return round(self._words.nbytes / times.least / 1e9, 2)


@contextlib.contextmanager
def on_one_processor() -> Iterator[None]:
    """Stay on the processor that runs now, where the system allows it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
