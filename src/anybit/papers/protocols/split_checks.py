"""What can be wrong with a split: counts, classes, and pictures that are in two parts."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from anybit.data import Labels, Source
from anybit.errors import DataError
from anybit.papers.datasets import DataSet, join_labels
from anybit.papers.protocols.protocol import Protocol
from anybit.papers.protocols.split_manifest import ROLES, Role, SplitManifest
from anybit.types import ProgressCallback

__all__ = ["Finding", "check_split"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """Something noticed in a split.

    Parameters
    ----------
    severity : {"error", "warning"}
    text : str
    """

    severity: Literal["error", "warning"]
    text: str


def check_split(
    protocol: Protocol,
    dataset: DataSet,
    manifest: SplitManifest,
    *,
    reads_images: bool = False,
    progress: ProgressCallback | None = None,
) -> list[Finding]:
    """Compare a split with its protocol.

    Parameters
    ----------
    protocol : Protocol
    dataset : DataSet
    manifest : SplitManifest
    reads_images : bool
        Whether the same picture under different names is looked for, which reads every picture.
    progress : callable, optional
        Called with (pictures read, pictures in all).

    Returns
    -------
    list of Finding
        Warnings only.

    Raises
    ------
    DataError
        If there is an error; names all of them.

    Notes
    -----
    Errors: sizes or classes that are not those of the protocol; a class without an item in train
    or database, or in query where queries are drawn per class; a key that is asked and also
    searched or trained on; training items in the database where the protocol keeps them out.
    Sizes that differ by no more than the pictures missing on disk are warnings, and so are
    queries without a relevant item, unreadable pictures, and equal pictures under different
    names: the distributed sets of photographs contain some. Two pictures are equal if their
    decoded pixels are.
    """
    findings = [
        *_size_findings(protocol, dataset, manifest),
        *_class_findings(protocol, dataset, manifest),
        *_key_findings(protocol, manifest),
    ]
    if reads_images:
        findings += _picture_findings(dataset, manifest, progress)
    errors = [finding.text for finding in findings if finding.severity == "error"]
    if errors:
        raise DataError(
            f"{dataset.name} ({dataset.form}) does not fit protocol {protocol.name}: "
            f"{'; '.join(errors)}."
        )
    return findings


def _size_findings(
    protocol: Protocol, dataset: DataSet, manifest: SplitManifest
) -> Iterator[Finding]:
    """Sizes that are not those of the protocol."""
    got = manifest.sizes
    got["all"] = len(set().union(*(manifest.keys(role) for role in ROLES)))
    for part, wanted in protocol.sizes.items():
        if got[part] == wanted:
            continue
        lack = wanted - got[part]
        is_explained = 0 < lack <= dataset.n_missing
        text = f"{part} must have {wanted:,} items, got {got[part]:,}"
        if is_explained:
            text += f"; {dataset.n_missing:,} pictures are missing on disk"
        yield Finding("warning" if is_explained else "error", text)


def _class_findings(
    protocol: Protocol, dataset: DataSet, manifest: SplitManifest
) -> Iterator[Finding]:
    """Classes that are too many, too few, or without items; queries without relevant items."""
    names = dataset.class_names
    if len(names) != protocol.n_classes:
        yield Finding("error", f"there must be {protocol.n_classes} classes, got {len(names)}")
    labels = {role: _labels(dataset, manifest, role) for role in ROLES}
    if not protocol.is_multi_label and any(part.is_multi for part in labels.values()):
        yield Finding("error", "every item must have one class, some have several")
    is_drawn_per_class = protocol.split.kind != "random" and not dataset.is_divided
    for role in ROLES:
        empty = [names[number] for number in np.flatnonzero(labels[role].counts() == 0)]
        if empty:
            is_error = is_drawn_per_class or role == "database"
            text = f"{role} has no item of {_few(empty)}"
            yield Finding("error" if is_error else "warning", text)
    is_searched = labels["database"].counts() > 0  # (C,)
    has_relevant = labels["query"].multi_hot()[:, is_searched].any(axis=1)
    if not has_relevant.all():
        keys = manifest.keys("query")
        lost = [keys[row] for row in np.flatnonzero(~has_relevant)]
        yield Finding("warning", f"{len(lost):,} queries have no relevant item: {_few(lost)}")


def _key_findings(protocol: Protocol, manifest: SplitManifest) -> Iterator[Finding]:
    """Items that are in two parts by name."""
    train, database, query = (set(manifest.keys(role)) for role in ROLES)
    for name, other in (("database", database), ("train", train)):
        both = sorted(query & other)
        if both:
            yield Finding("error", f"{len(both):,} items are in query and {name}: {_few(both)}")
    both, outside = sorted(train & database), sorted(train - database)
    if both and not protocol.split.is_train_in_database:
        yield Finding("error", f"{len(both):,} items are in train and database: {_few(both)}")
    if outside and protocol.split.is_train_in_database:
        text = f"{len(outside):,} training items are not in the database: {_few(outside)}"
        yield Finding("warning", text)


def _picture_findings(
    dataset: DataSet, manifest: SplitManifest, progress: ProgressCallback | None
) -> Iterator[Finding]:
    """Pictures that are equal under different names, and those that cannot be read."""
    hashes: dict[str, bytes] = {}
    unreadable: list[str] = []
    n_total, n_done = len(set().union(*(manifest.keys(role) for role in ROLES))), 0
    for role in ROLES:
        for items in manifest.of(role):
            source = dataset.parts[items.part]
            for position, key in zip(items.positions.tolist(), items.keys, strict=True):
                if key in hashes:
                    continue
                hashes[key] = _picture_hash(source, position)
                if not hashes[key]:
                    unreadable.append(key)
                n_done += 1
                if progress is not None:
                    progress(n_done, n_total)
    if unreadable:
        yield Finding("warning", f"{len(unreadable):,} pictures are unreadable: {_few(unreadable)}")
    asked = {hashes[key]: key for key in manifest.keys("query") if hashes[key]}
    for role in ("database", "train"):
        twins = [
            f"{asked[hashes[key]]} = {key}"
            for key in manifest.keys(role)
            if hashes[key] in asked and asked[hashes[key]] != key
        ]
        if twins:
            text = f"{len(twins):,} pictures of {role} are queries under another name: "
            yield Finding("warning", text + _few(twins))


def _picture_hash(source: Source, position: int) -> bytes:
    """SHA-256 of size and decoded pixels; empty if the picture cannot be read."""
    try:
        image = source.read_image(position)
    except DataError as error:
        _log.debug("not compared: %s", error)
        return b""
    return hashlib.sha256(f"{image.size}".encode() + image.tobytes()).digest()


def _labels(dataset: DataSet, manifest: SplitManifest, role: Role) -> Labels:
    """Labels of all items of a role."""
    parts = [dataset.labels(items.part).take(items.positions) for items in manifest.of(role)]
    return join_labels(parts)


def _few(names: list[str]) -> str:
    """Return the first names."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
