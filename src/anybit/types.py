"""Names for the few types that every room shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "COMPARISONS",
    "METRICS",
    "BoolArray",
    "Comparison",
    "Float32Array",
    "Int64Array",
    "Metric",
    "ProgressCallback",
    "UInt8Array",
]

Float32Array: TypeAlias = NDArray[np.float32]
Int64Array: TypeAlias = NDArray[np.int64]
UInt8Array: TypeAlias = NDArray[np.uint8]
BoolArray: TypeAlias = NDArray[np.bool_]

Metric: TypeAlias = Literal["ip", "l2", "cosine"]
"""How a query is compared with a reconstruction: inner product, squared Euclidean, cosine."""

METRICS: tuple[Metric, ...] = ("ip", "l2", "cosine")

Comparison: TypeAlias = Literal["aqd", "sqd"]
"""What an item's code is compared with: the query itself (asymmetric quantizer distance), or the
query's own code (symmetric quantizer distance)."""

COMPARISONS: tuple[Comparison, ...] = ("aqd", "sqd")

ProgressCallback: TypeAlias = Callable[[int, int | None], None]
"""Called with (items done, items in all or None when unknown)."""
