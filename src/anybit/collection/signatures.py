"""Numbers that change with anything that is stored of an item."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from anybit.data import Source
from anybit.types import Int64Array

__all__ = ["signatures_of"]


def signatures_of(
    source: Source, positions: Int64Array, salt: str, keys: Sequence[str] | None = None
) -> Int64Array:
    """Return a number for each item (n,) that changes with anything that is stored of it.

    Files count by size and time of their last change, other pictures and vectors by content.

    Parameters
    ----------
    source : Source
    positions : ndarray of shape (n,), int64
    salt : str
        What was asked to be stored.
    keys : sequence of str, optional
        Of the n items, instead of those that the source gives them.
    """
    items = source.items.take(positions)
    labels: list[tuple[str, ...]] = [()] * len(positions)
    if items.labels is not None:
        names = items.labels.class_names
        labels = [tuple(sorted(names[one] for one in row)) for row in items.labels.lists()]
    table = None if items.metadata is None else items.metadata.to_pylist()
    found = np.empty(len(positions), dtype=np.int64)
    for row, content in enumerate(source.content(positions)):
        digest = hashlib.blake2b(content, digest_size=8)
        key = items.key_of(row) if keys is None else keys[row]
        described = (salt, key, labels[row], None if table is None else table[row])
        digest.update(repr(described).encode())
        found[row] = int.from_bytes(digest.digest(), "little", signed=True)
    return found
