"""`anybit papers`: what is listed, shown, planned and run; offline, without training."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from anybit.cli import app
from anybit.cli.console import Console, Reporting
from anybit.cli.papers import _RunVoice
from anybit.papers import ARTEFACTS, PlannedRun, protocol, published, read_result


def run(*arguments):
    return CliRunner().invoke(app, ["papers", *map(str, arguments)])


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory):
    """Rows of CIFAR-10's number with labels; a plan does not look at the pictures."""
    folder = tmp_path_factory.mktemp("cifar10")
    for name, n_items in (("train", 50_000), ("test", 10_000)):
        labels = [row % 10 for row in range(n_items)]
        pq.write_table(
            pa.table({"image": [b""] * n_items, "label": labels}), folder / f"{name}.parquet"
        )
    return folder


def test_list_names_every_artefact_and_whether_it_needs_data():
    listed = json.loads(run("list", "--json").stdout)["artefacts"]
    assert [row["name"] for row in listed] == list(ARTEFACTS)
    by_name = {row["name"]: row for row in listed}
    assert by_name["drq-table2"]["datasets"] == ["nuswide21"]
    assert by_name["drq-table2"]["needs_data"]
    assert not by_name["drq-table4"]["needs_data"]
    text = run("list").stdout
    assert all(f" {name} " in text for name in ARTEFACTS)
    assert "none needed" in text


@pytest.mark.parametrize("name", sorted(ARTEFACTS))
def test_show_tells_everything_of_each_artefact(name):
    shown = run("show", name)
    assert shown.exit_code == 0, shown.output
    facts = json.loads(run("show", name, "--json").stdout)
    for rule in facts["protocols"]:
        own = protocol(rule["name"])
        assert rule["checksum"] == own.checksum
        assert rule["checksum"] in shown.stdout
        assert rule["files"].splitlines()[0] in shown.stdout
        assert set(rule["recipes"]) == {"cpu", "full", "modern", "paper"}
        for bits, n_levels in zip(own.bits, rule["n_levels"], strict=True):
            assert 2**bits == own.n_codewords**n_levels
    for method in facts["methods"]:
        assert f"  {method['name']}: {method['title']} " in shown.stdout
    for table in facts["published"]:
        assert table["methods"] == {k: list(v) for k, v in published(table["name"]).methods.items()}
        assert all(note in shown.stdout for note in table["notes"])


def test_a_table_with_a_part_for_each_data_set_runs_the_one_whose_data_is_there(cifar10, tmp_path):
    shown = run("show", "drq-table3").stdout
    names = [name for name in ARTEFACTS if name.startswith("drq-table3-")]
    assert len(names) == 3
    assert all(f"{name} (table)" in shown for name in names)
    flags = ("--data", cifar10, "--backbone", "resnet-small", "--dry-run", "--json")
    planned = [run("run", name, *flags).stdout for name in ("drq-table3", "drq-table3-cifar10")]
    assert planned[0] == planned[1]
    assert "cifar10-setting2-drq" in planned[0]
    without = run("run", "drq-table3")
    assert without.exit_code == 2
    assert "drq-table3-imagenet100" in without.output
    other = run("run", "drq-table3", "--data", tmp_path)
    assert other.exit_code == 1
    assert "must hold the data set of one of" in other.output


def test_show_prints_the_numbers_of_the_paper_below_their_lengths():
    lines = run("show", "drq-table1").stdout.splitlines()
    (head,) = [line for line in lines if "16 bits" in line]
    (row,) = [line for line in lines if line.split()[:1] == ["DRQ"]]
    assert row.split() == ["DRQ", "0.942", "0.943", "0.943", "0.943"]
    ends = [head.index(f"{bits} bits") + len("16 bits") for bits in (16, 24, 36, 48)]
    assert [row[end - 5 : end] for end in ends] == row.split()[1:]


def test_run_without_data_prints_the_table_and_writes_the_result(tmp_path):
    target = tmp_path / "new" / "table4.json"
    done = run("run", "drq-table4", "--output", target)
    assert done.exit_code == 0, done.output
    assert "524,292" in done.stdout
    assert "no multiple of 3" in done.stderr
    result = read_result(target)
    assert (result.name, result.kind) == ("drq-table4", "table")
    assert result.versions["anybit"]
    silent = run("run", "drq-table4", "--json", "--quiet")
    assert json.loads(silent.stdout)["rows"] == json.loads(target.read_text())["rows"]
    assert silent.stderr == ""


def test_dry_run_lists_the_runs_and_which_are_done(cifar10, tmp_path):
    line = [
        "run", "drq-table3-cifar10", "--data", cifar10, "--cache", tmp_path, "--seeds", "0,3",
        "--backbone", "resnet-small", "--unseen-seeds", "1", "--dry-run",
    ]  # fmt: skip
    plan = json.loads(run(*line, "--json").stdout)
    # A seed: one DRQ, a DQN for each of 4 lengths; the first seed also with classes held back.
    assert (plan["n_runs"], plan["n_done"]) == (5 * 2 + 5, 0)
    assert {Path(one["folder"]).parent for one in plan["runs"]} == {tmp_path}
    assert list(tmp_path.iterdir()) == []
    folder = Path(plan["runs"][0]["folder"])
    folder.mkdir()
    (folder / "result.json").write_text("{}")
    again = run(*line)
    assert "15 runs, 1 of them done" in again.stdout
    assert sum(row.split()[-1:] == ["done"] for row in again.stdout.splitlines()[:-1]) == 1
    few = run(*line, "--methods", "drq", "--epochs", "16", "--json")
    assert json.loads(few.stdout)["n_runs"] == 3
    same = run(*line, "--methods", "drq", "--epochs", "10,1,5", "--json")
    assert same.stdout == few.stdout
    held_back = run(*line, "--methods", "drq", "--held-back", "--json")
    folders = [{Path(one["folder"]).name for one in json.loads(text.stdout)["runs"]}
               for text in (few, held_back)]  # fmt: skip
    assert [len(each) for each in folders] == [3, 3]
    assert not folders[0] & folders[1]


def test_another_protocol_of_a_table_is_chosen_by_name(cifar10):
    line = ("check", "drq-table3-cifar10", "--data", cifar10, "--fast", "--json")
    pooled, parts = (
        json.loads(run(*line, *flags).stdout)
        for flags in ((), ("--protocol", "cifar10-setting2-parts"))
    )
    assert [pooled["protocol"], parts["protocol"]] == ["cifar10-setting2", "cifar10-setting2-parts"]
    assert pooled["sizes"] == parts["sizes"]
    assert pooled["checksum"] != parts["checksum"]
    line = ("run", "drq-table1", "--data", cifar10, "--dry-run", "--json")
    planned = run(*line, "--protocol", "cifar10-setting1-parts").stdout
    assert "cifar10-setting1-parts-drq-" in planned
    other = run(*line, "--protocol", "cifar10-dqn")
    assert other.exit_code == 2
    assert "must be one of cifar10-setting1, cifar10-setting1-parts" in " ".join(
        other.stderr.replace("│", "").split()
    )


def test_dry_run_without_runs_says_so():
    assert "no data set is needed" in run("run", "drq-table4", "--dry-run").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "drq-table9"), "the name must be one of drq-table1, .*, got 'drq-table9'"),
        (("run", "drq-table1"), r"needs the data set cifar10: name its folder \(--data\)"),
        (("tune", "dqn-table1", "--option", "a", "--values", "1,b"), "must be numbers with commas"),
        (("tune", "dqn-table1", "--option", "a", "--values", "1"), "at least two different"),
        (("tune", "drq-table4", "--option", "a", "--values", "1,2"), "needs no data"),
        (
            ("tune", "dqn-table1-cifar10", "--option", "a", "--values", "1,2", "--bits", "16"),
            "bits must be one of 12, 24, 32, 48",
        ),
        (("run", "drq-table4", "--seeds", "a"), "must be whole numbers"),
        (("run", "drq-table4", "--seeds", "1,1"), "seeds must be different"),
        (("run", "drq-table4", "--epochs", "1,2"), "must be one number, or three"),
        (("run", "drq-table4", "--epochs", "2"), "epochs must be at least 3"),
    ],
)
def test_wrong_usage_is_said(arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2
    assert re.search(message, " ".join(done.stderr.replace("│", "").split()))


def test_missing_data_fails_with_what_to_fetch(tmp_path):
    done = run("run", "drq-table1", "--data", tmp_path)
    assert done.exit_code == 1
    assert "cifar-10-python.tar.gz" in done.stderr


def test_each_run_is_announced_and_has_its_own_progress(capsys):
    events = []

    class Counting(Console):
        @contextmanager
        def progress(self, what):
            events.append(f"begin {what}")
            with super().progress(what) as callback:
                yield callback
            events.append("end")

    with _RunVoice(Counting(Reporting())) as voice:
        for number, is_done in enumerate((False, True, False)):
            voice.on_run(PlannedRun(f"model{number}", Path("x"), is_done), number, 3)
            for n_steps in () if is_done else (0, 7):
                voice.progress(n_steps, 7)
    assert events == ["begin training", "end"] * 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "run 1 of 3: model0",
        "training: 7 of 7",
        "run 2 of 3: model1 (done before)",
        "run 3 of 3: model2",
        "training: 7 of 7",
    ]


def test_scores_of_an_option_are_printed_with_the_best(cifar10, tmp_path, monkeypatch):
    """Nothing is trained: the mAP of each run is given."""
    line = (
        "tune", "dqn-table1-cifar10", "--data", cifar10, "--cache", tmp_path, "--folds", 2,
        "--option", "losses.quantization_weight", "--values", "0.1,1", "--backbone", "resnet-small",
        "--bits", 12,
    )  # fmt: skip
    values = iter((0.25, 0.75, 0.5, 0.75))

    def stored(run, prepared, folder, **_):
        measures = [{"name": "map_at", "value": next(values)}]
        return {"evaluation": {"lengths": [{"bits": 12, "measures": measures}]}}

    monkeypatch.setattr("anybit.papers.cross_validation.perform", stored)
    done = run(*line, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [one["mean"] for one in told["scores"]] == [0.5, 0.625]
    assert (told["best"], told["method"], told["bits"]) == (1.0, "dqn", 12)
    assert told["score"].startswith("held-back mAP")
    assert "run 4 of 4" in done.stderr
    assert "quantization_weight 1, fold 2" in done.stderr


def test_pages_are_written_from_results(tmp_path):
    assert (
        run("run", "drq-table4", "--output", tmp_path / "results" / "drq-table4.json").exit_code
        == 0
    )
    done = run("pages", tmp_path / "results", "--output", tmp_path / "pages", "--json")
    assert done.exit_code == 0, done.output
    files = [Path(name) for name in json.loads(done.stdout)["files"]]
    assert tmp_path / "pages" / "index.md" in files
    assert "524,292" in (tmp_path / "pages" / "drq-table4.md").read_text()


def test_check_says_sizes_and_checksum_or_all_that_is_wrong(cifar10, tmp_path):
    done = run("check", "drq-table3-cifar10", "--data", cifar10, "--fast", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["sizes"] == {"train": 5000, "database": 54_000, "query": 1000}
    other = run(
        "check", "drq-table3-cifar10", "--data", cifar10, "--fast", "--split-seed", 1, "--json"
    )
    assert json.loads(other.stdout)["checksum"] != told["checksum"]
    for name, rows in (("train", 50_000), ("test", 9990)):
        table = pq.read_table(cifar10 / f"{name}.parquet").slice(0, rows)
        pq.write_table(table, tmp_path / f"{name}.parquet")
    wrong = run("check", "drq-table1", "--data", tmp_path, "--fast")
    assert wrong.exit_code == 1
    assert "database must have 50,000 items, got 49,990" in wrong.output
    parts = ("--protocol", "cifar10-setting1-parts")
    wrong = run("check", "drq-table1", "--data", tmp_path, "--fast", *parts)
    assert "query must have 10,000 items, got 9,990" in wrong.output
    assert run("check", "drq-table4", "--data", tmp_path).exit_code == 2
