"""What every method on fixed features asks of the vectors that it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anybit.codes import LARGEST_LENGTH
from anybit.errors import DataError, DTypeError, ShapeError
from anybit.types import Float32Array

__all__ = ["check_features", "distinct_rows", "one_hot_sums"]

# Rows of one block: its (rows, 256) table of scores stays within 2 MiB, about one core's cache.
BLOCK_ROWS = 2048
# Squares of smaller vectors, and what is left of them, have no room in float32.
_SMALLEST_LENGTH = 1e-15
# Share of the spread of the vectors that rounding to float32 may take.
_LOST_SHARE = 0.01


def check_features(features: Float32Array, n_codewords: int) -> Float32Array:
    """Return training vectors as contiguous float32, or say what is wrong with them.

    Parameters
    ----------
    features : ndarray of shape (N, D), any number type
    n_codewords : int
        Codewords K that will be learned; at least as many vectors are needed.

    Raises
    ------
    ShapeError
        If the array is not (N, D) with D >= 1.
    DTypeError
        If it does not hold real numbers.
    DataError
        If it has fewer than K rows, or NaN or infinity; if its values are so large or small that
        their squares have no room in float32, or differ by less than float32 resolves.
    """
    features = np.asarray(features)
    if features.ndim != 2 or features.shape[1] == 0:
        raise ShapeError(
            f"features must have shape (N, D) with D >= 1, got {features.shape}. "
            "Reshape them to one row per item."
        )
    if features.dtype.kind not in "fiu":
        raise DTypeError(
            f"features must be real numbers, got {features.dtype}. Convert them to float32."
        )
    if len(features) < n_codewords:
        raise DataError(
            f"at least {n_codewords} vectors are needed to learn {n_codewords} codewords, "
            f"got {len(features)}. {_cure_of_few(len(features))}"
        )
    given, features = features, _in_float32(features)
    for start in range(0, len(features), BLOCK_ROWS):
        is_bad = ~np.isfinite(features[start : start + BLOCK_ROWS]).all(axis=1)
        if is_bad.any():
            raise DataError(_about_row(given, start + int(np.argmax(is_bad))))
    _check_range(features)
    if given.dtype.itemsize > features.dtype.itemsize:
        _check_resolution(given, features)
    return features


def _cure_of_few(n_items: int) -> str:
    """Say what helps where there are fewer vectors than codewords."""
    if n_items < 2:
        return "Give more vectors: the smallest codebook, of 2 codewords, needs 2."
    most = 1 << (n_items.bit_length() - 1)
    return f"Give more vectors, or ask for at most {most} codewords (n_codewords, --codewords)."


def _in_float32(features: NDArray[Any]) -> Float32Array:
    """Return contiguous float32; what is too large becomes infinite and is refused later."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(features, dtype=np.float32)


def _about_row(given: NDArray[Any], row: int) -> str:
    """Say why a row is no finite float32 vector."""
    values = given[row]
    if np.isfinite(values).all():
        largest = float(np.abs(values).max())
        return (
            f"features must fit into float32, got {largest:.3g} in row {row}. "
            f"Divide all vectors by {largest:.0e}, and later those to be added and the queries."
        )
    column = int(np.flatnonzero(~np.isfinite(values))[0])
    if not np.isfinite(given[:, column]).any():
        return (
            f"features must be finite float32 numbers, got NaN or infinity in all rows of column "
            f"{column}. Leave that column out."
        )
    return (
        f"features must be finite float32 numbers, got NaN or infinity first in row {row}. "
        "Remove or repair such rows."
    )


def _check_range(features: Float32Array) -> None:
    """Raise DataError where squares of the values have no room in float32."""
    largest = 0.0
    for start in range(0, len(features), BLOCK_ROWS):
        largest = max(largest, float(np.abs(features[start : start + BLOCK_ROWS]).max()))
    if largest > LARGEST_LENGTH or 0 < largest < _SMALLEST_LENGTH:
        raise DataError(
            f"the largest value of the vectors must be from {_SMALLEST_LENGTH:g} to "
            f"{LARGEST_LENGTH:g}, because squared distances are float32; got {largest:.3g}. "
            f"Divide all vectors by {largest:.0e}, and later those to be added and the queries."
        )


def _check_resolution(given: NDArray[Any], features: Float32Array) -> None:
    """Raise DataError where the vectors differ by little more than float32 rounds off."""
    mean = given.mean(axis=0, dtype=np.float64)
    spread = lost = 0.0
    for start in range(0, len(features), BLOCK_ROWS):
        block = given[start : start + BLOCK_ROWS].astype(np.float64)
        spread += float(np.square(block - mean).sum())
        lost += float(np.square(block - features[start : start + BLOCK_ROWS]).sum())
    if lost > _LOST_SHARE * spread:
        raise DataError(
            "the vectors must differ by more than float32 resolves: values are up to "
            f"{float(np.abs(mean).max()):.3g}, their root mean square distance from the mean is "
            f"{float(np.sqrt(spread / len(features))):.3g}. Subtract the mean of each column "
            "before, and later from the vectors to be added and the queries."
        )


def distinct_rows(features: Float32Array, at_most: int) -> Float32Array | None:
    """Return the distinct rows (n, D) in order of appearance, or None if more than `at_most`.

    Looks at few rows first: where all vectors differ it costs next to nothing.
    """
    size = at_most + 1
    while True:
        part = np.ascontiguousarray(features[:size] + np.float32(0))  # -0 becomes 0
        as_bytes = part.view(np.dtype((np.void, part.shape[1] * part.itemsize)))[:, 0]
        _, places = np.unique(as_bytes, return_index=True)
        if len(places) > at_most:
            return None
        if size >= len(features):
            return part[np.sort(places)]
        size *= 4


def one_hot_sums(
    features: Float32Array, codes: np.ndarray, n_codewords: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sum the vectors of each codeword: (K, D) float64 sums and (K,) counts.

    A product with a one-hot matrix, block by block, is several times faster than `np.add.at`.
    """
    sums = np.zeros((n_codewords, features.shape[1]))
    for start in range(0, len(features), BLOCK_ROWS):
        block = features[start : start + BLOCK_ROWS]
        one_hot = np.zeros((len(block), n_codewords), dtype=np.float32)
        one_hot[np.arange(len(block)), codes[start : start + BLOCK_ROWS]] = 1.0
        sums += one_hot.T @ block
    return sums, np.bincount(codes, minlength=n_codewords)
