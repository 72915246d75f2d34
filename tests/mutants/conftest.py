"""A package of one room, small enough that a mutant takes a second."""

import pytest

from mutants.project import Project

_SUMS = '''"""Sums."""

LARGEST = 9


def clipped_sum(numbers, is_clipped=True):
    """Add numbers."""
    total = 0
    for number in numbers:
        total += number
    if is_clipped:
        total = min(total, LARGEST)
    return total


def unused(number):
    return number + 1
'''
_TESTS = """from toy.sums.totals import clipped_sum


def test_sum():
    assert clipped_sum([1, 2]) == 3


def test_clipped():
    assert clipped_sum([8, 2]) == 9
"""
_CONFTEST = """import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
"""


@pytest.fixture
def write(tmp_path):
    """A function that writes a file of the toy project."""

    def written(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return written


@pytest.fixture
def toy(tmp_path, write):
    write("src/toy/__init__.py", "")
    write("src/toy/sums/__init__.py", "")
    write("src/toy/sums/totals.py", _SUMS)
    write("tests/conftest.py", _CONFTEST)
    write("tests/unit/sums/test_totals.py", _TESTS)
    return Project(tmp_path, "toy", ("sums",))
