"""What all sources of pictures have in common."""

from __future__ import annotations

import io
import logging
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from anybit.data.bad_items import BadItem, BadItems
from anybit.data.decode import DEFAULT_MAX_PIXELS, decode_image, read_file
from anybit.data.preprocess import Preprocessor
from anybit.data.sources.base import Batch, Items, Source
from anybit.data.sources.item_ids import content_digest
from anybit.errors import DataError, OptionError
from anybit.types import BoolArray, Int64Array, UInt8Array

__all__ = ["ImageSource"]

_log = logging.getLogger(__name__)

# Two threads: Pillow releases the GIL while it decodes, the rest of the work holds it.
_N_DECODE_THREADS = 2


class ImageSource(Source):
    """Base of all sources of pictures.

    Parameters
    ----------
    items : Items
    found : str
    max_pixels : int
        Width times height above which a picture is refused.
    unusable : sequence of BadItem
        What could not become an item.
    """

    kind = "images"

    def __init__(
        self,
        items: Items,
        found: str,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        unusable: Sequence[BadItem] = (),
    ) -> None:
        super().__init__(items, found, unusable)
        self._max_pixels = max_pixels

    @abstractmethod
    def _encoded(self, position: int) -> bytes | Path | Image.Image:
        """Return encoded bytes, the path of the file, or a picture at hand."""

    def _image(self, position: int) -> Image.Image:
        """One picture; a DataError says the reason without the item's name."""
        encoded = self._encoded(position)
        if isinstance(encoded, Image.Image):
            return encoded
        return decode_image(encoded, self._max_pixels)

    def content(self, positions: Int64Array) -> Iterator[bytes]:
        """Yield size and time of the last change of files, else the picture's bytes."""
        for position in positions.tolist():
            try:
                encoded = self._encoded(position)
                if isinstance(encoded, Path):
                    facts = encoded.stat()
                    yield f"{facts.st_size} {facts.st_mtime_ns}".encode()
                else:
                    yield encoded if isinstance(encoded, bytes) else encoded.tobytes()
            except (OSError, DataError):  # the reason is told when it is decoded
                yield b""

    def digests(self, positions: Int64Array) -> Iterator[bytes | None]:
        """Yield the digests of image files, or of the pixels of pictures from an array."""
        for position in positions.tolist():
            try:
                yield _digest(self._bytes_or_image(position))
            except DataError:
                yield None

    def read_with_digest(self, position: int) -> tuple[Image.Image, bytes]:
        """Return one picture as `read_image` does, and its digest; the file is read once.

        Raises
        ------
        DataError
            If it cannot be read or decoded; names the item.
        """
        try:
            encoded = self._bytes_or_image(position)
            digest = _digest(encoded)
            if isinstance(encoded, Image.Image):
                return encoded, digest
            return decode_image(encoded, self._max_pixels), digest
        except DataError as error:
            raise DataError(f"{self.key_of(position)}: {error}") from error

    def _bytes_or_image(self, position: int) -> bytes | Image.Image:
        """Return the bytes of one picture's file, or a picture of an array."""
        encoded = self._encoded(position)
        return read_file(encoded) if isinstance(encoded, Path) else encoded

    def file_of(self, position: int) -> Path | None:
        """Return the file that holds one picture alone, None where there is none."""
        encoded = self._encoded(position)
        return encoded if isinstance(encoded, Path) else None

    def encoded(self, position: int) -> bytes:
        """Return the bytes of one picture's file; a picture from an array becomes PNG.

        Raises
        ------
        DataError
            If the file cannot be read.
        """
        try:
            encoded = self._encoded(position)
            if isinstance(encoded, bytes):
                return encoded
            if isinstance(encoded, Path):
                return read_file(encoded)
        except DataError as cause:
            raise DataError(f"{self.key_of(position)}: {cause}") from cause
        file = io.BytesIO()
        encoded.save(file, "PNG")
        return file.getvalue()

    def read_image(self, position: int) -> Image.Image:
        """Return one picture, RGB, decoded and turned upright.

        Raises
        ------
        DataError
            If it cannot be decoded; names the item.
        """
        if not (isinstance(position, int) and 0 <= position < len(self)):
            position = int(self._positions([position])[0])  # says what is wrong, or a NumPy integer
        try:
            return self._image(position)
        except DataError as error:
            raise DataError(f"{self.key_of(position)}: {error}") from error

    def uint8_batch(
        self,
        positions: ArrayLike,
        preprocessor: Preprocessor,
        bad_items: BadItems | None = None,
    ) -> tuple[UInt8Array, BoolArray]:
        """Decode, resize and crop pictures with two threads.

        Parameters
        ----------
        positions : array-like of int, shape (B,)
        preprocessor : Preprocessor
        bad_items : BadItems, optional
            Where pictures that cannot be decoded are listed.

        Returns
        -------
        pixels : ndarray of shape (B, H, W, 3), uint8
            Zeros where a picture could not be decoded.
        is_ok : ndarray of shape (B,), bool
        """
        order = self._positions(positions)
        size = preprocessor.size_px
        pixels = np.zeros((len(order), size, size, 3), dtype=np.uint8)  # (B, H, W, 3)
        is_ok = np.zeros(len(order), dtype=np.bool_)  # (B,)

        def fill(rows: range) -> None:
            for row in rows:
                position = int(order[row])
                try:
                    pixels[row] = preprocessor.to_uint8(self._image(position))
                    is_ok[row] = True
                except DataError as error:
                    self._note(bad_items, position, error)

        halves = [range(at, len(order), _N_DECODE_THREADS) for at in range(_N_DECODE_THREADS)]
        with ThreadPoolExecutor(_N_DECODE_THREADS, thread_name_prefix="anybit-decode") as pool:
            list(pool.map(fill, halves))
        return pixels, is_ok

    def take(self, positions: ArrayLike) -> Source:
        """Return a source of some of the pictures, in the order of `positions`."""
        return _ImageSubset(self, self._positions(positions))

    def _note(self, bad_items: BadItems | None, position: int, error: DataError) -> None:
        """List a bad picture, or at least log it."""
        if bad_items is None:
            _log.warning("%s cannot be used: %s", self.key_of(position), error)
        else:
            bad_items.add(position, self.key_of(position), str(error))

    def _batch(
        self, positions: Int64Array, preprocessor: Preprocessor | None, bad_items: BadItems | None
    ) -> Batch:
        """Read one batch of pictures."""
        if preprocessor is None:
            raise OptionError("images are read in batches with a preprocessor, got None.")
        pixels, is_ok = self.uint8_batch(positions, preprocessor, bad_items)
        return Batch(positions, pixels, is_ok)


def _digest(picture: bytes | Image.Image) -> bytes:
    """Digest of an image file, or of the size and the pixels of a picture at hand."""
    if isinstance(picture, bytes):
        return content_digest(picture)
    return content_digest(f"{picture.size} ".encode() + picture.tobytes())


class _ImageSubset(ImageSource):
    """Some pictures of another source."""

    def __init__(self, whole: ImageSource, positions: Int64Array) -> None:
        super().__init__(
            whole.items.take(positions), whole._found, whole._max_pixels, whole.unusable
        )
        self._whole, self._at = whole, positions

    def shuffled(self, rng: np.random.Generator) -> Int64Array:
        """Return all positions in the order in which the whole source would read them."""
        rank = np.empty(len(self._whole), dtype=np.int64)
        rank[self._whole.shuffled(rng)] = np.arange(len(rank))
        return np.argsort(rank[self._at], kind="stable")

    def _encoded(self, position: int) -> bytes | Path | Image.Image:
        return self._whole._encoded(int(self._at[position]))
