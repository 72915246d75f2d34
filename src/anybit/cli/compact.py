"""``anybit compact``: put small files together."""

from __future__ import annotations

from typing import Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console

__all__ = ["compact"]


@command
def compact(
    collection: Annotated[str, typer.Argument(help="Collection to tidy up.")],
    console: Console,
    keep_hours: Annotated[
        float, typer.Option(min=0, help="Versions younger than this stay readable.")
    ] = 1.0,
) -> None:
    """Put small files together, drop deleted rows, and remove old versions."""
    from anybit.collection import Collection

    report = Collection.open(collection).compact(keep_hours * 3600)
    console.result(
        {"collection": str(collection), **vars(report)},
        f"{collection}: {report.n_fragments_before:,} fragments became {report.n_fragments:,}, "
        f"{report.n_bytes_before:,} bytes {report.n_bytes:,}",
    )
