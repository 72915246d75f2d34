"""Protocols as data: what is trained on, searched and asked, and how the answer is measured."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from anybit.errors import FormatError, OptionError
from anybit.evaluation import EvaluationOptions
from anybit.types import Metric

__all__ = [
    "Protocol",
    "RecordedName",
    "SplitRule",
    "all_protocols",
    "protocol",
    "recorded_protocol",
]


@dataclass(frozen=True)
class SplitRule:
    """How the items of a data set are divided.

    Parameters
    ----------
    kind : {"parts", "per_class", "random", "lists"}
        ``parts``: the parts of the data set as they are distributed (training part, test part).
        ``per_class``: so many items of each class, drawn at random. ``random``: so many items in
        all. ``lists``: by the files that the protocol's authors published.
    train, query : int
        Items a class, or in all; 0 takes a whole part, and without parts `train` 0 takes every
        labelled item that is no query.
    query_part : str or None
        The part that queries are drawn from, such as ``test``; None pools all parts and draws
        from them together.
    train_part : str or None
    is_train_in_database : bool
    """

    kind: Literal["parts", "per_class", "random", "lists"]
    train: int = 0
    query: int = 0
    query_part: str | None = None
    train_part: str | None = None
    is_train_in_database: bool = False


@dataclass(frozen=True)
class RecordedName:
    """How a protocol is named in results that were stored before it was renamed.

    Parameters
    ----------
    name, checksum : str
    """

    name: str
    checksum: str


@dataclass(frozen=True)
class Protocol:
    """A protocol by name: everything that two figures must share to be comparable.

    Parameters
    ----------
    name : str
        Such as ``cifar10-setting1``.
    title : str
    dataset : str
        ``cifar10``, ``nuswide21``, ``imagenet100`` or ``flickr25k``.
    source : str
        Paper and section, or the code that defines it.
    split : SplitRule
    sizes : dict of str to int
        Items that ``train``, ``database`` and ``query`` must have, and ``all`` of them together;
        a part whose size is not fixed by the protocol is left out.
    n_classes : int
    is_multi_label : bool
    at : int
        R of mAP@R; 0 is the whole database.
    denominator, zero_hit : str
        Rules of AP; see `anybit.evaluation.DEFINITIONS`.
    metric : {"ip", "l2", "cosine"}
        How query and reconstruction are compared.
    bits : tuple of int
        Code lengths that the paper reports.
    n_codewords : int
        K, such that every length is whole levels; our choice where the paper does not say.
    notes : tuple of str
        What the paper leaves open, and what was decided.
    recorded_as : RecordedName or None
        The name and checksum that older results of this protocol carry.
    """

    name: str
    title: str
    dataset: str
    source: str
    split: SplitRule
    sizes: dict[str, int]
    n_classes: int
    is_multi_label: bool
    at: int
    denominator: Literal["found", "reachable", "database"]
    zero_hit: Literal["zero", "skip"]
    metric: Metric
    bits: tuple[int, ...]
    n_codewords: int
    notes: tuple[str, ...] = ()
    recorded_as: RecordedName | None = None

    @property
    def checksum(self) -> str:
        """SHA-256 of the fields that decide a figure, in hexadecimal.

        Title, source, notes and the name in older results are left out.
        """
        fields = asdict(self)
        for name in ("title", "source", "notes", "recorded_as"):
            del fields[name]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def evaluation_options(self, n_database: int) -> EvaluationOptions:
        """Return the measures of this protocol for a database of so many items."""
        ranks = (1, 10, 100, 200, 500, 1000, 2000, 5000)
        return EvaluationOptions(
            bits=self.bits,
            at=min(self.at or n_database, n_database),
            denominator=self.denominator,
            zero_hit=self.zero_hit,
            precision_at=tuple(rank for rank in ranks if rank <= n_database),
        )

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Protocol:
        """Read a protocol of ``protocols.json``.

        Raises
        ------
        FormatError
            If a field is missing or unknown.
        """
        try:
            rest: dict[str, Any] = {
                key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()
            }
            rest["split"] = SplitRule(**fields["split"])
            if fields.get("recorded_as") is not None:
                rest["recorded_as"] = RecordedName(**fields["recorded_as"])
            return cls(**rest)
        except (KeyError, TypeError) as cause:
            raise FormatError(f"a protocol must have the fields of Protocol: {cause}.") from cause


@cache
def all_protocols() -> dict[str, Protocol]:
    """Return all protocols by name."""
    text = resources.files("anybit.papers.protocols").joinpath("protocols.json").read_text("utf-8")
    return {fields["name"]: Protocol.from_dict(fields) for fields in json.loads(text)}


def protocol(name: str) -> Protocol:
    """Return a protocol.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    known = all_protocols()
    if name not in known:
        raise OptionError(f"protocol must be one of {', '.join(known)}, got {name!r}.")
    return known[name]


def recorded_protocol(name: str, checksum: str) -> Protocol | None:
    """Return the protocol that a stored result belongs to, by its checksum.

    Parameters
    ----------
    name, checksum : str
        As the result records them. A name may have been given to another protocol since.

    Returns
    -------
    Protocol or None
        None if no protocol has, or had, that name and checksum.
    """
    for one in all_protocols().values():
        if (one.name, one.checksum) == (name, checksum):
            return one
        if one.recorded_as == RecordedName(name, checksum):
            return one
    return None
