"""The tests of a mutant in a process of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mutants.coverage_map import TestCost
from mutants.project import Project
from mutants.pytest_process import pytest_command, pytest_environment

__all__ = ["Outcome", "limits_of", "run_tests"]

# A test may take so many times its time without mutation, and so much more: machines are busy.
_FACTOR = 5.0
_GRACE_S = 20.0
# To start the interpreter, to import torch and to collect.
_START_S = 120.0
_POLL_S = 0.02


@dataclass(frozen=True)
class Outcome:
    """How the tests of a mutant went.

    Parameters
    ----------
    state : {"survived", "failed", "timeout", "broken", "not covered"}
        ``broken`` is a process that ended before a test could fail, as when the import does.
    test : str
        The first that failed.
    message : str
    n_tests : int
    seconds : float
    test_seconds : mapping of str to float
    """

    state: str
    test: str = ""
    message: str = ""
    n_tests: int = 0
    seconds: float = 0.0
    test_seconds: Mapping[str, float] | None = None

    @property
    def is_killed(self) -> bool:
        """Whether the tests tell the mutant from the original."""
        return self.state in ("failed", "timeout", "broken")


def limits_of(tests: list[str], costs: Mapping[str, TestCost]) -> dict[str, float]:
    """Return the seconds that each test may take, in the order of the tests."""
    return {
        name: _GRACE_S + _FACTOR * (costs[name].seconds + costs[name].fixtures_s) for name in tests
    }


def run_tests(
    project: Project,
    limits: Mapping[str, float],
    files: list[str],
    mutation: tuple[str, str] | None = None,
) -> Outcome:
    """Run tests in their order until one fails.

    Parameters
    ----------
    project : Project
    limits : mapping of str to float
        Seconds of each test.
    files : list of str
        Of the tests.
    mutation : tuple of str, optional
        Path and text of a source file that takes the place of the original.
    """
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        report = folder / "report.json"
        selection = folder / "selection.json"
        selection.write_text(json.dumps({"limits": dict(limits), "report": str(report)}))
        environment = pytest_environment(
            {
                "MUTANTS_SELECTION": str(selection),
                # What one mutant fails on must not be tried first on the next.
                "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
            }
        )
        if mutation is not None:
            (folder / "mutated.py").write_text(mutation[1])
            environment["MUTANTS_MODULE"] = project.module(mutation[0])
            environment["MUTANTS_SOURCE"] = str(folder / "mutated.py")
        arguments = ["-x", f"--basetemp={folder / 'tests'}", *files]
        command = pytest_command("selection_plugin", arguments)
        started_s = time.monotonic()
        limit_s = _START_S + sum(limits.values())
        code = _ended(command, project.root, environment, folder / "output", limit_s)
        seconds = time.monotonic() - started_s
        found = json.loads(report.read_text()) if report.is_file() else {}
        output = (folder / "output").read_text(errors="replace")
    n_tests = found.get("n_selected", 0)
    times = found.get("seconds", {})
    if code == 0 and n_tests:
        return Outcome("survived", n_tests=n_tests, seconds=seconds, test_seconds=times)
    if found.get("failed"):
        return Outcome("failed", found["failed"], found["message"], n_tests, seconds, times)
    if found.get("running") and code in (None, 1):
        message = f"more than {limits.get(found['running'], 0):.0f} s"
        return Outcome("timeout", found["running"], message, n_tests, seconds, times)
    last = output.strip().splitlines()[-1:] or [""]
    return Outcome("broken", found.get("running", ""), f"exit code {code}: {last[0][:200]}",
                   n_tests, seconds, times)  # fmt: skip


def _ended(
    command: list[str], folder: Path, environment: dict[str, str], output: Path, limit_s: float
) -> int | None:
    """Return the exit code, None at the limit; end the process and all that it started."""
    with open(output, "wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    deadline_s = time.monotonic() + limit_s
    is_ended = False
    try:
        while not is_ended and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            is_ended = os.waitid(os.P_PID, process.pid, flags) is not None
    finally:
        # Not waited for yet, so that the number of the group cannot be another's by now.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode if is_ended else None
