"""Rules that linters miss: the import contract, comparisons without a verdict, pickles, sizes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TOO_QUIET = {"array_equal", "allclose", "isclose"}


def name_called(node):
    """Return the last part of the name that a call calls."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def dropped_comparisons(text):
    """Line numbers of comparisons whose answer nobody looks at, or that hide the difference."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and name_called(node) in TOO_QUIET
    ]


def test_import_rules_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_suite_compares_arrays_with_a_verdict(path):
    assert dropped_comparisons(path.read_text()) == []


def test_the_rule_on_comparisons_can_fail():
    assert dropped_comparisons("np.array_equal(a, b)\nassert np.allclose(a, b)") == [1, 2]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_file_keeps_the_rules(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 450
    assert path.stem not in {"utils", "helpers", "common"}
    for node in ast.walk(tree):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Assert), f"{where}: assert vanishes under -O"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [name.name for name in node.names] + [getattr(node, "module", None) or ""]
            assert not {"pickle", "dill", "joblib"} & {name.split(".")[0] for name in names}, where
        if isinstance(node, ast.Call):
            keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if ast.unparse(node.func) == "torch.load":
                assert keywords.get("weights_only") == "True", where
            if ast.unparse(node.func) == "np.load":
                assert keywords.get("allow_pickle", "False") == "False", where
            if name_called(node) == "print" and isinstance(node.func, ast.Name):
                assert "cli" in path.parts, f"{where}: only cli prints"


def test_project_names_no_path_of_a_machine():
    pattern = re.compile(r"/(?:home|Users|work|tmp)/\w")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    texts = (".py", ".md", ".toml", ".json", ".yaml", ".svg", ".html")
    found = [
        name
        for name in listed.stdout.splitlines()
        if name.endswith(texts) and (ROOT / name).is_file()
        and pattern.search((ROOT / name).read_text(errors="replace"))
    ]  # fmt: skip
    assert found == []


_CONDITION = re.compile(
    r"\bIN \(|\bWHERE\b|\bIS (NOT )?NULL|\b(AND|OR|LIKE)\b| (=|<>|!=|<|>|<=|>=) ?'?$"
)
_NUMBERS = {
    "ADDRESS",
    "listed",
    "smallest + 1",
    "', '.join((str(int(one)) for one in self.addresses))",
}
# Methods of Lance that take a condition as their only argument, or as the first.
_OF_LANCE = {"count_rows", "when_matched_update_all", "when_not_matched_by_source_delete"}


def conditions_for_lance(text, *, may_filter):
    """Return where Lance is given a text to parse, or a text built from other values.

    Lance parses lists of numbers only: of a condition that it does not understand as a whole it
    evaluates a part, without an error.
    """
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            words = {word.arg for word in node.keywords}
            if words & {"filter", "predicate"} and not may_filter:
                found.append(f"{node.lineno}: filter")
            called = ast.unparse(node.func)
            if name_called(node) in _OF_LANCE and (node.args or node.keywords):
                found.append(f"{node.lineno}: {called}")
            if re.search(r"\b(lance|newest)\.(delete|update|sql)$", called):
                found.append(f"{node.lineno}: {called}")
        if isinstance(node, ast.JoinedStr):
            constant = [one.value for one in node.values if isinstance(one, ast.Constant)]
            values = [one.value for one in node.values if isinstance(one, ast.FormattedValue)]
            is_numbers = {ast.unparse(one) for one in values} <= _NUMBERS
            if any(map(_CONDITION.search, constant)) and not (may_filter and is_numbers):
                found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize(
    "path",
    [one for one in SOURCES if {"store", "collection", "serve"} & set(one.parts)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_lance_is_given_no_condition_but_lists_of_numbers(path):
    may_filter = path.name == "scan.py" and path.parent.name == "store"
    assert conditions_for_lance(path.read_text(), may_filter=may_filter) == []


def test_the_numbers_that_lance_is_given_are_made_of_integers():
    text = (ROOT / "src/anybit/store/scan.py").read_text()
    assigned = [
        ast.unparse(node.value)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("listed", "smallest")
    ]
    assert assigned == [
        "np.iinfo(np.int64).min",
        "', '.join((str(int(one)) for one in self.ids if one != smallest))",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "dataset.scanner(filter=text)",
        "lance.dataset(path).to_table(columns=['a'], filter='a = 1')",
        "dataset.lance.count_rows(where)",
        "dataset.lance.delete('id = 1')",
        "newest.update({'a': '1'})",
        "merge.when_matched_update_all(condition)",
        "x = f'{name} IN ({values})'",
        "x = f'{name} = {value}'",
        "x = f\"{name} = '{value}'\"",
        "x = f'{name} IS NULL'",
    ],
)
def test_the_rule_on_conditions_can_fail(line):
    assert len(conditions_for_lance(line, may_filter=False)) == 1
