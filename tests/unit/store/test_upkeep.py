"""Many small writes: few fragments, versions and records, and every row is what was written."""

from __future__ import annotations

import logging
import os
import shutil

import numpy as np
import pyarrow as pa
import pytest

from anybit.codes import Codebooks
from anybit.collection.live_index import LiveIndex
from anybit.errors import FormatError, OptionError
from anybit.store import CodeStore, LocalFolder, upkeep

N_LEVELS, K = 3, 16
LIMITS = [(4**level, 1 << 24) for level in range(1, 6)]  # small: fewer additions are needed


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep, "_LIMITS", LIMITS)
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


def past_records(store):
    return sorted((store.path / "_checksums").glob("*.past.json"))


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)


def test_single_rows_lie_in_few_fragments(store):
    most = 0
    for number in range(70):
        put(store, [number])
        most = max(most, n_fragments(store))
    assert most <= 3 + 3 + 3 + 1  # up to three each of 1, of 4 and of 16 rows; one of 64
    check(store, dict.fromkeys(range(70), 0))
    sizes = sorted(store.fragment_size(one) for one in store.fragment_states())
    assert sizes == [1, 1, 4, 64]


@pytest.mark.parametrize(
    "sizes",
    [[1] * 40, [3_000, *[1] * 20], [4_095, 1, 1, 1, 4_095, 1, 1, 1, 4_095, 1], [700] * 30,
     [1, 5_000, 1, 5_000, 1, 5_000, 1, 5_000, 1, 17_000, 1, 1]],
)  # fmt: skip
def test_few_small_fragments_are_left_by_any_additions(tmp_path, sizes):
    """With the levels in use: three below 4,096 rows, and three of each of two further levels."""
    store = CodeStore.create(tmp_path / "items.lance", N_LEVELS, K, "model")
    n = 0
    for size in sizes:
        put(store, np.arange(n, n + size))
        n += size
        rows = [store.fragment_size(one) for one in store.fragment_states()]
        assert sum(rows) == n
        for low, high in ((0, 4_096), (4_096, 16_384), (16_384, 65_536)):
            assert sum(low <= one < high for one in rows) <= 3
    check(store, dict.fromkeys(range(n), 0))


def test_small_fragments_are_told_by_their_bytes_too(tmp_path):
    """Rows with pictures are not written again at every fourth addition."""
    store = CodeStore.create(tmp_path / "items.lance", N_LEVELS, K, "model")
    n_written, rng, seen = 0, np.random.default_rng(0), set()
    for number in range(24):
        put(store, [number], thumbnail=[rng.bytes(100_000)])
        n_written += sum(
            (store.path / "data" / one.name).stat().st_size
            for one in (store.path / "data").iterdir()
            if one.name not in seen
        )
        seen = {one.name for one in (store.path / "data").iterdir()}
        assert n_fragments(store) <= 3 + 3 + 3
    assert n_written <= 4 * 24 * 101_000
    check(store, dict.fromkeys(range(24), 0))


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
        patch.setattr(upkeep, "_LIMITS", [(4**level, 1_000) for level in range(1, 6)])
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
    monkeypatch.setattr(upkeep, "MOST_VERSIONS", 20)
    monkeypatch.setattr(upkeep, "_MORE_VERSIONS", 5)
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
    monkeypatch.setattr(upkeep, "_MOST_RECORDS", 10)
    for number in range(25):
        put(store, [number])
        names = [one.name for one in (store.path / "_checksums").iterdir()]
        past = sum(name.endswith(".past.json") for name in names)
        assert sum(name.endswith(".json") for name in names) - past <= 10 + 2
        assert past <= 10 + 1
    check(store, dict.fromkeys(range(25), 0))


@pytest.fixture(scope="module")
def busy_folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("busy") / "items.lance"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upkeep, "_LIMITS", LIMITS)
        patch.setattr(upkeep, "_MOST_RECORDS", 10)
        store = CodeStore.create(path, N_LEVELS, K, "model")
        for number in range(30):
            put(store, [number])
    assert past_records(store)
    return path


@pytest.fixture
def busy(busy_folder, tmp_path, monkeypatch):
    """A store with past records; it has 30 rows, each added by itself."""
    monkeypatch.setattr(upkeep, "_LIMITS", LIMITS)
    monkeypatch.setattr(upkeep, "_MOST_RECORDS", 10)
    shutil.copytree(busy_folder, tmp_path / "items.lance")
    return CodeStore.open(tmp_path / "items.lance")


def test_opening_and_searching_read_no_past_record(busy, monkeypatch):
    read, seen = LocalFolder.read, []

    def counted(folder, name):
        seen.append(name)
        return read(folder, name)

    monkeypatch.setattr(LocalFolder, "read", counted)
    opened = CodeStore.open(busy.path)
    assert len(opened.codes()[0]) == 30
    assert 0 < len(seen) <= 12
    assert not any(name.endswith(".past.json") for name in seen)
    oldest = opened.versions()[2].version  # after a column was added, too
    assert any(name.endswith(".past.json") for name in seen)
    assert CodeStore.open(busy.path, oldest).codes()[0].tolist() == [0]


@pytest.mark.parametrize("file", ["_versions", "data"])
def test_a_damaged_file_of_an_earlier_version_is_found_by_its_past_record(busy, file):
    newest = {path for files in busy.fragment_states().values() for path in files}
    version = busy.versions()[2].version
    if file == "data":
        files = [one for some in CodeStore.open(busy.path, version).fragment_states().values()
                 for one in some]  # fmt: skip
        assert newest.isdisjoint(files)
        flip_a_bit(busy.path / files[0])
    else:
        flip_a_bit(busy.path / f"_versions/{2**64 - 1 - version}.manifest")
    with pytest.raises(FormatError, match="its checksum differs"):
        CodeStore.open(busy.path, version).codes()
    check(busy, dict.fromkeys(range(30), 0))


def test_a_damaged_past_record_is_told_by_verify_and_stops_no_reader(busy):
    record = past_records(busy)[0]
    flip_a_bit(record)
    opened = CodeStore.open(busy.path)
    assert len(opened.codes()[0]) == 30
    assert opened.verify().damages == (f"_checksums/{record.name} is damaged",)
    with pytest.raises(FormatError, match=r"past\.json is damaged"):
        CodeStore.open(busy.path).versions()


@pytest.mark.parametrize("n_done", range(5))
@pytest.mark.parametrize("is_whole", [False, True])
def test_records_whose_merging_is_interrupted_are_all_there(busy, monkeypatch, n_done, is_whole):
    """Whatever was written and removed until then, every version opens and is compared."""
    put(busy, [30, 31])
    versions, left, killed = [one.version for one in busy.versions()], [n_done], 0
    write, unlink = LocalFolder.write, LocalFolder.remove

    def step():
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1

    def stopped_write(folder, name, content):
        step()
        write(folder, name, content)

    def stopped_remove(folder, names):
        for name in names:
            step()
            unlink(folder, [name])

    log, files = busy._dataset.log, busy._dataset.files()
    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "write", stopped_write)
        patch.setattr(LocalFolder, "remove", stopped_remove)
        try:
            log.compact(files, whole=is_whole)
        except KeyboardInterrupt:
            killed += 1
    assert killed
    opened = CodeStore.open(busy.path)
    assert [one.version for one in opened.versions()] == versions
    for version in versions[1:]:
        assert CodeStore.open(busy.path, version).verify().damages == ()
    put(opened, [40])
    check(opened, dict.fromkeys([*range(32), 40], 0))


def test_a_version_whose_files_have_past_records_can_be_restored(busy):
    version = busy.versions()[4].version
    fresh = CodeStore.open(busy.path)
    fresh.restore(version)
    check(fresh, dict.fromkeys(range(3), 0))
    put(busy, [50])
    check(busy, dict.fromkeys([*range(3), 50], 0))


def test_a_damaged_file_of_a_restored_version_gets_no_new_checksum(busy):
    version = busy.versions()[4].version
    states = CodeStore.open(busy.path, version).fragment_states()
    flip_a_bit(busy.path / next(iter(states.values()))[0])
    busy.restore(version)  # what it holds is looked at when it is read
    with pytest.raises(FormatError, match="its checksum differs"):
        CodeStore.open(busy.path).codes()


@pytest.mark.parametrize("step", ["_merge", "_forget"])
def test_an_addition_is_done_though_merging_fails(store, monkeypatch, caplog, step):
    def full(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "anybit"):
        patch.setattr(upkeep, step, full)
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
    flip_a_bit(next((store.path / "data").iterdir()))
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
