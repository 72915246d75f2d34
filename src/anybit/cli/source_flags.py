"""The flags that say how a source is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from anybit.cli.console import Console
    from anybit.data import Source, SourceOptions

__all__ = ["SourceFlags", "open_said"]


@dataclass(frozen=True)
class SourceFlags:
    """How a source is to be read where its files do not say it."""

    labels: Annotated[
        Path | None, typer.Option("--labels", help="File of labels, where the source has none.")
    ] = None
    label_column: Annotated[
        str | None, typer.Option(help="Column with the labels, or several: sky,sea,boat.")
    ] = None
    id_column: Annotated[str | None, typer.Option(help="Column with the item ids.")] = None
    image_column: Annotated[str | None, typer.Option(help="Column with encoded images.")] = None
    path_column: Annotated[str | None, typer.Option(help="Column with image paths.")] = None
    vector_column: Annotated[str | None, typer.Option(help="Column with vectors.")] = None
    split: Annotated[
        str | None, typer.Option(help="Take only the items of this split, such as train.")
    ] = None
    max_bad: Annotated[
        float, typer.Option(help="Share of items that may be unusable before work stops.")
    ] = 0.01

    def options(self) -> SourceOptions:
        """Return the options that `anybit.data.open_source` takes."""
        from anybit.data import SourceOptions

        return SourceOptions(**vars(self))


def open_said(path: Path, flags: SourceFlags, console: Console) -> Source:
    """Open a source and say what was found in it."""
    from anybit.data import open_source

    source = open_source(path, flags.options())
    console.say("\n".join(f"  {line}" for line in source.describe().splitlines()))
    return source
