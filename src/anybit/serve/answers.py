"""Rows of the collection as the API's JSON values."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from anybit.collection import Answer
from anybit.types import Int64Array, UInt8Array

__all__ = ["hit_list", "item_list", "overlap_of"]

_OWN = ("key", "labels")


def item_list(
    ids: Int64Array, rows: pa.Table, codes: UInt8Array, *, has_thumbnails: bool
) -> list[dict[str, Any]]:
    """Return one dict an item.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64
    rows : pyarrow.Table
        ``key``, ``labels`` and metadata.
    codes : ndarray of shape (n, M), uint8
    has_thumbnails : bool
    """
    metadata = rows.select([name for name in rows.column_names if name not in _OWN])
    described = metadata.to_pylist() if metadata.num_columns else [{} for _ in range(len(ids))]
    keys, labels = rows["key"].to_pylist(), rows["labels"].to_pylist()
    return [
        {
            "id": number,
            "key": keys[row],
            "codes": code,
            "metadata": {name: _plain(value) for name, value in described[row].items()},
            "labels": labels[row],
            "thumbnail": f"/v1/items/{number}/thumbnail" if has_thumbnails else None,
        }
        for row, (number, code) in enumerate(zip(ids.tolist(), codes.tolist(), strict=True))
    ]


def hit_list(answer: Answer, *, has_thumbnails: bool) -> list[dict[str, Any]]:
    """Return one dict a hit, best first."""
    result = answer.results[0]
    items = item_list(result.ids[0], answer.rows, answer.codes, has_thumbnails=has_thumbnails)
    scores = result.scores[0].tolist()
    return [{**item, "score": score} for item, score in zip(items, scores, strict=True)]


def overlap_of(answer: Answer, bits: int) -> dict[str, Any] | None:
    """Return the overlap of the first result with the last, that of the full code (`bits`)."""
    short, full = answer.results[0].ids[0], answer.results[-1].ids[0]
    if len(full) == 0:
        return None
    return {"bits": bits, "share": len(np.intersect1d(short, full)) / len(full)}


def _plain(value: Any) -> Any:
    """Turn a stored value into a JSON value."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, bytes):
        return None  # of no use to a reader, and perhaps large
    return str(value)
