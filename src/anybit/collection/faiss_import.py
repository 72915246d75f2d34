"""A collection from an index file of FAISS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection.collection import Collection
from anybit.collection.creation import create_folder
from anybit.collection.faiss_index import IndexContent, content_of_index, load_faiss
from anybit.collection.ingest import code_rows
from anybit.collection.stored_items import GIVEN
from anybit.errors import DataError, FormatError

__all__ = ["import_faiss"]


@dataclass(frozen=True)
class _ImportedModel:
    """A model of vectors whose codebooks were learned elsewhere."""

    codebooks: Codebooks
    summary: dict[str, Any]

    def save_pretrained(self, path: str | Path) -> str:
        """Write the model folder; return its fingerprint."""
        method = "rq"
        if self.codebooks.has_subspaces:
            method = "pq" if self.codebooks.rotation is None else "opq"
        config = {"method": method, "backbone": {"name": "none"}, "class_names": None}
        folder = ModelFolder(config, {}, None, self.summary)
        return write_model_folder(path, folder, self.codebooks)


def import_faiss(
    path: str | Path, collection_path: str | Path, *, overwrite: bool = False
) -> Collection:
    """Make a collection of the codes, codebooks, ids and metric of an index file of FAISS.

    Parameters
    ----------
    path : str or Path
        Written by ``faiss.write_index``: an ``IndexResidualQuantizer``, an ``IndexPQ``, or an
        ``IndexPreTransform`` of one orthogonal matrix (OPQ) and an ``IndexPQ``, each also inside an
        ``IndexIDMap`` or ``IndexIDMap2``.
    collection_path : str or Path
        A folder, or an ``s3://bucket/name`` URL; complete, or not there at all.
    overwrite : bool
        Replace a collection that is there.

    Returns
    -------
    Collection
        Ranks the items as the index does; its model takes vectors, so that more can be added. Those
        are encoded level by level, where FAISS follows several candidates (a beam).

    Raises
    ------
    FormatError
        If the file is missing, damaged, or of an index that is not one of the above.
    NotTrainedError
        If the index is not trained.
    DataError
        If ids repeat.
    OptionError
        If the collection exists and may not be replaced, or cannot be written.
    DependencyError
        If FAISS is missing.

    Warnings
    --------
    It is unsafe to let FAISS read index files of unknown origin: one made to do so can crash the
    process, or write where it must not. Import only files whose makers you trust.

    Notes
    -----
    Ids are those of the map, else 0..N-1. An index of FAISS has no labels and no metadata.
    """
    content = _read(path)
    model = _ImportedModel(
        content.codebooks, {"imported_from": "faiss", "n_vectors": content.codes.n_items}
    )
    rows = code_rows(content.ids, content.codes)
    rows = rows.append_column("item_source", pa.array([GIVEN] * len(rows), pa.string()))
    create_folder(collection_path, model, overwrite=overwrite, rows=rows)
    return Collection.open(collection_path)


def _read(path: str | Path) -> IndexContent:
    faiss = load_faiss()
    if not Path(path).is_file():
        raise FormatError(f"{path} must be an index file of FAISS, got no such file.")
    try:
        # Tables of all pairs of codewords are not needed to take the index apart.
        index = faiss.read_index(str(path), faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE)
    except (RuntimeError, MemoryError) as cause:
        raise FormatError(f"{path} must be an index file of FAISS, got: {cause}") from cause
    try:
        content = content_of_index(index)
    except FormatError as cause:
        raise FormatError(f"{path}: {cause}") from cause
    ids, counts = np.unique(content.ids, return_counts=True)
    if len(ids) < content.codes.n_items:
        raise DataError(
            f"{path} must have distinct ids, got {ids[counts > 1][0]} more than once. "
            "Remove one of the two from the index, or give it another id."
        )
    return content
