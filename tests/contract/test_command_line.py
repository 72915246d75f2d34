"""Every promised command is there, explains itself, and loads nothing heavy to do so."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = ("demo", "train", "create", "add", "search", "evaluate", "info", "serve", "methods")
HEAVY = {"torch", "lance", "pyarrow", "numpy", "PIL", "matplotlib", "rich", "pydantic"}


def imported_by(*arguments):
    """Run the command line; return its output and the packages that it loaded."""
    line = [sys.executable, "-X", "importtime", "-m", "anybit.cli", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    names = [row.rsplit("|", 1)[-1].strip() for row in done.stderr.splitlines() if "|" in row]
    return done.stdout, {name.split(".")[0] for name in names}


def test_help_lists_the_commands_and_loads_nothing_heavy():
    text, packages = imported_by("--help")
    assert all(f"  {name} " in text for name in COMMANDS)
    assert packages & HEAVY == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_command_explains_itself_without_heavy_imports(name):
    text, packages = imported_by(name, "--help")
    assert "--json" in text
    assert "--debug" in text
    # Typer itself looks at pydantic, if it is there, to write the type of an option.
    assert packages & (HEAVY - {"pydantic"}) == set()


def test_version_is_printed():
    import anybit

    assert imported_by("--version")[0] == f"anybit {anybit.__version__}\n"
