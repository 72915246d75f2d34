"""Which picture formats can be read here, and what makes the others readable."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache

from PIL import features

__all__ = [
    "HEAD_BYTES",
    "HEIF_CURE",
    "is_heif",
    "missing_format",
    "open_formats",
    "readable_suffixes",
]

_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib",
        ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm",
    }
)  # fmt: skip
_FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM")
_AVIF_SUFFIXES = frozenset({".avif", ".avifs"})
_HEIF_SUFFIXES = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
_JPEG_2000_SUFFIXES = frozenset({".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"})
_RAW_SUFFIXES = frozenset(
    {
        ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef",
        ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".sr2", ".srf",
        ".srw", ".x3f",
    }
)  # fmt: skip
_OTHER_PICTURES = frozenset(
    {".ai", ".eps", ".exr", ".hdr", ".ico", ".jxl", ".jxr", ".psb", ".psd", ".svg", ".svgz",
     ".tga", ".xcf"}
)  # fmt: skip
# Both by the same author, with the same functions; pi_heif decodes only.
_HEIF_PACKAGES = ("pillow_heif", "pi_heif")
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"}
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})

HEAD_BYTES = 64
"""How much of a file `open_formats` wants to see."""
HEIF_CURE = "HEIC pictures are read with pip install 'anybit[heif]'."


@cache
def readable_suffixes() -> frozenset[str]:
    """Return the suffixes, in lower case, of pictures that can be read here."""
    found = _SUFFIXES
    if _has("avif"):
        found |= _AVIF_SUFFIXES
    if _has("jpg_2000"):
        found |= _JPEG_2000_SUFFIXES
    return found | _HEIF_SUFFIXES if _heif_package() else found


def missing_format(suffix: str) -> str | None:
    """Return why pictures with this suffix cannot be read, and the cure; None for other files."""
    lower = suffix.lower()
    if lower in readable_suffixes():
        return None
    if lower in _HEIF_SUFFIXES:
        return HEIF_CURE
    if lower in _AVIF_SUFFIXES:
        return "AVIF pictures are read with Pillow 11.3 or newer: pip install -U pillow."
    if lower in _JPEG_2000_SUFFIXES:
        return "this Pillow was built without JPEG 2000; convert it to JPEG or PNG."
    if lower in _RAW_SUFFIXES:
        return "raw pictures of cameras cannot be read; export them as JPEG."
    if lower in _OTHER_PICTURES:
        return f"{lower} pictures cannot be read; convert them to PNG or JPEG."
    return None


def is_heif(head: bytes) -> bool:
    """Tell by a file's first bytes whether it is HEIC or HEIF; AVIF is not."""
    if head[4:8] != b"ftyp":
        return False
    stop = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, stop, 4))}
    return bool(brands & _HEIF_BRANDS) and not brands & _AVIF_BRANDS


def open_formats(head: bytes) -> tuple[str, ...]:
    """Return the names of Pillow's formats that a file may have.

    Parameters
    ----------
    head : bytes
        The first `HEAD_BYTES` of the file: HEIF's decoder is loaded only for such a file.

    Returns
    -------
    tuple of str
        Empty if the file is HEIF and its decoder is not installed.
    """
    if is_heif(head):
        return ("HEIF",) if _register_heif() else ()
    found = _FORMATS
    if _has("avif"):
        found += ("AVIF",)
    return (*found, "JPEG2000") if _has("jpg_2000") else found


@cache
def _heif_package() -> str | None:
    """Return the installed package that decodes HEIF."""
    return next((one for one in _HEIF_PACKAGES if importlib.util.find_spec(one)), None)


@cache
def _register_heif() -> bool:
    """Give Pillow its HEIF decoder; False if none is installed."""
    name = _heif_package()
    if name is not None:
        importlib.import_module(name).register_heif_opener()
    return name is not None


@cache
def _has(feature: str) -> bool:
    """Whether Pillow was built with a feature; False for one that it does not know."""
    if feature not in {*features.codecs, *features.features, *features.modules}:
        return False
    return bool(features.check(feature))
