"""Which items are trained on, searched and asked, as a file that can be checked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from anybit.codes import write_errors
from anybit.data import Source
from anybit.errors import DataError, FormatError
from anybit.papers.datasets import DataSet, join_sources
from anybit.types import Int64Array

__all__ = ["ROLES", "PartItems", "Role", "SplitManifest", "SplitSources"]

Role = Literal["train", "database", "query"]
ROLES: tuple[Role, ...] = ("train", "database", "query")
_VERSION = 1


@dataclass(frozen=True, eq=False)
class PartItems:
    """Some items of one part of a data set.

    Parameters
    ----------
    part : str
    positions : ndarray of shape (n,), int64
        Ascending.
    keys : tuple of str
        Their stable names, n of them.
    """

    part: str
    positions: Int64Array
    keys: tuple[str, ...]


@dataclass(frozen=True)
class SplitSources:
    """What is trained on, searched and asked.

    Parameters
    ----------
    train : Source
    database : tuple of Source
        One source per part of the data set; together they are the database.
    query : Source
    """

    train: Source
    database: tuple[Source, ...]
    query: Source


@dataclass(frozen=True, eq=False)
class SplitManifest:
    """Which items are trained on, searched and asked, so that a split can be had again.

    Parameters
    ----------
    protocol, protocol_checksum : str
    dataset, form, fingerprint : str
        Of the data set that was divided.
    seed : int
    train, database, query : tuple of PartItems
    notes : tuple of str
        How the items were drawn, and what the data set said.
    """

    protocol: str
    protocol_checksum: str
    dataset: str
    form: str
    fingerprint: str
    seed: int
    train: tuple[PartItems, ...]
    database: tuple[PartItems, ...]
    query: tuple[PartItems, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over protocol, data set and the three lists of keys, in hexadecimal."""
        digest = hashlib.sha256(f"{self.protocol_checksum}\n{self.fingerprint}".encode())
        for role in ROLES:
            digest.update(f"\n{role}".encode())
            for items in self.of(role):
                digest.update(f"\n{items.part} {len(items.keys)}\n".encode())
                digest.update("\n".join(items.keys).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    @property
    def sizes(self) -> dict[str, int]:
        """Items of ``train``, ``database`` and ``query``."""
        return {role: sum(len(items.keys) for items in self.of(role)) for role in ROLES}

    def of(self, role: Role) -> tuple[PartItems, ...]:
        """Return the items of one role."""
        return {"train": self.train, "database": self.database, "query": self.query}[role]

    def keys(self, role: Role) -> list[str]:
        """Return the keys of all items of one role."""
        return [key for items in self.of(role) for key in items.keys]

    def sources(self, dataset: DataSet) -> SplitSources:
        """Return the items as sources.

        Raises
        ------
        DataError
            If it is not the data set that was divided.
        """
        if dataset.fingerprint != self.fingerprint:
            raise DataError(
                f"the split is of {self.dataset} ({self.form}) with fingerprint "
                f"{self.fingerprint[:12]}, got {dataset.name} ({dataset.form}) with "
                f"{dataset.fingerprint[:12]}: its items or labels differ. Make the split anew."
            )
        train, database, query = (
            [dataset.parts[items.part].take(items.positions) for items in self.of(role)]
            for role in ROLES
        )
        return SplitSources(join_sources(train), tuple(database), join_sources(query))

    def save(self, path: Path) -> None:
        """Write the manifest as JSON."""
        fields: dict[str, Any] = {
            "format_version": _VERSION,
            "checksum": self.checksum,
            "sizes": self.sizes,
            "protocol": self.protocol,
            "protocol_checksum": self.protocol_checksum,
            "dataset": self.dataset,
            "form": self.form,
            "fingerprint": self.fingerprint,
            "seed": self.seed,
            "notes": self.notes,
        }
        for role in ROLES:
            fields[role] = [
                {"part": items.part, "positions": items.positions.tolist(), "keys": items.keys}
                for items in self.of(role)
            ]
        with write_errors(path):
            Path(path).write_text(json.dumps(fields) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> SplitManifest:
        """Read a manifest.

        Raises
        ------
        DataError
            If there is no such file.
        FormatError
            If it is damaged, of another version, or its checksum is not that of its contents.
        """
        try:
            fields = json.loads(Path(path).read_text("utf-8"))
            if fields.pop("format_version") != _VERSION:
                raise FormatError(f"{path} must be a split of version {_VERSION}.")
            checksum = fields.pop("checksum")
            fields.pop("sizes")
            for role in ROLES:
                fields[role] = tuple(
                    PartItems(
                        items["part"],
                        np.array(items["positions"], dtype=np.int64),
                        tuple(items["keys"]),
                    )
                    for items in fields[role]
                )
            fields["notes"] = tuple(fields["notes"])
            manifest = cls(**fields)
        except FileNotFoundError as cause:
            raise DataError(f"{path} must be a split, it does not exist.") from cause
        except (ValueError, KeyError, TypeError, AttributeError) as cause:
            raise FormatError(f"{path} must be a split in JSON: {cause}.") from cause
        if manifest.checksum != checksum or any(
            len(items.positions) != len(items.keys) for role in ROLES for items in manifest.of(role)
        ):
            raise FormatError(
                f"{path} must have the checksum of its contents, {manifest.checksum[:12]}, got "
                f"{str(checksum)[:12]}: it was changed or damaged."
            )
        return manifest
