"""Which tests run a mutant."""

from __future__ import annotations

import pytest

from mutants.coverage_map import CoverageMap, measured
from mutants.drawing import draw

_FILE = "tests/unit/sums/test_totals.py"


def found_by_line(toy, jobs=1):
    """The names of the tests of every mutant, by the line that it changes."""
    (found,) = measured(toy, toy.rooms, toy.root / "cache", jobs).values()
    return {
        mutant.line: [name.rpartition("::")[2] for name in found.tests_of(mutant)]
        for mutant in draw(toy, 100, 1)
    }


def test_tests_are_those_that_run_the_line(toy, write):
    write("tests/unit/sums/test_more.py", "def test_nothing():\n    pass\n")
    found = {line: sorted(names) for line, names in found_by_line(toy, jobs=2).items()}
    both = ["test_clipped", "test_sum"]
    assert found == {3: both, 6: both, 8: both, 10: both, 11: both, 12: both, 17: []}


def test_a_constant_is_tested_where_its_name_is_used(toy, write):
    write(
        "tests/unit/sums/test_more.py",
        "import toy.sums.totals\n\ndef test_unused():\n    assert toy.sums.totals.unused(1) == 2\n",
    )
    write(
        "tests/unit/sums/test_bound.py",
        "import toy.sums.totals\n\ndef test_bound():\n    assert toy.sums.totals.LARGEST == 9\n",
    )
    found = found_by_line(toy)
    assert found[17] == ["test_unused"]
    assert sorted(found[3]) == ["test_bound", "test_clipped", "test_sum"]


def test_what_an_import_runs_is_tested_by_all(toy, write):
    write("src/toy/sums/totals.py", "def twice(n):\n    return 2 * n\n\n\nfour = twice(2)\n")
    write(
        _FILE,
        "from toy.sums.totals import four\n\n"
        "def test_four():\n    assert four == 4\n\n"
        "def test_else():\n    pass\n",
    )
    assert sorted(found_by_line(toy)[2]) == ["test_else", "test_four"]


def test_a_shared_fixture_counts_for_each_of_its_tests(toy, write):
    write(
        _FILE,
        "import pytest\nfrom toy.sums.totals import clipped_sum, unused\n\n"
        "@pytest.fixture(scope='module')\ndef total():\n    return clipped_sum([1, 2])\n\n"
        "def test_first(total):\n    assert total == 3\n\n"
        "def test_second(total):\n    assert unused(total) == 4\n\n"
        "def test_other():\n    pass\n",
    )
    found = found_by_line(toy)
    assert sorted(found[8]) == ["test_first", "test_second"]
    assert found[17] == ["test_second"]


def test_quick_files_and_tests_come_first_and_files_stay_together(toy):
    def measurement(name, *seconds, fixture_s=0.0):
        tests = {
            f"{name}::{place}": {"seconds": one, "fixtures": ["data"]}
            for place, one in enumerate(seconds)
        }
        fixtures = {"::data": {"name": "data", "seconds": fixture_s}}
        return {"tests": tests, "fixtures": fixtures, "lines": {}}

    found = CoverageMap(
        toy,
        "sums",
        {
            "a": measurement("a", 3.0, 1.0),
            "b": measurement("b", 0.5, 0.25),
            "c": measurement("c", 0.0, fixture_s=2.0),
        },
    )
    assert found.in_order(found.costs) == ["b::1", "b::0", "c::0", "a::1", "a::0"]
    assert found.in_order(["a::1", "c::0"]) == ["a::1", "c::0"]


def test_what_has_not_changed_is_not_measured_again(toy, write):
    def n_measurements():
        found_by_line(toy)
        return len(list((toy.root / "cache").iterdir()))

    assert n_measurements() == 1
    (measurement,) = (toy.root / "cache").iterdir()
    measurement.write_text('{"tests": {}, "fixtures": {}, "lines": {}}')
    assert found_by_line(toy)[8] == []
    write("tests/unit/sums/test_more.py", "def test_nothing():\n    pass\n")
    assert n_measurements() == 2
    write("src/toy/__init__.py", "A = 1\n")
    assert n_measurements() == 4


def test_a_test_that_fails_without_mutation_is_an_error(toy, write):
    write(_FILE, "def test_bad():\n    assert 0\n")
    with pytest.raises(RuntimeError, match=r"test_totals.py must pass without mutation, got"):
        found_by_line(toy)


def test_shared_folders_belong_to_the_rooms_that_their_files_import(toy, write):
    write("tests/property/test_sums.py", "from toy.sums.totals import unused\n")
    write("tests/property/test_else.py", "from toy.summary import unused\n")
    write("tests/golden/test_old.py", "import toy.sums\n")
    write("tests/golden/test_shop.py", "import toy.sums\nfrom toy.collection import Shop\n")
    assert toy.tests("sums") == (_FILE, "tests/property/test_sums.py", "tests/golden/test_old.py")
