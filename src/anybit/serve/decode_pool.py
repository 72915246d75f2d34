"""Images of strangers to pixels, in processes that are killed when they take too long."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from anybit.data import Preprocessor
from anybit.serve.decode_worker import read_frame, write_frame
from anybit.serve.errors import ServeError
from anybit.types import UInt8Array

__all__ = ["DecodeLimits", "DecodePool", "Decoded"]

_CURE = "Send a whole JPEG, PNG, WebP, GIF or BMP file, or a smaller one."
_START_S = 60.0


@dataclass(frozen=True)
class DecodeLimits:
    """What decoding one image may take.

    Parameters
    ----------
    max_pixels : int
    timeout_s : float
    memory_bytes : int
        Beside what the process needs without an image.
    """

    max_pixels: int
    timeout_s: float
    memory_bytes: int


@dataclass(frozen=True, eq=False)
class Decoded:
    """An image as network input.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), uint8
        Resized and cropped.
    thumbnail : bytes
        JPEG without metadata; empty if none was asked for.
    """

    pixels: UInt8Array
    thumbnail: bytes


class DecodePool:
    """Warm processes that decode one image each at a time.

    A process that takes too long, or dies, is replaced; nothing of it is left in the server. Each
    is started as a new program: forking a server with threads and open datasets is not safe.

    Parameters
    ----------
    n_workers : int
    limits : DecodeLimits
    on_restart : callable, optional
        Called when a process was killed or had died.
    """

    def __init__(
        self, n_workers: int, limits: DecodeLimits, on_restart: Callable[[], None] | None = None
    ) -> None:
        self._limits, self._on_restart = limits, on_restart
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers = [_Worker(limits) for _ in range(n_workers)]
        for worker in self._workers:
            self._idle.put(worker)
        self.n_workers = n_workers

    def start(self) -> None:
        """Start the processes and wait until they can work.

        Raises
        ------
        ServeError
            ``unavailable``, if one does not start.
        """
        for worker in self._workers:
            worker.launch()
        for worker in self._workers:
            worker.wait_ready()

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.kill()

    def decode(self, encoded: bytes, preprocessor: Preprocessor, thumbnail_px: int = 0) -> Decoded:
        """Decode one image; blocks, and is meant for a thread.

        Parameters
        ----------
        encoded : bytes
            The image file.
        preprocessor : Preprocessor
            Of the model.
        thumbnail_px : int
            Longer side of the thumbnail; 0 makes none.

        Raises
        ------
        ServeError
            ``unsupported_image``, ``too_large`` or ``timeout``, whatever is wrong with the image.
        """
        job = {
            "max_pixels": self._limits.max_pixels,
            "preprocessor": preprocessor.to_dict(),
            "thumbnail_px": thumbnail_px,
        }
        worker = self._idle.get()
        try:
            header, body = self._asked(worker, job, encoded)
        finally:
            self._idle.put(worker)
        if refused := header.get("refused"):
            raise ServeError(
                refused["code"],
                f"An image must be JPEG, PNG, WebP, GIF or BMP and whole; {refused['reason']}.",
                _CURE,
            )
        shape = tuple(header["shape"])
        n_bytes = int(np.prod(shape))
        pixels: UInt8Array = np.frombuffer(body[:n_bytes], dtype=np.uint8).reshape(shape)
        return Decoded(pixels, body[n_bytes:])

    def _asked(
        self, worker: _Worker, job: dict[str, Any], encoded: bytes
    ) -> tuple[dict[str, Any], bytes]:
        answered, is_late = worker.ask(job, encoded)
        if answered is None or answered[0].get("is_spent"):
            worker.kill()
            if self._on_restart is not None:
                self._on_restart()
        if answered is not None:
            return answered
        if is_late:
            raise ServeError(
                "timeout",
                f"An image must decode within {self._limits.timeout_s:g} s, this one did not.",
                _CURE,
                status=422,
            )
        raise ServeError(
            "unsupported_image", "An image must decode, this one made the decoder fail.", _CURE
        )


class _Worker:
    """One process; used by one thread at a time."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False

    def launch(self) -> None:
        """Start the process, if there is none."""
        if self._process is not None and self._process.poll() is None:
            return
        self.kill()
        # -P: nothing is imported from the folder that the server was started in.
        line = [sys.executable, "-P", "-m", "anybit.serve.decode_worker"]
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [*line, str(self._limits.memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # the keyboard's Ctrl-C lets running requests finish
            env={**os.environ, **one_thread},
        )
        self._is_ready = False

    def wait_ready(self) -> None:
        """Wait until the process takes jobs."""
        if self._is_ready:
            return
        answered, _ = self._guarded(_START_S, lambda: None)
        if answered is None:
            self.kill()
            raise ServeError(
                "unavailable", "A process that decodes images must start, it did not.",
                "Try again; if it stays so, look for memory limits of the server.",
            )  # fmt: skip
        self._is_ready = True

    def ask(
        self, job: dict[str, Any], encoded: bytes
    ) -> tuple[tuple[dict[str, Any], bytes] | None, bool]:
        """Return the answer, None if the process was killed or died; and whether it was late."""
        self.launch()
        self.wait_ready()
        process = self._process
        if process is None or process.stdin is None:
            return None, False
        jobs = process.stdin
        return self._guarded(self._limits.timeout_s, lambda: write_frame(jobs, job, encoded))

    def _guarded(
        self, timeout_s: float, send: Callable[[], None]
    ) -> tuple[tuple[dict[str, Any], bytes] | None, bool]:
        """Send a job and read the answer; the process is killed after a time."""
        process = self._process
        if process is None or process.stdout is None:
            return None, False
        start_s = time.monotonic()
        alarm = threading.Timer(timeout_s, process.kill)
        alarm.daemon = True
        alarm.start()
        try:
            send()
            answered = read_frame(process.stdout)
        except (OSError, ValueError):
            answered = None
        finally:
            alarm.cancel()
        return answered, answered is None and time.monotonic() - start_s >= timeout_s

    def kill(self) -> None:
        """End the process, if there is one."""
        process, self._process, self._is_ready = self._process, None, False
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # what could not be written any more
                    pass
