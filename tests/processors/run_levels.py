"""The numeric tests under every instruction set that this processor has.

    PYTHONPATH=tests python -m processors.run_levels [--jobs 2] [--only OPENBLAS] [--list]

Each run has one variable of the environment set, everything else as in `make test`. Before it, a
process of its own asks the library whether the level is in effect. A table of all runs comes last;
the exit code is 1 when a test failed or a level was not in effect.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybit.search import simd_levels
from processors.levels import Level, levels, processor_flags

__all__ = ["Outcome", "run", "table"]

_ROOT = Path(__file__).parents[2]

# What prints the name of the level that a library uses, as a program of its own.
_PROBES = {
    "OPENBLAS_CORETYPE": """
import numpy, threadpoolctl
names = {lib.get("architecture") for lib in threadpoolctl.threadpool_info()}
print(*names - {None})""",
    "ATEN_CPU_CAPABILITY": """
import torch
print(torch.backends.cpu.get_cpu_capability())""",
    "ONEDNN_MAX_CPU_ISA": """
import torch
with torch.no_grad(), torch.backends.mkldnn.verbose(1):
    torch.nn.Conv2d(16, 32, 3)(torch.ones(8, 16, 32, 32))""",
    "NPY_DISABLE_CPU_FEATURES": """
import numpy
print(*numpy.show_config("dicts")["SIMD Extensions"].get("found", ()) or ["none"])""",
    "ANYBIT_SIMD": """
from anybit.search import simd_level
print(simd_level())""",
}


@dataclass(frozen=True)
class Outcome:
    """How a level went.

    Parameters
    ----------
    level : Level
    problem : str
        Why it was not run, or what went wrong; empty when all is well.
    reported : str
        The name by which the library says what is in effect.
    n_passed, n_failed, n_skipped : int
    seconds : float
    failures : tuple of str
        Tests that failed.
    is_run : bool
    """

    level: Level
    problem: str = ""
    reported: str = ""
    n_passed: int = 0
    n_failed: int = 0
    n_skipped: int = 0
    seconds: float = 0.0
    failures: tuple[str, ...] = ()
    is_run: bool = True

    @property
    def is_good(self) -> bool:
        """Whether nothing failed; a level that the processor lacks is no failure."""
        return not self.is_run or not (self.problem or self.n_failed)


def main() -> int:
    arguments = _parsed()
    found = np.show_config("dicts")["SIMD Extensions"].get("found", ())
    wanted = [
        level
        for level in levels(processor_flags(), simd_levels(), found)
        if arguments.only in level.name
    ]
    if not wanted:
        print(f"--only must be part of a level's name, got {arguments.only!r}.", file=sys.stderr)
        return 2
    outcomes = []
    for level in wanted:
        if level.missing or arguments.list:
            outcomes.append(_left_out(level))
            continue
        print(f"== {level.name}", flush=True)
        outcomes.append(run(level, arguments.jobs))
    print(table(outcomes))
    return 0 if all(one.is_good for one in outcomes) else 1


def table(outcomes: Sequence[Outcome]) -> str:
    """Write one line a level, below them the tests that failed and the sum of the time."""
    rows = [("level", "in effect", "passed", "failed", "skipped", "seconds")]
    for one in outcomes:
        counts = [f"{one.n_passed}", f"{one.n_failed}", f"{one.n_skipped}", f"{one.seconds:.0f}"]
        rows.append((one.level.name, one.reported, *(counts if one.is_run else [""] * 4)))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines = []
    for row, one in zip(rows, (None, *outcomes), strict=True):
        cells = [f"{row[0]:<{widths[0]}}", f"{row[1]:<{widths[1]}}"]
        cells += [f"{cell:>{width}}" for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join([*cells, one.problem if one else ""]).rstrip())
    lines += [f"FAILED {name} ({one.level.name})" for one in outcomes for name in one.failures]
    n_run, n_bad = sum(one.is_run for one in outcomes), sum(not one.is_good for one in outcomes)
    minutes = sum(one.seconds for one in outcomes) / 60
    lines.append(
        f"{n_run} levels run in {minutes:.0f} minutes, {n_bad} of them failed; "
        f"{len(outcomes) - n_run} not run"
    )
    return "\n".join(lines)


def _left_out(level: Level) -> Outcome:
    lacks = f": the processor lacks {', '.join(level.missing)}" if level.missing else ""
    return Outcome(level, f"not run{lacks}", is_run=False)


def run(level: Level, n_jobs: int) -> Outcome:
    """Ask whether a level is in effect, then run its tests in processes of their own."""
    environment = _environment(level, os.environ)
    reported = _reported(level, environment)
    names = set(reported.split())
    if level.reported and not (names and names <= set(level.reported)):
        return Outcome(level, f"not in effect, wanted {' or '.join(level.reported)}", reported)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
        command += ["--junitxml", str(report), *(["-n", str(n_jobs)] if n_jobs > 1 else [])]
        started_s = time.monotonic()
        done = subprocess.run([*command, *level.tests], cwd=_ROOT, env=environment, check=False)
        seconds = time.monotonic() - started_s
        if not report.is_file():
            return Outcome(level, f"pytest ended with {done.returncode}", reported, seconds=seconds)
        cases = ET.parse(report).getroot().iter("testcase")
        states = {f"{one.get('classname')}::{one.get('name')}": _state(one) for one in cases}
    failures = tuple(name for name, state in states.items() if state == "failed")
    n_skipped = sum(state == "skipped" for state in states.values())
    is_odd = done.returncode not in (0, 1)
    problem = f"pytest ended with {done.returncode}" if is_odd else ""
    return Outcome(
        level,
        problem,
        reported,
        len(states) - len(failures) - n_skipped,
        len(failures),
        n_skipped,
        seconds,
        failures,
    )


def _state(case: ET.Element) -> str:
    kinds = {child.tag for child in case}
    return (
        "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
    )


def _environment(level: Level, given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of this process with one thread and the level's own value."""
    changed = {**given, "OMP_NUM_THREADS": "1", level.variable: level.value}
    return {name: value for name, value in changed.items() if name != level.variable or value}


def _reported(level: Level, environment: Mapping[str, str]) -> str:
    """Return what a library says of itself under these variables."""
    probe = _PROBES.get(level.variable)
    if probe is None:
        return ""
    done = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=_ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        return f"ended with {done.returncode}"
    isa = re.search(r"cpu,isa:(?:Intel )?(.+)", done.stdout)
    return (isa[1] if isa else done.stdout).strip()


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1, help="processes of each run (1)")
    parser.add_argument("--only", default="", help="levels whose name contains this text")
    parser.add_argument("--list", action="store_true", help="list the levels, run none")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
