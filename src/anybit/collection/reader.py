"""A collection as it is read and searched."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import pyarrow as pa
from PIL import Image

from anybit.advice import Advice, AdviceOptions
from anybit.codes import Codebooks, access_error, codebooks_of, read_model_folder
from anybit.collection.add_options import AddOptions
from anybit.collection.conditions import compile_condition
from anybit.collection.contact_sheet import draw_contact_sheet
from anybit.collection.description import describe
from anybit.collection.encoder import Encoder, EncoderOptions, backbone_name, load_encoder
from anybit.collection.evaluation_input import gather_input
from anybit.collection.export import check_export, write_rows
from anybit.collection.hits import Hits
from anybit.collection.kept_rows import KeptRows
from anybit.collection.length_advice import AdviceSources, advise_store
from anybit.collection.live_index import LiveIndex
from anybit.collection.lookup import Lookup
from anybit.collection.manifest import MANIFEST_NAME, are_same_rows, read_manifest
from anybit.collection.onnx_export import export_onnx
from anybit.collection.query import check_source_dim, query_features
from anybit.data import Source, open_source
from anybit.errors import FormatError
from anybit.evaluation import EvaluationInput
from anybit.search import Index, SearchResult, prepare_queries
from anybit.store import CodeStore, Condition, VerifyReport, VersionInfo, open_folder
from anybit.types import Comparison, Float32Array, Int64Array, ProgressCallback

__all__ = ["CollectionReader"]

_T = TypeVar("_T")
_FILTER_TIME_LIMIT_S = 60.0


class CollectionReader:
    """What `Collection` reads; see there.

    Parameters
    ----------
    path : str or Path
        The folder: ``collection.json``, ``model/``, ``items.lance/``; or an ``s3://`` URL.
    device : str or EncoderOptions
        Where, and by what, the model runs, see `load_encoder`.
    version : int, optional
    skip_damaged : bool
        See `open`.

    Attributes
    ----------
    filter_time_limit_s : float or None
        Seconds that evaluating one filter (``where``) may take, 60 unless set; None for no limit.
    """

    def __init__(
        self,
        path: str | Path,
        device: str | EncoderOptions = "auto",
        version: int | None = None,
        *,
        skip_damaged: bool = False,
    ) -> None:
        self._folder, self.device = open_folder(path), device
        self.path = self._folder.place
        self._version, self._skip_damaged = version, skip_damaged
        self.filter_time_limit_s: float | None = _FILTER_TIME_LIMIT_S
        self._load()

    def _load(self) -> None:
        """Read manifest, model and rows, all of one moment."""
        while True:
            stamp = self._folder.stamp_of(MANIFEST_NAME)
            try:
                self._load_at(stamp)
                return
            except (OSError, FormatError) as cause:
                # Another process may have given the collection another model meanwhile, and
                # removed the one before.
                if self._folder.stamp_of(MANIFEST_NAME) != stamp:
                    continue
                if isinstance(cause, FormatError):
                    raise
                told = access_error(self.path, cause)
                raise told or FormatError(f"{self.path} cannot be read: {cause}.") from cause

    def _load_at(self, stamp: Hashable | None) -> None:
        self._looked_s = time.monotonic()
        manifest = read_manifest(self._folder)
        model_folder = self._folder.local_copy(manifest.model)
        folder = read_model_folder(model_folder)
        if folder.fingerprint != manifest.model_fingerprint:
            raise FormatError(
                f"{self.path} must hold the model {manifest.model_fingerprint[:12]} that made its "
                f"codes, got {folder.fingerprint[:12]}. Restore {model_folder} from a copy."
            )
        store = CodeStore.open(
            self._folder.child(manifest.items).place,
            self._version,
            n_levels=manifest.n_levels,
            model_fingerprint=manifest.model_fingerprint,
            skip_damaged=self._skip_damaged,
            is_current=lambda: are_same_rows(read_manifest(self._folder), manifest),
        )
        self._stamp, self._manifest, self._store = stamp, manifest, store
        self._model_folder = model_folder
        self.model_config: dict[str, Any] = folder.config
        self.codebooks: Codebooks = codebooks_of(folder)
        self._encoder: Encoder | None = None
        is_usual = self._version is None and not self._skip_damaged
        snapshot = self._folder.cache_file(f"{manifest.items}.index") if is_usual else None
        self._live, self._kept = LiveIndex(self.codebooks, store, snapshot), KeptRows()

    def _follow(self, *, at_once: bool = False) -> bool:
        """Go to the newest version, and to another model if that was replaced; tell whether so."""
        if not at_once and time.monotonic() - self._looked_s < self._folder.max_age_s:
            return False
        self._looked_s = time.monotonic()
        stamp = self._folder.stamp_of(MANIFEST_NAME) if self._version is None else self._stamp
        if stamp != self._stamp:
            self._load()
            return True
        return self._store.refresh()

    @classmethod
    def open(
        cls,
        path: str | Path,
        device: str | EncoderOptions = "auto",
        version: int | None = None,
        *,
        skip_damaged: bool = False,
    ) -> Self:
        """Open a collection.

        Parameters
        ----------
        path : str or Path
            A folder, or an ``s3://bucket/name`` URL (docs/collection-format.md).
        device : str or EncoderOptions
        version : int, optional
            One of `versions`, which can then only be read; the newest when left out.
        skip_damaged : bool
            Leave out the rows of damaged files (see `skipped`); reading them is an error otherwise.

        Raises
        ------
        FormatError
            If the folder is missing, no collection, damaged, or of a newer format version.
        OptionError
            If there is no such version.
        """
        return cls(path, device, version, skip_damaged=skip_damaged)

    @property
    def model_fingerprint(self) -> str:
        """Fingerprint of the model whose codes the collection holds."""
        return self._manifest.model_fingerprint

    @property
    def encoder(self) -> Encoder:
        """The model's encoder, loaded when first asked for."""
        if self._encoder is None:
            self._encoder = load_encoder(self._model_folder, self.device)
        return self._encoder

    @property
    def _input_dim(self) -> int | None:
        """Values of the vectors that the model takes; None where it takes pictures."""
        takes_vectors = backbone_name(self.model_config) == "none"
        return self.encoder.vector_dim if takes_vectors else None

    def __len__(self) -> int:
        return self.count()

    def count(self, where: str | None = None) -> int:
        """Return the number of items, or of those that a filter selects (docs/filters.md)."""
        return self._retried(lambda: self._store.count(self._condition(where)))

    def ids(self, where: str | None = None) -> Int64Array:
        """Return the ids (n,) of all items, or of those that a filter selects, ascending."""
        return self._retried(lambda: np.sort(self._store.ids(self._condition(where))))

    def _condition(self, where: str | None) -> Condition | None:
        """Return what a filter means for the rows of the version that is read."""
        if where is None:
            return None
        return compile_condition(where, self._store, self.filter_time_limit_s)

    def get(self, ids: Int64Array, columns: list[str] | None = None) -> pa.Table:
        """Return rows in the order of `ids`: ``id``, ``key``, ``labels`` and metadata.

        Parameters
        ----------
        ids : ndarray of shape (n,), int64
        columns : list of str, optional
            Others of the stored columns, such as ``level_00`` or ``thumbnail``.

        Raises
        ------
        DataError
            If an id is not there.
        OptionError
            If a column is not there.
        """

        def work() -> pa.Table:
            with self._store.frozen():
                names = ["id", "key", "labels", *self._store.metadata_columns]
                return self._store.take(ids, names if columns is None else columns)

        return self._retried(work)

    def refresh(self) -> bool:
        """Go to what other processes have committed; tell whether there was something.

        All methods do so by themselves; those that only read ask an object store at most once a
        second.
        """
        return self._follow(at_once=True)

    def versions(self) -> list[VersionInfo]:
        """Return the versions that can be read, oldest first; every commit makes one."""
        return self._store.versions()

    def checkout(self, version: int) -> Self:
        """Open one of `versions`, to be read only; this object stays at the newest.

        Raises
        ------
        OptionError
            If there is no such version (any more).
        """
        return type(self).open(self.path, self.device, version)

    def export(self, target: str | Path, to: str = "npy", *, overwrite: bool = False) -> None:
        """Write ids, codes and codebooks for other programs.

        Parameters
        ----------
        target : str or Path
            Must not exist yet.
        to : {"npy", "faiss", "onnx"}
            A folder of arrays with ``items.parquet`` beside them, an index file of FAISS, or a
            model folder with the network as ONNX graph, without items; all in docs/export.md.
        overwrite : bool
            Replace a model folder that is there; "onnx" only.

        Raises
        ------
        OptionError
            If `to` is unknown or does not fit the model, or `target` exists or is not writable.
        DependencyError
            If FAISS is missing, or for ONNX torch, onnx, onnxscript or onnxruntime.
        """
        self._follow()
        check_export(to, overwrite=overwrite)
        if to == "onnx":
            export_onnx(self._model_folder, target, overwrite=overwrite)
            return
        self._retried(lambda: write_rows(Path(target), self.codebooks, self._store, to))

    def verify(self) -> VerifyReport:
        """Read everything, and compare every file with its checksum; nothing is changed."""
        return self._store.verify()

    @property
    def skipped(self) -> dict[int, list[str]]:
        """What was found damaged and left out so far: reasons, by number of the fragment."""
        return self._store.skipped

    def index(self) -> Index:
        """Return one index over all items, kept in memory until the collection changes."""
        return self._retried(lambda: self._live.merged())

    def search(
        self,
        query: str | Path | Image.Image | Float32Array,
        k: int = 10,
        bits: int | None = None,
        where: str | None = None,
        *,
        comparison: Comparison | None = None,
    ) -> Hits:
        """Find the items nearest to one query.

        Parameters
        ----------
        query : path, PIL image or ndarray
            A picture, or a vector (D,), also as ``.npy`` file: in an image collection a feature.
        k : int
        bits : int, optional
            Code length to compare; all of it when left out.
        where : str, optional
            Filter on metadata, such as ``price < 20`` (docs/filters.md).
        comparison : {"aqd", "sqd"}, optional
            Compare the query itself or its code; as the model says when left out.

        Raises
        ------
        DataError, ShapeError
            If the picture cannot be decoded, or the vector holds NaN or has another dimension.
        OptionError
            If `k` or `bits` is not usable, or (FilterError) `where` is no filter.
        TimeLimitError
            If evaluating the filter takes longer than `filter_time_limit_s`.
        """

        def work() -> Hits:
            dims = (self._input_dim, self.codebooks.dim)
            features = query_features(query, lambda: self.encoder, *dims)
            queries = prepare_queries(self.codebooks, features, comparison)
            lookup = Lookup(self._live, self._store, self._kept)
            answer = lookup.answer(queries, k, [bits], self._condition(where))
            result = answer.results[0]
            return Hits(result.ids[0], result.scores[0], answer.rows, result.bits)

        return self._retried(work)

    def _retried(self, work: Callable[[], _T]) -> _T:
        """Go to the newest version and work, again when a compaction has removed it meanwhile."""
        self._follow()
        while True:
            store, version = self._store, self._store.version
            try:
                return work()
            except FormatError:
                self.refresh()
                if (store, version) == (self._store, self._store.version):
                    raise

    def search_features(
        self,
        features: Float32Array,
        k: int = 10,
        bits: int | None = None,
        where: str | None = None,
        n_threads: int = 1,
        *,
        comparison: Comparison | None = None,
    ) -> SearchResult:
        """Find the items nearest to many queries, given as features (Q, D) of the model."""

        def work() -> SearchResult:
            queries = prepare_queries(self.codebooks, features, comparison)
            return self._live.search(queries, k, bits, self._condition(where), n_threads)

        return self._retried(work)

    @property
    def lookup(self) -> Lookup:
        """What many small requests are answered from: the index in memory and the rows."""
        self._follow()
        return Lookup(self._live, self._store, self._kept)

    def thumbnails(self, ids: Int64Array) -> list[bytes | None]:
        """Return the JPEG thumbnails of some items; None where none is stored."""

        def work() -> list[bytes | None]:
            if "thumbnail" in self._store.columns:
                return list(self._store.take(ids, ["thumbnail"])["thumbnail"].to_pylist())
            return [None] * len(ids)

        return self._retried(work)

    def contact_sheet(self, hits: Hits, query: Image.Image | None = None) -> Image.Image:
        """Draw hits as a grid of thumbnails with rank, score, key and labels."""
        return draw_contact_sheet(hits, self.thumbnails(hits.ids), query)

    def evaluation_input(
        self,
        queries: Source | str | Path,
        options: AddOptions | None = None,
        progress: ProgressCallback | None = None,
    ) -> EvaluationInput:
        """Gather what `anybit.evaluation.evaluate` needs; the database is in the order of ids.

        Parameters
        ----------
        queries : Source, str or Path
            Labelled. Undecodable images are left out, as `add` does.
        options : AddOptions, optional
            Batch size, share of bad images, and how a path is read.
        progress : callable, optional

        Raises
        ------
        DataError
            If queries or items have no labels, or too many images are bad.
        """
        options = AddOptions() if options is None else options
        if not isinstance(queries, Source):
            queries = open_source(Path(queries), options.source)
        self._follow()
        check_source_dim(queries, self._input_dim)
        return self._retried(
            lambda: gather_input(queries, self.encoder, self._store, options, progress)
        )

    def advise(
        self,
        sources: AdviceSources | None = None,
        options: AdviceOptions | None = None,
        progress: ProgressCallback | None = None,
    ) -> Advice:
        """Measure quality, size and search time at every code length, and suggest one.

        Without a source of queries, items are drawn, each left out of its own ranking. Ground
        truth are the nearest items by features and class labels; see `anybit.advice.advise`.

        Parameters
        ----------
        sources : AdviceSources, optional
            Of queries that are not items, and of the items' features where they are not stored.
        options : AdviceOptions, optional
        progress : callable, optional
            Called with (rankings done, rankings in all).

        Raises
        ------
        DataError
            If there are neither features nor labels, or a source does not fit.
        """
        places = AdviceSources() if sources is None else sources
        return self._retried(
            lambda: advise_store(
                self._store, lambda: self.encoder, self.codebooks, places, options, progress
            )
        )

    def info(self) -> dict[str, Any]:
        """Return what there is to know, as plain JSON values."""
        return self._retried(
            lambda: describe(
                self._folder, self._manifest, self._store, self.codebooks, self.model_config
            )
        )
