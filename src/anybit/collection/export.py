"""A collection in formats that other programs read."""

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

from anybit.codes import Codebooks, Codes
from anybit.errors import DependencyError, OptionError
from anybit.types import Float32Array, Int64Array, UInt8Array

__all__ = ["EXPORTS", "write_arrays", "write_faiss"]

EXPORTS = ("npy", "faiss")


def write_arrays(
    target: Path, codebooks: Codebooks, codes: Codes, ids: Int64Array, columns: pa.Table
) -> None:
    """Write a folder of ``.npy`` arrays: ids, codes, codebooks; and the other columns as Parquet.

    Raises
    ------
    OptionError
        If `target` exists or cannot be written.
    """

    def write(folder: Path) -> None:
        np.save(folder / "ids.npy", ids)
        np.save(folder / "codes.npy", codes.rows())  # (N, M)
        np.save(folder / "codebooks.npy", _level_codebooks(codebooks))
        for name in ("offset", "rotation"):
            if getattr(codebooks, name) is not None:
                np.save(folder / f"{name}.npy", getattr(codebooks, name))
        pa.parquet.write_table(columns, folder / "items.parquet")
        facts = {
            "kind": "product" if codebooks.kind == "product" else "sum",
            "metric": codebooks.metric,
            "n_items": codes.n_items,
            "n_levels": codes.n_levels,
            "n_codewords": codes.n_codewords,
        }
        (folder / "export.json").write_text(json.dumps(facts, indent=2) + "\n")

    _write_whole(target, write)


def write_faiss(target: Path, codebooks: Codebooks, codes: Codes, ids: Int64Array) -> None:
    """Write an index file for FAISS, with the same codes, ids and ranking.

    Raises
    ------
    OptionError
        If FAISS has no index of the kind, or `target` exists or cannot be written.
    DependencyError
        If FAISS is missing.
    """
    try:
        import faiss
    except ImportError as cause:
        raise DependencyError("this export needs FAISS: pip install 'anybit[faiss]'.") from cause
    index = faiss.IndexIDMap2(_empty_index(faiss, codebooks, codes.n_levels))
    index.add_sa_codes(_faiss_codes(codebooks, codes), ids)
    _write_whole(target, lambda draft: faiss.write_index(index, str(draft)), is_folder=False)


def _level_codebooks(codebooks: Codebooks) -> Float32Array:
    """Return the codewords of every level, scales applied: (M, K, D), or (M, K, D/M)."""
    values: Float32Array = codebooks.codebooks
    if codebooks.level_scales is None:
        return values
    scaled: Float32Array = codebooks.level_scales[:, None, None] * values[None]
    return scaled


def _empty_index(faiss: Any, codebooks: Codebooks, n_levels: int) -> Any:
    if codebooks.metric == "cosine" or codebooks.rotation is not None:
        raise OptionError(
            "FAISS has no index for the cosine or for rotated product codes; export npy instead."
        )
    if codebooks.metric == "l2" and codebooks.offset is not None:
        raise OptionError("FAISS cannot add an offset to codes under l2; export npy instead.")
    n_bits = codebooks.n_codewords.bit_length() - 1
    values = _level_codebooks(codebooks)
    is_ip = codebooks.metric == "ip"
    metric = faiss.METRIC_INNER_PRODUCT if is_ip else faiss.METRIC_L2
    if codebooks.kind == "product":
        index = faiss.IndexPQ(codebooks.dim, n_levels, n_bits, metric)
        faiss.copy_array_to_vector(values.ravel(), index.pq.centroids)
        index.is_trained = True
    else:
        quantizer = faiss.AdditiveQuantizer
        kind = quantizer.ST_LUT_nonorm if is_ip else quantizer.ST_norm_float
        index = faiss.IndexResidualQuantizer(codebooks.dim, n_levels, n_bits, metric, kind)
        faiss.copy_array_to_vector(values.ravel(), index.rq.codebooks)
        index.rq.is_trained = index.is_trained = True
        index.rq.compute_codebook_tables()
    return index


def _faiss_codes(codebooks: Codebooks, codes: Codes) -> UInt8Array:
    """Put codes (N, M) into bytes as FAISS does: the first level in the lowest bits.

    Under l2 the squared norm follows, 32 bits of float, at the next bit.
    """
    n_bits = codebooks.n_codewords.bit_length() - 1
    rows = codes.rows()
    bits = (rows[:, :, None] >> np.arange(n_bits, dtype=np.uint8)) & np.uint8(1)  # (N, M, bits)
    bits = bits.reshape(len(rows), -1)
    if codebooks.metric == "l2" and codebooks.kind != "product":
        norms = codebooks.sq_norms(codes).astype("<f4")[:, None].view(np.uint8)  # (N, 4)
        bits = np.concatenate([bits, np.unpackbits(norms, axis=1, bitorder="little")], axis=1)
    return np.packbits(bits, axis=1, bitorder="little")


def _write_whole(target: Path, write: Callable[[Path], None], *, is_folder: bool = True) -> None:
    """Write beside the target, then put it in place."""
    if target.exists():
        raise OptionError(f"{target} must not exist yet. Choose another path.")
    try:
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
    except (OSError, RuntimeError) as cause:
        raise OptionError(f"{target} must be writable: {cause}.") from cause
