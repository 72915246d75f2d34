"""The examples in docstrings run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

import anybit

SRC = Path(anybit.__file__).parent
WITH_EXAMPLES = sorted(path for path in SRC.rglob("*.py") if ">>> " in path.read_text())
# Why an example does not run here.
LEFT_OUT = {
    '>>> hits = anybit.Collection.open("shop.anybit").search("query.jpg", k=10)': (
        "needs a collection and a picture"
    ),
    '>>> model = train("photos/", bits=32, output="model/")': "needs pictures, and minutes",
}


def module_name(path):
    parts = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def failures(module):
    """Run a module's examples with NumPy at hand, as its documentation says; return the report."""
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs={"np": np}):
        runner.run(test, out=report.append)
    return "".join(report), runner.summarize(verbose=False).attempted


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=module_name)
def test_the_examples_of_a_module_print_what_they_say(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(module_name(path))
    report, n_run = failures(module)
    assert report == ""
    text = path.read_text()
    assert n_run == text.count(">>> ") - text.count("doctest: +SKIP")


def test_an_example_is_left_out_only_with_a_reason():
    skipped = [
        line.strip()
        for path in WITH_EXAMPLES
        for line in path.read_text().splitlines()
        if "doctest: +SKIP" in line
    ]
    assert [line.removesuffix("  # doctest: +SKIP") for line in skipped] == list(LEFT_OUT)


def test_a_wrong_example_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "wrong_example.py").write_text('"""\n>>> 1 + 1\n3\n"""\n')
    monkeypatch.syspath_prepend(tmp_path)
    report, n_run = failures(importlib.import_module("wrong_example"))
    assert "Expected:\n    3\nGot:\n    2" in report
    assert n_run == 1
