"""Streaming a source into a store: decode, features, codes, rows; in bounded memory."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from anybit.codes import Codebooks, Codes
from anybit.collection.addition_plan import AdditionPlan, check_commit
from anybit.collection.encoder import Encoder
from anybit.collection.metadata_names import stored_names
from anybit.collection.signatures import signatures_of
from anybit.collection.stored_items import IN_MEMORY
from anybit.data import BadItems, Preprocessor, Source, SourceOptions, content_digest, path_text
from anybit.errors import DataError, OptionError
from anybit.store import CodeStore, level_columns
from anybit.types import Float32Array, Int64Array, ProgressCallback

__all__ = [
    "AddOptions",
    "AddReport",
    "Batch",
    "Ingest",
    "batches_of",
    "code_rows",
    "feature_column",
]

_THUMBNAIL_QUALITY = 80
_FLOAT16_MAX = 65_504.0
_MOST_WORKERS = 16
_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class AddOptions:
    """How items are added.

    Parameters
    ----------
    batch_size : int
        Images of one forward pass (vectors go in batches of 4,096).
    n_workers : int or None
        Threads that decode images; None: one for each processor, at most 16.
    thumbnails_px : int
        Longest side of the stored JPEG thumbnails of images; 0 stores none.
    store_features : bool
        Store features as float16, so that evaluation has the float upper bound.
    store_images : bool
        Store the images' files themselves, so that a new model can encode them again even when
        the sources are gone.
    max_bad : float
        Share of images that may be undecodable; above it the whole addition is taken back.
    rows_per_commit : int
        Rows that are collected before they are written.
    id_prefix : str or None
        Gives items other ids, hashes of the prefix and what names an item, and keys that begin
        with it: so that items of another source that have the same ids stay.
    replace : bool
        Overwrite items of other sources that have the same ids.
    source : SourceOptions or None
        How a source given by path is read.
    """

    batch_size: int = 128
    n_workers: int | None = None
    thumbnails_px: int = 96
    store_features: bool = False
    store_images: bool = False
    max_bad: float = 0.01
    rows_per_commit: int = 20_000
    id_prefix: str | None = None
    replace: bool = False
    source: SourceOptions | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "rows_per_commit"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.n_workers is not None and self.n_workers < 1:
            raise OptionError(f"n_workers must be at least 1, got {self.n_workers}.")
        if not 0 <= self.thumbnails_px <= 1024:
            raise OptionError(f"thumbnails_px must be from 0 to 1024, got {self.thumbnails_px}.")
        if not 0 <= self.max_bad <= 1:
            raise OptionError(f"max_bad must be a share from 0 to 1, got {self.max_bad}.")

    @property
    def stored(self) -> str:
        """What is stored of an item, in words; another choice stores it again."""
        return f"{self.thumbnails_px} {self.store_features} {self.store_images}"


@dataclass(frozen=True)
class AddReport:
    """What `Collection.add` did.

    Parameters
    ----------
    n_added, n_updated : int
        New items, and items that were stored before and have changed.
    n_unchanged : int
        Items that were stored as they are now: they were not encoded again.
    n_bad : int
        Lines of `bad_file`: images that could not be decoded, pictures in formats that cannot be
        read, and folders that cannot be opened.
    bad_file : Path, str or None
        CSV that lists them, by its path or URL; None without any.
    n_moved : int
        Items that were found at another place; they keep their ids.
    n_existing : int
        Items whose given id was stored before, unchanged ones included.
    """

    n_added: int
    n_updated: int
    n_unchanged: int = 0
    n_bad: int = 0
    bad_file: Path | str | None = None
    n_moved: int = 0
    n_existing: int = 0


@dataclass(frozen=True, eq=False)
class Batch:
    """Some items of a source on their way to the network.

    Parameters
    ----------
    positions : ndarray of shape (b,), int64
        Where they stand in the source; undecodable ones are missing.
    inputs : ndarray, float32
        Network input (b, 3, H, W), or vectors (b, D).
    thumbnails : list of bytes or None
        JPEG files, or None without thumbnails.
    n_read : int
        Items read for this batch, bad ones included.
    digests : list of bytes
        Of what was read, see `content_digest`.
    files : list of bytes or None
        The image files, where they are to be stored.
    """

    positions: Int64Array
    inputs: Float32Array
    thumbnails: list[bytes] | None
    n_read: int
    digests: list[bytes]
    files: list[bytes] | None = None


def batches_of(
    source: Source,
    encoder: Encoder,
    options: AddOptions,
    bad: BadItems,
    origins: Int64Array | None = None,
) -> Iterator[Batch]:
    """Yield a source in batches; the images of each are decoded by all threads together.

    Where the network has a device of its own the next batches are decoded meanwhile. On the
    processors the two take turns: threads of both at once cost each other more time than they save.
    `origins` (N,) are the positions under which bad items are listed.

    Raises
    ------
    DataError
        If the source does not hold what the model takes, or vectors hold NaN or infinity.
    """
    if source.kind != encoder.kind:
        raise DataError(
            f"the model takes {encoder.kind}, got a source of {source.kind}. "
            "Give such a source, or train a model for this one."
        )
    n_items = len(source)
    if n_items == 0:
        raise DataError("the source must hold at least one item, got none.")
    if encoder.preprocessor is None:
        for start in range(0, n_items, 4096):
            stop = min(start + 4096, n_items)
            vectors = source.vectors(start, stop)
            digests = [content_digest(row.data) for row in vectors]
            yield Batch(np.arange(start, stop), vectors, None, stop - start, digests)
        return
    reader = _ImageReader(source, encoder.preprocessor, options, bad, origins)
    n_workers = options.n_workers or min(_MOST_WORKERS, os.cpu_count() or 1)
    n_ahead = _BATCHES_AHEAD if encoder.has_own_device else 0
    ahead: deque[list[Future[Batch]]] = deque()
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="anybit-decode")
    try:
        for start in range(0, n_items, options.batch_size):
            stop = min(start + options.batch_size, n_items)
            cuts = np.linspace(start, stop, min(n_workers, stop - start) + 1, dtype=int).tolist()
            ahead.append([pool.submit(reader.read, *part) for part in pairwise(cuts)])
            if len(ahead) > n_ahead:
                yield _joined(ahead.popleft())
        while ahead:
            yield _joined(ahead.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _joined(parts: list[Future[Batch]]) -> Batch:
    """Wait for the parts of a batch and put them together."""
    batches = [part.result() for part in parts]
    has_thumbnails = batches[0].thumbnails is not None
    return Batch(
        np.concatenate([batch.positions for batch in batches]),
        np.concatenate([batch.inputs for batch in batches]),
        [jpeg for batch in batches for jpeg in batch.thumbnails or ()] if has_thumbnails else None,
        sum(batch.n_read for batch in batches),
        [digest for batch in batches for digest in batch.digests],
        None
        if batches[0].files is None
        else [file for batch in batches for file in batch.files or ()],
    )


@dataclass(frozen=True)
class _ImageReader:
    source: Source
    preprocessor: Preprocessor
    options: AddOptions
    bad: BadItems
    origins: Int64Array | None = None  # positions (N,) in the source as it was given

    def read(self, start: int, stop: int) -> Batch:
        """Decode and preprocess the images from `start` to `stop`."""
        positions, pixels, digests = [], [], []
        thumbnails: list[bytes] = []
        files: list[bytes] = []
        longest_px, has_files = self.options.thumbnails_px, self.options.store_images
        for position in range(start, stop):
            try:
                image, digest = self.source.read_with_digest(position)
                if has_files:
                    files.append(self.source.encoded(position))
            except DataError as cause:
                key = self.source.key_of(position)
                origin = position if self.origins is None else int(self.origins[position])
                self.bad.add(origin, key, str(cause).removeprefix(f"{key}: "))
                continue
            positions.append(position)
            digests.append(digest)
            pixels.append(self.preprocessor.to_uint8(image))
            if longest_px:
                thumbnails.append(_thumbnail(image, longest_px))
        size = self.preprocessor.size_px
        stacked = np.empty((len(pixels), size, size, 3), dtype=np.uint8)  # (b, H, W, 3)
        for row, one in enumerate(pixels):
            stacked[row] = one
        return Batch(
            np.array(positions, dtype=np.int64),
            self.preprocessor.normalise(stacked),
            thumbnails if longest_px else None,
            stop - start,
            digests,
            files if has_files else None,
        )


def _thumbnail(image: Image.Image, longest_px: int) -> bytes:
    """Return a JPEG whose longer side is at most `longest_px`."""
    if max(image.size) > longest_px:
        factor = longest_px / max(image.size)
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        # The reducing gap shrinks large pictures by whole factors first: three times faster.
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_THUMBNAIL_QUALITY)
    return file.getvalue()


@dataclass
class Ingest:
    """One run of `Collection.add`: encodes what is planned, writes chunks of rows, counts.

    Encoding and writing happen in one thread beside the network's, where that has a device of its
    own, and in turn with it otherwise.
    """

    store: CodeStore
    codebooks: Codebooks
    source: Source
    options: AddOptions
    plan: AdditionPlan
    n_added: int = 0
    n_updated: int = 0
    n_moved: int = 0
    _names: list[str] = field(default_factory=list)  # of metadata columns, as they are stored
    _chunks: list[pa.Table] = field(default_factory=list)

    def run(self, encoder: Encoder, bad: BadItems, progress: ProgressCallback | None) -> None:
        """Stream the whole source; chunks are committed as they fill up.

        Raises
        ------
        DataError
            If too many images are bad: what was written is taken back first.
        """
        start_version, n_total = self.store.version, len(self.source)
        changed = self.plan.positions
        n_done = self.plan.n_unchanged
        if n_total and not len(changed):
            return
        if n_done:
            self.source = self.source.take(changed)
        if self.source.metadata is not None:
            self._names = stored_names(self.source.metadata.column_names)
        waiting: deque[tuple[Future[None], int]] = deque()
        n_beside = 1 if encoder.has_own_device else 0
        with ThreadPoolExecutor(1, thread_name_prefix="anybit-write") as writer:
            try:
                for batch in batches_of(self.source, encoder, self.options, bad, changed):
                    bad.check(n_total, self.options.max_bad)
                    if len(batch.positions):
                        features = encoder.features(batch.inputs)
                        future = writer.submit(self._take, batch, features)
                        waiting.append((future, batch.n_read))
                    else:
                        n_done += batch.n_read
                    while len(waiting) > n_beside:
                        n_done += _finished(*waiting.popleft())
                        if progress is not None:
                            progress(n_done, n_total)
                while waiting:
                    n_done += _finished(*waiting.popleft())
                writer.submit(self._flush).result()
            except DataError:
                writer.shutdown(wait=True, cancel_futures=True)
                with suppress(DataError):  # rows that were replaced are not written any more
                    self.store.restore(start_version, only_own=True)
                raise
        if progress is not None:
            progress(n_done, n_total)

    def _take(self, batch: Batch, features: Float32Array) -> None:
        """Encode one batch and keep its rows until a chunk is full."""
        ids = self.plan.ids[batch.positions]
        rows = code_rows(ids, self.codebooks.encode(features))
        signatures = signatures_of(self.source, batch.positions, self.options.stored)
        rows = rows.append_column("signature", pa.array(signatures, pa.int64()))
        rows = rows.append_column("item_source", self._sources(ids))
        rows = rows.append_column("item_digest", pa.array(batch.digests, pa.binary(16)))
        for name, column in self._described(batch.positions):
            rows = rows.append_column(name, column)
        if batch.thumbnails is not None:
            rows = rows.append_column("thumbnail", pa.array(batch.thumbnails, pa.binary()))
        if self.options.store_features:
            rows = rows.append_column("feature", feature_column(features))
        if batch.files is not None:
            rows = rows.append_column("image", pa.array(batch.files, pa.binary()))
        self._chunks.append(rows)
        if sum(map(len, self._chunks)) >= self.options.rows_per_commit:
            self._flush()

    def _described(self, positions: Int64Array) -> list[tuple[str, pa.Array]]:
        """Return key, labels and metadata columns of some items."""
        columns = []
        if self.source.kind == "images":
            files = [self.source.file_of(position) for position in positions.tolist()]
            paths = [None if one is None else path_text(os.path.realpath(one)) for one in files]
            if any(paths):
                columns.append(("path", pa.array(paths, pa.string())))
        row_keys = self.plan.row_keys
        if self.source.keys is not None:
            keys = [self.source.keys[position] for position in positions]
            columns.append(("key", pa.array(keys, pa.string())))
        elif row_keys:
            row_names = [row_keys.get(one) for one in self.plan.ids[positions].tolist()]
            columns.append(("key", pa.array(row_names, pa.string())))
        if self.source.labels is not None:
            labels = self.source.labels.take(positions)
            names = [[labels.class_names[c] for c in row] for row in labels.lists()]
            columns.append(("labels", pa.array(names, pa.list_(pa.string()))))
        if self.source.metadata is not None:
            chosen = self.source.metadata.take(pa.array(positions))
            columns += zip(self._names, chosen.columns, strict=True)
        return columns

    def _sources(self, ids: Int64Array) -> pa.Array:
        """Return the sources to record with ids (n,)."""
        name = self.plan.source
        sources = [name] * len(ids)
        if name == IN_MEMORY:  # an array equal to what came from a file
            sources = [self.plan.expected.get(one) or name for one in ids.tolist()]
        return pa.array(sources, pa.string())

    def _flush(self) -> None:
        if self._chunks:
            rows = pa.concat_tables(self._chunks)
            ids = rows["id"].to_numpy()
            check = None if self.options.replace else partial(
                check_commit, self.plan, self.store, ids
            )  # fmt: skip
            counts = self.store.upsert(rows, check)
            n_moved = int(np.isin(ids, self.plan.ids[self.plan.is_moved]).sum())
            self.n_added += counts.n_added
            self.n_moved += n_moved
            self.n_updated += counts.n_updated - n_moved
            self._chunks.clear()


def _finished(future: Future[None], n_read: int) -> int:
    future.result()
    return n_read


def code_rows(ids: Int64Array, codes: Codes) -> pa.Table:
    """Return rows of id and level columns."""
    columns = {"id": pa.array(ids, pa.int64())}
    for name, plane in zip(level_columns(codes.n_levels), codes.planes, strict=True):
        columns[name] = pa.array(plane, pa.uint8())
    return pa.table(columns)


def feature_column(features: Float32Array) -> pa.Array:
    """Return features (n, D) as fixed-size lists of float16."""
    if np.abs(features).max(initial=0) > _FLOAT16_MAX:
        raise DataError(
            f"features must lie within {_FLOAT16_MAX:,.0f} to be stored as float16, "
            f"got {np.abs(features).max():g}. Add without storing features."
        )
    flat = pa.array(features.astype(np.float16).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, features.shape[1])
