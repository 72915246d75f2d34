"""Vectors or pictures in arrays: in memory, `.npy`, `.npz`, `.fvecs` and `.bvecs`."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from anybit.data.labels import Labels
from anybit.data.path_text import shown_name
from anybit.data.sources.base import Items, Source
from anybit.data.sources.columns import ids_of_column
from anybit.data.sources.images import ImageSource
from anybit.data.sources.item_ids import origin_of
from anybit.data.sources.options import SourceOptions
from anybit.data.sources.vectors import VectorSource
from anybit.errors import DataError, FormatError
from anybit.types import Int64Array

__all__ = ["ArrayImages", "ArrayVectors", "labels_of_array", "load_npy", "load_npz", "open_array"]

_X_NAMES = ("x", "X", "vectors", "features", "embeddings", "data", "images")
_Y_NAMES = ("y", "Y", "labels", "label", "targets")
_ID_NAMES = ("ids", "id")


class ArrayVectors(VectorSource):
    """Vectors of an array, in memory or memory-mapped.

    Parameters
    ----------
    rows : ndarray of shape (N, D)
        Any float or integer type; converted to float32 when read.
    labels : Labels, optional
    ids : array-like of shape (N,), optional
        Integers or texts; default the row numbers.
    found : str
        Where the array came from, for `describe`.
    origin : str, optional
        Path of the file whose rows these are; None for an array in memory.
    """

    def __init__(
        self,
        rows: NDArray[Any],
        labels: Labels | None = None,
        ids: ArrayLike | None = None,
        found: str = "array",
        origin: str | None = None,
    ) -> None:
        if rows.ndim != 2 or rows.dtype.kind not in "fiub":
            raise DataError(
                f"vectors must be numbers of shape (N, D), got {rows.dtype} {rows.shape}."
            )
        super().__init__(_items(len(rows), labels, ids, origin), found)
        self._array = rows

    @property
    def dim(self) -> int:
        """Length D of the vectors."""
        return int(self._array.shape[1])

    def _rows(self, positions: Int64Array | slice) -> NDArray[Any]:
        return self._array[positions]


class ArrayImages(ImageSource):
    """Pictures of an array.

    Parameters
    ----------
    pixels : ndarray of shape (N, H, W, 3) or (N, H, W), uint8
        Colour, or grey.
    labels : Labels, optional
    ids : array-like of shape (N,), optional
        Integers or texts; default the row numbers.
    found : str
        Where the array came from, for `describe`.
    origin : str, optional
        Path of the file whose rows these are; None for an array in memory.
    """

    def __init__(
        self,
        pixels: NDArray[Any],
        labels: Labels | None = None,
        ids: ArrayLike | None = None,
        found: str = "array",
        origin: str | None = None,
    ) -> None:
        is_grey = pixels.ndim == 3
        if pixels.dtype != np.uint8 or not (is_grey or (pixels.ndim == 4 and pixels.shape[3] == 3)):
            raise DataError(
                "pictures must be uint8 of shape (N, H, W, 3) or (N, H, W), got "
                f"{pixels.dtype} {pixels.shape}."
            )
        super().__init__(_items(len(pixels), labels, ids, origin), found)
        self._pixels = pixels

    def _encoded(self, position: int) -> Image.Image:
        return Image.fromarray(np.ascontiguousarray(self._pixels[position])).convert("RGB")


def open_array(path: Path, options: SourceOptions) -> Source:
    """Open `.npy`, `.npz`, `.fvecs` or `.bvecs`.

    Returns
    -------
    Source
        Vectors from an array (N, D); pictures from uint8 (N, H, W, 3) or (N, H, W).

    Raises
    ------
    FormatError
        If the file is damaged or cut.
    DataError
        If the array has another rank or holds no numbers.
    """
    del options  # arrays have no columns to choose; a label file is joined by open_source
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return _of_npz(path)
    if suffix == ".npy":
        return _of_array(load_npy(path), None, None, f"{shown_name(path)}: array", origin_of(path))
    return ArrayVectors(
        _map_vecs(path, suffix), found=f"{shown_name(path)}: vectors", origin=origin_of(path)
    )


def load_npy(path: Path) -> NDArray[Any]:
    """Memory-map a `.npy` file; arrays of Python objects are refused."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    # NumPy's header parser raises many types on damaged input.
    except Exception as error:
        raise FormatError(f"{path} must be a .npy file of plain numbers: {error}") from error


def load_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of a `.npz` file; arrays of Python objects are refused."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except (zipfile.BadZipFile, Exception) as error:
        raise FormatError(f"{path} must be a .npz file of plain arrays: {error}") from error


def labels_of_array(y: NDArray[Any], class_names: NDArray[Any] | None = None) -> Labels:
    """Make labels from class numbers (N,), names (N,) or zeros and ones (N, C)."""
    names = None if class_names is None else [str(name) for name in class_names.tolist()]
    if y.ndim == 2:
        return Labels.from_multi_hot(y, names)
    if y.ndim != 1:
        raise DataError(f"labels must have shape (N,) or (N, C), got {y.shape}.")
    if y.dtype.kind in "US":
        texts = [str(name) for name in y.astype(np.str_).tolist()]
        return Labels.from_lists([[name] if name else [] for name in texts], names)
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.rint(y)).all():
        y = y.astype(np.int64)
    if y.dtype.kind not in "iub":
        raise DataError(f"labels must be integers or names, got {y.dtype}.")
    return Labels.from_integers(y.astype(np.int64), names)


def _of_npz(path: Path) -> Source:
    """Open a `.npz` file with x and, optionally, y, ids and class_names."""
    arrays = load_npz(path)
    x = _first(arrays, _X_NAMES)
    if x is None:
        raise DataError(
            f"{path} must hold an array x (vectors or pictures), got: {', '.join(arrays) or '-'}."
        )
    y, ids = _first(arrays, _Y_NAMES), _first(arrays, _ID_NAMES)
    try:
        labels = None if y is None else labels_of_array(y, arrays.get("class_names"))
        return _of_array(
            x,
            labels,
            ids,
            f"{shown_name(path)}: arrays {', '.join(map(shown_name, arrays))}",
            origin_of(path),
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _of_array(
    array: NDArray[Any], labels: Labels | None, ids: ArrayLike | None, found: str, origin: str
) -> Source:
    """Vectors or pictures by the array's rank and type."""
    if array.ndim in (3, 4) and array.dtype == np.uint8:
        return ArrayImages(array, labels, ids, found, origin)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise DataError(
            f"{found}: vectors must be numbers of shape (N, D), pictures uint8 of shape "
            f"(N, H, W, 3) or (N, H, W); got {array.dtype} {array.shape}."
        )
    return ArrayVectors(array, labels, ids, found, origin)


def _map_vecs(path: Path, suffix: str) -> NDArray[Any]:
    """Memory-map `.fvecs` or `.bvecs`: each row is its length (int32) and its values."""
    width = 4 if suffix == ".fvecs" else 1
    try:
        n_bytes = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}.") from error
    if n_bytes == 0:
        return np.zeros((0, 0), dtype=np.float32)
    dim = int.from_bytes(head, "little", signed=True) if len(head) == 4 else -1
    row_bytes = 4 + dim * width
    if dim < 1 or n_bytes % row_bytes:
        raise FormatError(
            f"{path} must hold rows of an int32 length and that many values; its first length is "
            f"{dim} and its size {n_bytes} bytes. It is cut or of another kind."
        )
    raw = np.memmap(path, dtype=np.uint8, mode="r", shape=(n_bytes // row_bytes, row_bytes))
    lengths = raw[:, :4]  # (N, 4)
    is_other = (lengths != np.frombuffer(head, dtype=np.uint8)).any(axis=1)
    if is_other.any():
        raise FormatError(
            f"{path}: every row must have length {dim}, row {int(np.argmax(is_other))} differs."
        )
    values = raw[:, 4:]
    # Rows stay a view of the file: 4 + 4 D is a multiple of 4, so float32 is aligned.
    return values.view("<f4") if suffix == ".fvecs" else values  # (N, D)


def _items(n_items: int, labels: Labels | None, ids: ArrayLike | None, origin: str | None) -> Items:
    """Items of an array: given ids, else row numbers."""
    if ids is None:
        numbers = np.arange(n_items, dtype=np.int64)
        return Items(numbers, labels=labels, derived_from="rows", origin=origin)
    given = np.asarray(ids)
    if given.ndim != 1 or len(given) != n_items:
        raise DataError(f"ids must have shape ({n_items},), got {given.shape}.")
    if given.dtype.kind == "S":
        given = given.astype(np.str_)
    column = pa.array(given.tolist(), None if n_items else pa.int64())
    numbers, keys = ids_of_column(pa.chunked_array([column]), "ids")
    return Items(numbers, keys, labels)


def _first(arrays: dict[str, NDArray[Any]], names: tuple[str, ...]) -> NDArray[Any] | None:
    """Return the first array of one of the names."""
    return next((arrays[name] for name in names if name in arrays), None)
