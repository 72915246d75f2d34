"""Which tests run which lines, measured once and kept until a source or the test changes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutants.drawing import Mutant
from mutants.project import Project
from mutants.pytest_process import pytest_command, pytest_environment

__all__ = ["CoverageMap", "TestCost", "measured"]


@dataclass(frozen=True)
class TestCost:
    """What a test takes without mutation.

    Parameters
    ----------
    file : str
    seconds : float
        Of its own.
    fixtures_s : float
        Of the fixtures that it shares with others; paid by the first of them.
    """

    __test__ = False

    file: str
    seconds: float
    fixtures_s: float


class CoverageMap:
    """The tests of a room by the lines that they run.

    Parameters
    ----------
    project : Project
    room : str
    measurements : mapping of str to dict
        What `coverage_plugin` wrote, by test file.
    """

    def __init__(
        self, project: Project, room: str, measurements: Mapping[str, dict[str, Any]]
    ) -> None:
        self._project = project
        self._room = room
        self.costs: dict[str, TestCost] = {}
        self._by_line: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._at_import: set[tuple[str, int]] = set()
        for file, found in measurements.items():
            fixtures = found["fixtures"]
            imported = found["lines"].get("", {})
            self._at_import |= {(path, line) for path in imported for line in imported[path]}
            for name, test in found["tests"].items():
                shared = [
                    context
                    for context, fixture in fixtures.items()
                    if fixture["name"] in test["fixtures"]
                ]
                shared_s = sum(fixtures[context]["seconds"] for context in shared)
                self.costs[name] = TestCost(file, test["seconds"], shared_s)
                for context in (name, *shared):
                    for path, lines in found["lines"].get(context, {}).items():
                        for line in lines:
                            self._by_line[path, line].add(name)

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run a mutant, in the order in which to run them.

        A line at the top of a module or a class runs when the module is imported. Tests of such a
        mutant are those that run a line with a name that it binds, or have that name in their file;
        where it binds none, or belongs to a function that an import calls, all tests of the room.
        """
        statement = mutant.statement
        numbers = range(statement.first_line, statement.last_line + 1)
        lines = {(mutant.path, number) for number in numbers}
        if statement.is_in_function and not lines & self._at_import:
            return self.in_order(self._covering(lines))
        if not statement.names or statement.is_in_function:
            return self.in_order(self.costs)
        names = re.compile(rf"\b({'|'.join(map(re.escape, statement.names))})\b")
        found = self._covering(self._lines_with(names))
        files = {cost.file for cost in self.costs.values()}
        naming = {file for file in files if names.search((self._project.root / file).read_text())}
        return self.in_order(
            found | {name for name, cost in self.costs.items() if cost.file in naming}
        )

    def _covering(self, lines: Iterable[tuple[str, int]]) -> set[str]:
        return set().union(*(self._by_line.get(line, ()) for line in lines))

    def _lines_with(self, names: re.Pattern[str]) -> list[tuple[str, int]]:
        return [
            (path, number)
            for path in self._project.sources(self._room)
            for number, text in enumerate((self._project.root / path).read_text().splitlines(), 1)
            if names.search(text)
        ]

    def in_order(self, tests: Iterable[str]) -> list[str]:
        """Sort by file, the quickest first, and by test: shared fixtures are made but once."""
        by_file: dict[str, list[str]] = defaultdict(list)
        for name in tests:
            by_file[self.costs[name].file].append(name)

        def cost_s(file: str) -> tuple[float, str]:
            costs = [self.costs[name] for name in by_file[file]]
            return sum(one.seconds for one in costs) + max(one.fixtures_s for one in costs), file

        return [
            name
            for file in sorted(by_file, key=cost_s)
            for name in sorted(by_file[file], key=lambda one: (self.costs[one].seconds, one))
        ]


def measured(
    project: Project, rooms: Sequence[str], cache: Path, n_jobs: int
) -> dict[str, CoverageMap]:
    """Return the map of each room; what is in the cache is not measured again.

    Raises
    ------
    RuntimeError
        If a test fails without mutation.
    """
    state = _digest(project.root, _below(project.root / "src", "*.py"))
    files = sorted({file for room in rooms for file in project.tests(room)})
    cache.mkdir(parents=True, exist_ok=True)

    def measurement(file: str) -> dict[str, Any]:
        tests = [project.root / file, *_below(project.root / "tests", "conftest.py")]
        tests += _below(project.root / "tests" / "reference", "*.py")
        output = cache / f"{_digest(project.root, tests, state)}.json"
        if not output.is_file():
            _measure(project, file, output)
        found: dict[str, Any] = json.loads(output.read_text())
        return found

    with ThreadPoolExecutor(n_jobs) as pool:
        measurements = dict(zip(files, pool.map(measurement, files), strict=True))
    return {
        room: CoverageMap(project, room, {file: measurements[file] for file in project.tests(room)})
        for room in rooms
    }


def _measure(project: Project, file: str, output: Path) -> None:
    temporary = output.with_suffix(f".{os.getpid()}.tmp")
    setting = {
        "include": [f"{project.root}/src/{project.package}/{room}/*" for room in project.rooms],
        "root": str(project.root),
        "output": str(temporary),
    }
    done = subprocess.run(
        pytest_command("coverage_plugin", [file]),
        cwd=project.root,
        env=pytest_environment({"MUTANTS_COVERAGE": json.dumps(setting)}),
        capture_output=True,
        text=True,
        check=False,
    )
    # 5: every test of the file is marked slow.
    if done.returncode not in (0, 5) or not temporary.is_file():
        raise RuntimeError(f"{file} must pass without mutation, got:\n{done.stdout[-3000:]}")
    temporary.replace(output)


def _below(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(pattern))


def _digest(root: Path, paths: Iterable[Path], start: str = "") -> str:
    found = hashlib.sha256(start.encode())
    for path in paths:
        found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:32]
