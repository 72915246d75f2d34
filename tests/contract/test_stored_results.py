"""What made the stored results is in the repository."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from anybit.papers import members

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / "benchmarks" / "results").rglob("*.json"))


def commands_of(content):
    """Return the commands that a result names, those of its parts included."""
    own = [content["command"]] if isinstance(content.get("command"), str) else []
    parts = [part for part in content.values() if isinstance(part, dict)]
    return own + [command for part in parts for command in commands_of(part)]


def is_here(command):
    """Tell whether the script, table or figure that a command names is there."""
    words = shlex.split(command)
    if words[0] == "python":
        return (ROOT / "benchmarks" / Path(words[1]).name).is_file()
    if words[:3] == ["anybit", "papers", "run"]:
        return bool(members(words[3]))
    return words[:3] == ["anybit", "bench", "search"]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_a_stored_result_is_of_a_command_that_can_be_run(path):
    commands = commands_of(json.loads(path.read_text()))
    assert commands
    assert [command for command in commands if not is_here(command)] == []


def test_the_rule_on_commands_can_fail():
    assert not is_here("python nothing.py --output x.json")
    assert not is_here("anybit train photos")
