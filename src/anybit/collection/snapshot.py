"""The segments of an index in one file that is memory-mapped: opening reads no rows.

The file is made from the store and can be deleted at any time. It starts with the SHA-256 of all
that follows (32 bytes) and the length of a JSON header (8 bytes, little-endian); then the header,
and the arrays at multiples of 64 bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from anybit.codes import BytePlanes, Codebooks, Codes
from anybit.collection.segment import Segment

__all__ = ["read_snapshot", "write_snapshot"]

_FORMAT, _VERSION = "anybit-index", 1
_ALIGN = 64
_LEAD = 32 + 8

States = dict[int, tuple[str, ...]]


def write_snapshot(path: Path, segments: list[Segment], fragments: States) -> None:
    """Write segments without masked rows; a folder that cannot be written is left without."""
    arrays = [
        np.ascontiguousarray(array)
        for one in segments
        for array in (one.ids, one.planes.values, one.addresses)
    ]
    sizes = [-(-array.nbytes // _ALIGN) * _ALIGN for array in arrays]
    parts = []
    for array, size in zip(arrays, sizes, strict=True):
        parts += [array.tobytes(), bytes(size - array.nbytes)]
    header = {
        "format": _FORMAT,
        "format_version": _VERSION,
        "fragments": {str(number): files for number, files in fragments.items()},
        "segments": [{"n_items": len(one), "fragments": sorted(one.fragments)} for one in segments],
        "n_levels": segments[0].planes.n_levels,
        "n_codewords": segments[0].planes.n_codewords,
    }
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-(_LEAD + len(text)) % _ALIGN)
    parts = [len(text).to_bytes(8, "little"), text, *parts]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError:
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in (digest.digest(), *parts):
                file.write(part)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)


def read_snapshot(
    path: Path, codebooks: Codebooks, n_levels: int
) -> tuple[list[Segment], States] | None:
    """Return segments and the files of their fragments; None where there is nothing to use."""
    try:
        whole = np.memmap(path, np.uint8, "r")
        if hashlib.sha256(whole[32:].data).digest() != whole[:32].tobytes():
            return None
        size = int.from_bytes(whole[32:_LEAD].tobytes(), "little")
        header = json.loads(whole[_LEAD : _LEAD + size].tobytes())
        return _segments_of(header, whole[_LEAD + size :], codebooks, n_levels)
    except (OSError, OverflowError, ValueError, KeyError, TypeError, AttributeError):
        return None  # damaged, or of another version: the store has it all


def _segments_of(
    header: dict[str, Any], body: np.ndarray[Any, Any], codebooks: Codebooks, n_levels: int
) -> tuple[list[Segment], States] | None:
    keys = ("format", "format_version", "n_levels", "n_codewords")
    ours = (_FORMAT, _VERSION, n_levels, codebooks.n_codewords)
    if tuple(header[key] for key in keys) != ours:
        return None
    empty = Codes(np.empty((n_levels, 0), dtype=np.uint8), codebooks.n_codewords)
    n_planes = len(BytePlanes.of(empty).values)
    segments, at = [], 0

    def take(n_bytes: int) -> np.ndarray[Any, Any]:
        nonlocal at
        found = body[at : at + n_bytes]
        at += -(-n_bytes // _ALIGN) * _ALIGN
        return np.asarray(found)

    for one in header["segments"]:
        n_items = int(one["n_items"])
        ids = take(8 * n_items).view(np.int64)
        planes = take(n_planes * n_items).reshape(n_planes, n_items)
        addresses = take(8 * n_items).view(np.uint64)
        segments.append(
            Segment(
                codebooks,
                ids,
                BytePlanes(planes, n_levels, codebooks.n_codewords),
                addresses,
                set(one["fragments"]),
            )
        )
    fragments = {int(number): tuple(files) for number, files in header["fragments"].items()}
    return segments, fragments
