"""Names under which the metadata columns of a source are stored."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from anybit.store import free_column_names

__all__ = ["stored_names"]

_LOG = logging.getLogger(__name__)


def stored_names(names: Sequence[str]) -> list[str]:
    """Return the names under which columns are stored, in their order; log the changed ones."""
    stored = free_column_names(names)
    pairs = [(old, new) for old, new in zip(names, stored, strict=True) if old != new]
    if pairs:
        listed = ", ".join(f"{_shown(old)} as {_shown(new)}" for old, new in pairs)
        _LOG.warning("columns are stored under other names: %s", listed)
    return stored


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:57]}...")
