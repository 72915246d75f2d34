"""Encoding by a beam: several codes of a vector are kept at each level, and all prefixes count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anybit.codes.assignment import is_cancelled
from anybit.types import Float32Array, Int64Array, UInt8Array

__all__ = ["Beam", "BeamRule", "CodewordTables", "beam_encode", "rows_of_a_block"]

# Numbers of one block's (rows, beam, K) table of scores: 4 MiB.
_BLOCK_NUMBERS = 1 << 20


@dataclass(frozen=True)
class BeamRule:
    """Which codes are kept.

    Parameters
    ----------
    size : int
        Codes of a vector that are kept at each level, B.
    n_levels : int
        Levels M of the whole code.
    prefix_weights : tuple of float
        Weights of the M - 1 shorter prefixes beside the whole code, shortest first; none looks at
        the whole code alone, as FAISS does.
    """

    size: int
    n_levels: int
    prefix_weights: tuple[float, ...] = ()

    def weight(self, level: int) -> float:
        """Return the weight of the prefix that ends with a level, 1 for the whole code."""
        if level == self.n_levels - 1:
            return 1.0
        return self.prefix_weights[level] if self.prefix_weights else 0.0

    def tail(self, level: int) -> float:
        """Return the weights of the prefixes that a level belongs to, added up."""
        return sum(self.weight(one) for one in range(level, self.n_levels))


class CodewordTables:
    """Products of codewords with vectors and with each other.

    Parameters
    ----------
    codebooks : ndarray of shape (M, K, D), or (K, D) with scales, float32
    level_scales : ndarray of shape (M,), float32, optional
    """

    def __init__(self, codebooks: Float32Array, level_scales: Float32Array | None = None) -> None:
        self._codebooks, self._scales = codebooks, level_scales
        self.n_codewords = int(codebooks.shape[-2])
        self._pairs: dict[tuple[int, int], Float32Array] = {}

    def codewords(self, level: int) -> Float32Array:
        """Return the codewords (K, D) of a level."""
        if self._scales is None:
            return np.asarray(self._codebooks[level])
        return np.asarray(self._scales[level] * self._codebooks)

    def pair(self, first: int, second: int) -> Float32Array:
        """Return <c_i, c_j> of all codewords of two levels, (K, K)."""
        if (first, second) not in self._pairs:
            self._pairs[first, second] = self.codewords(first) @ self.codewords(second).T
        return self._pairs[first, second]


class Beam:
    """The codes that are kept of some vectors, level after level.

    Parameters
    ----------
    vectors : ndarray of shape (n, D), float32
        Offset taken off.
    """

    def __init__(self, vectors: Float32Array) -> None:
        self.vectors = vectors
        self.codes: Int64Array = np.zeros((len(vectors), 1, 0), dtype=np.int64)  # (n, B, t)
        self.errors = np.einsum("nd,nd->n", vectors, vectors)[:, None]  # (n, B): d_t
        # Largest squared number that the errors of a vector are a difference of, (n,).
        self._sizes = self.errors[:, 0]
        self._sunk = np.zeros((len(vectors), 1), dtype=np.float32)  # weighted d_1 to d_t
        self._rows = np.arange(len(vectors))[:, None]

    def extend(
        self, tables: CodewordTables, rule: BeamRule, given: UInt8Array | None = None
    ) -> None:
        """Go on by one level; `given` (n,) forces the codes of it."""
        level = self.codes.shape[2]
        added = self._continued(tables)  # (n, B, K)
        parents, chosen = _kept(added, self._sunk, rule, level, given)
        errors = added[self._rows, parents, chosen]
        rows = np.flatnonzero(is_cancelled(errors, self._sizes[:, None]).any(axis=1))
        if len(rows):
            exact = self._continued_in_float64(tables, rows)
            few = None if given is None else given[rows]
            parents[rows], chosen[rows] = _kept(exact, self._sunk[rows], rule, level, few)
            errors[rows] = exact[np.arange(len(rows))[:, None], parents[rows], chosen[rows]]
        self.errors = errors
        self._sizes = np.maximum(self._sizes, errors.max(axis=1))
        weighted = np.float32(rule.weight(level)) * self.errors
        self._sunk = self._sunk[self._rows, parents] + weighted
        before_it = self.codes[self._rows, parents]
        self.codes = np.concatenate([before_it, chosen[:, :, None]], axis=2)

    def _continued(self, tables: CodewordTables) -> Float32Array:
        """Return the squared errors of all continuations by one level, (n, B, K)."""
        level = self.codes.shape[2]
        halves = np.float32(0.5) * np.diag(tables.pair(level, level))  # (K,)
        left = (self.vectors @ tables.codewords(level).T - halves)[:, None, :]  # (n, 1, K)
        if level:
            left = np.repeat(left, self.codes.shape[1], axis=1)
            for before in range(level):
                left -= tables.pair(before, level)[self.codes[:, :, before]]
        return np.asarray(self.errors[:, :, None] - 2 * left)

    def _continued_in_float64(self, tables: CodewordTables, rows: Int64Array) -> NDArray[Any]:
        """Return `_continued` of some vectors (r, B, K), from what their codes leave over."""
        codes = self.codes[rows]  # (r, B, t)
        left = np.repeat(self.vectors[rows, None].astype(np.float64), codes.shape[1], axis=1)
        for before in range(codes.shape[2]):
            left -= tables.codewords(before)[codes[:, :, before]]
        codewords = tables.codewords(codes.shape[2]).astype(np.float64)
        scores = left @ codewords.T - 0.5 * np.einsum("kd,kd->k", codewords, codewords)
        errors = np.einsum("rbd,rbd->rb", left, left)
        return np.asarray(np.maximum(errors[:, :, None] - 2 * scores, 0))


def _kept(
    added: NDArray[Any],
    sunk: Float32Array,
    rule: BeamRule,
    level: int,
    given: UInt8Array | None,
) -> tuple[Int64Array, Int64Array]:
    """Return the beam places and codewords of the continuations (n, B, K) to keep, each (n, B')."""
    if given is not None:
        chosen = given.astype(np.int64)[:, None]
        return np.zeros_like(chosen), chosen
    keys = np.float32(rule.tail(level)) * added + sunk[:, :, None]
    flat = keys.reshape(len(keys), -1)
    is_last = level == rule.n_levels - 1
    places = _smallest(flat, 1 if is_last else min(rule.size, flat.shape[1]))
    parents, chosen = np.divmod(places, added.shape[2])
    return parents, chosen


def rows_of_a_block(rule: BeamRule, n_codewords: int) -> int:
    """Return how many vectors to encode at a time."""
    return max(1, _BLOCK_NUMBERS // (rule.size * n_codewords))


def beam_encode(
    vectors: Float32Array,
    tables: CodewordTables,
    rule: BeamRule,
    planes: UInt8Array,
    n_given: int = 0,
) -> None:
    """Fill the planes of codes that are good at every length.

    Looks for the code of a vector x that minimises ``w_1 d_1 + ... + w_{M-1} d_{M-1} + d_M``, where
    ``d_t`` is the squared error of its first t levels and w_t its weight. At each level the best
    codes so far are kept, by the same sum with every later error taken to be as large as the
    present one.

    Parameters
    ----------
    vectors : ndarray of shape (N, D), float32
        Offset taken off.
    tables : CodewordTables
    rule : BeamRule
    planes : ndarray of shape (M, N), uint8
        Filled in place.
    n_given : int
        So many levels are given in `planes`, and kept.

    Notes
    -----
    ``<r_t, c> = <x, c> - sum_i <c_i, c>`` (r_t: what t levels leave over) needs the product of x
    with a level's codewords once, and then only tables of codewords with codewords: a level costs
    O(N K (D + B t)). Babenko & Lempitsky, "Additive quantization", CVPR 2014, section 3.2, have
    the beam; the weights of the prefixes are ours.
    """
    n_rows = rows_of_a_block(rule, tables.n_codewords)
    for start in range(0, len(vectors), n_rows):
        beam = Beam(vectors[start : start + n_rows])
        for level, plane in enumerate(planes):
            part = plane[start : start + n_rows]
            beam.extend(tables, rule, part if level < n_given else None)
        planes[n_given:, start : start + n_rows] = beam.codes[:, 0, n_given:].T


def _smallest(keys: Float32Array, count: int) -> NDArray[np.int64]:
    """Return the places (n, count) of the smallest keys of each row; one: ties to the lower."""
    if count == 1:
        return np.asarray(np.argmin(keys, axis=1)[:, None], dtype=np.int64)
    if count == keys.shape[1]:
        return np.broadcast_to(np.arange(count), keys.shape)
    found: NDArray[np.int64] = np.argpartition(keys, count - 1, axis=1)[:, :count]
    return found
