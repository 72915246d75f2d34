"""What every source of items offers, whatever its files look like."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from anybit.data.bad_items import BadItem, BadItems
from anybit.data.labels import Labels
from anybit.data.path_text import shown_name
from anybit.data.preprocess import Preprocessor
from anybit.data.sources.item_ids import hash_keys
from anybit.errors import DataError, OptionError, ShapeError
from anybit.types import BoolArray, Float32Array, Int64Array, ProgressCallback, UInt8Array

__all__ = ["Batch", "FilePaths", "Items", "Source"]

_LONGEST_PREFIX = 200


@dataclass(frozen=True)
class Items:
    """What is known of N items, apart from their pictures or vectors.

    Parameters
    ----------
    ids : ndarray of shape (N,), int64
        Unique item numbers.
    keys : tuple of str, optional
        Names for a person: given string ids or relative paths.
    labels : Labels, optional
        Class labels of the N items.
    metadata : pyarrow.Table, optional
        The other columns, N rows.
    derived_from : "keys", "rows" or None
        What the ids were made from: hashes of the keys, which are then unique places within
        `origin`, or the numbers of the rows. None when the ids were given.
    origin : str or None
        Absolute path of the folder or file in which keys or rows name a place, with a zero byte and
        the prefix behind it where ids have one; None for arrays in memory.
    """

    ids: Int64Array
    keys: tuple[str, ...] | None = None
    labels: Labels | None = None
    metadata: pa.Table | None = None
    derived_from: Literal["keys", "rows"] | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        n_items = len(self.ids)
        for name, part in (("keys", self.keys), ("labels", self.labels)):
            if part is not None and len(part) != n_items:
                raise DataError(f"{name} must have one row per item: {n_items}, got {len(part)}.")
        if self.metadata is not None and self.metadata.num_rows != n_items:
            raise DataError(
                f"metadata must have one row per item: {n_items}, got {self.metadata.num_rows}."
            )
        ids, counts = np.unique(self.ids, return_counts=True)
        if (counts > 1).any():
            twice = ids[counts > 1]
            names = [
                self.key_of(int(np.flatnonzero(self.ids == number)[0])) for number in twice[:5]
            ]
            raise DataError(
                f"every id must occur once, got {len(twice)} repeated: {', '.join(names)}. "
                "Remove the repeated rows or choose another id column."
            )

    def key_of(self, position: int) -> str:
        """Name of one item: its key, else its id."""
        return str(self.ids[position]) if self.keys is None else self.keys[position]

    def with_prefix(self, prefix: str) -> Items:
        """Return the items under other ids: hashes of the prefix and what names each item.

        That is its key, or else the number of its row or its given id. Keys get the prefix too.
        The hashed text has a zero byte between the two, so that no prefix and key can be mistaken
        for another prefix and key.

        Raises
        ------
        OptionError
            If the prefix is empty, longer than 200 characters or not printable.
        """
        if not 1 <= len(prefix) <= _LONGEST_PREFIX or not prefix.isprintable():
            raise OptionError(
                f"id_prefix must be 1 to {_LONGEST_PREFIX} printable characters, got "
                f"{prefix[: _LONGEST_PREFIX + 1]!r}."
            )
        numbers = [str(number) for number in self.ids.tolist()]
        keys = numbers if self.keys is None else self.keys
        names = numbers if self.derived_from == "rows" else keys
        has_own_keys = self.derived_from == "rows" and self.keys is not None
        return replace(
            self,
            ids=hash_keys(f"{prefix}\0{name}" for name in names),
            keys=tuple(f"{prefix}{key}" for key in keys),
            derived_from="keys" if self.derived_from and not has_own_keys else self.derived_from,
            origin=None if self.origin is None else f"{self.origin}\0{prefix}",
        )

    def take(self, positions: Int64Array) -> Items:
        """Return some of the items, in the order of `positions`."""
        return replace(
            self,
            ids=self.ids[positions],
            keys=None if self.keys is None else tuple(self.keys[i] for i in positions),
            labels=None if self.labels is None else self.labels.take(positions),
            metadata=None if self.metadata is None else self.metadata.take(pa.array(positions)),
        )


@dataclass(frozen=True)
class Batch:
    """Some consecutive items, ready for the network.

    Parameters
    ----------
    positions : ndarray of shape (B,), int64
        Positions in the source.
    data : ndarray
        Pictures (B, H, W, 3) uint8, or vectors (B, D) float32.
    is_ok : ndarray of shape (B,), bool
        False where an item could not be used; its data are zeros.
    """

    positions: Int64Array
    data: NDArray[Any]
    is_ok: BoolArray

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True)
class FilePaths:
    """Where the picture files of a source lie.

    Parameters
    ----------
    root : Path
        The folder that the paths are relative to.
    relative : tuple of str
        One path per item, as text with forward slashes.
    """

    root: Path
    relative: tuple[str, ...]


class Source(ABC):
    """Items to train on, to store or to query with. Made by `open_source`.

    Parameters
    ----------
    items : Items
        Ids, keys, labels and metadata.
    found : str
        What was found and how it was understood, a sentence or two for `describe`.
    unusable : sequence of BadItem
        See the property.
    """

    kind: Literal["images", "vectors"]
    file_paths: FilePaths | None = None
    """The items' files, where each item has one; label files are joined by them."""

    def __init__(self, items: Items, found: str, unusable: Sequence[BadItem] = ()) -> None:
        self._items = items
        self._found = found
        self._unusable = tuple(unusable)

    def __len__(self) -> int:
        return len(self._items.ids)

    @property
    def items(self) -> Items:
        """Ids, keys, labels and metadata together."""
        return self._items

    @property
    def ids(self) -> Int64Array:
        """Item numbers, shape (N,), int64, unique."""
        return self._items.ids

    @property
    def keys(self) -> tuple[str, ...] | None:
        """Names for a person (string ids or relative paths), None when there are none."""
        return self._items.keys

    @property
    def labels(self) -> Labels | None:
        """Class labels, None when the source has none."""
        return self._items.labels

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes, None without labels."""
        return None if self.labels is None else self.labels.class_names

    @property
    def unusable(self) -> tuple[BadItem, ...]:
        """What could not become an item: unreadable folders, pictures in unknown formats."""
        return self._unusable

    @property
    def metadata(self) -> pa.Table | None:
        """The columns that are neither id, label, picture nor vector; N rows."""
        return self._items.metadata

    @property
    def dim(self) -> int:
        """Length D of the vectors; refused by a source of images."""
        raise OptionError("a source of images has no vectors; only a model gives them a dimension.")

    def shuffled(self, rng: np.random.Generator) -> Int64Array:
        """Return all positions in random order, shape (N,), in a way that this source reads well.

        A source that is read in blocks and does not fit in memory mixes a few blocks at a time.
        """
        return rng.permutation(np.arange(len(self), dtype=np.int64))

    def key_of(self, position: int) -> str:
        """Name of one item for a message: its key, else its id."""
        return self._items.key_of(position)

    def with_labels(self, labels: Labels, found: str = "") -> Source:
        """Return the same items with other labels; `found` says where these came from.

        Raises
        ------
        DataError
            If there is not one row of labels per item.
        """
        copy = self._with_items(replace(self._items, labels=labels))
        copy._found = "\n".join(filter(None, [self._found, found]))
        return copy

    def with_id_prefix(self, prefix: str) -> Source:
        """Return the same items under ids and keys that begin with a prefix.

        Raises
        ------
        OptionError
            If the prefix is empty, longer than 200 characters or not printable.
        """
        return self._with_items(self._items.with_prefix(prefix))

    def _with_items(self, items: Items) -> Source:
        """Return the same pictures or vectors with another description."""
        copy = self.take(np.arange(len(self), dtype=np.int64))
        copy._items = items
        return copy

    def describe(self) -> str:
        """Say in a few lines what was found: columns, labels, counts, unlabelled items."""
        lines = [self._found, f"{len(self):,} {self.kind}"]
        if self.kind == "vectors":
            lines[-1] += f" of {self.dim} dimensions"
        lines.append(_labels_in_words(self.labels))
        if self.metadata is not None and self.metadata.num_columns:
            names = map(shown_name, self.metadata.column_names)
            lines.append(f"other columns: {', '.join(names)}")
        return "\n".join(lines)

    def read_image(self, position: int) -> Image.Image:
        """Return one picture, RGB; refused by a source of vectors."""
        raise OptionError("this source holds vectors, not images; use vectors(start, stop).")

    def read_with_digest(self, position: int) -> tuple[Image.Image, bytes]:
        """Return one picture and its digest; refused by a source of vectors."""
        raise OptionError("this source holds vectors, not images; use vectors(start, stop).")

    def uint8_batch(
        self,
        positions: ArrayLike,
        preprocessor: Preprocessor,
        bad_items: BadItems | None = None,
    ) -> tuple[UInt8Array, BoolArray]:
        """Return pictures (B, H, W, 3) and whether each could be used (B,)."""
        raise OptionError("this source holds vectors, not images; use vectors(start, stop).")

    def vectors(self, start: int = 0, stop: int | None = None) -> Float32Array:
        """Return vectors start..stop, shape (n, D); refused by a source of images."""
        raise OptionError("this source holds images, not vectors; use read_image(position).")

    @abstractmethod
    def content(self, positions: Int64Array) -> Iterator[bytes]:
        """Yield, for each position, bytes that change when its picture or vector does.

        Of a file those are its size and the time of its last change: it is not read.
        """

    @abstractmethod
    def digests(self, positions: Int64Array) -> Iterator[bytes | None]:
        """Yield, for each position, the digest of its content; None where it cannot be read.

        That is `content_digest` of the image file, or of the vector as float32.
        """

    def file_of(self, position: int) -> Path | None:
        """Return the file that holds one picture alone, None where there is none."""
        return None

    def encoded(self, position: int) -> bytes:
        """Return the bytes of one picture's file; refused by a source of vectors."""
        raise OptionError("this source holds vectors, not images; use vectors(start, stop).")

    @abstractmethod
    def take(self, positions: ArrayLike) -> Source:
        """Return a source of some of the items, in the order of `positions` (or a mask (N,))."""

    @abstractmethod
    def _batch(
        self, positions: Int64Array, preprocessor: Preprocessor | None, bad_items: BadItems | None
    ) -> Batch:
        """Read one batch."""

    def iter_batches(
        self,
        batch_size: int,
        preprocessor: Preprocessor | None = None,
        progress: ProgressCallback | None = None,
        *,
        positions: ArrayLike | None = None,
        bad_items: BadItems | None = None,
    ) -> Iterator[Batch]:
        """Read all items batch by batch; the next batch is read while one is being used.

        Parameters
        ----------
        batch_size : int
            Items of a batch; the last one may be smaller.
        preprocessor : Preprocessor, optional
            Required for images, unused for vectors.
        progress : callable, optional
            Called with (items done, items in all) after each batch has been used.
        positions : array-like of int, optional
            The items and their order; default all.
        bad_items : BadItems, optional
            Where items that cannot be used are listed.

        Yields
        ------
        Batch
            Positions, pictures (B, H, W, 3) uint8 or vectors (B, D) float32, and `is_ok`.
        """
        if batch_size < 1:
            raise OptionError(f"batch_size must be at least 1, got {batch_size}.")
        if self.kind == "images" and preprocessor is None:
            raise OptionError("images are read in batches with a preprocessor, got None.")
        order = self._positions(positions)
        parts = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
        return self._read_ahead(parts, preprocessor, progress, bad_items)

    def _read_ahead(
        self,
        parts: list[Int64Array],
        preprocessor: Preprocessor | None,
        progress: ProgressCallback | None,
        bad_items: BadItems | None,
    ) -> Iterator[Batch]:
        """Yield the batches; one thread reads the next."""
        n_total, n_done = sum(map(len, parts)), 0
        with ThreadPoolExecutor(1, thread_name_prefix="anybit-read") as reader:
            ahead = [
                reader.submit(self._batch, part, preprocessor, bad_items) for part in parts[:1]
            ]
            for number in range(len(parts)):
                batch = ahead.pop().result()
                if number + 1 < len(parts):
                    ahead.append(
                        reader.submit(self._batch, parts[number + 1], preprocessor, bad_items)
                    )
                yield batch
                n_done += len(batch)
                if progress is not None:
                    progress(n_done, n_total)

    def _positions(self, positions: ArrayLike | None) -> Int64Array:
        """Positions as checked int64; a mask of shape (N,) is accepted."""
        if positions is None:
            return np.arange(len(self), dtype=np.int64)
        array = np.asarray(positions)
        if array.ndim != 1:
            raise ShapeError(f"positions must have shape (n,), got {array.shape}.")
        if array.dtype == np.bool_:
            if len(array) != len(self):
                raise ShapeError(f"a mask must have shape ({len(self)},), got {array.shape}.")
            array = np.flatnonzero(array)
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise OptionError(f"positions must be integers or a mask, got {array.dtype}.")
        array = array.astype(np.int64)
        if array.size and (array.min() < 0 or array.max() >= len(self)):
            raise OptionError(
                f"positions must be from 0 to {len(self) - 1}, got {int(array.min())} to "
                f"{int(array.max())}."
            )
        return array


def _labels_in_words(labels: Labels | None) -> str:
    """One line on the labels."""
    if labels is None:
        return "no labels"
    shown = ", ".join(map(shown_name, labels.class_names[:10])) + (
        ", ..." if labels.n_classes > 10 else ""
    )
    counts = labels.counts()
    sizes = f", {int(counts.min()):,} to {int(counts.max()):,} items each" if len(counts) else ""
    kind = "multi-label" if labels.is_multi else "single label"
    return (
        f"{labels.n_classes} classes ({shown}), {kind}{sizes}; {labels.n_unlabelled:,} unlabelled"
    )
