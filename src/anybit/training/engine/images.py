"""Training images as uint8 tensors: in memory where they fit, read ahead where they do not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from anybit.data import BadItems, Preprocessor, Source
from anybit.types import BoolArray, Int64Array, UInt8Array

__all__ = ["TrainingImages"]

_MEMORY_BYTES = 4 << 30
_READ_ITEMS = 512


class TrainingImages:
    """The images of a source, resized and cropped by the deterministic path.

    Parameters
    ----------
    source : Source
        Of images.
    preprocessor : Preprocessor
    max_bad : float
        Share of images that may be unusable; they are left out of training.

    Attributes
    ----------
    positions : ndarray of int64
        Of the usable images in the source (those found so far, when they do not fit in memory).
    bad_items : BadItems
    """

    def __init__(self, source: Source, preprocessor: Preprocessor, max_bad: float) -> None:
        self._source, self._preprocessor, self._max_bad = source, preprocessor, max_bad
        self.bad_items = BadItems()
        self.bad_items.add_unlisted(source.unusable)
        self.positions = np.arange(len(source), dtype=np.int64)
        self._pixels: UInt8Array | None = None
        if len(source) * preprocessor.size_px**2 * 3 <= _MEMORY_BYTES:
            self._read_all()

    def _read_all(self) -> None:
        size, n_items = self._preprocessor.size_px, len(self._source)
        pixels = np.empty((n_items, size, size, 3), dtype=np.uint8)  # (N, H, W, 3)
        is_ok: BoolArray = np.zeros(n_items, dtype=np.bool_)
        for batch in self._source.iter_batches(
            _READ_ITEMS, self._preprocessor, bad_items=self.bad_items
        ):
            pixels[batch.positions], is_ok[batch.positions] = batch.data, batch.is_ok
        self.bad_items.check(n_items, self._max_bad)
        self._pixels = pixels
        self.positions = np.flatnonzero(is_ok)

    def shuffled(self, rng: np.random.Generator) -> Int64Array:
        """Return the positions of an epoch in random order."""
        if self._pixels is not None:
            return rng.permutation(self.positions)
        return self._source.shuffled(rng)

    def batches(self, batches: list[Int64Array]) -> Iterator[tuple[Tensor, BoolArray]]:
        """Yield uint8 images (B, H, W, 3) of each list of positions, and which are usable."""
        if self._pixels is not None:
            for positions in batches:
                images = torch.from_numpy(self._pixels[positions])
                yield images, np.ones(len(positions), dtype=np.bool_)
            return
        if not batches:
            return
        size = len(batches[0])
        order = np.concatenate(batches)
        for batch in self._source.iter_batches(
            size, self._preprocessor, positions=order, bad_items=self.bad_items
        ):
            self.bad_items.check(len(self._source), self._max_bad)
            yield torch.from_numpy(batch.data), batch.is_ok
