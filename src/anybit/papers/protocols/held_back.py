"""Training items divided once more, so that options can be chosen without the queries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anybit.errors import DataError
from anybit.papers.datasets import DataSet, join_labels
from anybit.papers.protocols.split_manifest import PartItems, Role, SplitManifest
from anybit.types import BoolArray, Int64Array

__all__ = ["HELD_BACK_NOTE", "fold_of", "hold_back"]

_TENTHS: dict[Role, int] = {"train": 7, "database": 2, "query": 1}
HELD_BACK_NOTE = "Training items only, divided once more, in tenths: " + ", ".join(
    f"{role} {share}" for role, share in _TENTHS.items()
)
"""How the items were drawn, as a manifest and a result say it."""


def hold_back(dataset: DataSet, split: SplitManifest) -> SplitManifest:
    """Divide the training items of a split into training, database and query.

    Parameters
    ----------
    dataset : DataSet
        That was divided.
    split : SplitManifest
        Its database and queries are left out: neither is read.

    Returns
    -------
    SplitManifest
        Of the same protocol and seed, with other keys and so another checksum. No item is in two
        parts, and every class has its share of each (by its first label, where it has several).

    Raises
    ------
    DataError
        If there are fewer than ten training items.
    """
    role_of_tenth = np.repeat(np.arange(len(_TENTHS)), list(_TENTHS.values()))
    n_items = split.sizes["train"]
    if n_items < len(role_of_tenth):
        raise DataError(
            f"holding back needs at least {len(role_of_tenth)} training items, got {n_items}."
        )
    in_class_order = role_of_tenth[np.arange(n_items) % len(role_of_tenth)]
    return _divided(dataset, split, in_class_order, HELD_BACK_NOTE)


def fold_of(dataset: DataSet, split: SplitManifest, number: int, n_folds: int) -> SplitManifest:
    """Divide the training items of a split for one turn of a cross-validation.

    Parameters
    ----------
    dataset : DataSet
        That was divided.
    split : SplitManifest
        Its database and queries are left out: neither is read.
    number : int
        The fold that is left out of training, from 0.
    n_folds : int

    Returns
    -------
    SplitManifest
        Every third item of the fold is a query, the others are the database; the items of all
        other folds are trained on. Every class has its share of each fold.

    Raises
    ------
    DataError
        If there are fewer than three training items a fold.
    """
    n_items = split.sizes["train"]
    if n_items < 3 * n_folds:
        raise DataError(
            f"{n_folds} folds need at least {3 * n_folds} training items, got {n_items}."
        )
    place = np.arange(n_items)
    train, database, query = range(len(_TENTHS))
    in_fold = np.where((place // n_folds) % 3 == 0, query, database)
    roles = np.where(place % n_folds == number, in_fold, train)
    note = f"Training items only: fold {number + 1} of {n_folds} is searched and asked"
    return _divided(dataset, split, roles, note)


def _divided(dataset: DataSet, split: SplitManifest, roles: Int64Array, note: str) -> SplitManifest:
    """Give the training items, shuffled and sorted by class, these roles (n,), by `_TENTHS`."""
    every = [dataset.labels(items.part).take(items.positions) for items in split.train]
    labels = join_labels(every)
    has_class = np.diff(labels.starts) > 0
    first_class = np.full(len(labels), labels.n_classes, dtype=np.int64)
    first_class[has_class] = labels.classes[labels.starts[:-1][has_class]]
    shuffled = np.random.default_rng(split.seed).permutation(len(labels))
    by_class = shuffled[np.argsort(first_class[shuffled], kind="stable")]
    role_of = np.empty(len(labels), dtype=np.int64)
    role_of[by_class] = roles
    of_parts = np.split(role_of, np.cumsum([len(part) for part in every])[:-1])
    divided = {
        role: tuple(
            _some(items, numbers == number)
            for items, numbers in zip(split.train, of_parts, strict=True)
            if (numbers == number).any()
        )
        for number, role in enumerate(_TENTHS)
    }
    return replace(
        split,
        train=divided["train"],
        database=divided["database"],
        query=divided["query"],
        notes=(*split.notes, note),
    )


def _some(items: PartItems, mask: BoolArray) -> PartItems:
    """Items of a part that a mask (n,) names."""
    keys = tuple(items.keys[row] for row in np.flatnonzero(mask).tolist())
    return PartItems(items.part, items.positions[mask], keys)
