"""``anybit import``: a collection from an index file of FAISS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console

__all__ = ["import_index"]


@command
def import_index(
    index: Annotated[
        Path,
        typer.Argument(help="Index file of FAISS, from somebody whom you trust."),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="Collection to make, such as shop.anybit.")
    ],
    console: Console,
    is_overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a collection that is there.")
    ] = False,
) -> None:
    """Make a collection of the codes, codebooks and ids of an index file of FAISS.

    It may be a residual quantiser (RQ), a product quantiser (PQ) or one behind a rotation (OPQ),
    with ids (IDMap) or without. It is unsafe to let FAISS read files of unknown origin: one made to
    do so can crash the program, or worse.
    """
    from anybit.collection import import_faiss

    made = import_faiss(index, output, overwrite=is_overwrite)
    facts = made.info()
    names = ("n_items", "method", "metric", "bits", "n_levels", "n_codewords", "dim")
    console.result(
        {
            "index": str(index),
            "collection": output,
            **{name: facts[name] for name in names},
            "model_fingerprint": made.model_fingerprint,
        },
        f"{output}: {facts['n_items']:,} items, {facts['bits']} bits, "
        f"{facts['method']}, {facts['metric']}",
    )
