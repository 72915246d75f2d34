"""Measures of queries added up: what the compiled kernel does, and its twin in NumPy."""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from anybit.evaluation.measure import Measurer, MeasureTables
from anybit.evaluation.ranking import LabelMasks
from anybit.evaluation.scores import LengthScores
from anybit.types import Float32Array

__all__ = ["MeasureAdder", "NumpyAdder"]


class MeasureAdder(Protocol):
    """Adds the measures of queries to totals; may be called from several threads."""

    def add(
        self,
        tables: Float32Array,
        constants: Float32Array,
        labels: NDArray[np.uint64],
        float_scores: Float32Array | None,
        totals: NDArray[np.float64],
    ) -> None:
        """Add the measures of some queries, in their order.

        Parameters
        ----------
        tables : ndarray of shape (B, L, K), float32
            Look-up tables.
        constants : ndarray of shape (B,), float32
            Inner products with the offset of the codebooks.
        labels : ndarray of shape (B, W), uint64
            Class labels as bits.
        float_scores : ndarray of shape (B, N), float32, optional
            Scores of the uncompressed items. May be changed.
        totals : ndarray of shape (lengths, columns), float64
            One row for each length, and the last for `float_scores` where they are given.
        """
        ...


class NumpyAdder:
    """The twin of the compiled `Evaluator`.

    Parameters
    ----------
    scores : LengthScores
    item_masks : LabelMasks
    max_gain : int
        Largest number of labels that an item has.
    tables : MeasureTables
    """

    def __init__(
        self,
        scores: LengthScores,
        item_masks: LabelMasks,
        max_gain: int,
        tables: MeasureTables,
    ) -> None:
        self._scores, self._item_masks = scores, item_masks
        self._max_gain, self._tables = max_gain, tables
        self._local = threading.local()

    def add(
        self,
        tables: Float32Array,
        constants: Float32Array,
        labels: NDArray[np.uint64],
        float_scores: Float32Array | None,
        totals: NDArray[np.float64],
    ) -> None:
        """See `MeasureAdder.add`."""
        measurer = self._measurer()
        for number, (table, constant) in enumerate(zip(tables, constants, strict=True)):
            shared = self._item_masks.shared_with(labels[number])
            low_keys = measurer.ranker.low_keys(shared)
            for row, scores in enumerate(self._scores.of(table, constant)):
                totals[row] += measurer.row(scores, low_keys)
            if float_scores is not None:
                totals[-1] += measurer.row(float_scores[number], low_keys)

    def _measurer(self) -> Measurer:
        """Return the buffers of this thread."""
        if not hasattr(self._local, "measurer"):
            n_items = len(self._item_masks)
            self._local.measurer = Measurer(self._tables, n_items, self._max_gain)
        measurer: Measurer = self._local.measurer
        return measurer
