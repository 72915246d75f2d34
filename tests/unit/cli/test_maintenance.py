"""delete, compact, verify, migrate, export and import, as a person calls them."""

import json

import faiss
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from anybit.cli import app
from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import Collection

DIM = 4


def model(path, n_levels=2, seed=0):
    values = np.random.default_rng(seed).random((4, 16, DIM)).astype(np.float32)[:n_levels]
    folder = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
    write_model_folder(path, folder, Codebooks.stacked(values))
    return path


@pytest.fixture
def shop(tmp_path):
    x = np.random.default_rng(1).random((50, DIM)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(50) % 5)
    Collection.create(tmp_path / "shop", model(tmp_path / "model")).add(tmp_path / "x.npz")
    return tmp_path / "shop"


def run(*arguments, exit_code=0):
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_delete_by_ids_and_by_condition(shop):
    assert run("delete", shop, "--ids", "1,2,99", "--dry-run")["n_deleted"] == 2
    assert run("delete", shop, "--ids", "1,2,99") == {
        "collection": str(shop), "n_matched": 2, "n_deleted": 2, "n_items_before": 50,
        "n_items": 48, "is_dry_run": False,
    }  # fmt: skip
    assert run("delete", shop, "--where", "array_has(labels, '0')")["n_items"] == 38
    assert (
        "either --ids or --where or --damaged"
        in run("delete", shop, exit_code=2)["error"]["message"]
    )


@pytest.mark.parametrize(
    "where",
    [
        "id >= 0 LIMIT 1",
        "id >= 0; AND labels = '0'",
        "id >= 0 ORDER BY id",
        "id >= 0 -- or not",
        "\"nosuch\" <> 'x'",
        '"labels" != "0"',
        "key != NULL",
        "id >= 0 OFFSET 3",
        "",
    ],
)
def test_a_condition_that_is_not_understood_deletes_nothing(shop, where):
    for extra in ((), ("--yes",), ("--dry-run",)):
        refused = run("delete", shop, "--where", where, *extra, exit_code=2)["error"]
        assert refused["type"] == "FilterError"
        assert "character" in refused["message"] or where == ""
    assert Collection.open(shop).count() == 50


@pytest.mark.parametrize(
    "where", ['"id" != 7', "`id` <> 7", "7 != id", "NOT id = 7", "id<7 OR id>7"]
)
def test_more_than_half_is_deleted_only_with_yes_where_nobody_can_be_asked(shop, where):
    refused = run("delete", shop, "--where", where, exit_code=2)["error"]["message"]
    assert "49 of 50" in refused
    assert "--yes" in refused
    dry = run("delete", shop, "--where", where, "--dry-run")
    assert (dry["n_matched"], dry["n_items_before"], dry["n_items"]) == (49, 50, 50)
    done = run("delete", shop, "--where", where, "--yes")
    assert (done["n_matched"], done["n_deleted"], done["n_items"]) == (49, 49, 1)
    assert Collection.open(shop).ids().tolist() == [7]


def test_half_is_deleted_without_a_question_and_ids_are_never_questioned(shop):
    assert run("delete", shop, "--where", "id < 25")["n_deleted"] == 25
    assert run("delete", shop, "--ids", ",".join(map(str, range(25, 49))))["n_items"] == 1


def test_delete_says_how_many_of_how_many_before_it_deletes(shop):
    said = CliRunner().invoke(app, ["delete", str(shop), "--where", "labels = '0'"])
    assert "10 of 50 items will be deleted" in said.stderr
    assert "10 items deleted, 40 there" in said.stdout
    said = CliRunner().invoke(app, ["delete", str(shop), "--where", "labels = '1'", "--dry-run"])
    assert "10 of 40 items would be deleted" in said.stdout


@pytest.mark.parametrize(("answer", "n_left"), [("y\n", 0), ("n\n", 50), ("\n", 50), ("", 50)])
def test_a_terminal_is_asked(shop, answer, n_left, monkeypatch):
    monkeypatch.setattr("anybit.cli.delete.is_terminal", lambda: True)
    done = CliRunner().invoke(app, ["delete", str(shop), "--where", "id >= 0"], input=answer)
    assert "Delete 50 of 50 items? [y/N]" in done.stderr
    assert (done.exit_code == 0) == (n_left == 0)
    assert Collection.open(shop).count() == n_left


def test_items_that_others_add_or_change_after_the_count_stay(shop, monkeypatch):
    other = Collection.open(shop)
    codes = other.codebooks.encode(np.ones((2, DIM), np.float32))
    columns = pa.table({"labels": [["9"], ["0"]]})  # item 0 loses its label, item 100 gets it

    def asked(*_, **__):
        other.add_codes(codes, np.array([0, 100]), other.model_fingerprint, columns, replace=True)

    monkeypatch.setattr("anybit.cli.delete.confirm", asked)
    done = CliRunner().invoke(app, ["delete", str(shop), "--where", "labels = '0'", "--json"])
    assert "1 of the 10 items" in done.stderr
    result = json.loads(done.stdout)
    assert (result["n_matched"], result["n_deleted"], result["n_items"]) == (10, 9, 42)
    assert {0, 100} <= set(Collection.open(shop).ids().tolist())


def test_a_condition_has_a_time_limit(shop, tmp_path):
    np.save(tmp_path / "q.npy", np.ones(DIM, np.float32))
    where = ("--where", "id >= 0", "--time-limit", "1e-9")
    for command in (("search", shop, tmp_path / "q.npy"), ("delete", shop, "--yes")):
        failed = run(*command, *where, exit_code=1)["error"]
        assert failed["type"] == "TimeLimitError"
        assert run(*command, *where[:3], "0") is not None


def test_compact_and_verify(shop):
    run("delete", shop, "--ids", "1")
    assert run("compact", shop, "--keep-hours", "0")["n_fragments"] == 1
    assert run("verify", shop)["is_intact"]
    assert len(list((shop / "items.lance/_versions").glob("*.manifest"))) == 1


def test_damage_is_an_error_until_it_is_skipped(shop, tmp_path):
    opened = Collection.open(shop)
    extra = opened.codebooks.encode(np.ones((3, DIM), np.float32))
    opened.add_codes(extra, np.array([100, 101, 102]), opened.model_fingerprint)
    data = max((shop / "items.lance/data").iterdir(), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[:-9])
    np.save(tmp_path / "q.npy", np.ones(DIM, np.float32))
    error = run("search", shop, tmp_path / "q.npy", exit_code=1)["error"]
    assert data.name in error["message"]
    hits = run("search", shop, tmp_path / "q.npy", "--skip-damaged")["hits"]
    assert [hit["id"] for hit in hits] == [100, 101, 102]
    report = run("verify", shop, exit_code=1)
    assert not report["is_intact"]
    assert data.name in report["damages"][0]
    refused = run("add", shop, tmp_path / "x.npz", exit_code=1)["error"]
    assert "anybit delete --damaged" in refused["message"]
    assert run("delete", shop, "--damaged") == {
        "collection": str(shop), "n_deleted": 50, "n_items": 3,
    }  # fmt: skip
    assert run("add", shop, tmp_path / "x.npz")["n_added"] == 50
    assert run("verify", shop)["is_intact"]


def test_an_older_version_can_be_searched(shop, tmp_path):
    np.save(tmp_path / "q.npy", np.ones(DIM, np.float32))
    version = run("info", shop)["version"]
    run("delete", shop, "--where", "id >= 0", "--yes")
    assert run("search", shop, tmp_path / "q.npy")["n_hits"] == 0
    assert run("search", shop, tmp_path / "q.npy", "--at-version", version)["n_hits"] == 10
    missing = run("search", shop, tmp_path / "q.npy", "--at-version", 99, exit_code=2)
    assert "still there, got 99" in missing["error"]["message"]


def test_migrate_and_export(shop, tmp_path):
    report = run("migrate", shop, "--model", model(tmp_path / "longer", 3), "--source",
                 tmp_path / "x.npz")  # fmt: skip
    assert (report["n_encoded"], report["is_extended"]) == (50, True)
    report = run("migrate", shop, "--model", model(tmp_path / "new", 3, seed=5), "--source",
                 tmp_path / "x.npz")  # fmt: skip
    assert (report["n_encoded"], report["is_extended"]) == (50, False)
    assert run("export", shop, "--output", tmp_path / "out")["n_items"] == 50
    assert np.load(tmp_path / "out/codes.npy").shape == (50, 3)
    assert "npy, faiss" in run("export", shop, "--output", tmp_path / "o2", "--to", "x",
                               exit_code=2)["error"]["message"]  # fmt: skip


def test_migrate_tells_of_items_only_where_there_are_some(shop, tmp_path):
    longer = model(tmp_path / "longer", 3)
    Collection.create(tmp_path / "empty", tmp_path / "model")
    line = ["migrate", tmp_path / "empty", "--model", longer]
    text = CliRunner().invoke(app, [*map(str, line)]).stdout
    assert text.endswith("empty: no items yet; what is added is encoded by the new model\n")
    assert Collection.open(tmp_path / "empty").codebooks.n_levels == 3
    line = ["migrate", shop, "--model", longer, "--source", tmp_path / "x.npz"]
    text = CliRunner().invoke(app, [*map(str, line)]).stdout
    assert text.endswith("shop: 50 of 50 items got further levels\n")


def test_export_of_a_model_has_no_items(shop, tmp_path):
    for to in ("npy", "faiss"):
        assert run("export", tmp_path / "model", "--to", to, "--output", tmp_path / to) == {
            "model": str(tmp_path / "model"), "output": str(tmp_path / to), "to": to, "n_items": 0,
        }  # fmt: skip
    assert np.load(tmp_path / "npy/codebooks.npy").shape == (2, 16, DIM)
    index = faiss.read_index(str(tmp_path / "faiss"))
    assert (index.is_trained, index.ntotal, index.d) == (True, 0, DIM)
    refused = run("export", tmp_path / "model", "--to", "npy", "--output", tmp_path / "npy",
                  exit_code=2)  # fmt: skip
    assert "must not exist" in refused["error"]["message"]


def test_export_says_what_it_needs(shop, tmp_path):
    """What is made of a graph is tested with the collection."""
    for arguments, message in [
        ((shop,), "--output must say what to make"),
        ((tmp_path / "model", "--to", "onnx"), "--output must say what to make"),
        ((tmp_path / "model", "--to", "onnx", "--output", tmp_path / "o"), "items are vectors"),
        ((shop, "--to", "onnx"), "items are vectors"),
        ((shop, "--overwrite", "--output", tmp_path / "o"), "is for onnx, got npy"),
    ]:
        assert message in run("export", *arguments, exit_code=2)["error"]["message"]
    assert not (tmp_path / "o").exists()


def test_export_to_faiss_and_back(shop, tmp_path):
    run("export", shop, "--to", "faiss", "--output", tmp_path / "shop.faiss")
    report = run("import", tmp_path / "shop.faiss", "--output", tmp_path / "back")
    fingerprint = report.pop("model_fingerprint")
    assert report == {
        "index": str(tmp_path / "shop.faiss"), "collection": str(tmp_path / "back"), "n_items": 50,
        "method": "rq", "metric": "ip", "bits": 8, "n_levels": 2, "n_codewords": 16, "dim": DIM,
    }  # fmt: skip
    assert run("info", tmp_path / "back")["model_fingerprint"] == fingerprint
    np.save(tmp_path / "q.npy", np.float32([1, -1, 0.5, 0]))
    hits = [run("search", one, tmp_path / "q.npy")["hits"] for one in (shop, tmp_path / "back")]
    assert [hit["id"] for hit in hits[1]] == [hit["id"] for hit in hits[0]]
    again = run("import", tmp_path / "shop.faiss", "--output", tmp_path / "back", exit_code=2)
    assert "must not exist yet" in again["error"]["message"]
    run("delete", tmp_path / "back", "--where", "id >= 0", "--yes")
    report = run("import", tmp_path / "shop.faiss", "--output", tmp_path / "back", "--overwrite")
    assert report["n_items"] == 50


def test_import_refuses_what_is_no_index(shop, tmp_path):
    (tmp_path / "x").write_bytes(b"nothing")
    for name in ("x", "missing"):
        error = run("import", tmp_path / name, "--output", tmp_path / "back", exit_code=1)["error"]
        assert error["type"] == "FormatError"
        assert "must be an index file of FAISS" in error["message"]
    assert not (tmp_path / "back").exists()
