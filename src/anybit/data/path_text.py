"""File names as text that can be stored and shown, and back."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["path_text", "raw_bytes", "shown_name", "text_path"]

_ESCAPED_BYTE = re.compile(r"\\x([89a-f][0-9a-f])")
# Control characters, line separators and the marks that reorder what a terminal shows.
_NOT_SHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def path_text(path: str | Path) -> str:
    r"""Return a path as text in UTF-8; bytes that are not UTF-8 are written ``\xHH``.

    Parameters
    ----------
    path : str or Path
        As the operating system's functions return it (undecodable bytes as lone surrogates).

    Returns
    -------
    str
        Without lone surrogates: it can be stored, printed and sent as JSON. `text_path` is the
        way back.

    Examples
    --------
    >>> path_text(os.fsdecode(b"caf\xe9.jpg"))
    'caf\\xe9.jpg'
    """
    text = os.fspath(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text).decode("utf-8", "backslashreplace")
    return text


def text_path(text: str) -> Path:
    r"""Return the path that `path_text` turned into a text.

    Parameters
    ----------
    text : str

    Returns
    -------
    Path
        Part by part the name as it is written if there is such a file, else the name of a file
        that has this text, else as it is written.

    Notes
    -----
    A name that holds the four characters ``\xe9`` has the same text as one with the byte E9, so
    the folders are consulted. A text without ``\x`` costs no look at the disk.
    """
    if _ESCAPED_BYTE.search(text) is None:
        return Path(text)
    path = Path(text)
    found = Path(path.anchor)
    for part in path.parts[bool(path.anchor) :]:
        found /= _name_on_disk(found, part)
    return found


def _name_on_disk(folder: Path, part: str) -> str:
    """Return the name in a folder that reads as `part`; `part` itself if there is none."""
    if _ESCAPED_BYTE.search(part) is None or os.path.lexists(folder / part):
        return part
    raw = os.fsdecode(raw_bytes(part))
    if os.path.lexists(folder / raw):
        return raw
    try:  # a name that holds both such a byte and its four characters
        return next((name for name in os.listdir(folder) if path_text(name) == part), part)
    except OSError:
        return part


def raw_bytes(text: str) -> bytes:
    r"""Return a text in UTF-8, with each ``\xHH`` as that byte, whatever files there are."""
    pieces = _ESCAPED_BYTE.split(text)  # text, digits, text, digits, ..., text
    return b"".join(
        bytes([int(piece, 16)]) if number % 2 else os.fsencode(piece)
        for number, piece in enumerate(pieces)
    )


def shown_name(name: str | Path) -> str:
    r"""Return a name in one line for a message.

    Control characters, line breaks and marks of writing direction are written ``\xHH`` or
    ``\uHHHH``, so that a file's name can neither forge a line nor control a terminal.

    Examples
    --------
    >>> shown_name("a\nb.jpg")
    'a\\x0ab.jpg'
    """
    return _NOT_SHOWN.sub(_escaped, path_text(name) if isinstance(name, Path) else name)


def _escaped(match: re.Match[str]) -> str:
    """Return one character as an escape; a lone surrogate as the byte that it stands for."""
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
