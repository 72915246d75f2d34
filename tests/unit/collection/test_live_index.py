import os
import threading

import numpy as np
import pyarrow as pa
import pytest

from anybit.codes import Codebooks, Codes, ModelFolder, write_model_folder
from anybit.collection import Collection
from anybit.collection.conditions import compile_condition
from anybit.collection.live_index import LiveIndex
from anybit.errors import FormatError
from anybit.search import Index
from anybit.store import CodeStore

# Two levels of four codewords of small whole numbers: many items share a score.
CODEBOOKS = Codebooks.stacked(
    np.random.default_rng(3).integers(-2, 3, (2, 4, 3)).astype(np.float32), metric="l2"
)
QUERIES = np.array([[0, 0, 0], [1, -1, 2], [0.3, 2, -0.7]], dtype=np.float32)
ALL = 1000


class SpyingStore(CodeStore):
    """Remembers which fragments are read, and can be interrupted once."""

    def __init__(self, dataset):
        super().__init__(dataset)
        self.reads, self.is_to_fail = [], False

    def fragment_codes(self, numbers):
        if self.is_to_fail:
            self.is_to_fail = False
            raise KeyboardInterrupt
        rows = super().fragment_codes(numbers)
        self.reads.append((sorted(numbers), len(rows.ids)))
        return rows


@pytest.fixture
def store(tmp_path):
    return SpyingStore.create(
        tmp_path / "items.lance", n_levels=2, n_codewords=4, model_fingerprint="m"
    )


@pytest.fixture
def live(store):
    return LiveIndex(CODEBOOKS, store)


def _rows(ids, codewords=None, **columns):
    """Rows of these ids; a code is (codewords, codewords), or made from the id."""
    ids = np.asarray(ids, dtype=np.int64)
    first = ids % 4 if codewords is None else np.full(len(ids), codewords)
    second = ids // 4 % 4 if codewords is None else first
    planes = {"level_00": pa.array(first, pa.uint8()), "level_01": pa.array(second, pa.uint8())}
    return pa.table({"id": pa.array(ids), **planes, **columns})


def _assert_equals_brute_force(live, path, k=7, where=None):
    """Compare with an index made from all rows of the folder, at every length."""
    store = CodeStore.open(path)
    ids, codes = store.codes()
    index = Index(CODEBOOKS, codes, ids)
    allowed = None if where is None else store.ids(where)
    for bits in CODEBOOKS.lengths():
        for size in (k, ALL):
            found = live.search(QUERIES, size, bits, where)
            expected = index.search(QUERIES, size, bits, allowed)
            np.testing.assert_array_equal(found.ids, expected.ids)
            np.testing.assert_array_equal(found.scores, expected.scores, strict=True)
    assert len(live) == len(ids)


def test_an_empty_store_finds_nothing_and_then_what_is_added(store, live):
    assert live.search(QUERIES, 5).ids.shape == (3, 0)
    store.upsert(_rows([2**63 - 1, -(2**63), 0]))
    assert sorted(live.search(QUERIES, 5).ids[0].tolist()) == [-(2**63), 0, 2**63 - 1]
    store.delete(np.array([2**63 - 1, -(2**63), 0]))
    assert live.search(QUERIES, 5).ids.shape == (3, 0)
    store.upsert(_rows([9]))
    _assert_equals_brute_force(live, store.path)


def test_added_rows_are_found_at_once_here_and_by_another_handle(store, live):
    other = CodeStore.open(store.path)
    follower = LiveIndex(CODEBOOKS, other)
    for start in (0, 40, 45):
        store.upsert(_rows(np.arange(start, start + 40)))
        _assert_equals_brute_force(live, store.path)
        assert other.version < store.version
        _assert_equals_brute_force(follower, store.path)
        assert other.version == store.version


def test_a_small_addition_to_many_rows_reads_only_its_own_fragment(store, live):
    store.upsert(_rows(np.arange(5000)))
    live.search(QUERIES, 5)
    known = set(store.fragment_states())
    store.reads.clear()
    store.upsert(_rows([9001, 9002, 9003]))
    live.search(QUERIES, 5)
    live.search(QUERIES, 5, where=compile_condition("id > 100", store))
    assert store.reads == [(sorted(store.fragment_states().keys() - known), 3)]


def test_a_deletion_reads_no_codes_and_deleted_rows_never_appear(store, live):
    store.upsert(_rows(np.arange(60)))
    store.upsert(_rows(np.arange(60, 70)))
    live.search(QUERIES, 5)
    store.reads.clear()
    gone = np.array([0, 7, 33, 64, 69, 500])
    store.delete(gone)
    found = live.search(QUERIES, ALL).ids
    assert found.shape == (3, 65)
    assert not np.isin(found, gone).any()
    assert store.reads == []
    _assert_equals_brute_force(live, store.path)
    store.delete(where=compile_condition("id >= 60", store))
    assert live.search(QUERIES, ALL).ids.max() == 59


def test_updated_rows_appear_once_with_the_new_code(store, live):
    store.upsert(_rows(np.arange(30), codewords=0))
    live.search(QUERIES, 5)
    changed = np.array([3, 4, 29])
    store.upsert(_rows(changed, codewords=2))
    query = CODEBOOKS.decode(Codes(np.array([[2], [2]], dtype=np.uint8), 4))
    found = live.search(query, ALL)
    assert found.ids[0, :3].tolist() == changed.tolist()
    assert sorted(found.ids[0].tolist()) == list(range(30))
    assert found.scores[0, 2] > found.scores[0, 3]
    _assert_equals_brute_force(live, store.path)


def _n_segments_after(store, live, sizes, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # half of the time, for nothing here
    start = 0
    for size in sizes:
        store.upsert(_rows(np.arange(start, start + size)))
        start += size
        assert len(live) == start
    _assert_equals_brute_force(live, store.path)
    return live.n_segments


def test_segments_stay_few_after_many_small_additions(store, live, monkeypatch):
    # Each is more than twice as long as the next one: 200 rows fit into at most 8.
    assert _n_segments_after(store, live, [2] * 100, monkeypatch) <= np.log2(200) + 1


def test_segments_stay_few_where_the_first_one_is_tiny(store, live, monkeypatch):
    assert _n_segments_after(store, live, [1] + [5] * 20, monkeypatch) <= np.log2(101) + 1


def test_the_mask_goes_when_more_than_a_quarter_of_a_segment_is_deleted(store, live):
    for start, stop in [(0, 100), (100, 110)]:
        store.upsert(_rows(np.arange(start, stop)))
        assert len(live) == stop
    store.delete(np.arange(25))
    _assert_equals_brute_force(live, store.path)
    assert [(len(one), one.n_dead) for one in live._state.segments] == [(100, 25), (10, 0)]
    store.delete(np.array([25]))
    _assert_equals_brute_force(live, store.path)
    assert [(len(one), one.n_dead) for one in live._state.segments] == [(74, 0), (10, 0)]
    store.delete(np.array([26, 105]))  # rows of a segment that was made anew
    _assert_equals_brute_force(live, store.path)


def test_restoring_an_earlier_version_brings_its_rows_back(store, live):
    store.upsert(_rows(np.arange(40)))
    store.upsert(_rows(np.arange(40, 44)))
    version = store.version
    follower = LiveIndex(CODEBOOKS, CodeStore.open(store.path))
    assert len(live) == len(follower) == 44
    store.delete(np.array([1, 2, 41]))
    store.upsert(_rows([5, 80], codewords=1))
    _assert_equals_brute_force(live, store.path)
    store.restore(version)
    for one in (live, follower):
        assert sorted(one.search(QUERIES, ALL).ids[0].tolist()) == list(range(44))
        _assert_equals_brute_force(one, store.path)
    store.upsert(_rows([80]))  # its fragment must not be taken for the one that was taken back
    _assert_equals_brute_force(live, store.path)
    _assert_equals_brute_force(follower, store.path)


def test_an_interrupted_refresh_is_made_up_for(store, live):
    store.upsert(_rows(np.arange(40)))
    live.search(QUERIES, 5)
    store.delete(np.array([3]))
    store.upsert(_rows([4, 50], codewords=1))
    store.is_to_fail = True
    with pytest.raises(KeyboardInterrupt):
        live.search(QUERIES, 5)
    _assert_equals_brute_force(live, store.path)


def test_an_interrupted_refresh_hides_no_row_of_a_version_restored_then(store, live):
    store.upsert(_rows(np.arange(40)))
    live.search(QUERIES, 5)
    version, writer = store.version, CodeStore.open(store.path)
    writer.delete(np.array([3]))
    writer.upsert(_rows([50]))
    store.is_to_fail = True
    with pytest.raises(KeyboardInterrupt):
        live.search(QUERIES, 5)
    writer.restore(version)
    _assert_equals_brute_force(live, store.path)


def test_compaction_keeps_the_answers(store, live):
    for start in range(0, 60, 10):
        store.upsert(_rows(np.arange(start, start + 10)))
    store.delete(np.array([3, 17, 18]))
    follower = LiveIndex(CODEBOOKS, CodeStore.open(store.path))
    before = live.search(QUERIES, ALL)
    np.testing.assert_array_equal(follower.search(QUERIES, ALL).ids, before.ids)
    assert store.compact(kept_s=0).n_fragments == 1
    for one in (live, follower):
        after = one.search(QUERIES, ALL)
        np.testing.assert_array_equal(after.ids, before.ids)
        np.testing.assert_array_equal(after.scores, before.scores)
    store.delete(np.array([20]))
    _assert_equals_brute_force(live, store.path)
    _assert_equals_brute_force(follower, store.path)


@pytest.mark.parametrize("where", ["price < 3", "price IS NULL OR id > 50", "id = 7", "id < 0"])
def test_a_condition_equals_filtering_the_full_ranking(store, live, where):
    store.upsert(_rows(np.arange(50), price=np.arange(50) % 7))
    live.search(QUERIES, 5)
    store.upsert(_rows(np.arange(45, 60)))  # without a price: null
    store.delete(np.array([2, 8, 51]))
    condition = compile_condition(where, store)
    allowed = store.ids(condition)
    assert len(live) == 57
    full = live.search(QUERIES, ALL)
    found = live.search(QUERIES, 4, where=condition)
    for query in range(len(QUERIES)):
        is_allowed = np.isin(full.ids[query], allowed)
        np.testing.assert_array_equal(found.ids[query], full.ids[query][is_allowed][:4])
        np.testing.assert_array_equal(found.scores[query], full.scores[query][is_allowed][:4])
    _assert_equals_brute_force(live, store.path, where=condition)


def test_rows_of_damaged_files_are_left_out_until_they_are_given_up_and_written_again(store):
    store.upsert(_rows(np.arange(30)))
    store.upsert(_rows(np.arange(30, 35)))
    (path, *_) = store.fragment_states()[min(store.fragment_states())]
    content = bytearray((store.path / path).read_bytes())
    content[10] ^= 1
    (store.path / path).write_bytes(content)
    reader = CodeStore.open(store.path, skip_damaged=True)
    live = LiveIndex(CODEBOOKS, reader)
    assert sorted(live.search(QUERIES, ALL).ids[0].tolist()) == list(range(30, 35))
    condition = compile_condition("id < 32", reader)
    assert live.search(QUERIES, ALL, where=condition).ids.shape == (3, 2)
    with pytest.raises(FormatError, match="is damaged"):
        reader.upsert(_rows(np.arange(30)))
    assert reader.drop_damaged() == 30
    reader.upsert(_rows(np.arange(30)))
    assert sorted(live.search(QUERIES, ALL).ids[0].tolist()) == list(range(35))
    assert reader.skipped == {}


def _shop(tmp_path):
    model = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
    write_model_folder(tmp_path / "model", model, CODEBOOKS)
    return Collection.create(tmp_path / "shop", tmp_path / "model")


def _answers(rows):
    """The ranking of every query by a dictionary of ids and codewords."""
    ids = np.array(sorted(rows), dtype=np.int64)
    planes = np.array([[rows[one] for one in ids]] * 2, dtype=np.uint8)
    return Index(CODEBOOKS, Codes(planes, 4), ids).search(QUERIES, ALL).ids.tobytes()


def test_searches_in_threads_answer_for_some_version_and_never_go_back(tmp_path):
    shop, rows, expected, failures = _shop(tmp_path), {}, [b""], []
    is_done = threading.Event()
    steps = range(20)

    def search_on():
        last, was_done = 0, False
        try:
            while not was_done:
                was_done = is_done.is_set()
                ids = shop.search_features(QUERIES, ALL).ids.tobytes()
                if ids != expected[last]:
                    last = _number_of(ids, last)
            assert last == len(steps)
        except Exception as cause:
            failures.append(cause)

    def _number_of(ids, last):
        """Return the version that an answer belongs to, which may be the one being written."""
        for _ in range(1000):
            if ids in expected[last:]:
                return last + expected[last:].index(ids)
            is_done.wait(0.005)
        raise AssertionError(f"an answer of {len(ids)} bytes belongs to no version after {last}")

    threads = [threading.Thread(target=search_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for step in steps:
            if step % 5 == 4:
                gone = list(rows)[:3]
                rows = {one: code for one, code in rows.items() if one not in gone}
                shop.delete(np.array(gone))
            else:
                fresh = dict.fromkeys(range(step * 3, step * 3 + 6), step % 4)  # half: updates
                rows = rows | fresh
                codes = Codes(np.full((2, 6), step % 4, dtype=np.uint8), 4)
                shop.add_codes(codes, np.array(list(fresh)), shop.model_fingerprint)
            expected.append(_answers(rows))
    finally:
        is_done.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_an_update_by_another_thread_waits_until_a_refresh_has_read_its_rows(
    store, live, monkeypatch
):
    store.upsert(_rows(np.arange(20)))
    update = threading.Thread(target=lambda: store.upsert(_rows([3], codewords=1)))
    states = store.fragment_states

    def states_and_then_an_update():
        found = states()
        if not update.ident:
            update.start()
            update.join(timeout=0.5)
        return found

    monkeypatch.setattr(store, "fragment_states", states_and_then_an_update)
    assert sorted(live.search(QUERIES, ALL).ids[0].tolist()) == list(range(20))
    update.join()
    _assert_equals_brute_force(live, store.path)


def test_one_index_made_while_another_thread_searches_changes_no_answer(store, live, monkeypatch):
    for start, stop in [(0, 100), (100, 110)]:
        store.upsert(_rows(np.arange(start, stop)))
        assert len(live) == stop
    assert live.n_segments == 2
    expected = LiveIndex(CODEBOOKS, CodeStore.open(store.path)).search(QUERIES, ALL)
    search, made = Index.search, []

    def search_late(self, *args):
        if not made:
            made.append(threading.Thread(target=live.merged))
            made[0].start()
            made[0].join(timeout=5)
        return search(self, *args)

    monkeypatch.setattr(Index, "search", search_late)
    np.testing.assert_array_equal(live.search(QUERIES, ALL).ids, expected.ids)
