"""``anybit export``: a collection or a model for other programs, or to serve without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console
from anybit.errors import OptionError

__all__ = ["export"]


@command
def export(
    path: Annotated[
        str,
        typer.Argument(
            metavar="COLLECTION|MODEL", help="Collection (or its URL), or model folder, to read."
        ),
    ],
    console: Console,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder (npy, onnx) or file (faiss) to make. Not needed for a collection to onnx: "
            "its own model gets the graph.",
        ),
    ] = None,
    to: Annotated[str, typer.Option(help="npy, faiss or onnx.")] = "npy",
    is_overwrite: Annotated[
        bool, typer.Option("--overwrite", help="onnx only: replace what is there.")
    ] = False,
) -> None:
    """Write ids, codes and codebooks as arrays, or as an index that FAISS opens.

    Of a model, codebooks alone or a trained index without items. To onnx: a model whose pictures
    are encoded without torch.
    """
    from anybit.collection import Collection, export_model

    is_model = (Path(path) / "config.json").is_file()
    if output is None and (is_model or to != "onnx"):
        raise OptionError("--output must say what to make, got none. Name a new folder or file.")
    n_items = 0
    if is_model and output is not None:
        export_model(path, output, to, overwrite=is_overwrite)
    else:
        opened = Collection.open(path)
        if output is None:
            opened.add_onnx(overwrite=is_overwrite)
        else:
            opened.export(output, to, overwrite=is_overwrite)
        n_items = 0 if to == "onnx" else opened.count()
    kind = "model" if is_model else "collection"
    made = {"npy": "arrays", "faiss": "an index", "onnx": "a model that needs no torch"}[to]
    console.result(
        {kind: path, "output": str(output or path), "to": to, "n_items": n_items},
        f"{output or path}: {made}, {f'{n_items:,} items' if n_items else 'no items'}",
    )
