"""``anybit search``: the items nearest to a query."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console
from anybit.cli.filter_flags import FilterFlags

if TYPE_CHECKING:
    from anybit.collection import Collection, Hits

__all__ = ["search"]


@command
def search(
    collection: Annotated[str, typer.Argument(help="Collection to search.")],
    query: Annotated[Path, typer.Argument(help="Image, or .npy file with one vector.")],
    console: Console,
    condition: FilterFlags,
    k: Annotated[int, typer.Option("-k", "--top-k", min=1, help="Number of hits.")] = 10,
    bits: Annotated[
        int | None, typer.Option(help="Code length to compare; the full one if not given.")
    ] = None,
    comparison: Annotated[
        str | None,
        typer.Option(help="aqd: the query itself; sqd: its code. As the model says if not given."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the hits as one picture, such as grid.png.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    at_version: Annotated[
        int | None, typer.Option(help="Search an older version, see `anybit info`.")
    ] = None,
    is_skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave out damaged rows instead of refusing.")
    ] = False,
) -> None:
    """Find the items nearest to a query.

    At any code length of the model: --bits 8 reads the first byte of every code only.
    """
    from anybit.collection import Collection

    opened = Collection.open(collection, device, at_version, skip_damaged=is_skip_damaged)
    opened.filter_time_limit_s = condition.limit_s
    hits = opened.search(
        query,
        k,
        bits,
        condition.where,
        comparison=comparison,  # type: ignore[arg-type]  # checked by the search
    )
    for number, reasons in opened.skipped.items():
        console.warn(f"fragment {number} is left out: {'; '.join(reasons)}")
    if save is not None:
        _save_grid(opened, hits, query, save)
        console.say(f"{save}: the hits as a picture")
    console.table(
        ("rank", "id", "score", "key", "labels"),
        [
            (
                str(rank + 1),
                str(hits.ids[rank]),
                f"{hits.scores[rank]:.4f}",
                hits.keys[rank] or "",
                ", ".join(hits.labels[rank]),
            )
            for rank in range(len(hits))
        ],
    )
    console.result(
        {"query": str(query), "bits": hits.bits, "n_hits": len(hits), "hits": hits.to_list()},
        f"{len(hits)} hits among {opened.count():,} items, {hits.bits} bits an item",
    )


def _save_grid(collection: Collection, hits: Hits, query: Path, target: Path) -> None:
    """Write the contact sheet; the query comes first when it is a picture."""
    from anybit.data import decode_image
    from anybit.errors import OptionError

    picture = None if query.suffix.lower() == ".npy" else decode_image(query)
    try:
        collection.contact_sheet(hits, picture).save(target)
    except ValueError as cause:
        raise OptionError(f"--save must end in .png or .jpg, got {target}.") from cause
