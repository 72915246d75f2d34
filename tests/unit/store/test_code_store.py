import signal
import subprocess
import sys
import threading
import time

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from anybit.errors import DataError, DTypeError, FormatError, OptionError, TimeLimitError
from anybit.store import CodeStore, Condition, free_column_name


@pytest.fixture
def store(tmp_path):
    return CodeStore.create(
        tmp_path / "items.lance", n_levels=2, n_codewords=256, model_fingerprint="m"
    )


PRICE, LABELS = frozenset({"price"}), frozenset({"labels"})


def _below(price):
    return Condition(lambda batch: pc.less(batch["price"], price), PRICE)


def _rows(ids, **columns):
    ids = np.asarray(ids, dtype=np.int64)
    planes = {
        "level_00": pa.array(ids % 256, pa.uint8()),
        "level_01": pa.array((ids * 7) % 256, pa.uint8()),
    }
    return pa.table({"id": pa.array(ids), **planes, **columns})


def test_codes_come_back_by_id(store):
    counts = store.upsert(_rows([300, 255, 7]))
    assert (counts.n_added, counts.n_updated) == (3, 0)
    ids, codes = store.codes()
    np.testing.assert_array_equal(ids, [7, 255, 300])
    np.testing.assert_array_equal(codes.planes, [[7, 255, 44], [49, 249, 52]])
    np.testing.assert_array_equal(store.codes(n_levels=1)[1].planes, [[7, 255, 44]])


def test_same_id_again_replaces_the_whole_row(store):
    store.upsert(_rows([1, 2], key=["a", "b"], labels=[["x"], ["y", "z"]], price=[1.5, 2.5]))
    counts = store.upsert(_rows([2, 3], key=["B", "c"]))
    assert (counts.n_added, counts.n_updated) == (1, 1)
    rows = store.take(np.array([3, 2, 1, 2]), ["key", "labels", "price"]).to_pydict()
    assert rows["key"] == ["c", "B", "a", "B"]
    assert rows["labels"] == [None, None, ["x"], None]
    assert rows["price"] == [None, None, 1.5, None]


def test_where_selects_by_metadata_and_labels(store):
    store.upsert(_rows([1, 2, 3], labels=[["cat"], ["dog", "cat"], []], price=[5, 15, 25]))
    np.testing.assert_array_equal(np.sort(store.ids(_below(20))), [1, 2])
    has_two = Condition(lambda one: pc.equal(pc.list_value_length(one["labels"]), 2), LABELS)
    np.testing.assert_array_equal(store.ids(has_two), [2])
    assert (store.count(_below(-100)), store.count(_below(6)), store.count()) == (0, 1, 3)


def test_a_null_selects_nothing(store):
    store.upsert(_rows([1, 2], price=[5, None]))
    assert store.ids(_below(10)).tolist() == [1]
    opposite = Condition(lambda one: pc.invert(pc.less(one["price"], 10)), PRICE)
    assert store.count(opposite) == 0


def test_delete_takes_ids_a_condition_or_both(store):
    store.upsert(_rows(range(6), price=range(6)))
    assert store.delete(np.array([0, 4, 5]), _below(2)) == 1
    assert sorted(store.ids()) == [1, 2, 3, 4, 5]
    assert store.delete(where=_below(2)) == 1
    assert store.delete(np.array([5, 99])) == 1
    with pytest.raises(OptionError, match="needs ids or a condition"):
        store.delete()
    assert sorted(store.ids()) == [2, 3, 4]


def test_text_is_no_condition(store):
    store.upsert(_rows([1, 2], price=[5, 6]))
    for method in (store.ids, store.count, store.addresses, lambda text: store.delete(None, text)):
        with pytest.raises(DTypeError, match="compiled condition, got str"):
            method("price < 6")
    assert store.count() == 2


def test_a_condition_that_cannot_be_evaluated_is_no_damage(store):
    store.upsert(_rows([1], price=[5]))
    with pytest.raises(OptionError, match="can be evaluated"):
        store.ids(Condition(lambda one: pc.match_like(one["price"], "a"), PRICE))


def test_a_condition_stops_at_its_time_limit_and_nothing_is_deleted(store, monkeypatch):
    monkeypatch.setattr("anybit.store.scan._BATCH_ROWS", 10)
    store.upsert(_rows(range(100), price=range(100)))
    seen = []

    def slow(batch):
        seen.append(len(batch))
        time.sleep(0.002)
        return pc.is_valid(batch["price"])

    with pytest.raises(TimeLimitError, match=r"within 0.001 s"):
        store.delete(where=Condition(slow, PRICE, time_limit_s=0.001))
    assert sum(seen) < 100
    assert store.count() == 100
    assert store.count(Condition(slow, PRICE, time_limit_s=60)) == 100


def test_a_condition_is_interrupted_by_the_keyboard_after_the_batch(store, monkeypatch):
    monkeypatch.setattr("anybit.store.scan._BATCH_ROWS", 10)
    store.upsert(_rows(range(100), price=range(100)))
    seen = []

    def interrupted(batch):
        seen.append(len(batch))
        signal.raise_signal(signal.SIGINT)
        return pc.is_valid(batch["price"])

    # A process that a shell started in the background ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            store.delete(where=Condition(interrupted, PRICE))
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [10]
    assert (store.count(), store.delete(np.array([3]))) == (100, 1)  # no lock is left behind


def test_features_come_back_in_the_order_of_ids(store):
    values = pa.array(np.arange(6, dtype=np.float16))
    store.upsert(_rows([9, 4], feature=pa.FixedSizeListArray.from_arrays(values, 3)))
    np.testing.assert_array_equal(store.features(), [[3, 4, 5], [0, 1, 2]])
    store.upsert(_rows([5]))
    assert store.features() is None


def test_an_empty_store_reads_as_empty(store):
    ids, codes = store.codes()
    assert len(ids) == 0
    assert codes.planes.shape == (2, 0)
    assert store.features() is None
    assert len(store.take(np.array([], dtype=np.int64), ["key"])) == 0
    assert store.upsert(_rows([])).n_added == 0


def test_unknown_ids_are_named(store):
    store.upsert(_rows([1]))
    with pytest.raises(DataError, match=r"got \[5\]"):
        store.take(np.array([1, 5]), ["key"])


def test_repeated_ids_and_missing_columns_are_refused(store):
    with pytest.raises(DataError, match="distinct, got 3"):
        store.upsert(_rows([3, 4, 3]))
    with pytest.raises(DataError, match="columns level_01"):
        store.upsert(_rows([3]).drop_columns(["level_01"]))
    assert store.count() == 0


def test_a_column_of_another_type_is_refused(store):
    store.upsert(_rows([1], price=[1]))
    with pytest.raises(DataError, match="column price must hold int64"):
        store.upsert(_rows([2], price=["cheap"], colour=["red"]))
    assert (store.count(), "colour" in store.columns) == (1, False)


def test_restore_takes_back_what_came_after(store):
    store.upsert(_rows([1]))
    version = store.version
    store.upsert(_rows([2], price=[3]))
    assert store.restore(version, only_own=True)
    assert store.ids().tolist() == [1]
    assert store.metadata_columns == []


def test_commits_of_another_writer_are_noticed(store):
    version = store.version
    CodeStore.open(store.path).upsert(_rows([1]))
    store.upsert(_rows([2]))
    assert not store.restore(version, only_own=True)
    assert store.count() == 2


def test_id_is_declared_as_primary_key_so_that_concurrent_upserts_do_not_double(store):
    field = store.open(store.path)._dataset.lance.schema.field("id")
    assert field.metadata == {b"lance-schema:unenforced-primary-key": b"true"}
    assert not field.nullable
    rows = _rows(range(200))
    writers = [CodeStore.open(store.path) for _ in range(4)]
    threads = [threading.Thread(target=writer.upsert, args=(rows,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.refresh()
    assert store.count() == 200


def test_missing_damaged_foreign_and_newer_stores_are_refused(tmp_path):
    with pytest.raises(FormatError, match="no such folder"):
        CodeStore.open(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="Lance dataset"):
        CodeStore.open(tmp_path / "empty")
    lance.write_dataset(pa.table({"id": [1]}), str(tmp_path / "foreign"))
    with pytest.raises(FormatError, match="made by anybit"):
        CodeStore.open(tmp_path / "foreign")
    settings = {"anybit.format_version": "4", "anybit.n_codewords": "256"}
    newer = pa.table({"id": [1]}).replace_schema_metadata(settings)
    lance.write_dataset(newer, str(tmp_path / "newer"))
    with pytest.raises(FormatError, match="version 3 or older, got 4"):
        CodeStore.open(tmp_path / "newer")


def test_create_refuses_a_path_in_use(store):
    with pytest.raises(OptionError, match="must not exist"):
        CodeStore.create(store.path, 2, 256, "m")


def test_names_that_the_store_uses_are_moved_aside():
    names = ["price", "id", "key", "level_03", "level_up", "feature"]
    expected = ["price", "id_", "key_", "level_03_", "level_up", "feature_"]
    assert [free_column_name(name) for name in names] == expected


def test_lance_is_imported_only_when_a_store_is_used():
    code = "import sys, anybit.store; raise SystemExit('lance' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
