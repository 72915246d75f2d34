"""Tables and scan by the compiled kernel, or by its NumPy twin where there is none."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import Any

import numpy as np

from anybit.errors import DataError, OptionError
from anybit.search import _reference
from anybit.search._terms import ItemTerms
from anybit.types import Float32Array, Int64Array, UInt8Array

__all__ = ["inner_products", "scan", "simd_level", "simd_levels"]

_log = logging.getLogger(__name__)

NUMPY = "numpy"

# Of the largest magnitudes of all levels; the kernel has the same limit.
_LARGEST_SUM = 1e37


def _loaded() -> Any:
    """Return the compiled module, or None, said once, where it was not built."""
    try:
        return import_module("anybit.search._kernel")
    except ImportError:
        _log.warning(
            "the compiled search kernel is missing: NumPy gives the same answers, several times "
            "slower. Install anybit again where there is a C++ compiler, or from a wheel."
        )
        return None


_kernel = _loaded()


_LEVELS = (*(_kernel.simd_levels() if _kernel is not None else ()), NUMPY)


def simd_levels() -> list[str]:
    """Return what can scan here, fastest first; the last is always ``numpy``."""
    return list(_LEVELS)


def simd_level() -> str:
    """Return what scans: the fastest, or what the environment variable ANYBIT_SIMD names.

    Raises
    ------
    OptionError
        If this processor cannot run the named one.
    """
    named = os.environ.get("ANYBIT_SIMD") or _LEVELS[0]
    if named not in _LEVELS:
        raise OptionError(f"ANYBIT_SIMD must be one of {', '.join(_LEVELS)} here, got {named}.")
    return named


def inner_products(parts: Float32Array, blocks: Float32Array) -> Float32Array:
    """Multiply query parts (Q, 1 or B, d) with blocks of columns (B, d, K): (Q, B, K), float32.

    See `anybit.search._reference.inner_products`: the answer is the same to the bit.
    """
    level = simd_level()
    if level == NUMPY:
        return _reference.inner_products(parts, blocks)
    found: Float32Array = _kernel.tables(np.ascontiguousarray(parts), blocks, simd=level)
    return found


def scan(
    tables: Float32Array,
    planes: UInt8Array,
    k: int,
    *,
    items: ItemTerms | None = None,
    constants: Float32Array | None = None,
    n_threads: int = 1,
) -> tuple[Int64Array, Float32Array]:
    """Return the best `k` positions of every query and the values they were ranked by.

    See `anybit.search._reference.scan`: the answer is the same to the bit.

    Raises
    ------
    DataError
        If entries of a table are so large that sums could leave the range of float32.
    """
    level = simd_level()
    if level == NUMPY:
        _check_range(tables)
        return _reference.scan(
            tables, planes, k, items=items, constants=constants, n_threads=n_threads
        )
    terms = items or ItemTerms()
    try:
        positions, values, _ = _kernel.scan(
            np.ascontiguousarray(tables),
            planes,
            k,
            allowed=terms.allowed,
            constants=constants,
            shift=terms.shift,
            factor=terms.factor,
            bins=terms.bins and terms.bins.numbers,
            bin_floors=terms.bins and terms.bins.floors,
            n_threads=n_threads,
            simd=level,
        )
    except OverflowError as cause:
        _check_range(tables)
        raise DataError(f"scores must stay in the range of float32: {cause}.") from cause
    return positions, values


def _check_range(tables: Float32Array) -> None:
    """Refuse tables (Q, L, K) whose sums could leave the range of float32."""
    with np.errstate(over="ignore"):
        largest = np.abs(tables).max(axis=2).sum(axis=1)  # (Q,); not finite where entries are not
    is_large = ~(largest < _LARGEST_SUM)
    if is_large.any():
        row = int(np.flatnonzero(is_large)[0])
        raise DataError(
            f"inner products of queries with codewords must stay below {_LARGEST_SUM:g}, got "
            f"{largest[row]:g} in query {row}. Scale the vectors down."
        )
