"""What a command says, and where: results on stdout, everything for people on stderr."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anybit.cli.progress import progress_on

if TYPE_CHECKING:
    from anybit.types import ProgressCallback

__all__ = ["Console", "Reporting"]

# Wide enough for the table of an evaluation when nobody's terminal tells the width.
_PIPE_WIDTH = 120
_NOT_PRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udcff]")


@dataclass(frozen=True)
class Reporting:
    """Flags that every command has."""

    is_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")] = (
        False
    )
    is_quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")
    ] = False
    is_verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more about what is done.")
    ] = False
    is_debug: Annotated[bool, typer.Option("--debug", help="Show the whole trace of an error.")] = (
        False
    )


class Console:
    """The voice of one run of a command.

    Parameters
    ----------
    flags : Reporting
        What the person asked for.
    """

    def __init__(self, flags: Reporting) -> None:
        self.flags = flags

    def listen_to_log(self) -> None:
        """Show the library's log on stderr: warnings, and with --verbose what it does."""
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_PrintableFormatter("%(message)s"))
        level = logging.INFO if self.flags.is_verbose else logging.WARNING
        log = logging.getLogger("anybit")
        log.handlers = [handler]
        log.setLevel(logging.ERROR if self.flags.is_quiet else level)

    def say(self, message: str) -> None:
        """Tell a person something, unless --quiet."""
        if not self.flags.is_quiet:
            typer.echo(_printable(message), err=True)

    def warn(self, message: str) -> None:
        """Tell a person something that must not be missed."""
        typer.echo(_printable(f"warning: {message}"), err=True)

    def fail(self, message: str, kind: str) -> None:
        """Tell why the command failed; with --json also as an object on stdout."""
        typer.echo(_printable(f"error: {message}"), err=True)
        if self.flags.is_json:
            typer.echo(json.dumps(_valid({"error": {"type": kind, "message": message}})))

    def result(self, value: dict[str, Any], text: str = "") -> None:
        """Print what the command was for: `value` with --json, else `text`."""
        if self.flags.is_json:
            typer.echo(json.dumps(_valid(value), default=_plain))
        elif text:
            typer.echo(_printable(text))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table on stdout, unless --json."""
        if self.flags.is_json:
            return
        from rich import box
        from rich.console import Console as RichConsole
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(columns):
            table.add_column(name, justify="left" if number == 0 else "right", overflow="fold")
        for row in rows:
            table.add_row(*map(_printable, row))
        width = None if sys.stdout.isatty() else _PIPE_WIDTH
        RichConsole(file=sys.stdout, width=width, markup=False, highlight=False).print(table)

    @contextmanager
    def progress(self, what: str) -> Iterator[ProgressCallback | None]:
        """Give a progress callback for one piece of work, None with --quiet."""
        if self.flags.is_quiet:
            yield None
            return
        with progress_on(sys.stderr, what) as callback:
            yield callback


class _PrintableFormatter(logging.Formatter):
    """Formats a record of the log so that names in it cannot control the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return _printable(super().format(record))


def _printable(text: str) -> str:
    """Replace control characters but line breaks and tabs, and bytes of names not in UTF-8."""
    return _NOT_PRINTABLE.sub(lambda match: f"\\x{ord(match.group()) & 0xFF:02x}", text)


def _valid(value: Any) -> Any:
    """Return a JSON value whose texts can be written as UTF-8."""
    if isinstance(value, dict):
        return {_valid(key): _valid(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(one) for one in value]
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return value


def _plain(value: Any) -> Any:
    """Turn what JSON does not know into what it knows: arrays, NumPy numbers, paths, tuples."""
    return _valid(value.tolist() if hasattr(value, "tolist") else str(value))
