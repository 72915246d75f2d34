"""One vector per class for the adaptive margin loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anybit.errors import DataError, FormatError
from anybit.types import Float32Array

__all__ = ["load_label_vectors", "orthogonal_label_vectors"]


def load_label_vectors(path: Path, n_classes: int, dim: int) -> Float32Array:
    """Read label vectors.

    Parameters
    ----------
    path : Path
        Text with numbers separated by white space, or .npy; one row per class.
    n_classes, dim : int
        What the model needs.

    Returns
    -------
    ndarray of shape (C, D_z), float32

    Raises
    ------
    DataError
        If the number of rows or their length is another one.
    FormatError
        If the file cannot be read.
    """
    try:
        vectors = np.load(path) if path.suffix == ".npy" else np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as cause:
        raise FormatError(f"{path} must hold numbers, one row per class: {cause}") from cause
    if vectors.shape != (n_classes, dim) or not np.isfinite(vectors).all():
        raise DataError(
            f"label vectors must be {n_classes} finite rows (one per class) of {dim} numbers "
            f"(the embedding size), got {vectors.shape} in {path}. "
            "Check the class order and the head's sizes."
        )
    return np.ascontiguousarray(vectors, dtype=np.float32)


def orthogonal_label_vectors(n_classes: int, dim: int, seed: int) -> Float32Array:
    """Make pairwise orthogonal unit vectors (C, D_z), so that every margin is 1.

    Raises
    ------
    DataError
        If there are more classes than dimensions.
    """
    if n_classes > dim:
        raise DataError(
            f"orthogonal label vectors need at most {dim} classes (the embedding size), got "
            f"{n_classes}. Give label vectors, or a larger embedding."
        )
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((dim, n_classes)))
    return np.ascontiguousarray(q.T, dtype=np.float32)
