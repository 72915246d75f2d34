"""How a source is to be understood where its files do not say it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anybit.data.decode import DEFAULT_MAX_PIXELS
from anybit.errors import OptionError

__all__ = ["SourceOptions"]


@dataclass(frozen=True)
class SourceOptions:
    """Options of `open_source`; every column is found by its usual names when not given.

    Parameters
    ----------
    labels : Path, optional
        A separate file of labels: CSV, JSONL or Parquet joined by id, else by path, else row by
        row; `.npy` or `.npz` (`y`) and `.txt` row by row.
    label_column : str, optional
        One label column, or several separated by commas: columns of zeros and ones make classes
        of their own names, others are joined to one list per item.
    id_column, image_column, vector_column, path_column : str, optional
        Names of the columns with the item ids, encoded images, vectors and image paths.
    split : str, optional
        Only items whose split column (or split folder) says this.
    split_column : str
        Name of the column with the split.
    max_bad : float
        Share of unusable items above which work stops, 0 to 1.
    max_pixels : int
        Width times height above which an image is refused.
    """

    labels: Path | None = None
    label_column: str | None = None
    id_column: str | None = None
    image_column: str | None = None
    vector_column: str | None = None
    path_column: str | None = None
    split: str | None = None
    split_column: str = "split"
    max_bad: float = 0.01
    max_pixels: int = DEFAULT_MAX_PIXELS

    def __post_init__(self) -> None:
        if not 0 <= self.max_bad <= 1:
            raise OptionError(f"max_bad must be a share from 0 to 1, got {self.max_bad}.")
        if self.max_pixels < 1:
            raise OptionError(f"max_pixels must be at least 1, got {self.max_pixels}.")
