"""Answers from the index in memory: the same rows and codes as those of the store."""

import numpy as np
import pyarrow as pa
import pytest

from anybit.codes import Codebooks, Codes, ModelFolder, write_model_folder
from anybit.collection import Collection
from anybit.collection.index_view import IndexView
from anybit.collection.kept_rows import KeptRows
from anybit.errors import DataError

DIM, N = 6, 400


@pytest.fixture
def collection(tmp_path):
    """Rows of three additions in falling order of ids, some replaced, some deleted."""
    rng = np.random.default_rng(3)
    codebooks = Codebooks.stacked(rng.random((3, 16, DIM)).astype(np.float32))
    model = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {}, None)
    write_model_folder(tmp_path / "model", model, codebooks)
    made = Collection.create(tmp_path / "shop", tmp_path / "model")
    for ids in (np.arange(100, N)[::-1], np.arange(20, 100), np.arange(90, 110)):
        codes = Codes(rng.integers(0, 16, (3, len(ids)), dtype=np.uint8), 16)
        columns = pa.table({"price": ids * 2.0, "key": [f"item {one}" for one in ids]})
        made.add_codes(codes, ids, made.model_fingerprint, columns)
        len(made.lookup)  # the index follows every step
    made.delete(np.array([25, 26, 105, 300]))
    return made


def test_rows_and_codes_are_those_of_the_store(collection):
    ids = np.array([399, 20, 95, 104, 95, 150])
    rows, codes = collection.lookup.rows(ids)
    assert rows["key"].to_pylist() == [f"item {one}" for one in ids]
    assert rows["price"].to_pylist() == (ids * 2.0).tolist()
    stored = collection.get(ids, ["level_00", "level_01", "level_02"])
    np.testing.assert_array_equal(
        codes, np.stack([stored[name].to_numpy() for name in stored.column_names], axis=1)
    )
    rows, codes = collection.lookup.rows(np.empty(0, np.int64))
    assert (len(rows), codes.shape) == (0, (0, 3))


@pytest.mark.parametrize("absent", [25, 105, 300, 19, 400, -1])
def test_what_is_not_there_is_refused(collection, absent):
    with pytest.raises(DataError, match=str(absent)):
        collection.lookup.rows(np.array([95, absent]))


def test_ids_follow_each_other(collection):
    lookup, expected = collection.lookup, collection.ids()
    assert len(lookup) == len(expected)
    np.testing.assert_array_equal(lookup.ids_after(None, 1000), expected)
    np.testing.assert_array_equal(lookup.ids_after(24, 3), [27, 28, 29])
    seen, after = [], None
    while len(found := lookup.ids_after(after, 37)):
        seen += found.tolist()
        after = int(found[-1])
    assert seen == expected.tolist()


@pytest.mark.parametrize("where", [None, "price < 300"])
def test_answer_is_the_search_at_each_length(collection, rng, where):
    query = rng.random((1, DIM)).astype(np.float32)
    for _ in range(2):  # the second time the condition is known
        lookup = collection.lookup
        answer = lookup.answer(query, 9, [4, 12], where and lookup.condition(where))
        for bits, result in zip((4, 12), answer.results, strict=True):
            expected = collection.search(query[0], 9, bits, where)
            np.testing.assert_array_equal(result.ids[0], expected.ids)
            np.testing.assert_array_equal(result.scores[0], expected.scores)
        assert answer.rows["key"].to_pylist() == [f"item {one}" for one in answer.results[0].ids[0]]
        assert answer.n_searched == collection.count(where)
        assert answer.version == collection.info()["version"]


@pytest.fixture
def n_reads(collection, monkeypatch):
    """Times that hits were read from the store."""
    reads, take_at = [], type(collection._store).take_at
    monkeypatch.setattr(
        type(collection._store),
        "take_at",
        lambda self, *given: reads.append(given) or take_at(self, *given),
    )
    return lambda: len(reads)


def test_kept_rows_are_those_of_the_store(collection, n_reads):
    lookup, ids = collection.lookup, np.array([399, 20, 95, 104, 95, 150])
    expected, _ = lookup.rows(ids)
    assert n_reads() == 1
    lookup.keep_rows(2**20)
    assert lookup.rows(ids)[0].equals(expected)
    assert lookup.rows(ids, ["price", "key"])[0].equals(expected.select(["price", "key"]))
    assert n_reads() == 1
    assert lookup.rows(ids, ["level_00"])[0].column_names == ["level_00"]  # is not kept
    assert n_reads() == 2


def test_kept_rows_follow_the_collection(collection, n_reads):
    collection.lookup.keep_rows(2**20)
    collection.delete(np.array([95]))
    collection.add_codes(
        Codes(np.zeros((3, 2), np.uint8), 16), np.array([150, 500]), collection.model_fingerprint,
        pa.table({"price": [1.0, 2.0], "key": ["new", "newer"], "size": [7, 8]}),
    )  # fmt: skip
    ids = np.array([150, 20, 500])
    for n_expected in (1, 1):
        rows, _ = collection.lookup.rows(ids)
        assert rows["key"].to_pylist() == ["new", "item 20", "newer"]
        assert rows["size"].to_pylist() == [7, None, 8]
        assert n_reads() == n_expected
        collection.lookup.keep_rows(2**20)
    with pytest.raises(DataError, match="95"):
        collection.lookup.rows(np.array([95]))


def test_other_columns_are_read_anew(collection):
    store, kept = collection._store, KeptRows()
    view = collection._live.view()
    addresses, _ = view.find(np.array([20, 399]))
    for columns in (["key"], ["key", "price"]):
        kept.keep(store, columns, 2**20)
        assert kept.take(addresses, columns, view.fragments).num_rows == 2


def test_only_what_fits_is_kept(collection, n_reads):
    lookup = collection.lookup
    lookup.keep_rows(100)
    lookup.rows(np.array([20]))
    assert n_reads() == 1
    lookup.keep_rows(2**20)
    lookup.rows(np.array([20]))
    assert n_reads() == 1


def test_rows_and_scores_belong_to_one_version_while_others_write(collection, rng, monkeypatch):
    """A row that another process replaces between ranking and reading."""
    query, writer = rng.random((1, DIM)).astype(np.float32), Collection.open(collection.path)
    search, left = IndexView.search, [1, 1]

    def slow(self, *given):
        found = search(self, *given)
        if left:
            left.pop()
            table = pa.table({"key": [f"new {len(left)}"], "price": [-1.0]})
            codes = Codes(np.full((3, 1), len(left), np.uint8), 16)
            writer.add_codes(codes, found.ids[0][:1], writer.model_fingerprint, table)
            len(collection.lookup)  # another request follows
        return found

    monkeypatch.setattr(IndexView, "search", slow)
    answer = collection.lookup.answer(query, 5, [None])
    assert answer.version == collection.info()["version"]
    expected = collection.get(answer.results[0].ids[0], ["key"])
    assert answer.rows["key"].to_pylist() == expected["key"].to_pylist()


def test_condition_is_evaluated_anew_when_rows_change(collection, rng):
    query = rng.random((1, DIM)).astype(np.float32)
    condition = collection.lookup.condition("price < 300")
    before = collection.lookup.answer(query, 500, [12], condition).n_searched
    collection.delete(np.array([30]))
    after = collection.lookup.answer(query, 500, [12], condition)
    assert after.n_searched == before - 1
    assert 30 not in after.results[0].ids
