"""Greedy encoding with one codebook for all levels, by one product with the vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anybit.codes.assignment import is_cancelled, nearest_in_float64
from anybit.types import Float32Array, Int64Array, UInt8Array

__all__ = ["SharedEncoder"]


class SharedEncoder:
    """The greedy codes of some vectors, level after level.

    ``<r, c> = <x, c> - sum_i s_i <c_i, c>`` for the residual r of the levels before: one product
    of the vectors with the codebook serves all levels, the Gram matrix of the codewords does the
    rest.

    Parameters
    ----------
    vectors : ndarray of shape (n, D), float32
        Offset taken off.
    codebook : ndarray of shape (K, D), float32
    gram : ndarray of shape (K, K), float32
        ``codebook @ codebook.T``.

    Attributes
    ----------
    products : ndarray of shape (n, K), float32
        Of the residuals before the last level with the codewords.
    errors : ndarray of shape (n,), float32
        Squared length of what the levels so far leave over.
    """

    def __init__(self, vectors: Float32Array, codebook: Float32Array, gram: Float32Array) -> None:
        self.products = vectors @ codebook.T
        self.errors: Float32Array = np.einsum("nd,nd->n", vectors, vectors)
        self._vectors, self._codebook, self._gram = vectors, codebook, gram
        self._half_sq_norms = np.float32(0.5) * np.diag(gram)
        self._scores = np.empty_like(self.products)
        self._sizes = self.errors  # largest squared number that an error is a difference of
        self._levels: list[tuple[np.float32, Int64Array]] = []

    def extend(self, scale: np.float32, given: UInt8Array | None = None) -> Int64Array:
        """Choose the codewords (n,) of the next level, or take the `given` ones."""
        if self._levels:
            before, places = self._levels[-1]
            self.products -= (before * self._gram)[places]
        # |r - s c|^2 = |r|^2 - 2 (s <r, c> - s^2 |c|^2 / 2)
        np.multiply(self.products, scale, out=self._scores)
        self._scores -= scale * scale * self._half_sq_norms
        chosen: Int64Array = (
            np.argmax(self._scores, axis=1) if given is None else given.astype(np.int64)
        )
        errors = self.errors - 2 * self._scores[np.arange(len(chosen)), chosen]
        rows = np.flatnonzero(is_cancelled(errors, self._sizes))
        if len(rows):
            found, errors[rows] = self._in_float64(rows, scale, None if given is None else chosen)
            chosen[rows] = found
        self.errors, self._sizes = errors, np.maximum(self._sizes, errors)
        self._levels.append((scale, chosen))
        return chosen

    def _in_float64(
        self, rows: Int64Array, scale: np.float32, given: Int64Array | None
    ) -> tuple[Int64Array, NDArray[np.float64]]:
        """Return codewords and squared errors of some vectors, from what is left over of them."""
        left = self._vectors[rows].astype(np.float64)
        for before, places in self._levels:
            left -= (before * self._codebook)[places[rows]]
        codewords = scale * self._codebook
        if given is None:
            return nearest_in_float64(left, codewords)
        left -= codewords[given[rows]]
        return given[rows], np.einsum("nd,nd->n", left, left)
