"""What the operations of a store return."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from anybit.codes import Codes
from anybit.types import Int64Array

__all__ = ["CompactReport", "FragmentCodes", "UpsertCounts", "VerifyReport", "VersionInfo"]


@dataclass(frozen=True)
class UpsertCounts:
    """How many rows an upsert added, and how many it replaced."""

    n_added: int
    n_updated: int


@dataclass(frozen=True)
class VersionInfo:
    """One version of a store.

    Parameters
    ----------
    version : int
    made_at : datetime
        When it was committed.
    """

    version: int
    made_at: datetime


@dataclass(frozen=True)
class CompactReport:
    """Fragments, and bytes of the folder, before and after."""

    n_fragments_before: int
    n_fragments: int
    n_bytes_before: int
    n_bytes: int


@dataclass(frozen=True)
class VerifyReport:
    """What `CodeStore.verify` found.

    Parameters
    ----------
    n_files, n_bytes : int
        Compared with their checksums.
    n_rows : int
        Read whole.
    damages : tuple of str
        Files that are not what was written, and rows that cannot be; empty when all is well.
    """

    n_files: int
    n_bytes: int
    n_rows: int
    damages: tuple[str, ...]

    @property
    def is_intact(self) -> bool:
        """Whether nothing was found."""
        return not self.damages


@dataclass(frozen=True, eq=False)
class FragmentCodes:
    """The rows of some fragments that are not deleted, as they lie there.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64
    codes : Codes
        Of n items.
    addresses : ndarray of shape (n,), uint64
        Number of the fragment, times 2^32, plus the row's number in it.
    """

    ids: Int64Array
    codes: Codes
    addresses: NDArray[np.uint64]
