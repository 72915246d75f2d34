"""What the table says, and what makes a run a good one."""

from __future__ import annotations

import json

import pytest

from mutants.coverage_map import measured
from mutants.drawing import Mutant, draw
from mutants.explanations import Explanations
from mutants.mutant_run import Outcome
from mutants.mutations import Statement
from mutants.run_mutants import judged
from mutants.score import Score, Verdict

_STATEMENT = Statement("f", True, 1, 1, (), "a = b")


def verdict(room, state, reason=""):
    mutant = Mutant(room, f"src/{room}.py", 3, "a = b", "a = c", "name", _STATEMENT, "a = c\n")
    return Verdict(mutant, Outcome(state, n_tests=7, seconds=2.0), reason)


def test_the_table_counts_by_room():
    states = ["failed", "failed", "timeout", "broken", "survived", "not covered"]
    verdicts = [verdict("one", state) for state in states]
    verdicts.append(verdict("two", "survived", "no difference"))
    lines = Score(verdicts, ("one", "two", "three"), 60.0).table().splitlines()
    assert [line.split() for line in lines[1:5]] == [
        ["one", "6", "4", "1", "0", "2", "1", "66.7"],
        ["two", "1", "0", "0", "1", "0", "0", "0.0"],
        ["three", "0", "0", "0", "0", "0", "0", "-"],
        ["all", "7", "4", "1", "1", "2", "1", "57.1"],
    ]
    assert lines[5:] == [
        "",
        "src/one.py:3 name (survived, 7 tests)",
        "  - a = b",
        "  + a = c",
        "",
        "src/one.py:3 name (not covered, 7 tests)",
        "  - a = b",
        "  + a = c",
    ]


@pytest.mark.parametrize(("n_unexplained", "is_good"), [(0, True), (1, True), (2, False)])
def test_one_in_twenty_may_survive_without_a_reason(n_unexplained, is_good):
    verdicts = [verdict("one", "survived")] * n_unexplained
    verdicts += [verdict("one", "survived", "no difference")] * (10 - n_unexplained)
    verdicts += [verdict("one", "failed")] * 10
    assert Score(verdicts, ("one",), 1.0).is_good == is_good


def test_the_written_result_names_every_mutant():
    found = Score([verdict("one", "survived", "why")], ("one",), 1.0).to_dict()
    assert json.loads(json.dumps(found)) == {
        "seconds": 1.0,
        "is_good": True,
        "mutants": [
            {
                "room": "one", "file": "src/one.py", "line": 3, "operator": "name",
                "before": "a = b", "after": "a = c", "state": "survived", "test": "",
                "message": "", "n_tests": 7, "seconds": 2.0, "reason": "why",
            }
        ],
    }  # fmt: skip


_ENTRY = """
[[survivor]]
file = "src/one.py"
operator = "name"
before = "a = b"
after = "a = c"
reason = "b is c"
"""


def test_a_reason_belongs_to_one_change_of_one_file(tmp_path):
    path = tmp_path / "explained.toml"
    path.write_text(_ENTRY)
    found = Explanations.read(path)
    assert found.reason(verdict("one", "survived").mutant) == "b is c"
    assert found.reason(verdict("two", "survived").mutant) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [('"b is c"', '" "'), ('operator = "name"\n', ""), ("[[survivor]]", "[[survivor]]\nline = 3")],
)
def test_an_entry_without_a_reason_or_with_other_keys_is_refused(tmp_path, old, new):
    path = tmp_path / "explained.toml"
    path.write_text(_ENTRY.replace(old, new))
    with pytest.raises(ValueError, match=r"\[\[survivor\]\] of explained.toml must have a reason"):
        Explanations.read(path)


def test_every_mutant_of_a_project_is_judged(toy):
    drawn = draw(toy, 100, 1)
    maps = measured(toy, toy.rooms, toy.root / "cache", 2)
    outcomes = judged(toy, drawn, maps, 2)
    states = {mutant.line: outcome.state for mutant, outcome in zip(drawn, outcomes, strict=True)}
    assert states == {
        3: "failed", 6: "failed", 8: "failed", 10: "failed", 11: "failed", 12: "failed",
        17: "not covered",
    }  # fmt: skip


def test_tests_that_fail_together_are_an_error_and_kill_nothing(toy, write):
    write("tests/unit/sums/test_totals.py", (
        "import os\nfrom toy.sums.totals import unused\n\n"
        "def test_a():\n    assert unused(1) == 2\n    os.environ['A'] = '1'\n\n"
        "def test_b():\n    assert unused(1) == 2\n"
    ))  # fmt: skip
    write(
        "tests/unit/sums/test_more.py",
        "import os, time\nfrom toy.sums.totals import unused\n\n"
        "def test_c():\n    time.sleep(0.3)\n    assert unused(1) == 2\n"
        "    assert 'A' not in os.environ\n",
    )
    maps = measured(toy, toy.rooms, toy.root / "cache", 2)
    with pytest.raises(RuntimeError, match=r"must pass without mutation, got failed in .*test_c"):
        judged(toy, draw(toy, 100, 1), maps, 2)
