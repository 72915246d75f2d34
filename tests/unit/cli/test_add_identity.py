"""``anybit add``: what it says of items that are stored already, and its exit codes."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from anybit.cli import app
from anybit.codes import Codebooks, ModelFolder, write_model_folder

DIM = 4


def run(*arguments):
    return CliRunner().invoke(app, [str(part) for part in arguments])


def added(*arguments):
    result = run("add", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def shop(tmp_path):
    values = np.random.default_rng(0).random((2, 16, DIM)).astype(np.float32)
    content = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
    write_model_folder(tmp_path / "model", content, Codebooks.stacked(values))
    assert run("create", tmp_path / "shop", "--model", tmp_path / "model").exit_code == 0
    return tmp_path / "shop"


def rows(seed, n_rows=20):
    return np.random.default_rng(seed).random((n_rows, DIM)).astype(np.float32)


def parquet(path, vectors, ids):
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIM)
    pq.write_table(pa.table({"id": ids, "vector": flat}), path)
    return path


def test_a_second_array_does_not_replace_the_first(shop, tmp_path):
    np.save(tmp_path / "base.npy", rows(1))
    np.save(tmp_path / "queries.npy", rows(2, 5))
    assert added(shop, tmp_path / "base.npy")["n_added"] == 20
    result = run("add", shop, tmp_path / "queries.npy")
    assert result.exit_code == 1
    for words in ("5 of 5", "base.npy", "queries.npy", "--id-prefix", "--replace"):
        assert words in result.stderr
    told = added(shop, tmp_path / "queries.npy", "--id-prefix", "q/")
    assert (told["n_added"], told["n_items"]) == (5, 25)
    told = added(shop, tmp_path / "queries.npy", "--id-prefix", "q/")
    assert (told["n_added"], told["n_unchanged"], told["n_items"]) == (0, 5, 25)
    assert added(shop, tmp_path / "queries.npy", "--replace")["n_updated"] == 5
    assert run("add", shop, tmp_path / "base.npy", "--id-prefix", "").exit_code != 0


def test_given_ids_are_counted_before_and_after(shop, tmp_path):
    added(shop, parquet(tmp_path / "a.parquet", rows(1), list(range(20))))
    second = parquet(tmp_path / "b.parquet", rows(2), list(range(17, 37)))
    result = run("add", shop, second)
    assert result.exit_code == 0
    assert "3 of 20 ids exist and will be updated" in result.stderr
    assert "17 added, 3 updated, 0 moved, 0 unchanged" in result.stdout + result.stderr
    third = parquet(tmp_path / "c.parquet", rows(3), list(range(17, 37)))
    told = added(shop, third)
    assert (told["n_existing"], told["n_updated"], told["n_moved"]) == (20, 20, 0)


def test_a_moved_file_is_said_to_be_moved(shop, tmp_path):
    np.save(tmp_path / "a.npy", rows(1))
    added(shop, tmp_path / "a.npy")
    (tmp_path / "a.npy").rename(tmp_path / "b.npy")
    told = added(shop, tmp_path / "b.npy")
    assert (told["n_moved"], told["n_added"], told["n_updated"]) == (20, 0, 0)
    assert added(shop, tmp_path / "b.npy")["n_unchanged"] == 20
