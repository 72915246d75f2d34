"""The tables that the two papers print, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from anybit.errors import FormatError, OptionError

__all__ = ["PublishedTable", "published", "published_tables"]


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper, or its part on one data set.

    Parameters
    ----------
    name : str
        Such as ``drq-table1``.
    metric : str
        As the paper calls it; what it means is in `notes`.
    dataset, protocol : str or None
        Names of `anybit.papers.Protocol`; None where nothing is searched.
    bits : tuple of int
        Code lengths: the columns.
    methods : dict of str to tuple of float
        Rows in the order of the paper, one value a code length.
    notes : tuple of str
        Which rows a paper copied from another, known faults, what the paper leaves open.
    source : str
        Paper and table.
    """

    name: str
    metric: str
    dataset: str | None
    protocol: str | None
    bits: tuple[int, ...]
    methods: dict[str, tuple[float, ...]]
    notes: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        for method, values in self.methods.items():
            if len(values) != len(self.bits):
                raise FormatError(
                    f"{method} of {self.name} must have one value for each of {len(self.bits)} "
                    f"code lengths, got {len(values)}."
                )

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> PublishedTable:
        """Read a table of ``published.json``.

        Raises
        ------
        FormatError
            If a field is missing or unknown, or a row does not fit the code lengths.
        """
        try:
            methods = {name: tuple(map(float, row)) for name, row in fields["methods"].items()}
            lists = {"bits": tuple(fields["bits"]), "notes": tuple(fields["notes"])}
            return cls(**{**fields, **lists, "methods": methods})
        except (KeyError, TypeError, ValueError, AttributeError) as cause:
            raise FormatError(
                f"a table must have the fields of PublishedTable: {cause}."
            ) from cause


@cache
def published_tables() -> dict[str, PublishedTable]:
    """Return all tables by name, in the order of the papers."""
    text = resources.files("anybit.papers.results").joinpath("published.json").read_text("utf-8")
    tables = [PublishedTable.from_dict(fields) for fields in json.loads(text)]
    return {table.name: table for table in tables}


def published(name: str) -> PublishedTable:
    """Return a table of the papers.

    Parameters
    ----------
    name : str
        ``drq-table1``, ``drq-table2``, ``drq-table3-cifar10`` (``-nuswide21``, ``-imagenet100``),
        ``drq-table4``, ``drq-table5``, ``dqn-table1-nuswide`` (``-cifar10``, ``-flickr25k``), or
        ``dqn-variants-nuswide`` (the same three).

    Returns
    -------
    PublishedTable

    Raises
    ------
    OptionError
        If there is none of that name.

    References
    ----------
    Song et al., "Deep Recurrent Quantization for Generating Sequential Binary Codes", IJCAI 2019.
    Cao et al., "Deep Quantization Network for Efficient Image Retrieval", AAAI 2016.

    Examples
    --------
    >>> table = published("drq-table1")
    >>> table.bits, table.methods["DRQ"]
    ((16, 24, 36, 48), (0.942, 0.943, 0.943, 0.943))
    """
    tables = published_tables()
    if name not in tables:
        raise OptionError(
            f"a table of the papers must be one of {', '.join(tables)}, got {name!r}."
        )
    return tables[name]
