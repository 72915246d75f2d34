"""Collections and models in formats that other programs read."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from anybit.codes import Codebooks, Codes, codebooks_of, read_model_folder, write_errors
from anybit.collection.faiss_index import faiss_index, load_faiss
from anybit.collection.onnx_export import export_onnx
from anybit.errors import OptionError
from anybit.store import CodeStore
from anybit.types import Int64Array

__all__ = ["EXPORTS", "check_export", "export_model", "write_arrays", "write_faiss", "write_rows"]

EXPORTS = ("npy", "faiss", "onnx")


def export_model(
    model: str | Path, target: str | Path, to: str = "npy", *, overwrite: bool = False
) -> None:
    """Write a model for other programs, or for machines without torch; no items.

    Parameters
    ----------
    model : str or Path
        A model folder, of vectors or images; what is compared are its features.
    target : str or Path
        Must not exist yet.
    to : {"npy", "faiss", "onnx"}
        A folder of arrays or a trained, empty index of FAISS, both of the codebooks; or a model
        folder of the same fingerprint that needs no torch.
    overwrite : bool
        Replace a model folder that is there; "onnx" only.

    Raises
    ------
    FormatError, NotTrainedError
        If the model folder is missing or damaged, or has no codebooks.
    OptionError
        If `to` is unknown or does not fit the model, or `target` exists or is not writable.
    DependencyError
        If FAISS is missing, or for ONNX torch, onnx, onnxscript or onnxruntime.
    """
    check_export(to, overwrite=overwrite)
    if to == "onnx":
        export_onnx(model, target, overwrite=overwrite)
        return
    codebooks = codebooks_of(read_model_folder(model))
    write = write_arrays if to == "npy" else write_faiss
    write(Path(target), codebooks)


def write_rows(target: Path, codebooks: Codebooks, store: CodeStore, to: str) -> None:
    """Write the rows of one version of a store, as "npy" or "faiss"; all is read before."""
    with store.frozen():
        ids, codes = store.codes()
        if to == "npy":
            columns = store.read(["id", "key", "labels", *store.metadata_columns])
            write_arrays(target, codebooks, codes, ids, columns)
            return
    write_faiss(target, codebooks, codes, ids)


def check_export(to: str, *, overwrite: bool = False) -> None:
    """Raise OptionError if there is no such export, or it cannot replace anything."""
    if to not in EXPORTS:
        raise OptionError(f"to must be one of {', '.join(EXPORTS)}, got {to!r}.")
    if overwrite and to != "onnx":
        raise OptionError(f"overwrite (--overwrite) is for onnx, got {to}. Choose another path.")


def write_arrays(
    target: Path,
    codebooks: Codebooks,
    codes: Codes | None = None,
    ids: Int64Array | None = None,
    columns: pa.Table | None = None,
) -> None:
    """Write a folder of ``.npy`` arrays as docs/export.md describes it, each part that is given.

    Raises
    ------
    OptionError
        If `target` exists or cannot be written.
    """
    arrays: dict[str, Any] = {
        "codebooks": codebooks.level_codebooks(),
        "offset": codebooks.offset,  # (D,)
        "rotation": codebooks.rotation,  # (D, D)
        "ids": ids,
        "codes": None if codes is None else codes.rows(),  # (N, M)
    }
    facts = {
        "kind": "product" if codebooks.has_subspaces else "sum",
        "metric": codebooks.metric,
        "assignment": codebooks.assignment,
        "comparison": codebooks.comparison,
        "n_items": 0 if codes is None else codes.n_items,
        "n_levels": codebooks.n_levels,
        "n_codewords": codebooks.n_codewords,
        "dim": codebooks.dim,
        "bits": codebooks.bits,
    }

    def write(folder: Path) -> None:
        for name, array in arrays.items():
            if array is not None:
                np.save(folder / f"{name}.npy", np.ascontiguousarray(array))
        if columns is not None:
            pa.parquet.write_table(columns, folder / "items.parquet")
        (folder / "export.json").write_text(json.dumps(facts, indent=2) + "\n")

    _write_whole(target, write)


def write_faiss(
    target: Path,
    codebooks: Codebooks,
    codes: Codes | None = None,
    ids: Int64Array | None = None,
) -> None:
    """Write an index file for FAISS, with the same codes, ids and ranking; see `faiss_index`.

    Raises
    ------
    OptionError
        If FAISS has no index of the kind, or `target` exists or cannot be written.
    DependencyError
        If FAISS is missing.
    """
    faiss, index = load_faiss(), faiss_index(codebooks, codes, ids)

    def write(draft: Path) -> None:
        try:
            faiss.write_index(index, str(draft))
        except RuntimeError as cause:  # all that FAISS says of the system
            raise OSError(str(cause)) from cause

    _write_whole(target, write, is_folder=False)


def _write_whole(target: Path, write: Callable[[Path], None], *, is_folder: bool = True) -> None:
    """Write beside the target, then put it in place."""
    if target.exists():
        raise OptionError(f"{target} must not exist yet. Choose another path.")
    with write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        draft = place / target.name
        try:
            if is_folder:
                draft.mkdir()
            write(draft)
            os.rename(draft, target)
        finally:
            shutil.rmtree(place, ignore_errors=True)
