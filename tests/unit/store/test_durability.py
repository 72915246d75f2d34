import errno
import os
import resource
import shutil
import stat
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import DEFAULT, Mock

import lance
import numpy as np
import pyarrow as pa
import pytest

from anybit.codes import replace_file
from anybit.errors import FormatError, OptionError
from anybit.store import CodeStore
from anybit.store.checksums import ChecksumLog
from anybit.store.folders import LocalFolder

GOLDEN_V1 = Path(__file__).parents[2] / "golden" / "collection_v1" / "items.lance"
ROWS = [1, 2, 3, 4]
CHANGES = {
    "add": lambda store: store.upsert(_rows([1, 9], price=[5, 6])),  # a commit for the column, too
    "delete": lambda store: store.delete(np.array([2, 3])),
    "compact": lambda store: store.compact(kept_s=0),
    "restore": lambda store: store.restore(2),
}
AFTER = {"add": [*ROWS, 9], "delete": [1, 4], "compact": ROWS, "restore": [0, 1, 2, 3]}


def _rows(ids, **columns):
    ids = np.asarray(ids, dtype=np.int64)
    planes = {"level_00": pa.array(ids % 4, pa.uint8()), "level_01": pa.array(ids % 3, pa.uint8())}
    return pa.table({"id": pa.array(ids), **planes, **columns})


def _fill(store):
    store.upsert(_rows([0, 1, 2, 3]))
    store.upsert(_rows([4]))
    store.delete(np.array([0]))
    return store


@pytest.fixture
def store(tmp_path):
    """Rows 1 to 4 in two fragments, one with a deletion."""
    return _fill(
        CodeStore.create(tmp_path / "items.lance", n_levels=2, n_codewords=4, model_fingerprint="m")
    )


def _ids(store):
    return sorted(store.ids().tolist())


def _manifests(path):
    """All manifests, newest first: they are named by what is left to 2^64 - 1."""
    return sorted((path / "_versions").glob("*.manifest"))


def _next_manifest(path):
    return path / "_versions" / f"{int(_manifests(path)[0].stem) - 1}.manifest"


def _records(path):
    return sorted((path / "_checksums").glob("*.json"))


def _flip_a_bit(path, position=10):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def _assert_is(path, ids):
    """The store is intact, holds these ids, and can be written."""
    for expected in (ids, [*ids, 100]):
        store = CodeStore.open(path)
        assert _ids(store) == expected
        assert store.verify().damages == ()
        store.upsert(_rows([100]))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "one"
    replace_file(path, b"old")
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", Mock(side_effect=OSError("broken")))
        with pytest.raises(OSError, match="broken"):
            replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["one"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_lock_waits_for_its_holder(tmp_path):
    taken = threading.Event()

    def take():
        with LocalFolder(tmp_path).lock("lock"):
            taken.set()

    thread = threading.Thread(target=take)
    with LocalFolder(tmp_path).lock("lock"):
        thread.start()
        assert not taken.wait(0.2)
    thread.join()
    assert taken.is_set()


def _read_log(path):
    log = ChecksumLog(LocalFolder(path))
    log.refresh()
    assert log.exists
    return log


def test_recorded_files_are_compared_by_this_log_and_by_others(tmp_path):
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * 9)
    log = ChecksumLog(LocalFolder(tmp_path))
    log.record(["a", "b"])
    log.record(["b", "c"])
    assert log.damages_of("abc") == _read_log(tmp_path).damages_of("abc") == []
    (tmp_path / "a").write_bytes(b"aaaaAaaaa")
    (tmp_path / "b").write_bytes(b"bbbb")
    (tmp_path / "c").unlink()
    assert log.damages_of("abc") == []  # compared once, when they were first used
    for found in (log.damages_of("abcd", again=True), _read_log(tmp_path).damages_of("abcd")):
        assert [str(one) for one in found] == [
            "a is not what was written (its checksum differs)",
            "b must have 9 bytes, got 4",
            "c is missing",
            "d has no checksum",
        ]


@pytest.mark.parametrize("damaged", ["{", "[]", "\0", None])
def test_a_damaged_record_is_reported(store, damaged):
    record = _records(store.path)[0]
    changed = record.read_text().replace('"size_bytes": ', '"size_bytes": 1')
    record.write_text(changed if damaged is None else damaged)
    reported = CodeStore.open(store.path).verify().damages
    assert f"_checksums/{record.name} is damaged" in reported


@contextmanager
def _watching(monkeypatch, seen):
    """Call `seen`, by one thread at a time, with every path that was just brought to the disk."""
    real_open, real_sync, paths, lock = os.open, os.fsync, {}, threading.Lock()

    def opened(path, *args, **options):
        descriptor = real_open(path, *args, **options)
        paths[descriptor] = Path(path)
        return descriptor

    def synced(descriptor):
        real_sync(descriptor)
        with lock:
            seen(paths[descriptor])

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", opened)
        patched.setattr(os, "fsync", synced)
        yield


@pytest.mark.parametrize("change", ["delete", "compact", "update"])
def test_files_are_on_the_disk_and_recorded_before_the_version_appears(store, monkeypatch, change):
    path, moments, old = store.path, [], set(store.path.rglob("*"))

    def seen(synced):
        moments.append((synced, _manifests(path)[0], set(_read_log(path)._known)))

    with _watching(monkeypatch, seen):
        CHANGES.get(change, lambda one: one.upsert(_rows([2, 9])))(store)
    manifest, order = _manifests(path)[0], [synced for synced, _, _ in moments]
    first = [newest for _, newest, _ in moments].index(manifest)
    before, after = order[:first], order[first:]
    files = [one for one in set(path.rglob("*")) - old if one.parent.name in ("data", "_deletions")]
    assert files
    for one in files:
        assert one.parent in before[before.index(one) :]
        assert str(one.relative_to(path)) in moments[first][2]
    assert before[-1] == after[-1] == path / "_checksums"
    assert after.index(manifest) < after.index(path / "_versions")
    assert str(manifest.relative_to(path)) in moments[-1][2]


class Disk:
    """What a power cut would leave: contents and names that were waited for, nothing else."""

    def __init__(self, root):
        self.root, self.contents, self.names = root, set(), {}
        root.mkdir()

    def seen(self, path):
        if path.is_dir():
            self.names[path] = {one.name: one.inode() for one in os.scandir(path)}
        elif path.exists():
            self.contents.add((path.stat().st_ino, path.stat().st_mtime_ns))

    def leave(self, target, is_empty):
        """Write what is left; where not waited for, names are missing, or files are empty."""
        for path in sorted(self.root.rglob("*")):
            copy, facts = target / path.relative_to(self.root), path.stat()
            has_name = self.names.get(path.parent, {}).get(path.name) == facts.st_ino
            is_whole = (facts.st_ino, facts.st_mtime_ns) in self.contents
            if (has_name or is_empty) and copy.parent.is_dir():
                if path.is_dir():
                    copy.mkdir()
                else:
                    copy.write_bytes(path.read_bytes() if is_whole else b"")


@pytest.mark.parametrize("change", CHANGES)
def test_a_power_cut_at_any_moment_loses_nothing_acknowledged(tmp_path, monkeypatch, change):
    disk, moments = Disk(tmp_path / "disk"), []

    def seen(path):
        disk.seen(path)
        for is_empty in (False, True):
            moments.append((Path(tempfile.mkdtemp(dir=tmp_path)), is_empty))
            disk.leave(*moments[-1])

    with _watching(monkeypatch, seen):
        store = _fill(
            CodeStore.create(
                disk.root / "items.lance", n_levels=2, n_codewords=4, model_fingerprint="m"
            )
        )
        moments.clear()
        CHANGES[change](store)
    assert len(moments) > 6
    for number, (left, is_empty) in enumerate(moments):
        opened = CodeStore.open(left / "items.lance")
        found = _ids(opened)
        assert found == AFTER[change] or (found == ROWS and number < len(moments) - 2)
        assert opened.verify().damages == ()
        if is_empty:
            _assert_is(opened.path, found)


@pytest.mark.parametrize("n_bytes", [0, 40])
def test_a_manifest_that_a_power_cut_left_incomplete_is_passed_over(store, n_bytes):
    content, torn = _manifests(store.path)[0].read_bytes(), _next_manifest(store.path)
    torn.write_bytes(content[:n_bytes])
    opened = CodeStore.open(store.path)
    assert _ids(opened) == ROWS
    assert torn.exists()  # reading changes nothing
    opened.upsert(_rows([8]))
    assert opened.version == store.version + 1
    aside = store.path / "_checksums" / f"unreadable-{opened.version}.manifest"
    assert aside.read_bytes() == content[:n_bytes]
    _assert_is(store.path, [*ROWS, 8])


@pytest.mark.parametrize("filling", [b"", b"\0"])
def test_a_manifest_that_is_cut_off_anywhere_is_passed_over(store, filling, capfd):
    """Lance 14 panics at 8 of these lengths."""
    content, torn = _manifests(store.path)[0].read_bytes(), _next_manifest(store.path)
    for n_bytes in range(0, len(content), 1 if not filling else 7):
        torn.write_bytes(content[:n_bytes] + filling * (len(content) - n_bytes))
        assert CodeStore.open(store.path).version == store.version, n_bytes
    assert "panicked" not in capfd.readouterr().err


def test_versions_are_listed_beside_a_manifest_that_a_power_cut_left_empty(store):
    numbers = [one.version for one in store.versions()]
    _next_manifest(store.path).write_bytes(b"")
    assert [one.version for one in CodeStore.open(store.path).versions()] == numbers


def test_an_acknowledged_manifest_that_is_damaged_or_missing_is_named(store):
    newest, version = _manifests(store.path)[0], store.version
    content = newest.read_bytes()
    for damaged in (b"", content[:-1], b"?" + content[1:]):
        newest.write_bytes(damaged)
        with pytest.raises(FormatError, match=f"{newest.name} .*version={version - 1}"):
            CodeStore.open(store.path)
    newest.unlink()
    with pytest.raises(FormatError, match=f"{newest.name} is missing"):
        CodeStore.open(store.path)
    assert _ids(CodeStore.open(store.path, version - 1)) == [0, *ROWS]
    newest.write_bytes(content)
    _assert_is(store.path, ROWS)


def test_a_commit_whose_writer_died_before_the_record_is_taken_up(store):
    name = f"_versions/{_manifests(store.path)[0].name}"
    _records(store.path)[-1].unlink()
    assert name not in _read_log(store.path)
    opened = CodeStore.open(store.path)
    assert opened.version == store.version
    opened.upsert(_rows([8]))
    assert name in _read_log(store.path)
    _assert_is(store.path, [*ROWS, 8])


def test_records_put_together_still_protect_all_files(store):
    reader = _read_log(store.path)
    store.compact(kept_s=0)
    assert len(_records(store.path)) == 1
    assert set(_read_log(store.path)._known) == set(store._dataset.files())
    reader.refresh()
    assert reader.damages_of(store._dataset.files()) == []
    store.upsert(_rows([50]))
    files = store._dataset.files()
    assert len(files) == 3  # two of data, one manifest
    for name in files:
        content = (store.path / name).read_bytes()
        _flip_a_bit(store.path / name, len(content) // 2)
        with pytest.raises(FormatError, match=f"{name} is not what was written"):
            CodeStore.open(store.path).ids()
        (store.path / name).write_bytes(content)
    _assert_is(store.path, [*ROWS, 50])


@pytest.mark.parametrize("skips", [False, True])
def test_compaction_gives_no_damaged_file_a_new_checksum(store, skips):
    name = store._dataset.files()[0]
    _flip_a_bit(store.path / name)
    with pytest.raises(FormatError, match=f"{name} is not what was written"):
        CodeStore.open(store.path, skip_damaged=skips).compact(kept_s=0)


def test_a_handle_left_behind_by_a_compaction_finds_no_damage(store):
    behind = CodeStore.open(store.path)
    store.compact(kept_s=0)
    assert behind.verify().damages == ()


def test_a_store_of_version_1_gets_its_checksums_with_the_first_write(tmp_path):
    v1 = shutil.copytree(GOLDEN_V1, tmp_path / "v1.lance")
    opened = CodeStore.open(v1)
    old = {one.version: _ids(CodeStore.open(v1, one.version)) for one in opened.versions()}
    assert opened.verify().damages == ()
    assert not (v1 / "_checksums").exists()
    opened.delete(np.array(_ids(opened)[:1]))
    assert set(opened._dataset.files()) <= set(_read_log(v1)._known)
    assert CodeStore.open(v1).verify().damages == ()
    assert {version: _ids(CodeStore.open(v1, version)) for version in old} == old
    _flip_a_bit(v1 / opened._dataset.files()[0])
    with pytest.raises(FormatError, match="is not what was written"):
        CodeStore.open(v1).ids()


def test_old_versions_of_a_compacted_store_of_version_1_can_still_be_read(tmp_path):
    v1 = shutil.copytree(GOLDEN_V1, tmp_path / "v1.lance")
    dataset = lance.dataset(str(v1))
    lance.write_dataset(dataset.to_table(limit=1), v1, mode="append")  # as early releases did
    lance.dataset(str(v1)).optimize.compact_files()
    opened = CodeStore.open(v1)
    old = {one.version: _ids(CodeStore.open(v1, one.version)) for one in opened.versions()}
    opened.delete(np.array(_ids(opened)[:1]))
    assert {version: _ids(CodeStore.open(v1, version)) for version in old} == old


def test_an_open_handle_sees_a_record_that_was_damaged_since(store):
    assert store.verify().damages == ()
    record = _records(store.path)[0]
    record.write_bytes(record.read_bytes()[:-20])
    assert any(record.name in one for one in store.verify().damages)


def test_a_restored_version_must_be_there(store):
    with pytest.raises(OptionError, match=r"version must be one that is still there, got 99\."):
        store.restore(99)


def test_a_store_of_version_2_without_its_checksums_is_refused(store):
    shutil.rmtree(store.path / "_checksums")
    with pytest.raises(FormatError, match="must have checksums in _checksums"):
        CodeStore.open(store.path)


@pytest.mark.parametrize("n_records", [0, 1])
@pytest.mark.parametrize("change", ["add", "delete", "compact"])
def test_a_full_disk_loses_nothing(store, monkeypatch, change, n_records):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    replace = Mock(wraps=replace_file, side_effect=[DEFAULT] * n_records + [full])
    with monkeypatch.context() as patched:
        patched.setattr("anybit.store.folders.local.replace_file", replace)
        with pytest.raises(OptionError, match=r"No space left.*Free space.*run the same command"):
            CHANGES[change](store)
    left = _ids(CodeStore.open(store.path))
    CHANGES[change](store)
    assert left == ROWS or (left == AFTER[change] and n_records == 1)  # was not acknowledged
    _assert_is(store.path, AFTER[change])


CUTS = [("append", 700), ("compact", 1000)]


@pytest.mark.parametrize(("change", "n_bytes"), [("add", 100), ("delete", 100), *CUTS])
def test_where_lance_cannot_write_nothing_changes(store, change, n_bytes):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))  # of a file, then writing fails
    try:
        with pytest.raises(OptionError, match="must be writable"):
            CHANGES.get(change, lambda one: one.upsert(_rows([9])))(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _assert_is(store.path, ROWS)


def test_a_folder_that_may_only_be_read_is_read_and_never_written(store, monkeypatch):
    real_open = os.open

    def refuse(path, flags, *args):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real_open(path, flags, *args)

    monkeypatch.setattr(os, "open", refuse)  # chmod does not bind the root user
    reader = CodeStore.open(store.path)
    assert _ids(reader) == ROWS
    for change in CHANGES.values():
        with pytest.raises(OptionError, match=r"must be writable.*Permission denied"):
            change(reader)
    monkeypatch.setattr(os, "open", real_open)
    _assert_is(store.path, ROWS)


@pytest.mark.parametrize("change", CHANGES)
def test_an_old_version_is_never_written(store, change):
    for version in (store.version - 1, store.version):
        old = CodeStore.open(store.path, version)
        with pytest.raises(OptionError, match=f"an old version .{version}. can only be read"):
            CHANGES[change](old)
    _assert_is(store.path, ROWS)


def test_a_store_that_was_just_made_survives_a_power_cut(tmp_path, monkeypatch):
    disk = Disk(tmp_path / "disk")
    with _watching(monkeypatch, disk.seen):
        CodeStore.create(disk.root / "items.lance", 2, 4, "m")
    (tmp_path / "left").mkdir()
    disk.leave(tmp_path / "left", is_empty=False)
    opened = CodeStore.open(tmp_path / "left" / "items.lance")
    assert opened.verify().damages == ()
    opened.upsert(_rows([1]))
