"""The `anybit` command and its sub-commands."""

from __future__ import annotations

from typing import Annotated

import typer

from anybit.cli.add import add
from anybit.cli.advise import advise
from anybit.cli.bench import bench_app
from anybit.cli.compact import compact
from anybit.cli.create import create
from anybit.cli.delete import delete
from anybit.cli.demo import demo
from anybit.cli.evaluate import evaluate
from anybit.cli.export import export
from anybit.cli.import_index import import_index
from anybit.cli.info import info
from anybit.cli.methods import methods
from anybit.cli.migrate import migrate
from anybit.cli.papers import papers_app
from anybit.cli.search import search
from anybit.cli.serve import serve
from anybit.cli.train import train
from anybit.cli.verify import verify

__all__ = ["app", "main"]

_EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some items failed (they are listed "
    "in a file)."
)

# Without Rich the help is plain text, which needs 0.1 s less of imports.
app = typer.Typer(
    name="anybit",
    help="Train once, store sequential codes, search images and vectors at any code length.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
_COMMANDS = (
    demo, train, create, add, search, evaluate, advise, info, delete, compact, verify, migrate,
    export, serve, methods,
)  # fmt: skip
for _function in _COMMANDS:
    app.command()(_function)
app.command("import")(import_index)  # a word that no Python function can have as its name
app.add_typer(bench_app, name="bench")
app.add_typer(papers_app, name="papers")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        typer.echo(f"anybit {version('anybit')}")
        raise typer.Exit


@app.callback()
def _root(
    is_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and leave.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Train once, store sequential codes, search images and vectors at any code length."""


def main() -> None:
    """Run the command line; the entry point of the ``anybit`` script."""
    app()
