"""A collection of codes of signs: packed, searched by the Hamming distance, or by raw queries."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from anybit.cli.app import app
from anybit.codes import Codebooks
from anybit.collection import AddOptions, Collection
from anybit.quantizers import VectorQuantizer

N_BITS = 68  # 8 bytes and a half


@pytest.fixture
def stored(tmp_path, rng):
    """Return a collection of 300 vectors, and the vectors."""
    vectors = rng.standard_normal((300, N_BITS)).astype(np.float32)
    np.save(tmp_path / "items.npy", vectors)
    made = Collection.create(tmp_path / "signs", VectorQuantizer(Codebooks.signs(N_BITS), {}))
    made.add(tmp_path / "items.npy", AddOptions())
    return Collection.open(tmp_path / "signs"), vectors


def test_eight_signs_share_a_stored_byte(stored):
    collection, vectors = stored
    names = [one.name for one in collection._store._settings.code_columns]
    assert names == [f"level_{level:02d}" for level in range(0, N_BITS, 8)]
    _, codes = collection._store.codes()
    np.testing.assert_array_equal(codes.planes, (vectors >= 0).T)
    assert collection.verify().is_intact


def test_items_come_in_the_order_of_the_hamming_distance(stored, rng):
    collection, vectors = stored
    queries = rng.standard_normal((5, N_BITS)).astype(np.float32)
    distances = ((queries[:, None] >= 0) != (vectors >= 0)).sum(axis=2)
    found = collection.search_features(queries, 300)
    for query, row in enumerate(distances):
        order = np.argsort(row, kind="stable")
        np.testing.assert_array_equal(found.ids[query], order)
        np.testing.assert_array_equal(found.scores[query], N_BITS - 2 * row[order])
    one = collection.search(queries[0], 10)
    np.testing.assert_array_equal(one.ids, found.ids[0, :10])
    raw = collection.search_features(queries, 300, comparison="aqd")
    expected = np.sort(queries @ np.sign(vectors).T, axis=1)[:, ::-1]
    np.testing.assert_allclose(raw.scores, expected, atol=1e-4)  # sums of 68 float32 values
    assert collection.search(queries[0], 1, comparison="aqd").scores[0] == raw.scores[0, 0]


def test_command_line_takes_the_comparison(stored, tmp_path, rng):
    collection, _ = stored
    query = rng.standard_normal(N_BITS).astype(np.float32)
    np.save(tmp_path / "query.npy", query)
    for comparison in ("aqd", "sqd"):
        arguments = ["search", str(collection.path), str(tmp_path / "query.npy"), "--json"]
        done = CliRunner().invoke(app, [*arguments, "--comparison", comparison])
        assert done.exit_code == 0, done.output
        hits = json.loads(done.stdout)["hits"]
        expected = collection.search(query, comparison=comparison)
        assert [hit["id"] for hit in hits] == expected.ids.tolist()
    done = CliRunner().invoke(app, [*arguments, "--comparison", "both"])
    assert done.exit_code != 0
    assert "comparison must be one of aqd, sqd" in done.output
