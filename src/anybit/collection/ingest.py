"""Streaming a source into a store: decode, features, codes, rows; in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa

from anybit.codes import Codebooks, Codes
from anybit.collection.add_options import AddOptions
from anybit.collection.addition_plan import AdditionPlan, check_commit
from anybit.collection.batches import ItemBatch, batches_of
from anybit.collection.encoder import Encoder
from anybit.collection.metadata_names import stored_names
from anybit.collection.signatures import signatures_of
from anybit.collection.stored_items import IN_MEMORY
from anybit.data import BadItems, Source, path_text
from anybit.errors import DataError
from anybit.store import CodeStore, level_columns
from anybit.types import Float32Array, Int64Array, ProgressCallback

__all__ = ["Ingest", "code_rows", "feature_column"]

_FLOAT16_MAX = 65_504.0
# Columns that say where an item is; what else is stored of a moved one stays.
_PLACE_COLUMNS = ("path", "key", "signature", "item_source")
_KEPT_ROWS = 4096


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
    _ids: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))  # of what is encoded
    _chunks: list[pa.Table] = field(default_factory=list)

    def run(self, encoder: Encoder, bad: BadItems, progress: ProgressCallback | None) -> None:
        """Stream the whole source; chunks are committed as they fill up.

        Raises
        ------
        DataError
            If too many images are bad: what was written is taken back first.
        """
        start_version, n_total = self.store.version, len(self.source)
        changed = self.plan.positions[~self.plan.is_kept]
        n_done = self.plan.n_unchanged
        if n_total and not len(self.plan.positions):
            return
        if self.source.metadata is not None:
            self._names = stored_names(self.source.metadata.column_names)
        waiting: deque[tuple[Future[None], int]] = deque()
        n_beside = 1 if encoder.has_own_device else 0
        with ThreadPoolExecutor(1, thread_name_prefix="anybit-write") as writer:
            try:
                for n_kept in self._keep():
                    n_done += n_kept
                    if progress is not None:
                        progress(n_done, n_total)
                for batch in self._batches(encoder, bad, changed):
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

    def _batches(self, encoder: Encoder, bad: BadItems, changed: Int64Array) -> Iterator[ItemBatch]:
        """Return the items at some positions (n,) of the source, which they are from now on."""
        if len(self.source) and not len(changed):
            return iter(())
        if len(changed) < len(self.source):
            self.source = self.source.take(changed)
        self._ids = self.plan.ids[~self.plan.is_kept]
        return batches_of(self.source, encoder, self.options, bad, changed)

    def _keep(self) -> Iterator[int]:
        """Give moved items of which nothing else has changed their new places; yield how many."""
        kept = np.flatnonzero(self.plan.is_kept)
        names = [name for name in self.store.columns if name not in _PLACE_COLUMNS]
        n_rows = min(_KEPT_ROWS, self.options.rows_per_commit)
        for start in range(0, len(kept), n_rows):
            chosen = kept[start : start + n_rows]
            positions, ids = self.plan.positions[chosen], self.plan.ids[chosen]
            rows = self._stored_rows(ids, names)
            signatures = signatures_of(self.source, positions, self.options.stored)
            rows = rows.append_column("signature", pa.array(signatures, pa.int64()))
            rows = rows.append_column("item_source", self._sources(ids))
            for name, column in self._places(positions, ids):
                rows = rows.append_column(name, column)
            self._write(rows)
            yield len(rows)
        self._flush()  # what follows has other columns

    def _stored_rows(self, ids: Int64Array, names: list[str]) -> pa.Table:
        """Return rows of items that are to be stored under the same ids (n,) again."""
        try:
            return self.store.at_newest(lambda: self.store.take(ids, names))
        except DataError as cause:
            raise DataError(
                f"items must stay while their new places are stored, got {cause} Run the same "
                "command again."
            ) from cause

    def _take(self, batch: ItemBatch, features: Float32Array) -> None:
        """Encode one batch and keep its rows until a chunk is full."""
        ids = self._ids[batch.positions]
        rows = code_rows(ids, self.codebooks.encode(features))
        signatures = signatures_of(self.source, batch.positions, self.options.stored)
        rows = rows.append_column("signature", pa.array(signatures, pa.int64()))
        rows = rows.append_column("item_source", self._sources(ids))
        rows = rows.append_column("item_digest", pa.array(batch.digests, pa.binary(16)))
        described = self._places(batch.positions, ids) + self._described(batch.positions)
        for name, column in described:
            rows = rows.append_column(name, column)
        if batch.thumbnails is not None:
            rows = rows.append_column("thumbnail", pa.array(batch.thumbnails, pa.binary()))
        if self.options.store_features:
            rows = rows.append_column("feature", feature_column(features))
        if batch.files is not None:
            rows = rows.append_column("image", pa.array(batch.files, pa.binary()))
        self._write(rows)

    def _write(self, rows: pa.Table) -> None:
        """Keep rows until a chunk is full."""
        self._chunks.append(rows)
        if sum(map(len, self._chunks)) >= self.options.rows_per_commit:
            self._flush()

    def _places(self, positions: Int64Array, ids: Int64Array) -> list[tuple[str, pa.Array]]:
        """Return path and key columns of some items."""
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
            row_names = [row_keys.get(one) for one in ids.tolist()]
            columns.append(("key", pa.array(row_names, pa.string())))
        return columns

    def _described(self, positions: Int64Array) -> list[tuple[str, pa.Array]]:
        """Return labels and metadata columns of some items."""
        columns = []
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
