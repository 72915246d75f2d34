"""The files of the web page, read once: no path of a client reaches the file system."""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

__all__ = ["PageFile", "page_files"]

_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html",
          ".svg": "image/svg+xml", ".json": "application/json"}  # fmt: skip


@dataclass(frozen=True)
class PageFile:
    """A file as it is sent.

    Parameters
    ----------
    content : bytes
    media_type : str
    etag : str
        Changes with the content.
    """

    content: bytes
    media_type: str
    etag: str


def page_files() -> dict[str, PageFile]:
    """Return the files of the page by path; ``/`` is its start."""
    found: dict[str, PageFile] = {}
    folder = files("anybit.serve").joinpath("page")
    if folder.is_dir():
        _collect(folder, "/", found)
    if "/index.html" in found:
        found["/"] = found["/index.html"]
    return found


def _collect(folder: Traversable, prefix: str, found: dict[str, PageFile]) -> None:
    for one in folder.iterdir():
        if one.is_dir():
            _collect(one, f"{prefix}{one.name}/", found)
            continue
        suffix = f".{one.name.rpartition('.')[2]}"
        kind = _TYPES.get(suffix) or mimetypes.guess_type(one.name)[0]
        if kind is None or one.name.startswith("."):
            continue
        content = one.read_bytes()
        is_text = kind.startswith("text/") or kind.endswith("json")
        found[f"{prefix}{one.name}"] = PageFile(
            content,
            f"{kind}; charset=utf-8" if is_text else kind,
            f'"{hashlib.sha256(content).hexdigest()[:20]}"',
        )
