"""Giving a collection another model: all items encoded again, or codes with more levels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike
from PIL import Image

from anybit.codes import Codebooks
from anybit.collection.add_options import AddOptions
from anybit.collection.batches import batches_of
from anybit.collection.encoder import Encoder
from anybit.collection.ingest import code_rows, feature_column
from anybit.collection.item_match import positions_of_stored
from anybit.data import BadItems, ImageSource, Items, Source, shown_name, text_path
from anybit.errors import DataError
from anybit.store import CodeStore, level_columns
from anybit.types import Float32Array, Int64Array, ProgressCallback

__all__ = ["Features", "MigrateReport", "Stored", "are_prefix", "reencode_store"]

Stored: TypeAlias = Literal["vectors", "features", "foreign features"]

_CHUNK_ROWS = 4096
# Columns that may change while the signature of an item stays: its file was moved.
_OUTSIDE_SIGNATURES = ("path", "item_source", "item_digest")


@dataclass(frozen=True)
class MigrateReport:
    """What `Collection.migrate` did.

    Parameters
    ----------
    n_items : int
        In the collection now.
    n_encoded : int
        Items that were encoded; fewer when an interrupted migration went on.
    is_extended : bool
        Whether the stored levels stayed, and only new ones were added.
    old_fingerprint, new_fingerprint : str
    """

    n_items: int
    n_encoded: int
    is_extended: bool
    old_fingerprint: str
    new_fingerprint: str


def are_prefix(old: Codebooks, new: Codebooks) -> bool:
    """Tell whether codes of `old` are the first levels of codes of `new`, for the same features."""
    if type(old) is not type(new) or not old.is_sequential or new.n_levels <= old.n_levels:
        return False
    if (old.n_codewords, old.dim, old.metric) != (new.n_codewords, new.dim, new.metric):
        return False
    first = new.cut_levels(old.n_levels)
    names = ("codebooks", "level_scales", "offset")
    return all(_are_same(getattr(old, name), getattr(first, name)) for name in names)


def _are_same(one: Float32Array | None, other: Float32Array | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


class _StoredImages(ImageSource):
    """Pictures as the store has them: files of their own, or paths."""

    def __init__(self, rows: pa.Table) -> None:
        keys = tuple(
            key or str(number)
            for key, number in zip(rows["key"].to_pylist(), rows["id"].to_pylist(), strict=True)
        )
        super().__init__(Items(rows["id"].to_numpy(), keys), "stored pictures")
        self._rows, names = rows, rows.column_names
        self._images = rows["image"].to_pylist() if "image" in names else [None] * len(rows)
        self._paths = rows["path"].to_pylist() if "path" in names else [None] * len(rows)

    def _encoded(self, position: int) -> bytes | Path | Image.Image:
        image: bytes | None = self._images[position]
        if image is not None:
            return image
        stored = self._paths[position]
        path = None if stored is None else text_path(stored)
        if path is None or not os.path.isfile(path):
            known = "a known path" if path is None else shown_name(path)
            raise DataError(
                f"its picture is neither stored nor at {known}. Give the source (--source)."
            )
        return path

    def take(self, positions: ArrayLike) -> Source:
        """Return a source of some of the pictures, in the order of `positions`."""
        return _StoredImages(self._rows.take(pa.array(self._positions(positions))))


class Features:
    """Features of stored items, made by a model from what the store or a source has of them.

    Parameters
    ----------
    store : CodeStore
    encoder : Encoder
    source : Source, optional
        Pictures or vectors, instead of what is stored. Items are found in it by their place where
        it is the source that they came from, else by id and content.
    stored : {"vectors", "features", "foreign features"}
        What stored features of a model of vectors are: the vectors themselves, or what the
        encoder's own feature map, or that of another model, made of them.
    """

    def __init__(
        self,
        store: CodeStore,
        encoder: Encoder,
        source: Source | None,
        stored: Stored = "vectors",
    ) -> None:
        self._store, self._encoder, self._source = store, encoder, source
        self._stored = stored
        self._places: tuple[Int64Array, Int64Array] | None = None

    def of(self, ids: Int64Array) -> Float32Array:
        """Return the features (n, D) of items.

        Raises
        ------
        DataError
            If a picture or vector is missing or damaged; names the item.
        """
        if len(ids) == 0:  # an empty collection needs no source
            return np.empty((0, self._encoder.codebooks.dim), dtype=np.float32)
        source = self._rows(ids)
        if source is None:
            return self._stored_vectors(ids)
        bad, parts = BadItems(), []
        for batch in batches_of(source, self._encoder, AddOptions(thumbnails_px=0), bad):
            if len(bad):
                first = next(iter(bad))
                raise DataError(
                    f"every item must be encoded again, got {first.key}: {first.reason} "
                    "Repair or delete it, then run the same command again."
                )
            parts.append(self._encoder.features(batch.inputs))
        return np.concatenate(parts)

    def _rows(self, ids: Int64Array) -> Source | None:
        """Return a source of these items in their order; None for stored vectors."""
        if self._source is not None:
            positions = self._positions_of(self._source, ids)
            missing = ids[positions < 0]
            if len(missing):
                raise DataError(
                    f"the source must hold every item, got none for id {missing[0]} "
                    f"({len(missing)} of {len(ids)} looked at). Delete it or complete the source."
                )
            return self._source.take(positions)
        if self._encoder.kind == "vectors":
            return None
        names = [name for name in ("image", "path") if name in self._store.own_columns]
        stored = [name for name in names if name in self._store.columns]
        return _StoredImages(self._store.take(ids, ["id", "key", *stored]))

    def _positions_of(self, source: Source, ids: Int64Array) -> Int64Array:
        """Return where stored items (n,) are in a source, -1 where they are not."""
        for is_again in (False, True):
            if self._places is None or is_again:  # again: for items that came meanwhile
                self._places = positions_of_stored(source, self._store)
            known, positions = self._places
            rows = np.minimum(np.searchsorted(known, ids), max(len(known) - 1, 0))
            is_known = known[rows] == ids if len(known) else np.zeros(len(ids), np.bool_)
            if is_known.all():
                break
        return np.where(is_known, positions[rows], -1)

    def _stored_vectors(self, ids: Int64Array) -> Float32Array:
        if self._stored == "foreign features":
            raise DataError(
                "vectors must be encoded again, got only what the feature map of the model before "
                "made of them. Give the source (--source)."
            )
        if "feature" not in self._store.columns:
            raise DataError(
                "vectors must be encoded again, got none stored. Give the source (--source)."
            )
        column = self._store.take(ids, ["feature"])["feature"]
        if column.null_count:
            raise DataError(
                f"vectors must be encoded again, got {column.null_count} items without a stored "
                "one. Give the source (--source)."
            )
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        vectors = np.asarray(flat.reshape(len(ids), -1), dtype=np.float32)
        return vectors if self._stored == "features" else self._encoder.features(vectors)


def _chunks(ids: Int64Array, progress: ProgressCallback | None) -> Iterator[Int64Array]:
    for start in range(0, len(ids), _CHUNK_ROWS):
        yield ids[start : start + _CHUNK_ROWS]
        if progress is not None:
            progress(min(start + _CHUNK_ROWS, len(ids)), len(ids))


def reencode_store(
    old: CodeStore,
    draft: CodeStore,
    features: Features,
    codebooks: Codebooks,
    progress: ProgressCallback | None = None,
) -> int:
    """Bring a store of new codes to the state of the old one; return how many were encoded.

    Items that it holds as they are now, by their signature, are passed over; items that are gone
    are deleted.
    """
    old.refresh()
    ids = np.sort(old.ids())
    gone = np.setdiff1d(draft.ids(), ids)
    if len(gone):
        draft.delete(ids=gone)
    todo = np.setdiff1d(ids, _unchanged(old, draft))
    kept = [name for name in old.columns if name not in level_columns(old.n_levels)]
    for chunk in _chunks(todo, progress):
        made = features.of(chunk)
        rows = code_rows(chunk, codebooks.encode(made))
        stored = old.take(chunk, kept)
        for name in kept:
            if name == "feature":
                rows = rows.append_column(name, feature_column(made))
            elif name != "id":
                rows = rows.append_column(name, stored[name])
        draft.upsert(rows)
    return len(todo)


def _unchanged(old: CodeStore, draft: CodeStore) -> Int64Array:
    """Return the ids whose signature, and what it leaves out, is the same in both."""
    ids, ours = old.signatures()
    others, theirs = draft.signatures()
    both, at, there = np.intersect1d(ids, others, assume_unique=True, return_indices=True)
    unchanged: Int64Array = both[ours[at] == theirs[there]]
    for name in _OUTSIDE_SIGNATURES:
        if name not in old.columns or len(unchanged) == 0:
            continue
        if name not in draft.columns:
            return np.empty(0, np.int64)
        of_old, of_draft = old.take(unchanged, [name]), draft.take(unchanged, [name])
        same = [
            one == other
            for one, other in zip(of_old[name].to_pylist(), of_draft[name].to_pylist(), strict=True)
        ]
        unchanged = unchanged[np.array(same, dtype=np.bool_)]
    return unchanged
