"""What a metric needs of the items of a scan beside their codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybit.codes import BytePlanes, Codebooks
from anybit.types import Float32Array, Metric, UInt8Array

__all__ = ["Bins", "NormMaker", "inverse_root", "norm_bins", "norm_terms"]

_N_BINS = 256
_BLOCK_ITEMS = 16_384
_LANES = 16


@dataclass(frozen=True, eq=False)
class Bins:
    """Values in 256 bins of equal width: a byte for each item, to filter by.

    Parameters
    ----------
    numbers : ndarray of shape (N,), uint8
    floors : ndarray of shape (256,), float32
        A lower bound of the values of each bin.
    """

    numbers: UInt8Array
    floors: Float32Array


class NormMaker:
    """Squared lengths of reconstructions in one fixed order of additions.

    Nothing is stored for an item: a length is made from the codewords when it is asked for, by the
    compiled kernel to the same bit.

    Parameters
    ----------
    codebooks : Codebooks
    """

    def __init__(self, codebooks: Codebooks) -> None:
        self.words = np.ascontiguousarray(codebooks.blocks())  # (B, K, d)
        self.level_scales = codebooks.level_scales
        self.is_product = codebooks.has_subspaces
        self.offset = codebooks.offset  # (D,)
        if self.offset is not None and codebooks.rotation is not None:
            # A rotation changes no length: the offset is turned back instead of every item.
            self.offset = np.ascontiguousarray(self.offset @ codebooks.rotation)

    def sq_norms(self, planes: BytePlanes, items: slice = slice(None)) -> Float32Array:
        """Return the squared lengths (n,) of some items."""
        first, stop, _ = items.indices(planes.n_items)
        norms = np.empty(stop - first, dtype=np.float32)
        for start in range(first, stop, _BLOCK_ITEMS):
            block = slice(start, min(start + _BLOCK_ITEMS, stop))
            norms[block.start - first : block.stop - first] = self._of_block(planes, block)
        return norms

    def _of_block(self, planes: BytePlanes, items: slice) -> Float32Array:
        x: Float32Array | None = None  # (n, D), levels added in order, the offset last
        parts = []
        for level in range(planes.n_levels):
            block = 0 if self.level_scales is not None else level
            rows = self.words[block][planes.level(level, items)]
            if self.level_scales is not None:
                rows = rows * self.level_scales[level]
            if self.is_product:
                parts.append(rows)
            else:
                x = rows if x is None else x + rows
        if self.is_product or x is None:
            x = np.concatenate(parts, axis=1)
        if self.offset is not None:
            x = x + self.offset
        squares = x * x
        lanes = np.zeros((len(x), _LANES), dtype=np.float32)
        for start in range(0, x.shape[1], _LANES):
            part = squares[:, start : start + _LANES]
            lanes[:, : part.shape[1]] += part
        total = lanes[:, 0].copy()
        for lane in range(1, _LANES):
            total += lanes[:, lane]
        return total


def norm_terms(metric: Metric, sq_norms: Float32Array) -> Float32Array:
    """Return what is taken off (l2) or multiplied by (cosine) for items of squared lengths (n,).

    ``|q - x|^2 = |q|^2 - 2 (<q, x> - |x|^2 / 2)`` makes half the squared length a shift; the cosine
    makes the inverse length a factor.
    """
    return sq_norms * np.float32(0.5) if metric == "l2" else inverse_root(sq_norms)


def norm_bins(metric: Metric, sq_norms: Float32Array) -> Bins | None:
    """Sort items (N,) by what they subtract (l2) or are divided by (cosine)."""
    if metric == "ip":
        return None
    terms = norm_terms(metric, sq_norms)
    if metric == "l2":
        return _bins_of(terms)
    # A vector without length has the cosine 0, whatever bin it is in: any finite one will do.
    lengths = np.full_like(terms, np.sqrt(sq_norms.max(initial=0)))
    np.divide(np.float32(1), terms, out=lengths, where=terms > 0)
    return _bins_of(lengths)


def _bins_of(values: Float32Array) -> Bins:
    """Sort finite values (N,) into bins."""
    numbers = np.zeros(len(values), dtype=np.uint8)
    if len(values) == 0:
        return Bins(numbers, np.zeros(_N_BINS, dtype=np.float32))
    low = float(values.min())
    width = (float(values.max()) - low) / _N_BINS
    if width > 0:
        steps = (values - np.float32(low)) * np.float32(1 / width)
        numbers = np.clip(steps, 0, _N_BINS - 1).astype(np.uint8)
    floors = (low + width * np.arange(_N_BINS)).astype(np.float32)
    # A value may lie a rounding error below the edge of its bin: the least of each bin counts.
    np.minimum.at(floors, numbers, values)
    return Bins(numbers, floors)


def inverse_root(squares: Float32Array) -> Float32Array:
    """Return ``1 / sqrt(squares)``, and 0 for 0: a vector without direction is like no other."""
    lengths = np.sqrt(squares)
    inverse = np.zeros_like(lengths)
    np.divide(np.float32(1), lengths, out=inverse, where=lengths > 0)
    return inverse
