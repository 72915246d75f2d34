"""Seeded division of items into train, database and query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybit.data.labels import Labels
from anybit.errors import DataError, OptionError
from anybit.types import BoolArray, Int64Array

__all__ = ["Split", "split_positions"]


@dataclass(frozen=True)
class Split:
    """Positions of the three parts, each ascending.

    Parameters
    ----------
    train, database, query : ndarray of shape (n,), int64
        Query shares no item with the others; train is part of the database when asked for.
    """

    train: Int64Array
    database: Int64Array
    query: Int64Array


def split_positions(
    items: Labels | int,
    *,
    query: int | float,
    train: int | float | None = None,
    is_train_in_database: bool = False,
    seed: int = 0,
) -> Split:
    """Divide items at random, class by class.

    Parameters
    ----------
    items : Labels or int
        The labels of the items, or without labels their number.
    query : int or float
        Items per class (int; without labels items in all), or the share of each class (float
        below 1).
    train : int or float, optional
        As `query`. Without it everything but the queries is both train and database.
    is_train_in_database : bool
        Whether the items of `train` are in the database too.
    seed : int

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If a class has too few items.
    OptionError
        If a share or count is out of range.

    Notes
    -----
    An item of several classes counts for each of them: the rarest class is filled first, and what
    was chosen counts for the next one. Unlabelled items are divided by shares, and go to the
    database when counts are given.

    Examples
    --------
    >>> split = split_positions(Labels.from_integers([0, 0, 0, 1, 1, 1]), query=1, train=1)
    >>> len(split.query), len(split.train), len(split.database)
    (2, 2, 2)
    """
    n_items = items if isinstance(items, int) else len(items)
    rng = np.random.default_rng(seed)
    groups = _groups(items)
    is_free = np.ones(n_items, dtype=np.bool_)
    is_query = _choose(groups, query, is_free, rng, "query")
    is_free &= ~is_query
    if train is None:
        rest = np.flatnonzero(is_free)
        return Split(train=rest, database=rest.copy(), query=np.flatnonzero(is_query))
    is_train = _choose(groups, train, is_free, rng, "train")
    is_database = is_free if is_train_in_database else is_free & ~is_train
    return Split(
        train=np.flatnonzero(is_train),
        database=np.flatnonzero(is_database),
        query=np.flatnonzero(is_query),
    )


def _groups(items: Labels | int) -> list[tuple[str, Int64Array]]:
    """Name and items of each class, the rarest first; unlabelled items last, named ""."""
    if isinstance(items, int):
        return [("all items", np.arange(items, dtype=np.int64))]
    item_of_entry = np.repeat(np.arange(len(items), dtype=np.int64), np.diff(items.starts))
    by_class = np.argsort(items.classes, kind="stable")
    parts = np.split(item_of_entry[by_class], np.cumsum(items.counts())[:-1])
    groups = list(zip(items.class_names, parts, strict=True)) if items.n_classes else []
    groups.sort(key=lambda group: len(group[1]))
    return [*groups, ("", np.flatnonzero(np.diff(items.starts) == 0))]


def _choose(
    groups: list[tuple[str, Int64Array]],
    amount: int | float,
    is_free: BoolArray,
    rng: np.random.Generator,
    part: str,
) -> BoolArray:
    """Mask (N,) of items chosen among the free ones, group by group."""
    is_share = isinstance(amount, float)
    if amount < 0 or (is_share and not amount < 1):
        raise OptionError(
            f"{part} must be a count (int, 0 or more) or a share (float, below 1), got {amount}."
        )
    is_chosen = np.zeros(len(is_free), dtype=np.bool_)
    for name, members in groups:
        if not name and not is_share:
            continue
        wanted = round(amount * len(members)) if is_share else int(amount)
        need = wanted - int(is_chosen[members].sum())
        free = members[is_free[members] & ~is_chosen[members]]
        if need > len(free):
            raise DataError(
                f"{part} needs {wanted} items of class {name}, but only "
                f"{wanted - need + len(free)} are there. Ask for fewer."
            )
        if need > 0:
            is_chosen[rng.choice(free, size=need, replace=False)] = True
    return is_chosen
