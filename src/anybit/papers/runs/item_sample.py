"""Reconstructions of some database items of a run, to be drawn on a plane."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybit.codes import Codes
from anybit.data import Labels
from anybit.errors import DataError
from anybit.models import load_model
from anybit.papers.datasets import join_sources
from anybit.papers.protocols.splits import Prepared
from anybit.papers.runs.run import features_of
from anybit.types import Float32Array, Int64Array, UInt8Array

__all__ = ["SAMPLE_NOTE", "ItemSample", "item_sample"]

_N_ITEMS = 5000
SAMPLE_NOTE = (
    f"Drawn: the full-length reconstructions of {_N_ITEMS:,} database items, or of all where there "
    "are fewer, drawn at random with seed 0; every panel shows the same items."
)
"""What is drawn, as a result says it."""


@dataclass(frozen=True, eq=False)
class ItemSample:
    """Reconstructions of database items, and what they show.

    Parameters
    ----------
    vectors : ndarray of shape (n, D), float32
    classes : ndarray of shape (n,), int64
        The first class of each item.
    """

    vectors: Float32Array
    classes: Int64Array


def item_sample(folder: Path, prepared: Prepared, n_items: int = _N_ITEMS) -> ItemSample:
    """Return reconstructions of random database items by the model of a run.

    Parameters
    ----------
    folder : Path
        Of the run. The codes of the sample are kept in its ``sample.npz``.
    prepared : Prepared
        The data that the run searched.
    n_items : int

    Returns
    -------
    ItemSample
        The same items for every run on this data.
    """
    database = join_sources(list(prepared.sources.database))
    rows = np.random.default_rng(0).permutation(len(database))[:n_items]
    model = load_model(folder / "model")
    codebooks = model.export_codebooks()
    kept = folder / "sample.npz"
    planes = _kept_planes(kept, rows)
    if planes is None:
        planes = codebooks.encode(features_of(model, database.take(rows))).planes
        np.savez(kept, planes=planes, rows=rows)
    if database.labels is None:
        raise DataError("a sample needs class labels to be coloured, the database has none.")
    vectors = codebooks.decode(Codes(planes, codebooks.n_codewords))
    return ItemSample(vectors, _first_classes(database.labels.take(rows)))


def _kept_planes(path: Path, rows: Int64Array) -> UInt8Array | None:
    """Return the codes that were kept for these items, if they were."""
    if not path.is_file():
        return None
    with np.load(path) as saved:
        is_same = np.array_equal(saved["rows"], rows)
        planes: UInt8Array = saved["planes"]
    return planes if is_same else None


def _first_classes(labels: Labels) -> Int64Array:
    """Return the number of each item's first class, (n,)."""
    return np.asarray(labels.multi_hot().argmax(axis=1), dtype=np.int64)
