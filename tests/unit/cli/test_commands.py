"""The commands on a small collection of vectors: no network, no torch."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from anybit.cli import app


def run(*arguments):
    return CliRunner().invoke(app, [str(part) for part in arguments])


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Vectors of four classes, a model of 2 levels, a collection, labelled queries."""
    from anybit.codes import Codebooks, ModelFolder, write_model_folder

    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(5)
    means = 4 * rng.standard_normal((4, 8), dtype=np.float32)
    y = np.arange(60) % 4
    x = means[y] + rng.standard_normal((60, 8), dtype=np.float32)
    np.savez(folder / "items.npz", x=x, y=y)
    np.savez(folder / "queries.npz", x=x[:10] + np.float32(0.1), y=y[:10])
    np.save(folder / "query.npy", x[7])
    codebooks = Codebooks.stacked(np.stack([x[:16], x[16:32] - x[:16]]))
    model = ModelFolder({"method": "drq", "backbone": {"name": "none"}, "class_names": None}, {})
    write_model_folder(folder / "model", model, codebooks)
    made = run("create", folder / "shop.anybit", "--model", folder / "model", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["lengths_bits"] == [4, 8]
    added = run("add", folder / "shop.anybit", folder / "items.npz", "--store-features", "--json")
    assert added.exit_code == 0, added.output
    assert json.loads(added.stdout)["n_added"] == 60
    return folder


def test_search_as_json_has_ids_scores_and_bits(shop):
    result = run("search", shop / "shop.anybit", shop / "query.npy", "-k", 3, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["bits"] == 8
    assert len(answer["hits"]) == 3
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)


def test_search_prints_a_table_and_saves_a_grid(shop, tmp_path):
    grid = tmp_path / "grid.png"
    result = run("search", shop / "shop.anybit", shop / "query.npy", "--bits", 4, "--save", grid)
    assert result.exit_code == 0, result.output
    assert "10 hits among 60 items, 4 bits an item" in result.stdout
    assert grid.read_bytes().startswith(b"\x89PNG")


def test_search_at_a_length_the_model_lacks_is_usage(shop):
    result = run("search", shop / "shop.anybit", shop / "query.npy", "--bits", 5)
    assert result.exit_code == 2
    assert "bits" in result.stderr


def test_search_with_another_dimension_says_both(shop, tmp_path):
    np.save(tmp_path / "long.npy", np.zeros(9, dtype=np.float32))
    result = run("search", shop / "shop.anybit", tmp_path / "long.npy")
    assert result.exit_code == 1
    assert "(8,), got (9,)" in result.stderr


def test_missing_collection_and_missing_source_fail_with_their_path(shop, tmp_path):
    for arguments in (
        ("info", tmp_path / "none"),
        ("search", tmp_path / "none", shop / "query.npy"),
        ("add", shop / "shop.anybit", tmp_path / "none"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1, result.output
        assert str(tmp_path / "none") in result.stderr.replace("\n", "")


def test_create_refuses_to_replace_without_overwrite(shop):
    result = run("create", shop / "shop.anybit", "--model", shop / "model")
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr


def test_info_tells_of_collection_and_model(shop):
    collection = json.loads(run("info", shop / "shop.anybit", "--json").stdout)
    model = json.loads(run("info", shop / "model", "--json").stdout)
    assert collection["n_items"] == 60
    assert model["bits"] == collection["bits"] == 8
    assert "n_codewords" in run("info", shop / "model").stdout


def test_nan_vectors_are_refused(shop, tmp_path):
    np.save(tmp_path / "nan.npy", np.full((2, 8), np.nan, dtype=np.float32))
    result = run("add", shop / "shop.anybit", tmp_path / "nan.npy", "--id-prefix", "nan/")
    assert result.exit_code == 1
    assert "NaN" in result.stderr


def test_evaluate_writes_metrics_plots_and_report(shop, tmp_path):
    out = tmp_path / "report"
    result = run(
        "evaluate", shop / "shop.anybit", shop / "queries.npz", "-o", out, "--at", 20,
        "--examples", 2,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "mAP@20" in result.stdout
    assert json.loads((out / "metrics.json").read_text())["n_queries"] == 10
    assert "Example queries" in (out / "report.html").read_text()
    assert list(out.glob("*.svg"))


def test_train_refuses_wrong_epochs_as_usage(shop, tmp_path):
    result = run("train", shop / "items.npz", "-o", tmp_path / "model", "--epochs", "1,2")
    assert result.exit_code == 2
    assert "3 numbers, one for each stage" in result.stderr


def test_train_on_vectors_writes_a_model(shop, tmp_path):
    out = tmp_path / "model"
    result = run(
        "train", shop / "items.npz", "-o", out, "--codewords", 4, "--bits", 4, "--json", "-q"
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["model"] == str(out)
    assert (out / "model.safetensors").is_file()
    assert json.loads((out / "config.json").read_text())["method"] == "rq"


@pytest.mark.parametrize("method", ["sq", "pq", "opq", "lsq", "drq", "drq-rotated"])
def test_every_method_of_vectors_makes_a_collection(shop, tmp_path, method):
    out, npz = tmp_path / "model", shop / "items.npz"
    flags = ["--codewords", 4, "--bits", 4, "--method", method, "-q"]
    assert run("train", npz, "-o", out, *flags).exit_code == 0
    assert run("create", tmp_path / "c", "--model", out).exit_code == 0
    result = run("add", tmp_path / "c", npz, "--json")
    assert json.loads(result.stdout)["n_added"] > 0
    assert json.loads((out / "config.json").read_text())["method"] == method


def test_demo_never_replaces_a_folder_that_is_not_its_own(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    result = run("demo", "-o", tmp_path, "--overwrite")
    assert result.exit_code == 2
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_evaluate_refuses_an_unwritable_output_before_the_work(shop, tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = run("evaluate", shop / "shop.anybit", shop / "queries.npz", "-o", tmp_path / "file/r")
    assert result.exit_code == 2
    assert "must be writable" in result.stderr
    assert "ranking" not in result.stderr
