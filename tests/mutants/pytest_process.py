"""How pytest is started for a measurement and for a mutant."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["pytest_command", "pytest_environment"]

_HERE = Path(__file__).parent


def pytest_command(plugin: str, arguments: Iterable[str]) -> list[str]:
    """Return a command with one of our plugins and that of hypothesis, always with its seed 0."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    command += ["-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0"]
    return [*command, "-p", f"mutants.{plugin}", *arguments]


def pytest_environment(settings: dict[str, str]) -> dict[str, str]:
    """Return the variables of this process, one thread, and the settings."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        # Others take three seconds to import, for each mutant anew.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join((str(_HERE / "hook"), str(_HERE.parent))),
        **settings,
    }
