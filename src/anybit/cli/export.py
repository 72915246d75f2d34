"""``anybit export``: write a collection for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console

__all__ = ["export"]


@command
def export(
    collection: Annotated[str, typer.Argument(help="Collection to read.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder (npy) or file (faiss) to make.")
    ],
    console: Console,
    to: Annotated[str, typer.Option(help="npy or faiss.")] = "npy",
) -> None:
    """Write ids, codes and codebooks as arrays, or as an index that FAISS opens."""
    from anybit.collection import Collection

    opened = Collection.open(collection)
    opened.export(output, to)
    n_items = opened.count()
    console.result(
        {"collection": str(collection), "output": str(output), "to": to, "n_items": n_items},
        f"{output}: {n_items:,} items",
    )
