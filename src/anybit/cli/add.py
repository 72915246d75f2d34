"""``anybit add``: encode items and store their codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybit.cli.command import EXIT_SOME_FAILED, command
from anybit.cli.console import Console
from anybit.cli.source_flags import SourceFlags, open_said

__all__ = ["add"]


@command
def add(
    collection: Annotated[str, typer.Argument(help="Collection that `anybit create` made.")],
    source: Annotated[
        Path, typer.Argument(help="Folder of images, manifest, Parquet file, or array.")
    ],
    flags: SourceFlags,
    console: Console,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Images of one forward pass.")] = 128,
    thumbnails_px: Annotated[
        int, typer.Option(min=0, help="Longer side of the stored thumbnails; 0 stores none.")
    ] = 96,
    is_store_features: Annotated[
        bool,
        typer.Option("--store-features", help="Also store float features, for `evaluate`."),
    ] = False,
    is_store_images: Annotated[
        bool,
        typer.Option("--store-images", help="Also store the image files, for `migrate`."),
    ] = False,
) -> None:
    """Encode items and store their codes.

    An id that is there is updated. An addition that was interrupted is simply run again: what is
    stored as it is now is passed over.
    """
    from anybit.collection import AddOptions, Collection

    opened = Collection.open(collection, device)
    items = open_said(source, flags, console)
    options = AddOptions(
        batch_size=batch_size,
        thumbnails_px=thumbnails_px,
        store_features=is_store_features,
        store_images=is_store_images,
        max_bad=flags.max_bad,
    )
    with console.progress("encoding") as progress:
        report = opened.add(items, options, progress)
    n_items = opened.count()
    console.result(
        {"collection": str(collection), "n_items": n_items, **vars(report)},
        f"{collection}: {report.n_added:,} added, {report.n_updated:,} updated, "
        f"{report.n_unchanged:,} unchanged, "
        f"{n_items:,} items in all",
    )
    if report.n_bad:
        console.warn(f"{report.n_bad:,} items could not be used; listed in {report.bad_file}")
        raise typer.Exit(EXIT_SOME_FAILED)
