"""``anybit verify``: look for damage."""

from __future__ import annotations

from typing import Annotated

import typer

from anybit.cli.command import EXIT_FAILED, command
from anybit.cli.console import Console

__all__ = ["verify"]


@command
def verify(
    collection: Annotated[str, typer.Argument(help="Collection to read.")],
    console: Console,
) -> None:
    """Read everything and compare every file with its checksum. Nothing is changed.

    Exit code 1 when something is damaged; what it is, and which rows it held, is listed.
    """
    from anybit.collection import Collection

    report = Collection.open(collection, skip_damaged=True).verify()
    for damage in report.damages:
        console.warn(damage)
    state = "intact" if report.is_intact else f"{len(report.damages)} damages"
    console.result(
        {"collection": str(collection), "is_intact": report.is_intact, **vars(report)},
        f"{collection}: {state}; {report.n_files:,} files, {report.n_bytes:,} bytes, "
        f"{report.n_rows:,} rows read",
    )
    if not report.is_intact:
        raise typer.Exit(EXIT_FAILED)
