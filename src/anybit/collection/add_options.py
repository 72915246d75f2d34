"""How items are added, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anybit.data import SourceOptions
from anybit.errors import OptionError

__all__ = ["AddOptions", "AddReport"]


@dataclass(frozen=True)
class AddOptions:
    """How items are added.

    Parameters
    ----------
    batch_size : int
        Images of one forward pass (vectors go in batches of 4,096).
    n_workers : int or None
        Threads that decode images; None: one for each processor, at most 16.
    thumbnails_px : int
        Longest side of the stored JPEG thumbnails of images; 0 stores none.
    store_features : bool
        Store features as float16, so that evaluation has the float upper bound.
    store_images : bool
        Store the images' files themselves, so that a new model can encode them again even when
        the sources are gone.
    max_bad : float
        Share of images that may be undecodable; above it the whole addition is taken back.
    rows_per_commit : int
        Rows that are collected before they are written.
    id_prefix : str or None
        Gives items other ids, hashes of the prefix and what names an item, and keys that begin
        with it: so that items of another source that have the same ids stay.
    replace : bool
        Overwrite items of other sources that have the same ids.
    source : SourceOptions or None
        How a source given by path is read.
    """

    batch_size: int = 128
    n_workers: int | None = None
    thumbnails_px: int = 96
    store_features: bool = False
    store_images: bool = False
    max_bad: float = 0.01
    rows_per_commit: int = 20_000
    id_prefix: str | None = None
    replace: bool = False
    source: SourceOptions | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "rows_per_commit"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.n_workers is not None and self.n_workers < 1:
            raise OptionError(f"n_workers must be at least 1, got {self.n_workers}.")
        if not 0 <= self.thumbnails_px <= 1024:
            raise OptionError(f"thumbnails_px must be from 0 to 1024, got {self.thumbnails_px}.")
        if not 0 <= self.max_bad <= 1:
            raise OptionError(f"max_bad must be a share from 0 to 1, got {self.max_bad}.")

    @property
    def stored(self) -> str:
        """What is stored of an item, in words; another choice stores it again."""
        return f"{self.thumbnails_px} {self.store_features} {self.store_images}"


@dataclass(frozen=True)
class AddReport:
    """What `Collection.add` did.

    Parameters
    ----------
    n_added, n_updated : int
        New items, and items that were stored before and have changed.
    n_unchanged : int
        Items that were stored as they are now: they were not encoded again.
    n_bad : int
        Lines of `bad_file`: images that could not be decoded, pictures in formats that cannot be
        read, and folders that cannot be opened.
    bad_file : Path, str or None
        CSV that lists them, by its path or URL; None without any.
    n_moved : int
        Items that were found at another place; they keep their ids.
    n_existing : int
        Items whose given id was stored before, unchanged ones included.
    """

    n_added: int
    n_updated: int
    n_unchanged: int = 0
    n_bad: int = 0
    bad_file: Path | str | None = None
    n_moved: int = 0
    n_existing: int = 0
