"""Many small writes: few fragments, versions and records, and every row is what was written."""

from __future__ import annotations

import logging
import os

import numpy as np
import pyarrow as pa
import pytest

from anybit.codes import Codebooks
from anybit.collection.live_index import LiveIndex
from anybit.errors import FormatError, OptionError
from anybit.store import CodeStore, LocalFolder, merging

N_LEVELS, K = 3, 16


@pytest.fixture
def store(tmp_path, monkeypatch):
    # Small levels: fewer additions are needed.
    monkeypatch.setattr(merging, "_LIMITS", [(4**level, 1 << 24) for level in range(1, 6)])
    return CodeStore.create(tmp_path / "items.lance", N_LEVELS, K, "model")


def planes_of(ids, generation):
    """Return codes (M, n) that follow from ids and a generation."""
    return ((np.asarray(ids) * 7 + generation * 3 + np.arange(N_LEVELS)[:, None]) % K).astype(
        np.uint8
    )


def put(store, ids, generation=0, **columns):
    ids = np.asarray(ids)
    levels = dict(
        zip(("level_00", "level_01", "level_02"), planes_of(ids, generation), strict=True)
    )
    born = np.full(len(ids), generation)
    keys = [f"{one} of {generation}" for one in ids.tolist()]
    store.upsert(pa.table({"id": ids, **levels, "key": keys, "born": born, **columns}))


def check(store, model):
    """Check that a store, as another process sees it, holds these generations by id."""
    opened = CodeStore.open(store.path)
    ids, codes = opened.codes()
    assert ids.tolist() == sorted(model)
    born = np.array([model[one] for one in ids.tolist()], dtype=np.int64)
    expected = (ids * 7 + born * 3 + np.arange(N_LEVELS)[:, None]) % K
    np.testing.assert_array_equal(codes.planes, expected)
    if len(ids):
        rows = opened.read(["key", "born"])
        assert rows["born"].to_pylist() == born.tolist()
        assert rows["key"].to_pylist() == [f"{a} of {b}" for a, b in zip(ids, born, strict=True)]
    assert opened.verify().damages == ()


def n_fragments(store):
    return len(store.fragment_states())


def test_single_rows_lie_in_few_fragments(store):
    most = 0
    for number in range(70):
        put(store, [number])
        most = max(most, n_fragments(store))
    assert most <= 3 + 3 + 3 + 1  # up to three each of 1, of 4 and of 16 rows; one of 64
    check(store, dict.fromkeys(range(70), 0))
    sizes = sorted(store.fragment_size(one) for one in store.fragment_states())
    assert sizes == [1, 1, 4, 64]


@pytest.mark.parametrize("seed", range(3))
def test_merged_rows_are_those_that_were_written_and_not_deleted(store, seed):
    rng, model = np.random.default_rng(seed), {}
    for generation in range(45):
        ids = rng.choice(20, rng.integers(1, 4), replace=False)
        if generation % 4 == 3:
            store.delete(ids=ids)
            model = {one: born for one, born in model.items() if one not in ids}
        else:
            put(store, ids, generation)
            model.update(dict.fromkeys(ids.tolist(), generation))
        assert n_fragments(store) <= 10
    check(store, model)


def test_columns_that_came_later_are_merged_with_rows_that_lack_them(store):
    for number in range(3):
        put(store, [number])
    for number in range(3, 8):
        put(store, [number], price=[number / 2])
    assert n_fragments(store) == 2
    prices = CodeStore.open(store.path).read(["price"])["price"].to_pylist()
    assert prices == [None] * 3 + [number / 2 for number in range(3, 8)]


def test_large_fragments_are_not_written_again(store, monkeypatch):
    put(store, np.arange(5_000))  # more rows than those of the highest level that is merged
    (large,) = store.fragment_states().values()
    with monkeypatch.context() as patch:
        patch.setattr(merging, "_LIMITS", [(4**level, 1_000) for level in range(1, 6)])
        for number in range(6):
            put(store, 10_000 + np.arange(100) + 1_000 * number)  # about 3 kB each
        assert n_fragments(store) == 7
    put(store, [10**7])
    states = list(store.fragment_states().values())
    assert large in states
    assert len(states) == 2


def test_a_reader_of_an_earlier_version_is_not_disturbed(store):
    for number in range(3):
        put(store, [number])
    reader, pinned = CodeStore.open(store.path), CodeStore.open(store.path, store.version)
    for number in range(3, 20):
        put(store, [number])
    assert n_fragments(store) <= 3
    for one in (reader, pinned):
        assert one.codes()[0].tolist() == list(range(3))
        assert one.verify().is_intact


def test_the_oldest_versions_go_when_there_are_many(store, monkeypatch):
    monkeypatch.setattr(merging, "MOST_VERSIONS", 20)
    monkeypatch.setattr(merging, "_MORE_VERSIONS", 5)
    for number in range(35):
        put(store, [number])
        assert len(store.versions()) <= 26
    kept = [one.version for one in store.versions()]
    assert len(kept) >= 20
    assert kept[-1] == store.version
    oldest = CodeStore.open(store.path, kept[0])
    assert len(oldest.codes()[0]) == oldest.count()
    with pytest.raises(OptionError, match="version must be one that is still there"):
        CodeStore.open(store.path, kept[0] - 1)
    check(store, dict.fromkeys(range(35), 0))


def test_records_of_checksums_are_merged(store, monkeypatch):
    monkeypatch.setattr(merging, "_MOST_RECORDS", 10)
    for number in range(25):
        put(store, [number])
        names = [one.name for one in (store.path / "_checksums").iterdir()]
        past = sum(name.endswith(".past.json") for name in names)
        assert sum(name.endswith(".json") for name in names) - past <= 10 + 2
        assert past <= 10 + 1
    check(store, dict.fromkeys(range(25), 0))


@pytest.mark.parametrize("step", ["_merge", "_forget"])
def test_an_addition_is_done_though_merging_fails(store, monkeypatch, caplog, step):
    def full(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "anybit"):
        patch.setattr(merging, step, full)
        for number in range(6):
            put(store, [number])
    assert "small files could not be merged: No space left on device" in caplog.text
    check(store, dict.fromkeys(range(6), 0))
    put(store, [6])  # and the next one catches up
    assert n_fragments(store) <= 4
    check(store, dict.fromkeys(range(7), 0))


def test_a_long_addition_can_be_taken_back_across_merges(store):
    put(store, [0])
    version = store.version
    for number in range(1, 20):
        put(store, [number])
    assert store.restore(version, only_own=True)
    check(store, {0: 0})


def test_a_damaged_fragment_is_not_merged(store):
    for number in range(3):
        put(store, [number])
    file = next((store.path / "data").iterdir())
    content = bytearray(file.read_bytes())
    content[10] ^= 1
    file.write_bytes(content)
    with pytest.raises(FormatError, match="is damaged"):
        put(CodeStore.open(store.path), [3])


def test_an_index_in_memory_reads_each_row_few_times(store, monkeypatch):
    """A row is read when it comes, and when its fragment is merged: not at every change."""
    codebooks = Codebooks.stacked(np.eye(K, dtype=np.float32)[None].repeat(N_LEVELS, 0))
    live, n_read = LiveIndex(codebooks, store), []
    read = CodeStore.fragment_codes

    def counted(self, numbers):
        rows = read(self, numbers)
        n_read.append(len(rows.ids))
        return rows

    monkeypatch.setattr(CodeStore, "fragment_codes", counted)
    n = 70
    for number in range(n):
        put(store, [number])
        assert len(live) == number + 1
    assert sum(n_read) <= 4 * n  # alone, in a fragment of 4, of 16, of 64
    assert live.n_segments <= 7
    np.testing.assert_array_equal(live.merged().ids, np.arange(n))
    np.testing.assert_array_equal(live.merged().codes.planes, planes_of(np.arange(n), 0))


def test_versions_are_listed_again_only_when_one_came_or_went(store, monkeypatch):
    put(store, [1])
    reader, listed = CodeStore.open(store.path), []
    names = LocalFolder.names

    def counted(folder, below=""):
        listed.append(below)
        return names(folder, below)

    monkeypatch.setattr(LocalFolder, "names", counted)
    os.utime(store.path / "_versions", ns=(0, 10**9))  # as if long ago
    assert not reader.refresh()
    assert "_versions" in listed
    listed.clear()
    assert not reader.refresh()
    assert listed == []
    put(store, [2])
    assert reader.refresh()  # at once, though the clock of the file system may stand still
    assert reader.count() == 2
    assert not reader.refresh()
    put(store, [3])
    assert reader.refresh()
