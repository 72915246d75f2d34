"""Training items divided once more, so that options can be chosen without the queries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anybit.errors import DataError
from anybit.papers.datasets import DataSet, join_labels
from anybit.papers.protocols.split_manifest import PartItems, Role, SplitManifest
from anybit.types import BoolArray

__all__ = ["HELD_BACK_NOTE", "hold_back"]

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
    every = [dataset.labels(items.part).take(items.positions) for items in split.train]
    labels = join_labels(every)
    role_of_tenth = np.repeat(np.arange(len(_TENTHS)), list(_TENTHS.values()))
    if len(labels) < len(role_of_tenth):
        raise DataError(
            f"holding back needs at least {len(role_of_tenth)} training items, got {len(labels)}."
        )
    has_class = np.diff(labels.starts) > 0
    first_class = np.full(len(labels), labels.n_classes, dtype=np.int64)
    first_class[has_class] = labels.classes[labels.starts[:-1][has_class]]
    shuffled = np.random.default_rng(split.seed).permutation(len(labels))
    by_class = shuffled[np.argsort(first_class[shuffled], kind="stable")]
    role_of = np.empty(len(labels), dtype=np.int64)
    role_of[by_class] = role_of_tenth[np.arange(len(labels)) % len(role_of_tenth)]
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
        notes=(*split.notes, HELD_BACK_NOTE),
    )


def _some(items: PartItems, mask: BoolArray) -> PartItems:
    """Items of a part that a mask (n,) names."""
    keys = tuple(items.keys[row] for row in np.flatnonzero(mask).tolist())
    return PartItems(items.part, items.positions[mask], keys)
