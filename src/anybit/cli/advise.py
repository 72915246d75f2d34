"""``anybit advise``: how many bits a collection needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console
from anybit.cli.source_flags import SourceFlags, open_said

if TYPE_CHECKING:
    from anybit.advice import Advice, AdviceOptions
    from anybit.data import Source

__all__ = ["AdviceFlags", "advise", "advise_model", "show_advice"]


@dataclass(frozen=True)
class AdviceFlags:
    """What is measured, and when a length is long enough."""

    tolerance: Annotated[
        float, typer.Option(help="Share of the best quality that a shorter code may lose.")
    ] = 0.01
    by: Annotated[
        str | None,
        typer.Option(help="What decides: recall or map; map if not given and there are labels."),
    ] = None
    at: Annotated[int, typer.Option(min=1, help="Cut-off R of mAP@R.")] = 5000
    n_queries: Annotated[
        int, typer.Option(min=1, help="Items drawn as queries, without --queries.")
    ] = 1000
    seed: Annotated[int, typer.Option(min=0, help="Of that draw.")] = 0

    def options(self) -> AdviceOptions:
        """Return the options that `anybit.advice.advise` takes."""
        from anybit.advice import AdviceOptions

        return AdviceOptions(**vars(self))


@command
def advise(
    collection: Annotated[str, typer.Argument(help="Collection, with features or labels.")],
    flags: AdviceFlags,
    source_flags: SourceFlags,
    console: Console,
    queries: Annotated[
        Path | None, typer.Option(help="Source of queries that are not in the collection.")
    ] = None,
    items: Annotated[
        Path | None, typer.Option(help="What was added, for features that are not stored.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for advice.json and advice.png.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
) -> None:
    """Tell how many bits are enough.

    For each length of the stored codes: bytes, quality and milliseconds a search, and the shortest
    length that keeps the quality. Without --queries items are drawn, each left out of its own
    ranking. 1-recall@k is the share of queries whose true nearest item by features is among the
    first k.
    """
    from anybit.advice import write_advice
    from anybit.codes import check_writable
    from anybit.collection import AddOptions, AdviceSources, Collection

    opened = Collection.open(collection, device)
    if output is not None:
        check_writable(output)
    sources = AdviceSources(
        None if queries is None else open_said(queries, source_flags, console),
        None if items is None else open_said(items, source_flags, console),
        AddOptions(thumbnails_px=0, max_bad=source_flags.max_bad),
    )
    with console.progress("ranking") as progress:
        advice = opened.advise(sources, flags.options(), progress)
    written = () if output is None else write_advice(advice, output)
    show_advice(advice, console)
    files = [str(path) for path in written]
    console.result({**advice.to_dict(), "files": files}, "\n".join(files))


def advise_model(model: Path, source: Source, console: Console, device: str = "auto") -> Advice:
    """Measure a new model on what it was trained on, and print the table."""
    from anybit.collection import advise_source, load_encoder

    with console.progress("encoding") as progress:
        advice = advise_source(source, load_encoder(model, device), progress=progress)
    show_advice(advice, console)
    return advice


def show_advice(advice: Advice, console: Console) -> None:
    """Print the table of an advice, its reason and its limits; nothing with --json."""
    console.table(advice.table_columns(), advice.table_rows())
    notes = [f"note: {note}." for note in advice.notes]
    if not console.flags.is_json:
        console.result({}, "\n".join([advice.reason, advice.caption(), *notes]))
