"""CIFAR-10 as its authors distribute it, as Parquet, or by lists."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from anybit.data import ArrayImages, Labels, Source, open_source
from anybit.errors import DataError, FormatError
from anybit.papers.datasets.dataset import DataSet
from anybit.papers.datasets.list_files import LISTS_TEXT, find_lists, open_lists
from anybit.papers.datasets.plain_pickle import read_plain_pickle
from anybit.types import Int64Array, UInt8Array

__all__ = ["CIFAR10_CLASSES", "CIFAR10_TEXT", "open_cifar10"]

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

CIFAR10_TEXT = f"""CIFAR-10, one of:
- cifar-10-python.tar.gz (170,498,071 bytes, md5 c58f30108f718f92721af3b95e74349a) from the page
  "The CIFAR-10 dataset" (https://www.cs.toronto.edu/~kriz/cifar.html), unpacked:
  cifar-10-batches-py/data_batch_1 to data_batch_5, test_batch, batches.meta;
- cifar-10-binary.tar.gz (md5 c32a1d4ab5d03f1284b67883e8d87530) from the same page, unpacked:
  cifar-10-batches-bin/data_batch_1.bin to data_batch_5.bin, test_batch.bin, batches.meta.txt;
- train.parquet and test.parquet with the columns image (encoded), label (0 to 9) and, for stable
  names, path;
- {LISTS_TEXT}.
Put the folder, or what is in it, into the folder that is named here."""

_BATCHES = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}
_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
_PIXEL_BYTES = 3 * 32 * 32


def open_cifar10(folder: Path) -> DataSet | None:
    """Open CIFAR-10 in a folder.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    DataSet or None
        Parts ``train`` and ``test``; in the original batches the key of a picture is its batch
        and row, which is the same in both. None where no distribution is recognised.

    Raises
    ------
    FormatError
        If a file is cut, damaged, or a pickle with anything but plain values.
    DataError
        If a file is missing, or pictures and labels differ in number.

    References
    ----------
    Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    if any((folder / name).is_file() for name in _BATCHES["train"]):
        return _batches(folder, "python")
    if any((folder / f"{name}.bin").is_file() for name in _BATCHES["train"]):
        return _batches(folder, "binary")
    if (folder / "train.parquet").is_file() and (folder / "test.parquet").is_file():
        parts = {part: open_source(folder / f"{part}.parquet") for part in ("train", "test")}
        return DataSet("cifar10", "parquet", parts)
    if find_lists(folder):
        return open_lists("cifar10", folder, CIFAR10_CLASSES)
    return None


def _batches(folder: Path, form: str) -> DataSet:
    """Open the six batches of one form."""
    suffix = ".bin" if form == "binary" else ""
    read = _read_binary if form == "binary" else _read_python
    names = [f"{name}{suffix}" for part in _BATCHES.values() for name in part]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder} must hold {', '.join(names)}; missing: {', '.join(missing)}.")
    classes, parts = _class_names(folder, form), dict[str, Source]()
    for part, batches in _BATCHES.items():
        read_now = [read(folder / f"{name}{suffix}") for name in batches]
        keys = [
            f"{name}/{row}"
            for name, (_, labels) in zip(batches, read_now, strict=True)
            for row in range(len(labels))
        ]
        try:
            labels = Labels.from_integers(np.concatenate([y for _, y in read_now]), classes)
        except DataError as error:
            raise DataError(f"{folder}, part {part}: {error}") from error
        pixels = np.concatenate([x for x, _ in read_now])  # (N, 3, 32, 32)
        parts[part] = ArrayImages(
            pixels.transpose(0, 2, 3, 1), labels, np.array(keys), f"{folder}: {form} batches"
        )
    notes = _unlike_published(folder) if form == "python" else ()
    return DataSet("cifar10", form, parts, notes)


def _read_python(path: Path) -> tuple[UInt8Array, Int64Array]:
    """Pictures (N, 3, 32, 32) and class numbers (N,) of a pickled batch."""
    batch = read_plain_pickle(path)
    if not isinstance(batch, dict):
        raise FormatError(f"{path} must hold a dictionary, got {type(batch).__name__}.")
    fields: dict[str, Any] = {
        key.decode("latin1") if isinstance(key, bytes) else str(key): value
        for key, value in batch.items()
    }
    pixels, labels = fields.get("data"), fields.get("labels")
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        raise FormatError(f"{path} must hold an array data and a list labels, got {[*fields]}.")
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != _PIXEL_BYTES:
        raise FormatError(
            f"{path}: data must be uint8 of shape (N, {_PIXEL_BYTES}), got {pixels.dtype} "
            f"{pixels.shape}."
        )
    if len(labels) != len(pixels) or not all(isinstance(label, int) for label in labels):
        raise DataError(
            f"{path} must have one class number per picture, got {len(pixels)} pictures and "
            f"{len(labels)} labels."
        )
    return pixels.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)


def _read_binary(path: Path) -> tuple[UInt8Array, Int64Array]:
    """Pictures (N, 3, 32, 32) and class numbers (N,) of a batch of records of 3,073 bytes."""
    record_bytes, n_bytes = _PIXEL_BYTES + 1, path.stat().st_size
    if n_bytes == 0 or n_bytes % record_bytes:
        raise FormatError(
            f"{path} must be records of {record_bytes:,} bytes (class number, then pixels), got "
            f"{n_bytes:,} bytes. It is cut or of another kind."
        )
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, record_bytes)  # (N, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def _class_names(folder: Path, form: str) -> tuple[str, ...]:
    """Names of the classes from the batches' own file, else the usual ones."""
    if form == "binary":
        path = folder / "batches.meta.txt"
        names = path.read_text("utf-8").split() if path.is_file() else list(CIFAR10_CLASSES)
    else:
        path = folder / "batches.meta"
        meta = read_plain_pickle(path) if path.is_file() else {}
        found = {
            key.decode() if isinstance(key, bytes) else key: value for key, value in meta.items()
        }
        listed = found.get("label_names", CIFAR10_CLASSES)
        names = [name.decode() if isinstance(name, bytes) else str(name) for name in listed]
    if len(names) != len(CIFAR10_CLASSES):
        raise DataError(f"{path} must name 10 classes, got {len(names)}.")
    return tuple(names)


def _unlike_published(folder: Path) -> tuple[str, ...]:
    """Name the batches whose MD5 is not that of the published file."""
    other = []
    for name, expected in _MD5.items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, _md5).hexdigest() != expected:
                other.append(name)
    if not other:
        return ()
    return (f"these files differ from the published ones (md5): {', '.join(other)}",)


def _md5() -> Any:
    """MD5 as a checksum only; some systems refuse it otherwise."""
    return hashlib.md5(usedforsecurity=False)
