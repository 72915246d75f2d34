"""What belongs to the items of a scan beside their codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybit.types import Float32Array, Metric, UInt8Array

__all__ = ["Bins", "ItemTerms", "inverse_root", "terms_of"]

_N_BINS = 256


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


@dataclass(frozen=True, eq=False)
class ItemTerms:
    """Per item: what its sum of levels becomes.

    Parameters
    ----------
    shift : ndarray of shape (N,), float32, optional
        Subtracted from the sum.
    factor : ndarray of shape (N,), float32, optional
        Multiplies the sum; not negative.
    bins : Bins, optional
        Of the shift, or of the inverse of the factor.
    """

    shift: Float32Array | None = None
    factor: Float32Array | None = None
    bins: Bins | None = None


def terms_of(metric: Metric, sq_norms: Float32Array) -> ItemTerms:
    """Return the terms of a metric for items of the given squared lengths (N,).

    ``|q - x|^2 = |q|^2 - 2 (<q, x> - |x|^2 / 2)`` makes half the squared length a shift; the cosine
    makes the inverse length a factor.
    """
    if metric == "ip":
        return ItemTerms()
    if metric == "l2":
        shift = sq_norms * np.float32(0.5)
        return ItemTerms(shift=shift, bins=_bins_of(shift))
    lengths = np.sqrt(sq_norms)
    inverse = inverse_root(sq_norms)
    # A vector without length has the cosine 0, whatever bin it is in: any finite one will do.
    inverse_again = np.full_like(lengths, lengths.max(initial=0))
    np.divide(np.float32(1), inverse, out=inverse_again, where=inverse > 0)
    return ItemTerms(factor=inverse, bins=_bins_of(inverse_again))


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
