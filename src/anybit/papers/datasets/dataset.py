"""A data set as it was distributed: its parts, their labels, and what was noticed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from anybit.data import Labels, Source
from anybit.errors import DataError

__all__ = ["DataSet", "join_labels"]


@dataclass(frozen=True, eq=False)
class DataSet:
    """The items of a data set, part by part.

    Parameters
    ----------
    name : str
        Such as ``cifar10``.
    form : str
        The distribution that was found: ``python``, ``binary``, ``parquet``, ``original``,
        ``folders`` or ``lists``.
    parts : dict of str to Source
        ``train`` and ``test``, ``train`` and ``val``, or ``all``. By lists: ``train``, ``query``
        and, where there is one, ``database``; then a key names the same picture in each part.
    notes : tuple of str
        What differs from the original, or was left out.
    n_missing : int
        Pictures that are listed, but not on disk.

    Raises
    ------
    DataError
        If a part has no labels, or the parts differ in their classes.
    """

    name: str
    form: str
    parts: dict[str, Source]
    notes: tuple[str, ...] = ()
    n_missing: int = 0

    def __post_init__(self) -> None:
        for part in self.parts:
            self.labels(part)
        if len({source.class_names for source in self.parts.values()}) > 1:
            raise DataError(
                f"the parts of {self.name} must have the same classes in the same order, got "
                f"{', '.join(f'{len(s.class_names or ())} in {p}' for p, s in self.parts.items())}."
            )

    @property
    def is_divided(self) -> bool:
        """Whether it comes as lists that say what is trained on, searched and asked."""
        return self.form == "lists"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return next(iter(self.parts.values())).class_names or ()

    def labels(self, part: str) -> Labels:
        """Return the labels of a part.

        Raises
        ------
        DataError
            If it has none.
        """
        labels = self.parts[part].labels
        if labels is None:
            raise DataError(f"{self.name} needs class labels, part {part} has none.")
        return labels

    @cached_property
    def _keys(self) -> dict[str, tuple[str, ...]]:
        """Keys of every part."""
        return {
            part: source.keys or tuple(f"{part}/{row}" for row in range(len(source)))
            for part, source in self.parts.items()
        }

    def keys(self, part: str) -> tuple[str, ...]:
        """Return the stable names of a part's items: relative path, else part and row."""
        return self._keys[part]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of names of classes, keys and labels of all parts, in hexadecimal."""
        digest = hashlib.sha256("\n".join((self.name, *self.class_names)).encode())
        for part in sorted(self.parts):
            labels = self.labels(part)
            digest.update(f"\n{part} {len(labels)}\n".encode())
            digest.update("\n".join(self.keys(part)).encode("utf-8", "surrogateescape"))
            digest.update(labels.starts.astype("<i8").tobytes())
            digest.update(labels.classes.astype("<i8").tobytes())
        return digest.hexdigest()


def join_labels(parts: list[Labels]) -> Labels:
    """Put the labels of several parts, which have the same classes, one after another."""
    shifts = np.cumsum([0] + [len(part.classes) for part in parts])
    starts = [part.starts[1:] + shift for part, shift in zip(parts, shifts[:-1], strict=True)]
    return Labels(
        parts[0].class_names,
        np.concatenate([np.zeros(1, dtype=np.int64), *starts]),
        np.concatenate([part.classes for part in parts]),
    )
