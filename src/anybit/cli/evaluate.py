"""``anybit evaluate``: how well a collection finds items of the query's class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anybit.cli.command import command, int_list
from anybit.cli.console import Console
from anybit.cli.source_flags import SourceFlags, open_said

if TYPE_CHECKING:
    from anybit.collection import Collection
    from anybit.data import Source
    from anybit.evaluation import Evaluation, EvaluationOptions

__all__ = ["EvaluateFlags", "evaluate", "evaluate_collection", "show_evaluation"]


@dataclass(frozen=True)
class EvaluateFlags:
    """What to measure."""

    at: Annotated[int, typer.Option(min=1, help="Cut-off R of mAP@R.")] = 5000
    bits: Annotated[
        str | None, typer.Option(help="Code lengths, such as 8,16,32; all if not given.")
    ] = None
    comparison: Annotated[
        str | None,
        typer.Option(help="aqd: queries themselves; sqd: their codes. As the model says if left."),
    ] = None
    denominator: Annotated[
        str, typer.Option(help="Denominator of mAP@R: found, reachable or database.")
    ] = "found"
    precision_at: Annotated[
        str, typer.Option(help="Cut-offs of precision and recall, the first for the table.")
    ] = "100,1,10,1000"
    n_examples: Annotated[
        int, typer.Option("--examples", min=0, help="Example queries in the report.")
    ] = 8

    def options(self) -> EvaluationOptions:
        """Return the options that `anybit.evaluation.evaluate` takes."""
        from anybit.evaluation import EvaluationOptions

        return EvaluationOptions(
            bits=None if self.bits is None else int_list(self.bits, "--bits"),
            at=self.at,
            denominator=self.denominator,  # type: ignore[arg-type]  # checked by the options
            precision_at=int_list(self.precision_at, "--precision-at"),
        )


@command
def evaluate(
    collection: Annotated[str, typer.Argument(help="Collection with labelled items.")],
    queries: Annotated[Path, typer.Argument(help="Labelled source of queries.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")],
    flags: EvaluateFlags,
    source_flags: SourceFlags,
    console: Console,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
) -> None:
    """Measure retrieval at every code length.

    Writes metrics.json, plots and report.html. An item is relevant to a query when they share a
    label. Add with --store-features to see the float features beside the codes.
    """
    from anybit.collection import Collection

    opened = Collection.open(collection, device)
    source = open_said(queries, source_flags, console)
    evaluation = evaluate_collection(opened, source, output, flags, console, source_flags.max_bad)
    show_evaluation(evaluation, console)
    report = output / "report.html"
    console.result({**evaluation.to_dict(), "report": str(report)}, f"report: {report}")


def evaluate_collection(
    collection: Collection,
    queries: Source,
    output: Path,
    flags: EvaluateFlags,
    console: Console,
    max_bad: float = 0.01,
) -> Evaluation:
    """Evaluate and write metrics, plots and report into a folder."""
    from anybit.cli.examples import example_queries
    from anybit.codes import check_writable
    from anybit.collection import AddOptions
    from anybit.evaluation import evaluate as measure
    from anybit.evaluation import write_evaluation, write_report

    check_writable(output)
    options, add_options = flags.options(), AddOptions(max_bad=max_bad)
    with console.progress("queries") as progress:
        data = collection.evaluation_input(queries, add_options, progress)
    data = replace(data, comparison=flags.comparison)  # type: ignore[arg-type]  # checked below
    with console.progress("ranking") as progress:
        evaluation = measure(data, options, progress=progress)
    write_evaluation(evaluation, output)
    lengths = [result.bits for result in evaluation.lengths]
    examples = example_queries(collection, queries, (lengths[0], lengths[-1]), flags.n_examples)
    write_report(output, evaluation, examples)
    return evaluation


def show_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print the table of an evaluation: one line a code length."""
    rows: list[Any] = [
        (row.label, str(row.code_bytes), *row.values) for row in evaluation.table_rows()
    ]
    console.table(("length", "bytes", *evaluation.table_columns()), rows)
