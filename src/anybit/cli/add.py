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
    id_prefix: Annotated[
        str | None,
        typer.Option(
            help="Give the items ids of their own: hashes of this text and their path or row. "
            "Their keys begin with it."
        ),
    ] = None,
    is_replace: Annotated[
        bool,
        typer.Option("--replace", help="Overwrite items of other sources that have the same ids."),
    ] = False,
) -> None:
    """Encode items and store their codes.

    Items of this source that changed since are updated, moved files keep their ids, and what is
    stored as it is now stays: an addition that was interrupted is simply run again. Items of
    another source are never replaced; ids given by an id column update the items that have them.
    """
    from anybit.collection import AdditionPlan, AddOptions, Collection

    opened = Collection.open(collection, device)
    items = open_said(source, flags, console)
    options = AddOptions(
        batch_size=batch_size,
        thumbnails_px=thumbnails_px,
        store_features=is_store_features,
        store_images=is_store_images,
        max_bad=flags.max_bad,
        id_prefix=id_prefix,
        replace=is_replace,
    )

    def announce(plan: AdditionPlan) -> None:
        if plan.n_updated:
            what = "ids exist and will be" if plan.n_existing else "items have changed and will be"
            console.say(f"  {plan.n_updated:,} of {len(items):,} {what} updated")

    with console.progress("encoding") as progress:
        report = opened.add(items, options, progress, announce)
    n_items = opened.count()
    console.result(
        {"collection": str(collection), "n_items": n_items, **vars(report)},
        f"{collection}: {report.n_added:,} added, {report.n_updated:,} updated, "
        f"{report.n_moved:,} moved, {report.n_unchanged:,} unchanged, "
        f"{n_items:,} items in all",
    )
    if report.n_bad:
        console.warn(f"{report.n_bad:,} items could not be used; listed in {report.bad_file}")
        raise typer.Exit(EXIT_SOME_FAILED)
