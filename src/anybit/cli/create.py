"""``anybit create``: an empty collection for the codes of one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console

__all__ = ["create"]


@command
def create(
    collection: Annotated[str, typer.Argument(help="Folder to make, such as shop.anybit.")],
    model: Annotated[Path, typer.Option(help="Model folder that `anybit train` wrote.")],
    console: Console,
    is_overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a collection that is there.")
    ] = False,
) -> None:
    """Make an empty collection that stores the codes of a model."""
    from anybit.collection import Collection

    made = Collection.create(collection, model, overwrite=is_overwrite)
    lengths = ", ".join(str(bits) for bits in made.codebooks.lengths())
    console.result(
        {
            "collection": str(collection),
            "model_fingerprint": made.model_fingerprint,
            "bits": made.codebooks.bits,
            "lengths_bits": list(made.codebooks.lengths()),
        },
        f"{collection}: an empty collection, code lengths {lengths} bits",
    )
