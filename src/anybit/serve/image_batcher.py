"""Query images of several requests in one forward pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from anybit.collection import Encoder
from anybit.types import Float32Array, UInt8Array

__all__ = ["ImageBatcher", "encode_pixels"]


def encode_pixels(encoder: Encoder, pixels: UInt8Array) -> Float32Array:
    """Return the features (B, D) of decoded images (B, H, W, 3)."""
    if encoder.preprocessor is None:
        return np.empty((0, encoder.codebooks.dim), dtype=np.float32)
    features: Float32Array = encoder.features(encoder.preprocessor.normalise(pixels))
    return features


@dataclass(frozen=True, eq=False)
class _Image:
    """One image that waits."""

    encoder: Encoder
    pixels: UInt8Array  # (H, W, 3)
    future: asyncio.Future[Float32Array]


class ImageBatcher:
    """Collects images for a short time, and encodes them together in one thread.

    An image that comes alone waits for nobody. While a batch is in work, the next one collects.

    Parameters
    ----------
    executor : Executor
        Of one thread.
    most : int
        Images of a batch.
    wait_s : float
        How long the first image waits when others are announced.
    on_batch : callable
        Called with the number of images of each batch.
    """

    def __init__(
        self, executor: Executor, most: int, wait_s: float, on_batch: Callable[[int], None]
    ) -> None:
        self._executor, self._most, self._wait_s = executor, most, wait_s
        self._on_batch = on_batch
        self._waiting: list[_Image] = []
        self._runner: asyncio.Task[None] | None = None
        self._n_coming = 0

    def __len__(self) -> int:
        return len(self._waiting)

    async def features(self, encoder: Encoder, pixels: UInt8Array) -> Float32Array:
        """Return the features (1, D) of one decoded image (H, W, 3)."""
        future: asyncio.Future[Float32Array] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Image(encoder, pixels, future))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await future

    def announce(self, n_images: int) -> None:
        """Tell that images will come (or, with -1, that one came or will not)."""
        self._n_coming += n_images

    async def _run(self) -> None:
        try:
            while self._waiting:
                if self._n_coming and len(self._waiting) < self._most:
                    await asyncio.sleep(self._wait_s)
                await self._encode(self._next_batch())
        finally:
            self._runner = None

    def _next_batch(self) -> list[_Image]:
        """Take the images that wait, oldest first; those for another model have to wait."""
        first = self._waiting[0]
        batch = [
            one
            for one in self._waiting
            if one.encoder is first.encoder and one.pixels.shape == first.pixels.shape
        ][: self._most]
        taken = {id(one) for one in batch}
        self._waiting = [one for one in self._waiting if id(one) not in taken]
        return batch

    async def _encode(self, batch: list[_Image]) -> None:
        self._on_batch(len(batch))
        pixels = np.stack([one.pixels for one in batch])  # (B, H, W, 3)
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(
                self._executor, encode_pixels, batch[0].encoder, pixels
            )
        except Exception as cause:
            for one in batch:
                if not one.future.done():
                    one.future.set_exception(cause)
            return
        for row, one in enumerate(batch):
            if not one.future.done():
                one.future.set_result(made[row : row + 1])
