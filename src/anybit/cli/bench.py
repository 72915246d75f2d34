"""``anybit bench``: measure speed beside others, here and now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anybit.cli.command import command
from anybit.cli.console import Console

if TYPE_CHECKING:
    from anybit.bench import Row

__all__ = ["bench_app"]

bench_app = typer.Typer(
    help="Measure speed beside others, here and now.", no_args_is_help=True, rich_markup_mode=None
)


@bench_app.callback()
def _bench() -> None:
    """Measure speed beside others, here and now."""


@bench_app.command("search")
@command
def search(
    console: Console,
    rows: Annotated[
        str | None, typer.Option(help="Rows of the table, such as 1,2,13b; all if not given.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that every contender takes.")] = 15,
    large_items: Annotated[
        int, typer.Option(min=1, help="Items of the largest database of rows 7 and 8.")
    ] = 2**25,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON file for the figures.")
    ] = None,
) -> None:
    """Compare the search with FAISS, in one process, in turns, on one thread.

    Ratios are of the least times; above 1 ours is faster. Needs the extra "faiss", 2 GiB of memory
    and some minutes; leave the machine alone meanwhile.
    """
    from anybit.bench import ROWS, SearchBenchOptions, bench_search, write_result
    from anybit.codes import check_writable

    if output is not None:
        check_writable(output)
    chosen = ROWS if rows is None else tuple(part.strip() for part in rows.split(","))
    options = SearchBenchOptions(chosen, rounds, large_items)

    done: list[Row] = []

    def show(row: Row) -> None:
        done.append(row)
        console.say(f"row {row.row}: {row.value:g}, target {row.target:g}: {_mark(row)}")

    result = bench_search(options, on_row=show)
    if output is not None:
        write_result(output, result)
    console.table(
        ("row", "ratio", "target", ""),
        [
            (f"{row.row:>3}  {row.what}", f"{row.value:g}", f"{row.target:g}", _mark(row))
            for row in done
        ],
    )
    console.result(result)


def _mark(row: Row) -> str:
    return "reached" if row.is_reached else "missed"
