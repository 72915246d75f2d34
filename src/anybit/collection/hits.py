"""The answer to one query."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from anybit.types import Float32Array, Int64Array

__all__ = ["Hits"]

_OWN_COLUMNS = ("key", "labels")


@dataclass(frozen=True, eq=False)
class Hits:
    """The best items of one query, best first.

    Parameters
    ----------
    ids : ndarray of shape (k,), int64
    scores : ndarray of shape (k,), float32
        Larger is closer.
    rows : pyarrow.Table
        ``key``, ``labels`` and the metadata columns of the hits, row by row.
    bits : int
        Code length that was compared.
    """

    ids: Int64Array
    scores: Float32Array
    rows: pa.Table
    bits: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def keys(self) -> list[str | None]:
        """Names of the hits, such as the file they came from; None where they have none."""
        keys: list[str | None] = self.rows["key"].to_pylist()
        return keys

    @property
    def labels(self) -> list[list[str]]:
        """Class names of every hit; an empty list for an unlabelled one."""
        return [labels or [] for labels in self.rows["labels"].to_pylist()]

    @property
    def metadata(self) -> pa.Table:
        """The other columns of the source, one row a hit."""
        names = [name for name in self.rows.column_names if name not in _OWN_COLUMNS]
        return self.rows.select(names)

    def to_list(self) -> list[dict[str, object]]:
        """Return one plain dict a hit, ready for JSON."""
        return [
            {
                "rank": rank + 1,
                "id": int(self.ids[rank]),
                "score": float(self.scores[rank]),
                "key": self.keys[rank],
                "labels": self.labels[rank],
                "metadata": row,
            }
            for rank, row in enumerate(self._metadata_rows())
        ]

    def _metadata_rows(self) -> list[dict[str, object]]:
        metadata = self.metadata
        if metadata.num_columns == 0:
            return [{} for _ in range(len(self))]
        rows: list[dict[str, object]] = metadata.to_pylist()
        return rows
