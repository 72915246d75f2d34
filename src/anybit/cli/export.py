"""``anybit export``: write a collection or a model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console

__all__ = ["export"]


@command
def export(
    path: Annotated[
        str,
        typer.Argument(
            metavar="COLLECTION|MODEL", help="Collection (or its URL), or model folder, to read."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder (npy) or file (faiss) to make.")
    ],
    console: Console,
    to: Annotated[str, typer.Option(help="npy or faiss.")] = "npy",
) -> None:
    """Write ids, codes and codebooks as arrays, or as an index that FAISS opens.

    Of a model, codebooks alone or a trained index without items.
    """
    from anybit.collection import Collection, export_model

    is_model = (Path(path) / "config.json").is_file()
    if is_model:
        export_model(path, output, to)
        n_items = 0
    else:
        opened = Collection.open(path)
        opened.export(output, to)
        n_items = opened.count()
    kind = "model" if is_model else "collection"
    console.result(
        {kind: path, "output": str(output), "to": to, "n_items": n_items},
        f"{output}: {'no items yet' if is_model else f'{n_items:,} items'}",
    )
