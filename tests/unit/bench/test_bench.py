"""The benchmarks run, count right and say what they need; their speeds are no test's business."""

import json
import os
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from anybit.bench import ROWS, SearchBenchOptions, bench_search
from anybit.bench.identity import compare_paths
from anybit.bench.timing import in_turns, on_one_processor
from anybit.cli.app import app
from anybit.errors import OptionError
from anybit.search import Index, SearchResult, simd_level


def test_contenders_take_turns():
    asked = []
    times = in_turns({name: lambda name=name: asked.append(name) for name in "ab"}, 3)
    assert asked == list("ab" * 4)
    assert 0 <= times["a"].least <= times["a"].median


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no such call")
def test_the_processors_come_back():
    before = os.sched_getaffinity(0)
    with on_one_processor():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_every_path_agrees_on_random_and_adversarial_cases():
    counts = compare_paths(96, 48)
    assert (counts.n_cases, counts.n_same) == (144, 144)
    assert counts.paths[-1] == "numpy"


def test_a_path_that_differs_in_one_bit_is_counted(monkeypatch):
    honest = Index.search

    def search(self, queries, k, **options):
        found = honest(self, queries, k, **options)
        if simd_level() != "numpy":
            return found
        return SearchResult(found.ids, np.nextafter(found.scores, np.float32(9)), found.bits)

    monkeypatch.setattr(Index, "search", search)
    assert compare_paths(12, 6).n_same == 0


def test_contests_tell_speed_quality_and_size():
    pytest.importorskip("faiss")
    result = bench_search(SearchBenchOptions(rows=("5",), n_rounds=1))
    (row,) = result["rows"]
    assert row["row"] == "5"
    assert row["value"] > 0
    assert row["is_reached"] == (row["value"] >= row["target"])
    assert row["ours_bytes_per_item"] == row["theirs_bytes_per_item"] == 8
    # The same codes: only the tables that FAISS rounds may cost it a neighbour.
    assert row["ours_recall_at_10"] >= row["theirs_recall_at_10"] - 0.01
    assert result["simd"]["anybit"] == simd_level()
    assert result["simd"]["faiss"]


def test_the_command_prints_a_table_and_writes_figures(tmp_path):
    target = tmp_path / "figures.json"
    line = ["bench", "search", "--rows", "7,16", "--rounds", "1", "--large-items", "1000"]
    done = CliRunner().invoke(app, [*line, "--output", str(target)])
    assert done.exit_code == 0, done.output
    assert "a plain read" in done.output
    assert "microseconds of a call" in done.output
    written = json.loads(target.read_text())
    assert [row["row"] for row in written["rows"]] == ["7", "7", "16"]
    assert {"command", "commit", "seed", "machine", "versions"} <= set(written)


def test_unknown_rows_and_a_missing_faiss_are_said(monkeypatch):
    with pytest.raises(OptionError, match=r"rows must be among 1, .*, got 99"):
        SearchBenchOptions(rows=("1", "99"))
    monkeypatch.setitem(sys.modules, "faiss", None)
    done = CliRunner().invoke(app, ["bench", "search", "--rows", ROWS[0]])
    assert done.exit_code == 1
    assert "pip install 'anybit[faiss]'" in done.output
