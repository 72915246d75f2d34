"""A process whose system calls are recorded: it makes a collection and changes it in every way.

``FOLDER MODELS``: each operation that is acknowledged is named in ``FOLDER.acknowledged``.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np

from anybit.collection import Collection
from crash.migration_worker import add

# What each operation leaves: generations by id.
_FIRST = dict.fromkeys(range(30), 1)
_GROWN = {**_FIRST, **{100 + one: 2 for one in range(20)}}
_CUT = {one: born for one, born in _GROWN.items() if one >= 10}
_CHANGED = {**_CUT, **dict.fromkeys(range(15, 25), 3)}
_AFTER = {**_CHANGED, 500: 4}
STATES = ({}, _FIRST, _GROWN, _CUT, _CHANGED, _CHANGED, _CHANGED, _CHANGED, _AFTER, _AFTER)


def operations(place: Path, models: Path):
    """Yield what to do, one call after another; `STATES` are what they leave."""
    yield lambda: Collection.create(place, models / "A4", device="cpu")
    shop = Collection.open(place, device="cpu")
    yield lambda: add(shop, range(30), 1)
    yield lambda: [add(shop, [100 + one], 2) for one in range(20)]  # one of them merges
    yield lambda: shop.delete(np.arange(10))
    yield lambda: add(shop, range(15, 25), 3)
    yield lambda: shop.compact(0.0)
    yield lambda: shop.migrate(models / "A6")
    yield lambda: shop.migrate(models / "B3")
    yield lambda: add(shop, [500], 4)
    yield lambda: shop.compact(0.0)


def main(folder: str, models: str) -> None:
    """Do all operations."""
    # A copy by `sendfile` would not show what was written.
    shutil._USE_CP_SENDFILE = False  # type: ignore[attr-defined]
    with open(f"{folder}.acknowledged", "wb", buffering=0) as file:
        for operation in operations(Path(folder) / "shop", Path(models)):
            operation()
            file.write(b"+")
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
