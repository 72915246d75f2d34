"""A process that decodes images of strangers; its parent may kill it at any time.

It reads jobs from standard input and writes answers to standard output. Both are a JSON header of
known length (4 bytes, little-endian) and bytes whose number the header tells.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import warnings
import zipfile
from typing import IO, Any

import numpy as np
from PIL import Image

from anybit.data import Preprocessor, decode_image
from anybit.errors import DataError

__all__ = ["answer", "main", "read_frame", "write_frame"]

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_THUMBNAIL_QUALITY = 80
_TAIL_BYTES = 65_536
_PDF_HEAD_BYTES = 1_024


def read_frame(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Read a header and its bytes (``n_bytes`` of them); None at the end of the stream."""
    lead = stream.read(4)
    if len(lead) < 4:
        return None
    text = stream.read(struct.unpack("<I", lead)[0])
    try:
        header = json.loads(text)
        body = stream.read(header["n_bytes"])
    except (ValueError, KeyError, TypeError):
        return None
    return (header, body) if len(body) == header["n_bytes"] else None


def write_frame(stream: IO[bytes], header: dict[str, Any], body: bytes) -> None:
    """Write a header and bytes."""
    text = json.dumps({**header, "n_bytes": len(body)}).encode()
    stream.write(struct.pack("<I", len(text)) + text)
    stream.write(body)
    stream.flush()


def answer(job: dict[str, Any], encoded: bytes) -> tuple[dict[str, Any], bytes]:
    """Decode one image into network input.

    Parameters
    ----------
    job : dict
        ``max_pixels``; ``preprocessor`` (see `anybit.data.Preprocessor.to_dict`);
        ``thumbnail_px``, 0 for none.
    encoded : bytes
        The image file.

    Returns
    -------
    header : dict
        ``refused`` with ``code`` and ``message``; or ``shape`` of the pixels (H, W, 3).
    body : bytes
        Pixels (H, W, 3) uint8, then the JPEG thumbnail.
    """
    try:
        if refused := _refused(encoded, job["max_pixels"]):
            return refused, b""
        image = decode_image(encoded, job["max_pixels"])
    except (DataError, MemoryError) as cause:
        if not isinstance(cause, MemoryError) and not isinstance(cause.__cause__, MemoryError):
            return _no("unsupported_image", "the file is damaged or cut off"), b""
        return _no("too_large", "decoding it needs more memory than is allowed", True), b""
    pixels = np.ascontiguousarray(Preprocessor.from_dict(job["preprocessor"]).to_uint8(image))
    thumbnail = b""
    if job["thumbnail_px"]:
        image.thumbnail((job["thumbnail_px"], job["thumbnail_px"]))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=_THUMBNAIL_QUALITY)
        thumbnail = file.getvalue()
    return {"shape": list(pixels.shape)}, pixels.tobytes() + thumbnail


def _no(code: str, reason: str, is_spent: bool = False) -> dict[str, Any]:
    return {"refused": {"code": code, "reason": reason}, "is_spent": is_spent}


def _refused(encoded: bytes, max_pixels: int) -> dict[str, Any] | None:
    """Return why an image is refused before it is decoded."""
    if not encoded:
        return _no("unsupported_image", "the file is empty")
    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
            width, height = image.size
    except MemoryError:
        raise
    # Pillow's plugins raise almost any type on damaged input; each of them means the same here.
    except Exception:
        return _no("unsupported_image", "the file is none of these, or its header is damaged")
    if width * height > max_pixels:
        return _no("too_large", f"got {width} x {height} pixels, of at most {max_pixels:,}")
    if foreign := _other_format(encoded):
        return _no("unsupported_image", f"the file is a {foreign} as well")
    return None


def _other_format(encoded: bytes) -> str | None:
    """Return what else than an image the file passes for."""
    tail = encoded[-_TAIL_BYTES:].lower()
    if b"%PDF-" in encoded[:_PDF_HEAD_BYTES]:
        return "PDF document"
    if any(mark in tail for mark in (b"<script", b"<html", b"<?php", b"<!doctype")):
        return "web page"
    try:
        return "ZIP archive" if zipfile.is_zipfile(io.BytesIO(encoded)) else None
    except Exception:
        return "damaged ZIP archive"


def _limit(memory_bytes: int) -> None:
    """Limit what this process may take from now on."""
    try:
        import resource
    except ImportError:  # no such limits on this system; the time limit of the parent holds
        return
    now_bytes = 0
    try:
        with open("/proc/self/statm") as file:
            now_bytes = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        now_bytes = 2**32
    resource.setrlimit(resource.RLIMIT_AS, (now_bytes + memory_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes no files


def main() -> None:
    """Answer jobs until standard input ends."""
    jobs = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever libraries print must not stand between the answers
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # compared here, with the limit of each job
    Image.init()  # all plugins now: later there may be no memory for them
    _limit(int(sys.argv[1]))
    write_frame(answers, {"is_ready": True}, b"")
    while (frame := read_frame(jobs)) is not None:
        write_frame(answers, *answer(*frame))


if __name__ == "__main__":
    main()
