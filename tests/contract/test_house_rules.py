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
