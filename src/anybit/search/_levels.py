"""The instruction sets that can search here, and the compiled module."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import Any

from anybit.errors import OptionError

__all__ = ["COMPILED", "NUMPY", "kernel", "simd_level", "simd_levels"]

_log = logging.getLogger(__name__)

NUMPY = "numpy"


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


COMPILED = _loaded()


_LEVELS = (*(COMPILED.simd_levels() if COMPILED is not None else ()), NUMPY)


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


def kernel() -> Any | None:
    """Return the compiled module, or None where NumPy does its work (see `simd_level`)."""
    return None if simd_level() == NUMPY else COMPILED
