"""A plugin of pytest that writes which lines each test runs.

A fixture of a wider scope is written by itself, because its first test alone runs its lines.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from pathlib import Path

import coverage
import pytest

_setting = json.loads(os.environ["MUTANTS_COVERAGE"])
_measured = coverage.Coverage(data_file=None, config_file=False, include=_setting["include"])
_measured.set_option("run:core", "ctrace")  # sys.monitoring knows no contexts
_measured.set_option("run:disable_warnings", ["no-data-collected"])
_measured.start()  # before a conftest imports the package

_tests: dict[str, dict[str, object]] = {}
_fixtures: dict[str, dict[str, object]] = {}
_failed: set[str] = set()
_contexts = [""]


def _enter(context: str) -> None:
    _contexts.append(context)
    _measured.switch_context(context)


def _leave() -> None:
    _contexts.pop()
    _measured.switch_context(_contexts[-1])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    started_s = time.monotonic()
    _enter(item.nodeid)
    try:
        return (yield)
    finally:
        _leave()
        seconds = time.monotonic() - started_s
        _tests[item.nodeid] = {"seconds": seconds, "fixtures": sorted(item.fixturenames)}


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    if fixturedef.scope == "function":
        return (yield)
    context = f"{fixturedef.baseid}::{fixturedef.argname}"
    started_s = time.monotonic()
    _enter(context)
    try:
        return (yield)
    finally:
        _leave()
        seconds = time.monotonic() - started_s
        _fixtures[context] = {"name": fixturedef.argname, "seconds": seconds}


def pytest_runtest_logreport(report):
    if report.failed:
        _failed.add(report.nodeid)


def pytest_sessionfinish():
    _measured.stop()
    data = _measured.get_data()
    lines: defaultdict[str, dict[str, list[int]]] = defaultdict(dict)
    for path in data.measured_files():
        name = Path(path).relative_to(_setting["root"]).as_posix()
        for line, contexts in data.contexts_by_lineno(path).items():
            for context in contexts:
                lines[context].setdefault(name, []).append(line)
    written = {"tests": _tests, "fixtures": _fixtures, "lines": lines, "failed": sorted(_failed)}
    Path(_setting["output"]).write_text(json.dumps(written))
