"""From a protocol and a data set to what is trained on, searched and asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anybit.data import Labels, Source, split_positions
from anybit.errors import DataError
from anybit.papers.datasets import DataSet, join_labels, open_dataset
from anybit.papers.protocols.held_back import fold_of, hold_back
from anybit.papers.protocols.protocol import Protocol
from anybit.papers.protocols.split_checks import Finding, check_split
from anybit.papers.protocols.split_manifest import ROLES, PartItems, SplitManifest, SplitSources
from anybit.types import BoolArray, Int64Array

__all__ = ["Prepared", "SplitSources", "only_classes", "prepare", "split", "without_classes"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set divided by a protocol, ready to train on, search and ask.

    Parameters
    ----------
    dataset : DataSet
    manifest : SplitManifest
    sources : SplitSources
    findings : tuple of Finding
        Warnings of `check_split`.
    """

    dataset: DataSet
    manifest: SplitManifest
    sources: SplitSources
    findings: tuple[Finding, ...] = ()

    def held_back(self) -> Prepared:
        """Divide only the training items, see the function `hold_back`."""
        manifest = hold_back(self.dataset, self.manifest)
        return replace(self, manifest=manifest, sources=manifest.sources(self.dataset))

    def fold(self, number: int, n_folds: int) -> Prepared:
        """Divide only the training items, see the function `fold_of`."""
        manifest = fold_of(self.dataset, self.manifest, number, n_folds)
        return replace(self, manifest=manifest, sources=manifest.sources(self.dataset))

    def without_classes(self, names: Sequence[str]) -> SplitSources:
        """Leave classes out of training, see the function `without_classes`."""
        return without_classes(self.sources, names)

    def only_classes(self, names: Sequence[str]) -> SplitSources:
        """Search and ask only unseen classes, see the function `only_classes`."""
        return only_classes(self.sources, names)


def prepare(protocol: Protocol, folder: Path, seed: int = 0) -> Prepared:
    """Open a protocol's data set, divide it, and check the division.

    Parameters
    ----------
    protocol : Protocol
    folder : Path
        Holds the data set in one of the forms that `expected_files` names.
    seed : int
        Of what is drawn.

    Returns
    -------
    Prepared

    Raises
    ------
    DataError
        If the data set is missing (the message says what to fetch and where to put it) or does
        not fit the protocol.
    FormatError
        If a file of it is damaged.

    Notes
    -----
    Pictures are not read. `check_split` with ``reads_images`` looks for the same picture in two
    parts.
    """
    dataset = open_dataset(protocol.dataset, folder)
    manifest = split(protocol, dataset, seed)
    findings = check_split(protocol, dataset, manifest)
    return Prepared(dataset, manifest, manifest.sources(dataset), tuple(findings))


def split(protocol: Protocol, dataset: DataSet, seed: int = 0) -> SplitManifest:
    """Divide a data set by a protocol.

    Parameters
    ----------
    protocol : Protocol
    dataset : DataSet
    seed : int
        Has no effect where nothing is drawn.

    Returns
    -------
    SplitManifest

    Raises
    ------
    DataError
        If the data set is another one, lacks a part, or has too few items of a class.

    Notes
    -----
    A data set that comes as lists is divided already: the lists are taken as they are, whatever
    the rule of the protocol.

    Per class, with one label per item: `anybit.data.split_positions`. With several labels per
    item: classes draw one after another, the rarest first, each among the items not drawn yet
    for queries or training, or all of those that are left when they are too few. An item drawn
    for one class does not count for another, so 21 classes of 100 are 2,100 items. At random:
    queries and training items are drawn from the items that have a label; the others are
    searched. Where the rule names no parts, all parts are pooled before the draw.
    """
    if dataset.name != protocol.dataset:
        raise DataError(
            f"protocol {protocol.name} divides the data set {protocol.dataset}, got {dataset.name}."
        )
    notes = dataset.notes
    if dataset.is_divided:
        masks = _by_lists(protocol, dataset)
        notes = (*notes, "divided by the lists that came with it; the seed has no effect")
    elif protocol.split.kind == "lists":
        raise DataError(
            f"protocol {protocol.name} is defined by lists: {dataset.name} must come with "
            f"train.txt, test.txt and database.txt, got the form {dataset.form}."
        )
    elif protocol.split.query_part is None:
        masks = _of_all(protocol, dataset, seed)
    else:
        masks = _of_parts(protocol, dataset, seed)
    named = {
        role: tuple(
            _items(dataset, part, np.flatnonzero(mask))
            for part, mask in masks[role].items()
            if mask.any()
        )
        for role in ROLES
    }
    if not all(named.values()):
        lacking = ", ".join(role for role, items in named.items() if not items)
        raise DataError(f"protocol {protocol.name} needs items in every part, none in {lacking}.")
    return SplitManifest(
        protocol=protocol.name,
        protocol_checksum=protocol.checksum,
        dataset=dataset.name,
        form=dataset.form,
        fingerprint=dataset.fingerprint,
        seed=seed,
        notes=notes,
        **named,
    )


_Masks = dict[str, dict[str, BoolArray]]


def _items(dataset: DataSet, part: str, positions: Int64Array) -> PartItems:
    """Positions with their keys."""
    keys = dataset.keys(part)
    return PartItems(part, positions, tuple(keys[row] for row in positions.tolist()))


def _by_lists(protocol: Protocol, dataset: DataSet) -> _Masks:
    """Take the lists as they are."""
    lacking = [role for role in ROLES if role not in dataset.parts]
    if lacking:
        raise DataError(
            f"protocol {protocol.name} needs the lists train.txt, test.txt and database.txt; "
            f"there is none for {', '.join(lacking)}."
        )
    return {role: {role: np.ones(len(dataset.parts[role]), dtype=np.bool_)} for role in ROLES}


def _of_parts(protocol: Protocol, dataset: DataSet, seed: int) -> _Masks:
    """Draw queries and training items each from their own part."""
    rule = protocol.split
    train_part, query_part = rule.train_part or "", rule.query_part or ""
    lacking = {train_part, query_part} - dataset.parts.keys()
    if lacking:
        raise DataError(
            f"protocol {protocol.name} needs the parts {train_part} and {query_part} of "
            f"{dataset.name}, got {', '.join(dataset.parts)}."
        )
    is_train = _drawn(dataset.labels(train_part), rule.train, seed, "train")
    is_query = _drawn(dataset.labels(query_part), rule.query, seed, "query")
    is_database = is_train | ~is_train if rule.is_train_in_database else ~is_train
    return {
        "train": {train_part: is_train},
        "database": {train_part: is_database, query_part: ~is_query},
        "query": {query_part: is_query},
    }


def _drawn(labels: Labels, per_class: int, seed: int, role: str) -> BoolArray:
    """Mask (N,) of so many items per class of a part; 0 takes the whole part."""
    is_drawn = np.ones(len(labels), dtype=np.bool_)
    if per_class:
        if role == "query":
            drawn = split_positions(labels, query=per_class, seed=seed).query
        else:
            drawn = split_positions(labels, query=0, train=per_class, seed=seed).train
        is_drawn[:] = False
        is_drawn[drawn] = True
    return is_drawn


def _of_all(protocol: Protocol, dataset: DataSet, seed: int) -> _Masks:
    """Draw from the items of all parts together."""
    rule = protocol.split
    labels = join_labels([dataset.labels(part) for part in dataset.parts])
    is_query = np.zeros(len(labels), dtype=np.bool_)
    is_train = is_query.copy()
    if rule.kind == "random":
        labelled = np.flatnonzero(np.diff(labels.starts) > 0)
        drawn = split_positions(len(labelled), query=rule.query, train=rule.train, seed=seed)
        is_query[labelled[drawn.query]] = True
        is_train[labelled[drawn.train]] = True
    elif protocol.is_multi_label:
        rng = np.random.default_rng(seed)
        is_query = _draw_in_turn(labels, rule.query, ~is_query, rng)
        is_train = _draw_in_turn(labels, rule.train, ~is_query, rng)
    else:
        drawn = split_positions(labels, query=rule.query, train=rule.train, seed=seed)
        is_query[drawn.query] = True
        is_train[drawn.train] = True
    if not rule.train:
        is_train = ~is_query & (np.diff(labels.starts) > 0)
    is_database = ~is_query if rule.is_train_in_database else ~(is_query | is_train)
    ends = np.cumsum([len(source) for source in dataset.parts.values()])[:-1]
    by_role = {"train": is_train, "database": is_database, "query": is_query}
    return {
        role: dict(zip(dataset.parts, np.split(mask, ends), strict=True))
        for role, mask in by_role.items()
    }


def _draw_in_turn(
    labels: Labels, per_class: int, is_free: BoolArray, rng: np.random.Generator
) -> BoolArray:
    """Mask (N,) of items drawn class by class, see `split`."""
    item_of_entry = np.repeat(np.arange(len(labels), dtype=np.int64), np.diff(labels.starts))
    members = np.split(
        item_of_entry[np.argsort(labels.classes, kind="stable")], np.cumsum(labels.counts())[:-1]
    )
    is_drawn = np.zeros(len(labels), dtype=np.bool_)
    for number in np.argsort(labels.counts(), kind="stable"):
        free = members[number][(is_free & ~is_drawn)[members[number]]]
        is_drawn[rng.choice(free, size=min(per_class, len(free)), replace=False)] = True
    return is_drawn


def without_classes(sources: SplitSources, names: Sequence[str]) -> SplitSources:
    """Leave classes out of training: its items have none of them.

    Parameters
    ----------
    sources : SplitSources
    names : sequence of str
        Classes that training shall not see.

    Returns
    -------
    SplitSources
        Database and query are as they were. Labels keep the numbers and names of all classes.

    Raises
    ------
    DataError
        If a class is unknown, or no training item is left.
    """
    hot = _has_classes(sources.train, names)
    train = np.flatnonzero(~hot.any(axis=1))
    if len(train) == 0:
        raise DataError(
            f"training needs items without the {len(names)} classes left out, there are none."
        )
    return replace(sources, train=sources.train.take(train))


def only_classes(sources: SplitSources, names: Sequence[str]) -> SplitSources:
    """Search and ask only classes that training does not see.

    Parameters
    ----------
    sources : SplitSources
    names : sequence of str
        The unseen classes.

    Returns
    -------
    SplitSources
        Training as by `without_classes`; database and query hold the items whose classes are
        all among `names`, so that no item has a class that was seen.

    Raises
    ------
    DataError
        If a class is unknown, or database or query have no item of these classes.
    """
    database = [_only(source, names) for source in sources.database]
    query = _only(sources.query, names)
    kept = tuple(source for source in database if len(source))
    if not kept or len(query) == 0:
        raise DataError(
            f"database and query need items of the unseen classes {', '.join(names)} alone, got "
            f"{sum(map(len, database))} and {len(query)}."
        )
    return SplitSources(without_classes(sources, names).train, kept, query)


def _only(source: Source, names: Sequence[str]) -> Source:
    """Items of a source whose classes are all among the names, and at least one."""
    n_named = _has_classes(source, names).sum(axis=1)
    n_classes = np.diff(_labels(source).starts)
    return source.take(np.flatnonzero((n_named > 0) & (n_named == n_classes)))


def _has_classes(source: Source, names: Iterable[str]) -> BoolArray:
    """Which of the classes each item has, (N, n)."""
    labels = _labels(source)
    number_of = {name: number for number, name in enumerate(labels.class_names)}
    unknown = [name for name in names if name not in number_of]
    if unknown:
        raise DataError(
            f"classes must be among the {labels.n_classes} of the data set, got also: "
            f"{', '.join(unknown[:5])}."
        )
    return labels.multi_hot()[:, [number_of[name] for name in names]]


def _labels(source: Source) -> Labels:
    """Labels of a source, which has some."""
    if source.labels is None:
        raise DataError("a split needs class labels, this source has none.")
    return source.labels
