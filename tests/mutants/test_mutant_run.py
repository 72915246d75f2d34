"""A mutant is what its tests import; what they do then decides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from anybit.search import simd_level
from mutants import mutant_run
from mutants.mutant_run import run_tests

ROOT = Path(__file__).parents[2]
_FILE = "tests/unit/sums/test_totals.py"
_SOURCE = "src/toy/sums/totals.py"


def outcome_of(toy, old="", new="", *, tests=("test_sum", "test_clipped"), limit_s=30.0):
    """Run tests with one text of the source in the place of another."""
    text = (toy.root / _SOURCE).read_text()
    assert old in text
    limits = {f"{_FILE}::{name}": limit_s for name in tests}
    mutation = (_SOURCE, text.replace(old, new)) if new else None
    outcome = run_tests(toy, limits, [_FILE], mutation)
    assert (toy.root / _SOURCE).read_text() == text
    return outcome


def test_without_mutation_the_tests_pass(toy):
    outcome = outcome_of(toy)
    assert (outcome.state, outcome.n_tests, outcome.is_killed) == ("survived", 2, False)


def test_a_mutant_is_killed_by_the_first_test_that_fails(toy):
    outcome = outcome_of(toy, "LARGEST = 9", "LARGEST = 8")
    assert (outcome.state, outcome.test, outcome.is_killed) == (
        "failed", f"{_FILE}::test_clipped", True,
    )  # fmt: skip
    assert "8 == 9" in outcome.message


def test_only_the_given_tests_are_run(toy):
    outcome = outcome_of(toy, "LARGEST = 9", "LARGEST = 8", tests=("test_sum",))
    assert (outcome.state, outcome.n_tests) == ("survived", 1)


def test_tests_are_run_in_the_given_order(toy):
    outcome = outcome_of(
        toy, "total += number", "total -= number", tests=("test_clipped", "test_sum")
    )
    assert outcome.test == f"{_FILE}::test_clipped"


def test_a_mutant_that_breaks_the_import_is_killed(toy):
    outcome = outcome_of(toy, "LARGEST = 9", "LARGEST = 9 / 0")
    assert (outcome.state, outcome.is_killed) == ("broken", True)


def test_a_mutant_that_never_ends_is_killed_at_the_limit_of_the_test(toy):
    outcome = outcome_of(toy, "total = 0", "total = 0\n    while numbers: pass", limit_s=1.0)
    assert (outcome.state, outcome.test) == ("timeout", f"{_FILE}::test_sum")
    assert outcome.is_killed
    assert outcome.message == "more than 1 s"


def test_a_mutant_that_never_ends_on_import_is_killed_too(toy, monkeypatch):
    monkeypatch.setattr(mutant_run, "_START_S", 2.0)
    outcome = outcome_of(toy, "LARGEST = 9", "while True: pass", limit_s=1.0)
    assert (outcome.state, outcome.is_killed) == ("broken", True)


def test_a_process_that_a_test_starts_imports_the_mutant(toy, write):
    write(
        _FILE,
        "import subprocess, sys\n\n"
        "def test_sum():\n"
        "    code = 'import sys; sys.path.insert(0, \"src\"); import toy.sums.totals as t; '\n"
        "    code += 'print(t.LARGEST)'\n"
        "    assert subprocess.check_output([sys.executable, '-c', code], text=True) == '9\\n'\n",
    )
    assert not outcome_of(toy, tests=("test_sum",)).is_killed
    assert outcome_of(toy, "LARGEST = 9", "LARGEST = 8", tests=("test_sum",)).state == "failed"


def test_parameters_that_a_mutant_changes_are_run(toy, write):
    write(
        _FILE,
        "import pytest\nfrom toy.sums.totals import LARGEST\n\n"
        "@pytest.mark.parametrize('n', [LARGEST])\ndef test_it(n):\n    assert n == 9\n",
    )
    outcome = outcome_of(toy, "LARGEST = 9", "LARGEST = 8", tests=("test_it[9]",))
    assert (outcome.state, outcome.test) == ("failed", f"{_FILE}::test_it[8]")


def test_no_test_is_no_success(toy):
    assert outcome_of(toy, tests=("test_gone",)).state == "broken"


@pytest.mark.parametrize("name", ["anybit.errors", "anybit.codes", "anybit.search"])
def test_the_mutant_wins_over_an_editable_installation(tmp_path, name):
    path = ROOT / "src" / name.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    mutated = tmp_path / "mutated.py"
    mutated.write_text(path.read_text() + "\nIS_MUTANT = True\n")
    code = (
        f"import sys, {name}, anybit.search; module = sys.modules[{name!r}];"
        "print(module.IS_MUTANT, module.__file__, anybit.search.simd_level())"
    )
    environment = {
        "PYTHONPATH": str(Path(mutant_run.__file__).parent / "hook"),
        "MUTANTS_MODULE": name,
        "MUTANTS_SOURCE": str(mutated),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    # The compiled kernel, which lies elsewhere, is found as before.
    assert done.stdout.split() == ["True", str(path), simd_level()], done.stderr


def test_a_package_itself_can_be_mutated(toy, write):
    write("src/toy/sums/__init__.py", "SIZE = 1\n")
    write(_FILE, "import toy.sums\n\ndef test_it():\n    assert toy.sums.SIZE == 1\n")
    mutation = ("src/toy/sums/__init__.py", "SIZE = 2\n")
    outcome = run_tests(toy, {f"{_FILE}::test_it": 30.0}, [_FILE], mutation)
    assert outcome.state == "failed"


def test_what_a_test_leaves_running_is_ended(toy, write):
    write(
        _FILE,
        "import subprocess, sys\nfrom pathlib import Path\n\n"
        "def test_sum():\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "    Path('child').write_text(str(child.pid))\n",
    )
    assert outcome_of(toy, tests=("test_sum",)).state == "survived"
    status = Path("/proc") / (toy.root / "child").read_text() / "status"
    assert not status.exists() or "State:\tZ" in status.read_text()
