"""``anybit migrate``: give a collection another model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console

__all__ = ["migrate"]


@command
def migrate(
    collection: Annotated[str, typer.Argument(help="Collection to change.")],
    model: Annotated[Path, typer.Option(help="Model folder that `anybit train` wrote.")],
    console: Console,
    source: Annotated[
        Path | None,
        typer.Option(help="Where pictures or vectors come from, if not from what is stored."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
) -> None:
    """Encode all items by another model, then switch to it at once.

    A longer model with the same first levels only adds the further ones. A migration that was
    interrupted is simply run again.
    """
    from anybit.collection import Collection

    opened = Collection.open(collection, device)
    with console.progress("encoding") as progress:
        report = opened.migrate(model, source, progress)
    if report.n_items:
        how = "got further levels" if report.is_extended else "encoded again"
        told = f"{report.n_encoded:,} of {report.n_items:,} items {how}"
    else:
        told = "no items yet; what is added is encoded by the new model"
    console.result({"collection": str(collection), **vars(report)}, f"{collection}: {told}")
