"""Image files to RGB pictures, strictly: what is damaged, foreign or too large is refused."""

from __future__ import annotations

import io
import logging
import os
import stat
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from anybit.data.formats import HEAD_BYTES, HEIF_CURE, open_formats
from anybit.data.path_text import shown_name
from anybit.errors import DataError

__all__ = ["DEFAULT_MAX_PIXELS", "decode_image", "read_file"]

_log = logging.getLogger(__name__)

DEFAULT_MAX_PIXELS = 89_478_485
"""Pillow's own limit against decompression bombs: a quarter of a gibibyte as RGB."""

_WHITE = (255, 255, 255, 255)


def decode_image(data: bytes | str | Path, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """Decode one image to RGB.

    The first frame of an animation counts. EXIF orientation is applied, transparency composited
    on white, 16-bit grey scaled to 8 bits.

    Parameters
    ----------
    data : bytes, str or Path
        The encoded image, or the path of its file.
    max_pixels : int
        Width times height above which the image is refused before it is decoded.

    Returns
    -------
    PIL.Image.Image
        Mode RGB, fully loaded.

    Raises
    ------
    DataError
        If the file is missing, no regular file, empty, truncated, damaged, in a format that is not
        read (see `docs/sources.md`), or has more pixels than `max_pixels`.
    """
    try:
        with (
            io.BytesIO(data) if isinstance(data, bytes) else _opened(Path(data)) as file,
            Image.open(file, formats=_formats_of(file)) as image,
        ):
            width, height = image.size
            if width * height > max_pixels:
                raise DataError(
                    f"an image may have at most {max_pixels:,} pixels, got {width} x {height}. "
                    "Make it smaller or raise max_pixels."
                )
            image.load()
            return to_rgb(_turned(image))
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"the image has too many pixels: {error}") from error
    except UnidentifiedImageError as error:
        raise DataError(
            "the image must be JPEG, PNG, WEBP, AVIF, HEIC, GIF, BMP, TIFF, PPM or JPEG 2000; "
            "this one is none of them or its header is damaged."
        ) from error
    # Pillow's plugins raise almost any type on damaged input (struct.error, SyntaxError,
    # IndexError, zlib.error, ...); each of them means the same here.
    except Exception as error:
        raise DataError(f"the image cannot be decoded: {error or type(error).__name__}.") from error


def read_file(path: Path) -> bytes:
    """Return the bytes of a picture's file.

    Raises
    ------
    DataError
        If it is missing, no regular file, or cannot be read.
    """
    with _opened(path) as file:
        try:
            return file.read()
        except OSError as error:
            raise DataError(f"the image file cannot be read: {error.strerror}.") from error


def _opened(path: Path) -> BinaryIO:
    """Open a regular file. A pipe or device is refused without waiting for its other end."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(path, flags)
    except FileNotFoundError as error:
        raise DataError(f"the image file is missing: {shown_name(path)}.") from error
    except OSError as error:  # a socket is refused here already
        raise DataError(f"the image file cannot be read: {error.strerror}.") from error
    file = os.fdopen(number, "rb")
    if not stat.S_ISREG(os.fstat(number).st_mode):
        file.close()
        raise DataError("the image must be a regular file, not a folder, pipe or device.")
    return file


def _formats_of(file: BinaryIO) -> tuple[str, ...]:
    """Return the formats that a file may have; an empty file and HEIC without decoder raise."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not head:
        raise DataError("the image file is empty.")
    formats = open_formats(head)
    if not formats:
        raise DataError(HEIF_CURE)
    return formats


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded image of any mode to RGB.

    Parameters
    ----------
    image : PIL.Image.Image
        Any mode that Pillow reads from the allowed formats.

    Returns
    -------
    PIL.Image.Image
        Mode RGB. Transparency is composited on white. Integer greys above 8 bits are divided by
        257 (65535 becomes 255); wider integers and floats outside of 0..1 are stretched from
        their own minimum and maximum.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled_grey(image).convert("RGB")
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer).convert("RGB")
    return image.convert("RGB")


def _scaled_grey(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits as mode L."""
    grey = np.asarray(image).astype(np.float64)  # (H, W)
    if not np.isfinite(grey).all():
        raise DataError("the pixels of a floating-point image must be finite, got NaN or infinity.")
    low, high = float(grey.min()), float(grey.max())
    if image.mode.startswith("I") and low >= 0 and high <= 65535:
        scaled = grey / 257.0
    elif image.mode == "F" and low >= 0 and high <= 1:
        scaled = grey * 255.0
    else:
        scaled = (grey - low) * (255.0 / (high - low)) if high > low else np.zeros_like(grey)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _turned(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; a damaged EXIF block does not spoil the picture."""
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image  # what exif_transpose would copy
        return ImageOps.exif_transpose(image)
    except Exception as error:  # any type, see decode_image
        _log.debug("damaged EXIF block ignored: %s", error)
        return image
