"""Class labels of items: none, one or several per item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anybit.errors import DataError, DTypeError, ShapeError
from anybit.types import BoolArray, Int64Array

__all__ = ["Labels"]

_MOST_CLASSES = 1_000_000


@dataclass(frozen=True, eq=False)
class Labels:
    """Class labels of N items, in compressed rows: item i has ``classes[starts[i]:starts[i+1]]``.

    Parameters
    ----------
    class_names : tuple of str
        Names of the C classes; a class number is a position in it.
    starts : ndarray of shape (N + 1,), int64
        Where each item's classes begin.
    classes : ndarray of shape (n,), int64
        Class numbers, ascending and without repeats within an item.

    Raises
    ------
    DataError
        If a name occurs twice, a class number is outside of the names, or rows are not ascending.

    Examples
    --------
    >>> labels = Labels.from_lists([["cat"], ["dog", "cat"], []])
    >>> labels.class_names, labels.lists()
    (('cat', 'dog'), [(0,), (0, 1), ()])
    >>> labels.multi_hot().astype(int)
    array([[1, 0],
           [1, 1],
           [0, 0]])
    """

    class_names: tuple[str, ...]
    starts: Int64Array
    classes: Int64Array

    def __post_init__(self) -> None:
        if len(set(self.class_names)) != len(self.class_names):
            twice = sorted({n for n in self.class_names if self.class_names.count(n) > 1})
            raise DataError(f"class names must be unique, got twice: {', '.join(twice[:5])}.")
        if self.starts.ndim != 1 or len(self.starts) == 0 or self.classes.ndim != 1:
            raise ShapeError(
                f"starts must have shape (N + 1,) and classes (n,), got {self.starts.shape} "
                f"and {self.classes.shape}."
            )
        if self.starts[0] != 0 or self.starts[-1] != len(self.classes):
            raise DataError("label starts must run from 0 to the number of classes given.")
        if (np.diff(self.starts) < 0).any():
            raise DataError("label starts must ascend.")
        if len(self.classes) and not (
            0 <= self.classes.min() and self.classes.max() < len(self.class_names)
        ):
            raise DataError(
                f"class numbers must be from 0 to {len(self.class_names) - 1}, got "
                f"{int(self.classes.min())} to {int(self.classes.max())}."
            )
        items = self._item_of_entry
        same_item = items[1:] == items[:-1]
        if (same_item & (np.diff(self.classes) <= 0)).any():
            raise DataError("the classes of an item must ascend and not repeat.")

    @classmethod
    def from_lists(
        cls,
        lists: Iterable[Sequence[str | int]],
        class_names: Sequence[str] | None = None,
    ) -> Labels:
        """Make labels from one list of class names or class numbers per item.

        Parameters
        ----------
        lists : iterable of sequences of str or int
            An empty list is an unlabelled item; a repeated label counts once.
        class_names : sequence of str, optional
            The classes and their order. Without it: the names found, sorted (as numbers when all
            of them are numbers); for integers "0" to the largest.

        Raises
        ------
        DataError
            If a label is not among `class_names`, or names and numbers are mixed.
        """
        rows = [tuple(row) for row in lists]
        distinct = {label for row in rows for label in row}
        if any(isinstance(label, bool) for label in distinct):
            raise DataError("labels must be names or integers, got a boolean.")
        are_names = {isinstance(label, str) for label in distinct}
        if len(are_names) > 1:
            raise DataError("labels must be all names or all integers, got both.")
        if True in are_names:
            names, number_of = _number_names(
                {str(label) for label in distinct}, _as_names(class_names)
            )
        else:
            numbers = {int(label) for label in distinct}
            names = _names_of_numbers(max(numbers, default=-1), class_names)
            number_of = {number: number for number in numbers if 0 <= number < len(names)}
        unknown = distinct - number_of.keys()
        if unknown:
            shown = ", ".join(sorted(map(str, unknown))[:5])
            raise DataError(
                f"labels must be among the {len(names)} classes given, got also: {shown}."
            )
        sorted_rows = [sorted({number_of[label] for label in row}) for row in rows]
        lengths = np.array([len(row) for row in sorted_rows], dtype=np.int64)
        flat = [number for row in sorted_rows for number in row]
        return cls(names, _starts_of(lengths), np.array(flat, dtype=np.int64))

    @classmethod
    def from_integers(cls, y: ArrayLike, class_names: Sequence[str] | None = None) -> Labels:
        """Make single labels from class numbers of shape (N,); -1 is an unlabelled item."""
        numbers = np.asarray(y)
        if numbers.ndim != 1:
            raise ShapeError(
                f"class numbers must have shape (N,), got {numbers.shape}. "
                "For a multi-hot array (N, C) use Labels.from_multi_hot."
            )
        if numbers.size and not np.issubdtype(numbers.dtype, np.integer):
            raise DTypeError(f"class numbers must be integers, got {numbers.dtype}.")
        numbers = numbers.astype(np.int64)
        if numbers.size and numbers.min() < -1:
            raise DataError(
                f"class numbers must be 0 or more, or -1 for none, got {int(numbers.min())}."
            )
        highest = int(numbers.max()) if numbers.size else -1
        names = _names_of_numbers(highest, class_names)
        if highest >= len(names):
            raise DataError(
                f"class numbers must be below the {len(names)} class names given, got {highest}."
            )
        is_labelled = numbers >= 0
        return cls(names, _starts_of(is_labelled.astype(np.int64)), numbers[is_labelled])

    @classmethod
    def from_multi_hot(cls, hot: ArrayLike, class_names: Sequence[str] | None = None) -> Labels:
        """Make labels from zeros and ones of shape (N, C)."""
        array = np.asarray(hot)
        if array.ndim != 2:
            raise ShapeError(f"multi-hot labels must have shape (N, C), got {array.shape}.")
        is_on = array != 0
        if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
            raise DataError("multi-hot labels must be 0 or 1.")
        names = _names_of_numbers(array.shape[1] - 1, class_names)
        if len(names) != array.shape[1]:
            raise DataError(
                f"multi-hot labels have {array.shape[1]} columns, but there are "
                f"{len(names)} class names."
            )
        counts = is_on.sum(axis=1).astype(np.int64)
        return cls(names, _starts_of(counts), np.nonzero(is_on)[1].astype(np.int64))

    @classmethod
    def unlabelled(cls, n_items: int, class_names: Sequence[str] = ()) -> Labels:
        """Make labels of `n_items` items without any class."""
        zeros = np.zeros(n_items + 1, dtype=np.int64)
        return cls(tuple(class_names), zeros, np.zeros(0, dtype=np.int64))

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return len(self.class_names)

    @property
    def n_unlabelled(self) -> int:
        """Number of items without any class."""
        return int((np.diff(self.starts) == 0).sum())

    @property
    def is_multi(self) -> bool:
        """Whether some item has more than one class."""
        return bool((np.diff(self.starts) > 1).any())

    @cached_property
    def _item_of_entry(self) -> Int64Array:
        """Item of each entry of `classes`, shape (n,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.starts))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Labels):
            return NotImplemented
        return self.class_names == other.class_names and self.lists() == other.lists()

    def __hash__(self) -> int:
        return hash((self.class_names, self.starts.tobytes(), self.classes.tobytes()))

    def counts(self) -> Int64Array:
        """Return the number of items of each class, shape (C,)."""
        return np.bincount(self.classes, minlength=self.n_classes).astype(np.int64)

    def lists(self) -> list[tuple[int, ...]]:
        """Return the class numbers of every item."""
        flat: list[int] = self.classes.tolist()
        edges: list[int] = self.starts.tolist()
        return [tuple(flat[start:stop]) for start, stop in pairwise(edges)]

    def names_of(self, position: int) -> tuple[str, ...]:
        """Return the class names of one item."""
        start, stop = self.starts[position], self.starts[position + 1]
        return tuple(self.class_names[number] for number in self.classes[start:stop])

    def integers(self) -> Int64Array:
        """Return the class number of every item, shape (N,), -1 for an unlabelled item.

        Raises
        ------
        DataError
            If an item has more than one class.
        """
        if self.is_multi:
            first = int(np.argmax(np.diff(self.starts) > 1))
            raise DataError(
                f"every item must have at most one class here, item {first} has "
                f"{len(self.names_of(first))}. Use multi_hot or lists."
            )
        numbers = np.full(len(self), -1, dtype=np.int64)
        numbers[self._item_of_entry] = self.classes
        return numbers

    def multi_hot(self, rows: ArrayLike | slice | None = None) -> BoolArray:
        """Return ``hot[i, c]``: whether item i (of `rows`, default all) has class c, (n, C)."""
        if rows is not None:
            if isinstance(rows, slice):
                rows = np.arange(len(self))[rows]
            return self.take(np.asarray(rows)).multi_hot()
        hot = np.zeros((len(self), self.n_classes), dtype=np.bool_)
        hot[self._item_of_entry, self.classes] = True
        return hot

    def take(self, rows: ArrayLike) -> Labels:
        """Return the labels of some items, in the order of `rows` (positions or a mask (N,))."""
        positions = np.asarray(rows)
        if positions.dtype == np.bool_:
            if positions.shape != (len(self),):
                raise ShapeError(f"a mask must have shape ({len(self)},), got {positions.shape}.")
            positions = np.flatnonzero(positions)
        positions = positions.astype(np.int64)
        if positions.size and (positions.min() < -len(self) or positions.max() >= len(self)):
            raise DataError(
                f"positions must be below {len(self)} items, got {int(positions.max())}."
            )
        positions = np.where(positions < 0, positions + len(self), positions)
        lengths = np.diff(self.starts)[positions]
        starts = _starts_of(lengths)
        shift = np.repeat(self.starts[positions] - starts[:-1], lengths)
        return Labels(self.class_names, starts, self.classes[np.arange(starts[-1]) + shift])

    def aligned_to(self, class_names: Sequence[str]) -> Labels:
        """Return the same labels with the class numbers of another list of names.

        Raises
        ------
        DataError
            If an item has a class that is not in `class_names`.
        """
        names = tuple(class_names)
        if names == self.class_names:
            return self
        number_of = {name: number for number, name in enumerate(names)}
        new_number = np.array([number_of.get(n, -1) for n in self.class_names], dtype=np.int64)
        moved = new_number[self.classes]
        if (moved < 0).any():
            missing = sorted({self.class_names[c] for c in self.classes[moved < 0]})
            raise DataError(
                f"classes must be among the {len(names)} known ones, got also: "
                f"{', '.join(missing[:5])}."
            )
        order = np.lexsort((moved, self._item_of_entry))
        return Labels(names, self.starts, moved[order])


def _starts_of(lengths: NDArray[np.int64]) -> Int64Array:
    """Add up the lengths, beginning with 0, shape (N + 1,)."""
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _as_names(class_names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Copy the given names to a tuple."""
    return None if class_names is None else tuple(class_names)


def _names_of_numbers(highest: int, class_names: Sequence[str] | None) -> tuple[str, ...]:
    """Names for class numbers up to `highest`."""
    if class_names is not None:
        return tuple(class_names)
    if highest >= _MOST_CLASSES:
        raise DataError(
            f"class numbers must be below {_MOST_CLASSES:,} unless class names are given, "
            f"got {highest}. Are these item ids?"
        )
    return tuple(str(number) for number in range(highest + 1))


def _number_names(
    found: set[str], class_names: tuple[str, ...] | None
) -> tuple[tuple[str, ...], dict[str | int, int]]:
    """Class names and the number of each label found.

    A numeral is a class number when names are given and it is not one of them.
    """
    are_numerals = all(name.isascii() and name.isdigit() for name in found)
    if class_names is None:
        class_names = tuple(sorted(found, key=lambda n: (int(n), n)) if are_numerals
                            else sorted(found))  # fmt: skip
    number_of: dict[str | int, int] = {name: number for number, name in enumerate(class_names)}
    if are_numerals and not found <= set(class_names):
        number_of = {name: int(name) for name in found if int(name) < len(class_names)}
    return class_names, number_of
