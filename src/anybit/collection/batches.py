"""Reading a source in batches for the encoder, the images of each by all threads."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image

from anybit.collection.add_options import AddOptions
from anybit.collection.encoder import Encoder
from anybit.data import BadItems, Preprocessor, Source, content_digest
from anybit.errors import DataError
from anybit.types import Float32Array, Int64Array

__all__ = ["ItemBatch", "batches_of"]

_THUMBNAIL_QUALITY = 80
_MOST_WORKERS = 16
_BATCHES_AHEAD = 2


@dataclass(frozen=True, eq=False)
class ItemBatch:
    """Some items of a source on their way to the network.

    Parameters
    ----------
    positions : ndarray of shape (b,), int64
        Where they stand in the source; undecodable ones are missing.
    inputs : ndarray, float32
        Network input (b, 3, H, W), or vectors (b, D).
    thumbnails : list of bytes or None
        JPEG files, or None without thumbnails.
    n_read : int
        Items read for this batch, bad ones included.
    digests : list of bytes
        Of what was read, see `content_digest`.
    files : list of bytes or None
        The image files, where they are to be stored.
    """

    positions: Int64Array
    inputs: Float32Array
    thumbnails: list[bytes] | None
    n_read: int
    digests: list[bytes]
    files: list[bytes] | None = None


def batches_of(
    source: Source,
    encoder: Encoder,
    options: AddOptions,
    bad: BadItems,
    origins: Int64Array | None = None,
) -> Iterator[ItemBatch]:
    """Yield a source in batches; the images of each are decoded by all threads together.

    Where the network has a device of its own the next batches are decoded meanwhile. On the
    processors the two take turns: threads of both at once cost each other more time than they save.
    `origins` (N,) are the positions under which bad items are listed.

    Raises
    ------
    DataError
        If the source does not hold what the model takes, or vectors hold NaN or infinity.
    """
    if source.kind != encoder.kind:
        raise DataError(
            f"the model takes {encoder.kind}, got a source of {source.kind}. "
            "Give such a source, or train a model for this one."
        )
    n_items = len(source)
    if n_items == 0:
        raise DataError("the source must hold at least one item, got none.")
    if encoder.preprocessor is None:
        for start in range(0, n_items, 4096):
            stop = min(start + 4096, n_items)
            vectors = source.vectors(start, stop)
            digests = [content_digest(row.data) for row in vectors]
            yield ItemBatch(np.arange(start, stop), vectors, None, stop - start, digests)
        return
    reader = _ImageReader(source, encoder.preprocessor, options, bad, origins)
    n_workers = options.n_workers or min(_MOST_WORKERS, os.cpu_count() or 1)
    n_ahead = _BATCHES_AHEAD if encoder.has_own_device else 0
    ahead: deque[list[Future[ItemBatch]]] = deque()
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="anybit-decode")
    try:
        for start in range(0, n_items, options.batch_size):
            stop = min(start + options.batch_size, n_items)
            cuts = np.linspace(start, stop, min(n_workers, stop - start) + 1, dtype=int).tolist()
            ahead.append([pool.submit(reader.read, *part) for part in pairwise(cuts)])
            if len(ahead) > n_ahead:
                yield _joined(ahead.popleft())
        while ahead:
            yield _joined(ahead.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _joined(parts: list[Future[ItemBatch]]) -> ItemBatch:
    """Wait for the parts of a batch and put them together."""
    batches = [part.result() for part in parts]
    has_thumbnails = batches[0].thumbnails is not None
    return ItemBatch(
        np.concatenate([batch.positions for batch in batches]),
        np.concatenate([batch.inputs for batch in batches]),
        [jpeg for batch in batches for jpeg in batch.thumbnails or ()] if has_thumbnails else None,
        sum(batch.n_read for batch in batches),
        [digest for batch in batches for digest in batch.digests],
        None
        if batches[0].files is None
        else [file for batch in batches for file in batch.files or ()],
    )


@dataclass(frozen=True)
class _ImageReader:
    source: Source
    preprocessor: Preprocessor
    options: AddOptions
    bad: BadItems
    origins: Int64Array | None = None  # positions (N,) in the source as it was given

    def read(self, start: int, stop: int) -> ItemBatch:
        """Decode and preprocess the images from `start` to `stop`."""
        positions, pixels, digests = [], [], []
        thumbnails: list[bytes] = []
        files: list[bytes] = []
        longest_px, has_files = self.options.thumbnails_px, self.options.store_images
        for position in range(start, stop):
            try:
                image, digest = self.source.read_with_digest(position)
                if has_files:
                    files.append(self.source.encoded(position))
            except DataError as cause:
                key = self.source.key_of(position)
                origin = position if self.origins is None else int(self.origins[position])
                self.bad.add(origin, key, str(cause).removeprefix(f"{key}: "))
                continue
            positions.append(position)
            digests.append(digest)
            pixels.append(self.preprocessor.to_uint8(image))
            if longest_px:
                thumbnails.append(_thumbnail(image, longest_px))
        size = self.preprocessor.size_px
        stacked = np.empty((len(pixels), size, size, 3), dtype=np.uint8)  # (b, H, W, 3)
        for row, one in enumerate(pixels):
            stacked[row] = one
        return ItemBatch(
            np.array(positions, dtype=np.int64),
            self.preprocessor.normalise(stacked),
            thumbnails if longest_px else None,
            stop - start,
            digests,
            files if has_files else None,
        )


def _thumbnail(image: Image.Image, longest_px: int) -> bytes:
    """Return a JPEG whose longer side is at most `longest_px`."""
    if max(image.size) > longest_px:
        factor = longest_px / max(image.size)
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        # The reducing gap shrinks large pictures by whole factors first: three times faster.
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_THUMBNAIL_QUALITY)
    return file.getvalue()
