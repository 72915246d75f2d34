"""Pictures named by a list of paths, and several sources as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from anybit.data import (
    DEFAULT_MAX_PIXELS,
    ArrayVectors,
    ImageSource,
    Items,
    Labels,
    Source,
    hash_keys,
)
from anybit.errors import DataError
from anybit.papers.datasets.dataset import join_labels

__all__ = ["ListedImages", "join_sources"]


class ListedImages(ImageSource):
    """Picture files of a list; a file is opened when its picture is read.

    Parameters
    ----------
    root : Path
    keys : sequence of str
        Paths below `root`, with forward slashes.
    labels : Labels
    found : str
        What the list is, for `describe` and messages.

    Raises
    ------
    DataError
        If a path occurs twice.
    """

    def __init__(self, root: Path, keys: Sequence[str], labels: Labels, found: str) -> None:
        if len(set(keys)) != len(keys):
            names, counts = np.unique(np.array(keys, dtype=object), return_counts=True)
            twice = names[counts > 1].tolist()
            raise DataError(
                f"{found} must list every picture once, got {len(twice)} of them repeatedly: "
                f"{', '.join(twice[:3])}."
            )
        super().__init__(Items(hash_keys(keys), tuple(keys), labels), found, DEFAULT_MAX_PIXELS)
        self._root = root

    def _encoded(self, position: int) -> Path:
        return self._root / self._items.key_of(position)


class _JoinedImages(ImageSource):
    """Several sources of pictures, one after another."""

    def __init__(self, sources: Sequence[ImageSource], items: Items) -> None:
        found = "; ".join(source._found for source in sources)
        unusable = [one for source in sources for one in source.unusable]
        super().__init__(items, found, DEFAULT_MAX_PIXELS, unusable)
        self._sources = tuple(sources)
        self._ends = np.cumsum([len(source) for source in sources])

    def _encoded(self, position: int) -> bytes | Path | Image.Image:
        at = int(np.searchsorted(self._ends, position, side="right"))
        source = self._sources[at]
        return source._encoded(position - int(self._ends[at]) + len(source))


def join_sources(sources: Sequence[Source]) -> Source:
    """Put sources of the same kind and the same classes one after another.

    Parameters
    ----------
    sources : sequence of Source
        At least one; all of pictures, or all of vectors.

    Returns
    -------
    Source
        The source itself where there is only one; else ids are hashes of the keys.

    Raises
    ------
    DataError
        If there is no source, kinds differ, labels are missing, or keys repeat.
    """
    if len(sources) == 1:
        return sources[0]
    labels = [source.labels for source in sources if source.labels is not None]
    images = [source for source in sources if isinstance(source, ImageSource)]
    if len(labels) != len(sources) or len(images) not in (0, len(sources)) or not sources:
        raise DataError(
            "sources to join must be labelled and all of one kind, got "
            f"{', '.join(source.kind for source in sources) or 'none'}, {len(labels)} labelled."
        )
    keys = [
        source.key_of(row) if source.keys else f"{number}/{source.key_of(row)}"
        for number, source in enumerate(sources)
        for row in range(len(source))
    ]
    ids, joined = hash_keys(keys), join_labels(labels)
    if images:
        return _JoinedImages(images, Items(ids, tuple(keys), joined))
    rows = np.concatenate([source.vectors() for source in sources])  # (N, D)
    return ArrayVectors(rows, joined, ids, "joined vectors")
