"""Filters of clients: the language of `anybit.data` within limits, and the API's own error."""

from __future__ import annotations

from anybit.collection import Lookup
from anybit.data import FilterLimits, column_kind
from anybit.errors import FilterError, TimeLimitError
from anybit.serve.errors import ServeError
from anybit.store import Condition

__all__ = ["client_condition", "filter_columns", "too_slow"]

_LIMITS = FilterLimits(n_characters=2_000, depth=20, n_predicates=100, n_values=500)
_CURE = (
    "Write a condition such as price < 20 AND colour IN ('red', 'blue') on the columns that "
    "GET /v1/collection lists."
)


def filter_columns(lookup: Lookup) -> list[dict[str, str]]:
    """Return names and types of the columns that a filter may compare, as the API lists them."""
    kinds = {name: column_kind(kind) for name, kind in lookup.filter_columns.items()}
    return [
        {"name": name, "type": "timestamp" if kind == "date" else kind}
        for name, kind in kinds.items()
        if kind != "other"
    ]


def too_slow(cause: TimeLimitError) -> ServeError:
    """Return the error for a filter that took longer than a request may."""
    return ServeError("timeout", str(cause), "Write a simpler filter.")


def client_condition(lookup: Lookup, where: str | None, time_limit_s: float) -> Condition | None:
    """Return what a client's filter means; None where it is missing or blank.

    Raises
    ------
    ServeError
        ``bad_filter``, if it is no filter on the collection's columns, or too large.
    """
    if where is None or not where.strip():
        return None
    try:
        return lookup.condition(where, _LIMITS, time_limit_s)
    except FilterError as cause:
        raise ServeError("bad_filter", cause.message, cause.cure or _CURE) from None
