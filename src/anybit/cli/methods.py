"""``anybit methods``: the methods that can be trained."""

from __future__ import annotations

from dataclasses import asdict

from anybit.cli.command import command
from anybit.cli.console import Console

__all__ = ["methods"]


@command
def methods(console: Console) -> None:
    """List the methods on images and on vectors, their papers, and what they need."""
    from anybit.training import method_overviews

    found = method_overviews()
    console.table(
        ("method", "on", "can be cut", "needs", "paper"),
        [
            (
                one.name,
                one.kind,
                "yes" if one.is_sequential else "no",
                ", ".join(one.needs) or "-",
                one.reference,
            )
            for one in found
        ],
    )
    console.result({"methods": [asdict(one) for one in found]})
