"""A plugin of pytest that runs given tests in a given order, each within its time."""

from __future__ import annotations

import faulthandler
import json
import os
from pathlib import Path

import pytest

_setting = json.loads(Path(os.environ["MUTANTS_SELECTION"]).read_text())
_limits: dict[str, float] = _setting["limits"]
_report = Path(_setting["report"])
_state: dict[str, object] = {"n_selected": 0, "running": "", "failed": "", "message": ""}
_seconds: dict[str, float] = {}


def _write() -> None:
    _report.write_text(json.dumps({**_state, "seconds": _seconds}))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    order = {name: place for place, name in enumerate(_limits)}
    # A mutant may change the parameters of a test: then all that it has now are run.
    missing = order.keys() - {item.nodeid for item in items}
    functions = {_function(name): order[name] for name in missing}
    ranked = []
    for item in items:
        place = order.get(item.nodeid, functions.get(_function(item.nodeid)))
        if place is not None:
            ranked.append((place, item))
    kept = [item for _, item in sorted(ranked, key=lambda one: one[0])]
    chosen = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = kept
    _state["n_selected"] = len(kept)
    _write()


def _function(name: str) -> str:
    return name.partition("[")[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    _state["running"] = item.nodeid
    _write()
    limit_s = _limits.get(item.nodeid, max(_limits.values()))
    # Ends the process even where a loop never comes back to the interpreter.
    faulthandler.dump_traceback_later(limit_s, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
        _state["running"] = ""


def pytest_runtest_logreport(report):
    _seconds[report.nodeid] = _seconds.get(report.nodeid, 0.0) + report.duration
    if report.failed and not _state["failed"]:
        crash = getattr(report.longrepr, "reprcrash", None)
        text = crash.message if crash is not None else str(report.longrepr)
        _state.update(failed=report.nodeid, message=text.strip().partition("\n")[0][:200])
        _write()


def pytest_sessionfinish():
    _write()
