"""A collection: a folder with a model, and the codes of items made by that model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from anybit.codes import Codes
from anybit.collection.add_options import AddOptions, AddReport
from anybit.collection.addition_plan import AdditionPlan, check_given, plan_addition
from anybit.collection.creation import SavesPretrained, create_folder
from anybit.collection.encoder import EncoderOptions
from anybit.collection.ingest import Ingest, code_rows
from anybit.collection.manifest import are_same_rows
from anybit.collection.metadata_names import stored_names
from anybit.collection.migration import MigrateReport
from anybit.collection.query import check_source_dim
from anybit.collection.reader import CollectionReader
from anybit.collection.replacement import (
    Target,
    add_onnx_to_folder,
    migrate_folder,
    remove_replaced,
)
from anybit.collection.replacement_lock import replacement_lock
from anybit.collection.stored_items import GIVEN
from anybit.collection.upgrade import upgrade_folder
from anybit.data import BadItems, Source, open_source
from anybit.errors import DataError, ReplacedError, ShapeError
from anybit.store import CompactReport
from anybit.types import Int64Array, ProgressCallback

__all__ = ["Collection"]

_BAD_ITEMS = "bad-items.csv"
_T = TypeVar("_T")


class Collection(CollectionReader):
    """Items that can be found by code. Make one with `create` or `open`.

    Parameters
    ----------
    path : str or Path
        The folder: ``collection.json``, ``model/``, ``items.lance/``; or an ``s3://`` URL.
    device : str or EncoderOptions
        Where, and by what, the model runs, see `load_encoder`.
    version : int, optional
    skip_damaged : bool
        See `open`.

    Examples
    --------
    ::

        shop = Collection.create("shop.anybit", "model")
        shop.add("photos/")
        hits = shop.search("query.jpg", k=10, bits=16)  # hits.ids, hits.scores, hits.keys
    """

    @classmethod
    def create(
        cls,
        path: str | Path,
        model: str | Path | SavesPretrained,
        overwrite: bool = False,
        device: str | EncoderOptions = "auto",
    ) -> Collection:
        """Make an empty collection: complete, or not at all.

        Parameters
        ----------
        path : str or Path
            A folder, or an ``s3://bucket/name`` URL.
        model : str, Path or object with ``save_pretrained``
            A model folder, which is copied into the collection, or a trained model.
        overwrite : bool
            Replace a collection (never another kind of folder) that is there. Additions that are
            not complete by then end with ReplacedError.
        device : str or EncoderOptions

        Raises
        ------
        OptionError
            If `path` exists and may not be replaced, is written or migrated by another process at
            the moment, or cannot be written.
        FormatError, NotTrainedError
            If the model folder is missing or damaged, or has no codebooks.
        """
        create_folder(path, model, overwrite=overwrite)
        return cls.open(path, device)

    def add(
        self,
        source: Source | str | Path,
        options: AddOptions | None = None,
        progress: ProgressCallback | None = None,
        announce: Callable[[AdditionPlan], None] | None = None,
    ) -> AddReport:
        """Encode the items of a source and store them; what is stored as it is now stays.

        An item is what comes from one place of one source: a path within a folder, a row of a
        file. When its content has changed it is updated. A file that was moved keeps its id. An
        item of another source is never replaced, unless its id was given (by an id column, or by
        an array of ids) and is given again.

        Items are written in chunks, each one commit. An addition that was interrupted is run
        again: it goes on with what is missing.

        Parameters
        ----------
        source : Source, str or Path
        options : AddOptions, optional
        progress : callable, optional
            Called with (items done, items in all).
        announce : callable, optional
            Called with what is going to be done, before the work.

        Raises
        ------
        DataError
            If the source holds something else than the model takes, ids repeat, vectors hold NaN
            or infinity, or too many images cannot be decoded. Chunks written before are taken
            back, unless another process has written meanwhile. And, before anything is written,
            if items of other sources have the same ids.
        ReplacedError
            If the collection got another model meanwhile: chunks written before stay, and the same
            addition continues. Or if another collection was put in its place.
        ShapeError
            If vectors have another dimension than the model takes.
        OptionError
            If the collection cannot be written.
        """
        self.refresh()
        options = AddOptions() if options is None else options
        if not isinstance(source, Source):
            source = open_source(Path(source), options.source)
        check_source_dim(source, self._input_dim)
        if options.id_prefix is not None:
            source = source.with_id_prefix(options.id_prefix)
        if len(np.unique(source.ids)) != len(source.ids):
            raise DataError("ids of a source must be distinct, got repeated ones.")
        plan = self._retried(
            lambda: plan_addition(source, self._store, options.stored, replace=options.replace)
        )
        if announce is not None:
            announce(plan)
        if len(plan.positions):
            self._upgrade()
        with self._store.locked():
            pass  # a collection that cannot be written says so before the work
        bad = BadItems()
        bad.add_unlisted(source.unusable)
        bad_file = self._folder.child(_BAD_ITEMS).place
        ingest = Ingest(self._store, self.codebooks, source, options, plan)
        try:
            ingest.run(self.encoder, bad, progress)
        except DataError as cause:
            if len(bad) == 0:
                raise
            raise DataError(f"{cause} All unusable items are listed in {bad_file}.") from cause
        finally:
            # The list always describes the latest addition, failed ones included.
            if len(bad):
                self._folder.write(_BAD_ITEMS, bad.to_csv())
            else:
                self._folder.remove([_BAD_ITEMS])
        return AddReport(
            n_added=ingest.n_added,
            n_updated=ingest.n_updated,
            n_unchanged=plan.n_unchanged,
            n_bad=len(bad),
            bad_file=bad_file if len(bad) else None,
            n_moved=ingest.n_moved,
            n_existing=plan.n_existing,
        )

    def add_codes(
        self,
        codes: Codes,
        ids: Int64Array,
        model_fingerprint: str,
        columns: pa.Table | None = None,
        *,
        replace: bool = False,
    ) -> AddReport:
        """Store codes that were made elsewhere by the same model.

        An item whose id was given is updated by the same id.

        Parameters
        ----------
        codes : Codes
            All levels of the model.
        ids : ndarray of shape (N,), int64
        model_fingerprint : str
            Of the model that made the codes.
        columns : pyarrow.Table, optional
            ``key``, ``labels`` (lists of class names), ``thumbnail`` (JPEG files) and metadata
            columns, one row a code.
        replace : bool
            Overwrite items whose ids were derived from where they came from, too.

        Raises
        ------
        DataError
            If the codes come from another model, ids repeat, or an id is that of an item that came
            from a folder, file or array without ids (unless `replace`); nothing was written then.
        ReplacedError
            If the collection got another model, or was replaced, before they were stored.
        ShapeError
            If the numbers of levels, ids or rows do not fit.
        """
        self.refresh()
        if model_fingerprint != self.model_fingerprint:
            raise DataError(
                f"codes must come from the model {self.model_fingerprint[:12]} of this "
                f"collection, got codes of {model_fingerprint[:12] or 'an unnamed one'}. "
                "Encode the items with this collection's model."
            )
        expected = (self._manifest.n_levels, self._manifest.n_codewords)
        n_rows = len(ids) if columns is None else len(columns)
        if (codes.n_levels, codes.n_codewords) != expected or not (
            codes.n_items == len(ids) == n_rows
        ):
            raise ShapeError(
                f"codes must have {expected[0]} levels of {expected[1]} and as many items as ids "
                f"and rows, got {codes.n_levels} levels of {codes.n_codewords}, "
                f"{codes.n_items} items, {len(ids)} ids, {n_rows} rows."
            )
        self._upgrade()
        rows = code_rows(ids, codes)
        if columns is not None:
            given = [one for one in ("key", "labels", "thumbnail") if one in columns.column_names]
            for name in given:
                rows = rows.append_column(name, columns[name])
            others = columns.drop_columns(given)
            for name, values in zip(stored_names(others.column_names), others.columns, strict=True):
                rows = rows.append_column(name, values)
        rows = rows.append_column("item_source", pa.array([GIVEN] * len(rows), pa.string()))
        check = None if replace else partial(check_given, self._store, ids)
        counts = self._store.upsert(rows, check)
        return AddReport(counts.n_added, counts.n_updated, n_existing=counts.n_updated)

    def delete(self, ids: Int64Array | None = None, where: str | None = None) -> int:
        """Delete items, given by ids, by a filter, or by both; return how many there were.

        Ids that are not there are no error: running the same deletion again is safe. What the
        filter selects is determined while no other process can write.

        Parameters
        ----------
        ids : ndarray of shape (n,), int64, optional
        where : str, optional
            Filter on metadata, such as ``price < 20`` (docs/filters.md). With `ids`, those of them
            that it selects are deleted.

        Raises
        ------
        OptionError
            If neither `ids` nor `where` is given, (FilterError) `where` is no filter, or the
            collection cannot be written.
        TimeLimitError
            If evaluating the filter takes longer than `filter_time_limit_s`; nothing is deleted.

        Examples
        --------
        ::

            doomed = shop.ids("price > 100")
            print(f"{len(doomed)} of {shop.count()} items will be deleted")
            shop.delete(doomed, "price > 100")  # those of them that still cost more than 100
        """
        self.refresh()
        self._condition(where)  # what is refused upgrades nothing
        return self._with_current_store(lambda: self._store.delete(ids, self._condition(where)))

    def drop_damaged(self) -> int:
        """Give up the rows of damaged files for good; return how many there were.

        Adding their sources again brings them back. Until then, or until the files are restored
        from a copy, a damaged collection can be read (``skip_damaged``) and not written.
        """
        return self._with_current_store(lambda: self._store.drop_damaged())

    def compact(self, kept_s: float = 3600.0) -> CompactReport:
        """Put small files together, drop deleted rows, remove versions older than `kept_s` seconds.

        Searches stay right and get faster after many small additions. Other processes that read a
        version which is removed fail; those that search the newest do not. Models and rows that
        were replaced go as well when they are older than that; while another process gives the
        collection a model, they stay.
        """
        report = self._with_current_store(lambda: self._store.compact(kept_s))
        remove_replaced(self._folder, kept_s)
        return report

    def _with_current_store(self, write: Callable[[], _T]) -> _T:
        """Write to the rows in use, again if a migration replaced them before the commit.

        What was meant for a collection is never done to another one that has taken its place.
        """
        while True:
            self.refresh()
            manifest = self._manifest
            try:
                self._upgrade()
                return write()
            except ReplacedError:
                self.refresh()
                is_another = self._manifest.collection_id != manifest.collection_id
                if is_another or are_same_rows(self._manifest, manifest):
                    raise

    def add_onnx(self, *, overwrite: bool = False) -> None:
        """Give the model an ONNX graph, so that pictures can be encoded without torch.

        The model with its graph is written beside the old one; ``collection.json`` is replaced,
        which is what switches, at once and for all processes. Codes and fingerprint stay.

        Parameters
        ----------
        overwrite : bool
            Make the graph again where there is one.

        Raises
        ------
        OptionError
            If there is a graph already, the model takes vectors or its network cannot be
            expressed, or the collection cannot be written.
        DependencyError
            If torch, onnx, onnxscript or onnxruntime is missing.
        """
        with replacement_lock(self._folder) as hold:
            self.refresh()
            self._upgrade()
            target = Target(self._folder, self._manifest, self._store, hold)
            add_onnx_to_folder(target, overwrite=overwrite)
        self.refresh()

    def migrate(
        self,
        model: str | Path | SavesPretrained,
        source: Source | str | Path | None = None,
        progress: ProgressCallback | None = None,
    ) -> MigrateReport:
        """Give the collection another model; all items are encoded again.

        Searches go on with the old model until everything is ready; then ``collection.json`` is
        replaced, which is what switches, at once and for all processes. An interrupted migration
        is run again: what it has encoded is kept. Migrations of one collection take turns. When
        the new model has the codebooks of the old one and more levels, stored codes stay as they
        are and get the further levels.

        Parameters
        ----------
        model : str, Path or object with ``save_pretrained``
        source : Source, str or Path, optional
            Where the pictures or vectors come from; by default what is stored (images, vectors as
            features) or the files that the images were added from.
        progress : callable, optional
            Called with (items done, items in all).

        Raises
        ------
        DataError
            If an item's picture or vector is not there or damaged; nothing has changed then.
        FormatError, NotTrainedError
            If the model folder is damaged or has no codebooks.
        """
        if source is not None and not isinstance(source, Source):
            source = open_source(Path(source), None)
        with replacement_lock(self._folder) as hold:
            self.refresh()  # another migration may have ended while this one waited
            self._upgrade()
            target = Target(self._folder, self._manifest, self._store, hold)
            report = migrate_folder(target, model, source, self.device, progress)
        self.refresh()
        return report

    def _upgrade(self) -> None:
        """Bring a collection of an older format version to this one, before it is written."""
        upgrade_folder(self._folder, self._manifest, self._store)
        self.refresh()
