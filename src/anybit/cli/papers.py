"""``anybit papers``: the papers' tables and figures, run again."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anybit.cli.command import command, int_list
from anybit.cli.console import Console
from anybit.cli.papers_text import artefact_facts, artefact_text

if TYPE_CHECKING:
    from anybit.papers import ArtefactResult, CrossValidation, PlannedRun, RunOptions
    from anybit.types import ProgressCallback

__all__ = ["papers_app"]

papers_app = typer.Typer(
    help="Run the papers' tables and figures again.", no_args_is_help=True, rich_markup_mode=None
)

_NAME = Annotated[
    str, typer.Argument(help="Table or figure, such as drq-table1: `anybit papers list`.")
]


@dataclass(frozen=True)
class RecipeFlags:
    """Data, cache and recipe, and what replaces parts of the recipe."""

    data: Annotated[
        Path | None, typer.Option(help="Folder of the data set: `anybit papers show NAME`.")
    ] = None
    cache: Annotated[
        Path, typer.Option(help="Folder of models and results; what is there is not run again.")
    ] = Path("papers-cache")
    protocol: Annotated[
        str | None,
        typer.Option(help="Another protocol of the table, such as cifar10-setting1-parts."),
    ] = None
    recipe: Annotated[
        str,
        typer.Option(
            help="cpu (hours), full or modern (for a GPU), paper (the papers' network and size); "
            "quick only tries."
        ),
    ] = "cpu"
    preset: Annotated[
        str | None, typer.Option(help="anybit, paper or official, else the recipe's.")
    ] = None
    backbone: Annotated[str | None, typer.Option(help="Network, else the recipe's.")] = None
    weights: Annotated[
        Path | None, typer.Option(help="File of pretrained weights for the network.")
    ] = None
    label_vectors: Annotated[
        Path | None, typer.Option(help="One row of numbers per class; else orthogonal ones.")
    ] = None
    input_px: Annotated[int | None, typer.Option(min=1, help="Side of the network input.")] = None
    epochs: Annotated[
        str | None,
        typer.Option(help="In all, or of the three stages of drq, such as 10,1,5."),
    ] = None
    batch_size: Annotated[int | None, typer.Option(min=2, help="Else the recipe's.")] = None
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto"

    def fields(self) -> dict[str, Any]:
        """Return the fields of `RunOptions` that these flags give."""
        return vars(self) | {"epochs": self._epochs()}

    def _epochs(self) -> tuple[int, ...] | int | None:
        if self.epochs is None:
            return None
        epochs = int_list(self.epochs, "--epochs")
        if len(epochs) not in (1, 3) or min(epochs) < 0:
            raise typer.BadParameter(
                f"must be one number, or three, one for each stage of drq, got {self.epochs!r}.",
                param_hint="--epochs",
            )
        return epochs[0] if len(epochs) == 1 else epochs


@dataclass(frozen=True)
class RunFlags(RecipeFlags):
    """What is run, and what replaces parts of the recipe."""

    seeds: Annotated[str, typer.Option(help="Seeds of the training.")] = "0,1,2"
    methods: Annotated[
        str | None, typer.Option(help="Some of the methods, such as drq,dqn; all if not given.")
    ] = None
    n_unseen_seeds: Annotated[
        int,
        typer.Option(
            "--unseen-seeds", min=0, help="Seeds that are also run with classes held back."
        ),
    ] = 1
    is_held_back: Annotated[
        bool,
        typer.Option(
            "--held-back",
            help="Divide the training images alone: figures to choose options by.",
        ),
    ] = False

    def options(self) -> RunOptions:
        """Return the options that `anybit.papers.run` takes."""
        from anybit.papers import RunOptions

        methods = self.methods and tuple(part.strip() for part in self.methods.split(","))
        given = {"seeds": int_list(self.seeds, "--seeds"), "methods": methods or None}
        return RunOptions(**(self.fields() | given))


@dataclass(frozen=True)
class TuneFlags:
    """Which option is chosen, and among which values."""

    option: Annotated[
        str, typer.Option(help="Number of the method's preset: losses.quantization_weight.")
    ]
    values: Annotated[str, typer.Option(help="Values to compare, such as 0.01,0.1,1.")]
    method: Annotated[str | None, typer.Option(help="Method, else the first of the table.")] = None
    bits: Annotated[int | None, typer.Option(min=1, help="Code length, else the longest.")] = None
    folds: Annotated[int, typer.Option(min=2, help="Parts of the training images.")] = 5
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 0

    def choice(self) -> CrossValidation:
        """Return what `anybit.papers.cross_validate` takes."""
        from anybit.papers import CrossValidation

        try:
            values = tuple(float(part) for part in self.values.split(","))
        except ValueError:
            raise typer.BadParameter(
                f"must be numbers with commas between, got {self.values!r}.",
                param_hint="--values",
            ) from None
        return CrossValidation(self.option, values, self.method, self.bits, self.folds)


@papers_app.callback()
def _papers() -> None:
    """Run the papers' tables and figures again."""


@papers_app.command("list")
@command
def list_artefacts(console: Console) -> None:
    """List the tables and figures that can be run."""
    from anybit.papers import ARTEFACTS, protocol

    rows: list[dict[str, Any]] = [
        {
            "name": one.name,
            "kind": one.kind,
            "title": one.title,
            "datasets": sorted({protocol(name).dataset for name in one.protocols}),
            "protocols": list(one.protocols),
            "needs_data": one.needs_data,
        }
        for one in ARTEFACTS.values()
    ]
    console.table(
        ("name", "kind", "title", "data"),
        [
            (row["name"], row["kind"], row["title"], ", ".join(row["datasets"]) or "none needed")
            for row in rows
        ],
    )
    console.result({"artefacts": rows})


@papers_app.command("show")
@command
def show(name: _NAME, console: Console) -> None:
    """Show what a table or figure takes: protocol, files, methods, recipes, the paper's numbers."""
    facts = artefact_facts(name)
    console.result(facts, artefact_text(facts))


@papers_app.command("check")
@command
def check(
    name: _NAME,
    data: Annotated[Path, typer.Option(help="Folder of the data set: `anybit papers show NAME`.")],
    console: Console,
    is_fast: Annotated[
        bool, typer.Option("--fast", help="Do not look for the same picture in two parts.")
    ] = False,
    split_seed: Annotated[int, typer.Option(min=0, help="Seed of the division.")] = 0,
    protocol_name: Annotated[
        str | None, typer.Option("--protocol", help="Another protocol of the table.")
    ] = None,
) -> None:
    """Check a data set: counts, classes, and pictures that are in two parts of the division."""
    from anybit.papers import check as check_data

    with console.progress("pictures") as progress:
        manifest, findings = check_data(
            name,
            data,
            protocol_name=protocol_name,
            split_seed=split_seed,
            reads_images=not is_fast,
            progress=progress,
        )
    console.table(("part", "items"), [(k, f"{v:,}") for k, v in manifest.sizes.items()])
    for finding in findings:
        console.say(f"{finding.severity}: {finding.text}")
    console.result(
        {
            "protocol": manifest.protocol,
            "sizes": manifest.sizes,
            "checksum": manifest.checksum,
            "findings": [asdict(one) for one in findings],
        },
        f"{manifest.protocol}: fits, split {manifest.checksum}",
    )


@papers_app.command("run")
@command
def run(
    name: _NAME,
    flags: RunFlags,
    console: Console,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON file for the result: NAME.json.")
    ] = None,
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be run, and leave.")
    ] = False,
) -> None:
    """Run a table or figure again: our figures beside the paper's.

    A run that was stopped goes on where it was; finished runs are kept in the cache.
    """
    from anybit.codes import check_writable
    from anybit.papers import plan, table_of
    from anybit.papers import run as run_artefact

    options = flags.options()
    if is_dry_run:
        _show_plan(plan(name, options), console)
        return
    if output is not None:
        check_writable(output)
    with _RunVoice(console) as voice:
        result = run_artefact(name, options, voice.on_run, voice.progress)
    if output is not None:
        _write(output, result)
        console.say(f"written: {output}")
    console.table(*table_of(result))
    for note in result.notes:
        console.say(f"- {note}")
    console.result(result.to_dict())


@papers_app.command("tune")
@command
def tune(name: _NAME, tune_flags: TuneFlags, flags: RecipeFlags, console: Console) -> None:
    """Choose an option of a method by cross-validation on the training images.

    Each value is scored by held-back mAP: models are trained on all folds but one; a third of the
    images of that fold is queried, the others are searched. The queries and the database of the
    protocol are not read.
    """
    from anybit.papers import RunOptions, cross_validate, value_text

    options = RunOptions(**(flags.fields() | {"seeds": (tune_flags.seed,)}))
    with _RunVoice(console) as voice:
        found = cross_validate(name, tune_flags.choice(), options, voice.on_run, voice.progress)
    facts = found.to_dict()
    console.table(
        (found.option, "mAP", *(f"fold {number + 1}" for number in range(found.n_folds)), ""),
        [
            (
                f"{one.value:g}",
                value_text(one.score),
                *(f"{value:.3f}" for value in one.score.values),
                "best" if one.value == found.best else "",
            )
            for one in found.scores
        ],
    )
    console.say(f"{found.method} on {found.protocol}, {found.bits} bits; {facts['score']}")
    console.result(facts)


@papers_app.command("pages")
@command
def pages(
    results: Annotated[Path, typer.Argument(help="Folder of JSON files of `papers run`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the pages.")],
    console: Console,
) -> None:
    """Write results as Markdown pages with tables and pictures, and an index."""
    from anybit.papers import write_pages

    written = write_pages(results, output)
    console.result(
        {"files": [str(path) for path in written]}, f"{output}: {len(written)} files, see index.md"
    )


class _RunVoice:
    """Says which run is at work, and how far it is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stack = ExitStack()
        self._callback: ProgressCallback | None = None
        self._is_open = False

    def __enter__(self) -> _RunVoice:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def on_run(self, planned: PlannedRun, number: int, n_runs: int) -> None:
        """Begin another run: its progress starts from nothing."""
        self._stack.close()
        self._is_open = False
        state = " (done before)" if planned.is_done else ""
        self._console.say(f"run {number + 1} of {n_runs}: {planned.name}{state}")

    def progress(self, done: int, total: int | None) -> None:
        """Note the progress of the run at hand."""
        if not self._is_open:
            self._is_open = True
            self._callback = self._stack.enter_context(self._console.progress("training"))
        if self._callback is not None:
            self._callback(done, total)


def _show_plan(runs: list[PlannedRun], console: Console) -> None:
    n_done = sum(run.is_done for run in runs)
    text = f"{len(runs)} runs, {n_done} of them done"
    if runs:
        console.table(("run", ""), [(one.name, "done" if one.is_done else "to do") for one in runs])
    else:
        text = "no data set is needed: nothing is kept, all of it is run each time"
    planned = [asdict(one) for one in runs]
    console.result({"runs": planned, "n_runs": len(runs), "n_done": n_done}, text)


def _write(path: Path, result: ArtefactResult) -> None:
    import json

    from anybit.evaluation import write_bytes

    write_bytes(path, (json.dumps(result.to_dict(), indent=1) + "\n").encode())
