"""One query as a feature: a picture by its path or in memory, or a vector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from anybit.collection.encoder import Encoder
from anybit.data import Source, decode_image
from anybit.errors import DataError, DTypeError, ShapeError
from anybit.types import Float32Array

__all__ = ["check_source_dim", "query_features"]


def query_features(
    query: str | Path | Image.Image | Float32Array,
    encoder: Callable[[], Encoder],
    input_dim: int | None,
    feature_dim: int,
) -> Float32Array:
    """Return the feature of one query, (1, D) float32.

    Parameters
    ----------
    query : path, PIL image or ndarray of shape (D,) or (1, D)
        A path that ends in ``.npy`` is a vector, any other one a picture.
    encoder : callable
        Gives the encoder when it is needed: a feature of an image model needs none.
    input_dim : int or None
        Values of the vectors that the model takes; None where it takes pictures.
    feature_dim : int
        Values of a feature, which a vector is where the model takes pictures.

    Raises
    ------
    DataError
        If a file is missing or damaged, the vector holds NaN, or a picture is given where the
        model takes vectors.
    ShapeError
        If the vector has another dimension.
    """
    if isinstance(query, str | Path) and Path(query).suffix.lower() == ".npy":
        query = _vector_of(Path(query))
    if isinstance(query, np.ndarray):
        vector = _checked_vector(query, feature_dim if input_dim is None else input_dim)
        # A feature of an image model is taken as it is.
        return vector if input_dim is None else encoder().features(vector)
    model = encoder() if input_dim is None else None
    if model is None or model.preprocessor is None:
        raise DataError(
            f"the model takes vectors of {input_dim} values, got a picture as query. "
            "Give a .npy file or an array."
        )
    image = query if isinstance(query, Image.Image) else _picture_of(Path(query))
    return model.features(model.preprocessor(image)[None])  # (1, D)


def check_source_dim(source: Source, input_dim: int | None) -> None:
    """Raise ShapeError where a model takes vectors of another dimension than a source has."""
    if source.kind == "vectors" and input_dim not in (None, source.dim):
        raise ShapeError(
            f"vectors must have {input_dim} dimensions as the collection's model "
            f"takes, got {source.dim}. Use vectors of the kind it was trained on."
        )


def _picture_of(path: Path) -> Image.Image:
    try:
        return decode_image(path)
    except DataError as cause:
        raise DataError(f"query {path}: {cause}") from cause


def _vector_of(path: Path) -> Float32Array:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except FileNotFoundError as cause:
        raise DataError(f"query {path} must be a file, got none.") from cause
    except (OSError, ValueError, EOFError) as cause:
        raise DataError(f"query {path} must be a .npy file of numbers, got: {cause}") from cause


def _checked_vector(vector: Float32Array, dim: int) -> Float32Array:
    """Return the vector as (1, dim) float32."""
    if vector.dtype.kind not in "fiu":
        raise DTypeError(f"a query vector must hold numbers, got {vector.dtype}.")
    if vector.shape not in ((dim,), (1, dim)):
        raise ShapeError(
            f"a query vector must have shape ({dim},), got {vector.shape}. "
            "Use a vector of the kind that the collection's model takes; for many queries use "
            "search_features."
        )
    vector = np.asarray(vector, dtype=np.float32).reshape(1, dim)
    if not np.isfinite(vector).all():
        raise DataError("a query vector must be finite, got NaN or infinity.")
    return vector
