"""Flags of commands that select items by a condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

__all__ = ["FilterFlags"]


@dataclass(frozen=True)
class FilterFlags:
    """Which items are meant."""

    where: Annotated[
        str | None,
        typer.Option(
            help="Condition on the stored columns, such as \"price < 20 AND name LIKE 'a%'\"."
        ),
    ] = None
    time_limit_s: Annotated[
        float,
        typer.Option("--time-limit", min=0, help="Seconds that --where may take; 0 for no limit."),
    ] = 60.0

    @property
    def limit_s(self) -> float | None:
        """The time limit; None for none."""
        return self.time_limit_s or None
