"""Errors become messages and exit codes; flags come from dataclasses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from anybit.cli.command import EXIT_FAILED, EXIT_USAGE, command, int_list
from anybit.cli.console import Console
from anybit.errors import DataError, OptionError


@dataclass(frozen=True)
class Group:
    size: Annotated[int, typer.Option(help="A number.")] = 3
    name: Annotated[str, typer.Option("--called")] = "x"


def run(function, *arguments):
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(command(function))
    return CliRunner().invoke(app, list(arguments))


def test_fields_of_a_group_become_flags():
    seen = []

    def work(console: Console, group: Group) -> None:
        seen.append(group)

    result = run(work, "--size", "5", "--called", "y")
    assert result.exit_code == 0, result.output
    assert seen == [Group(5, "y")]


def test_result_goes_to_stdout_and_words_to_stderr():
    def work(console: Console) -> None:
        console.say("words")
        console.result({"answer": 42}, "the answer is 42")

    plain, machine, quiet = run(work), run(work, "--json"), run(work, "--quiet")
    assert (plain.stdout, plain.stderr) == ("the answer is 42\n", "words\n")
    assert json.loads(machine.stdout) == {"answer": 42}
    assert machine.stderr == "words\n"
    assert (quiet.stdout, quiet.stderr) == ("the answer is 42\n", "")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("rows must be finite, got NaN."), EXIT_FAILED, "error: rows must be finite"),
        (OptionError("bits must be 8, got 7."), EXIT_USAGE, "error: bits must be 8, got 7."),
        (PermissionError(13, "Permission denied", "out"), EXIT_FAILED, "out: Permission denied."),
        (ModuleNotFoundError("x", name="torch"), EXIT_FAILED, "pip install 'anybit[train]'"),
        (KeyError("x"), EXIT_FAILED, "KeyError: 'x' (--debug shows where)"),
        (KeyboardInterrupt(), EXIT_FAILED, "stopped by the keyboard"),
    ],
)
def test_error_becomes_exit_code_and_message_without_trace(error, code, message):
    def work(console: Console) -> None:
        raise error

    result = run(work)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_debug_shows_the_trace_and_json_the_error():
    def work(console: Console) -> None:
        raise DataError("no rows.")

    result = run(work, "--debug", "--json")
    assert "Traceback" in result.stderr
    assert json.loads(result.stdout) == {"error": {"type": "DataError", "message": "no rows."}}


def test_unknown_flag_is_usage():
    def work(console: Console) -> None:
        pass

    assert run(work, "--nonsense").exit_code == EXIT_USAGE


def test_int_list_reads_numbers_and_refuses_words():
    assert int_list("8,16,32", "--bits") == (8, 16, 32)
    with pytest.raises(typer.BadParameter, match="8,16,32, got 'eight'"):
        int_list("eight", "--bits")


def test_a_reader_that_has_enough_is_no_error():
    code = """
import typer
from anybit.cli.command import command
from anybit.cli.console import Console

def work(console: Console) -> None:
    for number in range(100_000):
        console.result({}, f"line {number}")

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(command(work))
app()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "line 0\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == EXIT_FAILED
