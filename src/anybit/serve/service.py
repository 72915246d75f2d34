"""A collection in memory, and the threads that answer from it."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from anybit.collection import Collection, Encoder, Lookup
from anybit.errors import AnybitError, FormatError
from anybit.serve.client_filter import client_condition, filter_columns
from anybit.serve.decode_pool import DecodeLimits, DecodePool
from anybit.serve.errors import ServeError
from anybit.serve.image_batcher import ImageBatcher
from anybit.serve.metrics import Metrics
from anybit.serve.options import ServeOptions
from anybit.store import Condition
from anybit.types import Float32Array

__all__ = ["Service"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Service:
    """What the routes work with.

    Parameters
    ----------
    collection : Collection
    options : ServeOptions
    """

    def __init__(self, collection: Collection, options: ServeOptions) -> None:
        self.collection, self.options, self.metrics = collection, options, Metrics()
        collection.filter_time_limit_s = options.search_timeout_s
        self.name = Path(str(collection.path)).name.removesuffix(".anybit") or "collection"
        self.state: Literal["loading", "ready", "stopping"] = "loading"
        self._encoder: tuple[str, Encoder] | None = None
        self._loading, self._described_for = threading.Lock(), (-1, "")
        self._described: dict[str, Any] = {}
        self._n_waiting, self._warm_version = 0, -1
        n_threads = options.n_threads or os.cpu_count() or 1
        self.searching = ThreadPoolExecutor(n_threads, thread_name_prefix="anybit-search")
        self.writing = ThreadPoolExecutor(1, thread_name_prefix="anybit-write")
        self.decoding = ThreadPoolExecutor(options.n_decoders, thread_name_prefix="anybit-decode")
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="anybit-encode")
        limits = DecodeLimits(options.max_pixels, options.decode_timeout_s, options.decode_bytes)
        self.decoders = DecodePool(options.n_decoders, limits, self.metrics.decoder_restarts.inc)
        self.batcher = ImageBatcher(
            self._encoding,
            options.batch_size,
            options.batch_wait_ms / 1000,
            self.metrics.batch_images.observe,
        )

    # --- life ---

    def load(self) -> None:
        """Load model and index; the server is ready then.

        Raises
        ------
        AnybitError
            If the model cannot be loaded: the collection is not served then.
        """
        encoder = self.encoder()
        if encoder.kind == "images":
            self.decoders.start()
        self._warm()
        if self.state == "loading":
            self.state = "ready"

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """Load (unless done before), follow the collection, and end everything at the end."""
        tasks = [asyncio.create_task(self._follow_always())]
        if self.state == "loading":
            tasks.append(asyncio.create_task(self._load_beside()))
        try:
            yield
        finally:
            self.state = "stopping"
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self.close)

    async def _load_beside(self) -> None:
        try:
            await asyncio.to_thread(self.load)
        except AnybitError as cause:
            _log.critical("the collection cannot be served: %s", cause)

    async def _follow_always(self) -> None:
        while True:
            await asyncio.sleep(self.options.follow_s)
            if self.state == "ready":
                try:
                    await asyncio.to_thread(self._follow)
                except AnybitError as cause:
                    _log.error("the collection cannot be followed: %s", cause)

    def _follow(self) -> None:
        """Take up what other processes have committed, outside of any request."""
        self.collection.refresh()
        self.encoder()
        if self.collection.lookup.version != self._warm_version:
            self._warm()

    def _warm(self) -> None:
        """Bring the index up to date, for every code length, and keep what hits show."""
        codebooks = self.collection.codebooks
        if self.options.kept_bytes:
            self.collection.lookup.keep_rows(self.options.kept_bytes)
        feature = np.ones((1, codebooks.dim), dtype=np.float32)
        answer = self.collection.lookup.answer(feature, 1, codebooks.lengths())
        self._warm_version = answer.version
        self.metrics.items.set(self.described()["n_items"])

    def close(self) -> None:
        """Finish what runs, and end threads and processes."""
        for pool in (self.searching, self.writing, self.decoding, self._encoding):
            pool.shutdown(wait=True, cancel_futures=True)
        self.decoders.close()

    # --- the collection ---

    def encoder(self) -> Encoder:
        """Return the encoder of the collection's model, loaded once."""
        fingerprint = self.collection.model_fingerprint
        if self._encoder is None or self._encoder[0] != fingerprint:
            with self._loading:
                if self._encoder is None or self._encoder[0] != fingerprint:
                    self._encoder = (fingerprint, self.collection.encoder)
        return self._encoder[1]

    def read(self, work: Callable[[Lookup], _T]) -> _T:
        """Do something with rows; again if their version was removed meanwhile."""
        try:
            return work(self.collection.lookup)
        except FormatError:
            if not self.collection.refresh():
                raise
            return work(self.collection.lookup)

    def described(self) -> dict[str, Any]:
        """Return what ``GET /v1/collection`` answers."""
        lookup, fingerprint = self.collection.lookup, self.collection.model_fingerprint
        n_items = len(lookup)
        if self._described_for != (lookup.version, fingerprint):
            described = self._describe(lookup, n_items)
            self._described_for = (described["version"], fingerprint)
            self._described = described
        return self._described

    def _describe(self, lookup: Lookup, n_items: int) -> dict[str, Any]:
        codebooks, encoder, options = self.collection.codebooks, self.encoder(), self.options
        schema = lookup.schema
        is_labelled = n_items > 0 and self.collection.count("array_length(labels) > 0") > 0
        kinds = ["image", "id", "vector"] if encoder.kind == "images" else ["id", "vector"]
        return {
            "name": self.name,
            "n_items": n_items,
            "version": lookup.version,
            "bits": codebooks.bits,
            "lengths": codebooks.lengths(),
            "n_levels": codebooks.n_levels,
            "n_codewords": codebooks.n_codewords,
            "metric": codebooks.metric,
            "dim": encoder.vector_dim,
            "has_thumbnails": "thumbnail" in schema.names,
            "query_kinds": kinds,
            "engine": {"name": encoder.engine.name, "version": encoder.engine.version},
            "columns": filter_columns(lookup),
            "class_names": self.collection.model_config.get("class_names"),
            "label_column": "labels" if is_labelled else None,
            "is_writable": options.is_writable,
            "limits": {
                "upload_bytes": options.upload_bytes,
                "pixels": options.max_pixels,
                "k": options.max_k,
            },
        }

    def condition(self, lookup: Lookup, where: str | None) -> Condition | None:
        """Return what a client's filter means; None for none.

        Raises
        ------
        ServeError
            ``bad_filter``, if it is no filter or a large one.
        """
        return client_condition(lookup, where, self.options.search_timeout_s)

    def vector(self, values: list[float], encoder: Encoder | None = None) -> Float32Array:
        """Return a client's vector as a feature (1, D), of this encoder or the current one.

        Raises
        ------
        ServeError
            ``bad_request``, if it has another dimension or is not finite as float32.
        """
        encoder = self.encoder() if encoder is None else encoder
        dim = encoder.vector_dim
        with np.errstate(over="ignore"):
            given = np.array([values], dtype=np.float32)
        if given.shape != (1, dim) or not np.isfinite(given).all():
            raise ServeError(
                "bad_request",
                f"A vector must have {dim} finite numbers, got {given.shape[1]}"
                f"{'' if given.shape[1] != dim else ', some too large'}.",
                "Send a vector of the kind that the collection's model takes.",
            )
        # A feature of an image model is taken as it is.
        return given if encoder.kind == "images" else encoder.features(given)

    # --- work ---

    @contextmanager
    def timed(self, stage: str, times: dict[str, float]) -> Iterator[None]:
        """Measure a part of a request, in milliseconds."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start_s
            self.metrics.stage_seconds.labels(stage).observe(seconds)
            times[stage] = round(seconds * 1000, 3)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Admit one piece of work, within the limits of number and time.

        Raises
        ------
        ServeError
            ``unavailable``, if the server is not ready or has too much to do; ``timeout``.
        """
        if self.state == "loading":
            raise ServeError(
                "unavailable", "The server must be ready, it is loading.",
                "Try again in some seconds; GET /readyz tells when.", retry_after_s=2,
            )  # fmt: skip
        if self._n_waiting >= self.options.max_waiting:
            raise ServeError(
                "unavailable",
                f"At most {self.options.max_waiting} requests may wait, got more.",
                "Try again in a second, or serve with more --workers.",
                retry_after_s=1,
            )
        self._n_waiting += 1
        self.metrics.waiting.inc()
        try:
            async with asyncio.timeout(self.options.search_timeout_s):
                yield
        except TimeoutError:
            raise ServeError(
                "timeout",
                f"An answer must be there within {self.options.search_timeout_s:g} s, it was not.",
                "Try again when the server has less to do.",
            ) from None
        finally:
            self._n_waiting -= 1
            self.metrics.waiting.dec()

    async def run(self, pool: Executor, work: Callable[[], _T]) -> _T:
        """Do blocking work in a thread."""
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def stop_soon(self) -> None:
        """Tell that the server will stop: it is not ready any more, and finishes what runs."""
        self.state = "stopping"
