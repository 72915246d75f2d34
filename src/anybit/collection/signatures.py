"""Which items of a source are stored already, as they are now."""

from __future__ import annotations

import hashlib

import numpy as np

from anybit.data import Source
from anybit.store import CodeStore
from anybit.types import Int64Array

__all__ = ["changed_positions", "signatures_of"]

_BLOCK = 4096


def signatures_of(source: Source, positions: Int64Array, salt: str) -> Int64Array:
    """Return a number for each item (n,) that changes with anything that is stored of it.

    Files count by size and time of their last change, other pictures and vectors by content.

    Parameters
    ----------
    source : Source
    positions : ndarray of shape (n,), int64
    salt : str
        What was asked to be stored.
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
        described = (salt, items.key_of(row), labels[row], None if table is None else table[row])
        digest.update(repr(described).encode())
        found[row] = int.from_bytes(digest.digest(), "little", signed=True)
    return found


def changed_positions(source: Source, store: CodeStore, salt: str) -> Int64Array:
    """Return the positions (n,) of items that are new, or not stored as they are now."""
    stored_ids, stored = store.signatures()
    ids = source.ids
    places = np.searchsorted(stored_ids, ids)
    places[places == len(stored_ids)] = 0
    is_known = stored_ids[places] == ids if len(stored_ids) else np.zeros(len(ids), dtype=np.bool_)
    is_unchanged = np.zeros(len(ids), dtype=np.bool_)
    known = np.flatnonzero(is_known)
    for start in range(0, len(known), _BLOCK):
        block = known[start : start + _BLOCK]
        is_unchanged[block] = signatures_of(source, block, salt) == stored[places[block]]
    return np.flatnonzero(~is_unchanged)
