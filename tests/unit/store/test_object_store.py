"""The store, its lock and its folder on an object store."""

import json
import threading
import time

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from obstore.store import S3Store

from anybit.errors import DataError, FormatError, OptionError
from anybit.store import CodeStore, Condition, open_folder
from anybit.store.folders.lease import Lease
from anybit.store.folders.object_store import ObjectFolder

ROWS = [1, 2, 3, 4]


def _rows(ids, **columns):
    ids = np.asarray(ids, dtype=np.int64)
    planes = {"level_00": pa.array(ids % 4, pa.uint8()), "level_01": pa.array(ids % 3, pa.uint8())}
    return pa.table({"id": pa.array(ids), **planes, **columns})


@pytest.fixture
def store(bucket):
    """Rows 1 to 4 in two fragments, one with a deletion."""
    made = CodeStore.create(
        f"{bucket}/deep/items.lance", n_levels=2, n_codewords=4, model_fingerprint="m"
    )
    made.upsert(_rows([0, 1, 2, 3]))
    made.upsert(_rows([4]))
    made.delete(np.array([0]))
    return made


@pytest.fixture
def objects(bucket):
    """The bucket, as any other program sees it."""
    return S3Store(bucket.removeprefix("s3://"), client_options={"allow_http": True})


def _ids(store):
    return sorted(store.ids().tolist())


def _paths(objects, below=""):
    return sorted(one["path"] for some in obstore.list(objects, below or None) for one in some)


# --- the lock ---


def _lease(objects, lease_s=None):
    return Lease(objects, "lock", "s3://bucket/lock", lease_s)


def test_a_lock_waits_for_its_holder_however_long_that_lives(objects):
    taken, waits = threading.Event(), threading.Event()

    def take():
        waits.set()
        with _lease(objects, 0.3):
            taken.set()

    thread = threading.Thread(target=take)
    with _lease(objects, 0.3) as held:
        thread.start()
        waits.wait()
        assert not taken.wait(1.0)  # longer than a lease: the holder renews it
        held.check()
    thread.join()
    assert taken.is_set()


def test_only_one_of_many_holds_the_lock(objects):
    n_inside, most, n_done = 0, 0, 0

    def work():
        nonlocal n_inside, most, n_done
        for _ in range(5):
            with _lease(objects):
                n_inside += 1
                most = max(most, n_inside)
                time.sleep(0.002)
                n_inside -= 1
                n_done += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (most, n_done) == (1, 20)


def test_the_lock_of_a_dead_holder_passes_on_and_it_notices(objects):
    dead = _lease(objects, 0.4)
    dead.__enter__()
    dead._ended.set()  # its thread stops renewing, as when the process is killed or frozen
    dead._thread.join()
    dead.check()
    began_s = time.monotonic()
    with _lease(objects, 0.4):
        assert time.monotonic() - began_s >= 0.35
        with pytest.raises(OSError, match=r"the lock was not kept for 0\.2 s"):
            dead.check()
        dead.__exit__(None, None, None)  # it lets go of nothing that is not its own
        with pytest.raises(obstore.exceptions.PreconditionError):
            dead._put(is_held=True)
        assert json.loads(bytes(obstore.get(objects, "lock").bytes()))["is_held"]


def test_a_holder_whose_lock_was_taken_notices_at_its_next_renewal(objects):
    with _lease(objects, 0.3) as held:
        obstore.put(objects, "lock", b'{"is_held": true}')
        held._thread.join(5)
        with pytest.raises(OSError, match="another process may write now"):
            held.check()


def test_a_writer_without_the_lock_commits_nothing(store, monkeypatch):
    monkeypatch.setattr(Lease, "check", lambda _: (_ for _ in ()).throw(OSError("lost it")))
    for change in (lambda: store.upsert(_rows([9])), lambda: store.delete(np.array([1]))):
        with pytest.raises(OptionError, match="lost it"):
            change()
    assert _ids(CodeStore.open(store.path)) == ROWS


# --- the store ---


def _price_is(price):
    return Condition(lambda batch: pc.equal(batch["price"], price), frozenset({"price"}))


def test_a_store_lives_the_same_life_as_on_a_disk(store, bucket):
    assert _ids(store) == _ids(CodeStore.open(store.path)) == ROWS
    store.upsert(_rows([1, 9], price=[5, 6]))
    assert sorted(store.ids(_price_is(5))) == [1]
    version = store.version
    assert store.delete(where=_price_is(6)) == 1
    assert _ids(CodeStore.open(store.path, version)) == [*ROWS, 9]
    assert store.compact(kept_s=0).n_fragments == 1
    assert [one.version for one in store.versions()] == [store.version]
    report = CodeStore.open(store.path).verify()
    assert (report.n_rows, report.damages) == (4, ())
    with pytest.raises(OptionError, match="must not exist yet"):
        CodeStore.create(store.path, 2, 4, "m")
    with pytest.raises(FormatError, match="got no such folder"):
        CodeStore.open(f"{bucket}/nothing")


def test_writers_at_the_same_time_lose_and_double_nothing(store):
    writers = [CodeStore.open(store.path) for _ in range(4)]
    failures = []

    def write(which):
        try:
            for turn in range(4):
                writers[which].upsert(_rows([100 + turn, 1000 * (which + 1) + turn]))
        except Exception as cause:
            failures.append(cause)

    threads = [threading.Thread(target=write, args=(which,)) for which in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failures == []
    own = [1000 * (which + 1) + turn for which in range(4) for turn in range(4)]
    assert _ids(CodeStore.open(store.path)) == sorted([*ROWS, *range(100, 104), *own])


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("flip", "is not what was written"), ("cut", "must have .* bytes, got"), ("gone", "missing")],
)
def test_damage_is_found_and_its_rows_are_named(store, objects, kind, reason):
    victim = next(one for one in _paths(objects, "deep/items.lance/data"))
    content = bytearray(obstore.get(objects, victim).bytes())
    if kind == "gone":
        obstore.delete(objects, victim)
    else:
        content[50] ^= 1
        obstore.put(objects, victim, bytes(content if kind == "flip" else content[:-9]))
    with pytest.raises(FormatError, match=f"numbered from .* to .*{reason}"):
        CodeStore.open(store.path).ids()
    opened = CodeStore.open(store.path, skip_damaged=True)
    assert set(_ids(opened)) in ({4}, {1, 2, 3})
    assert len(opened.verify().damages) == 1
    with pytest.raises(FormatError, match="is damaged"):
        CodeStore.open(store.path).upsert(_rows([7]))


def test_a_commit_that_its_writer_could_not_acknowledge_is_taken_up(store, monkeypatch):
    real = ObjectFolder.write

    def fail_at_the_second(folder, name, content):
        if name.startswith("_checksums") and fail_at_the_second.n:
            raise OSError("no connection")
        fail_at_the_second.n += 1
        real(folder, name, content)

    fail_at_the_second.n = 0
    with monkeypatch.context() as patched:
        patched.setattr(ObjectFolder, "write", fail_at_the_second)
        with pytest.raises(OptionError, match=r"no connection.*run the same command again"):
            store.upsert(_rows([9]))
    again = CodeStore.open(store.path)
    again.upsert(_rows([9]))
    assert _ids(CodeStore.open(store.path)) == [*ROWS, 9]
    assert again.verify().damages == ()


def test_a_store_that_is_not_current_any_more_is_not_written(store):
    is_current = [True, False]  # the second time that it is looked at it is not
    other = CodeStore.open(store.path, is_current=lambda: is_current.pop(0))
    other.upsert(_rows([9]))
    with pytest.raises(DataError, match=r"was replaced.*same command, run again, continues"):
        other.upsert(_rows([10]))
    assert _ids(CodeStore.open(store.path)) == [*ROWS, 9]


def test_the_marker_of_an_earlier_release_is_not_obeyed(store):
    open_folder(store.path).write("_checksums/retired", b"")
    CodeStore.open(store.path, is_current=lambda: True).upsert(_rows([9]))
    assert not open_folder(store.path).exists("_checksums/retired")
    assert _ids(CodeStore.open(store.path)) == [*ROWS, 9]


# --- the folder ---


@pytest.mark.parametrize("url", ["s3://", "s3://bucket", "s3://bucket/", "gs://bucket/name"])
def test_a_url_must_be_whole(url):
    with pytest.raises(OptionError, match="must be s3://BUCKET/NAME"):
        open_folder(url)


@pytest.mark.parametrize("is_local", [True, False])
def test_both_kinds_of_folder_behave_alike(is_local, bucket, tmp_path):
    if is_local:
        (tmp_path / "place").mkdir()
    folder = open_folder(tmp_path / "place" if is_local else f"{bucket}/place")
    assert folder.names() == folder.names("no") == []
    folder.write("a.json", b"one")
    folder.write("sub/b", b"12345")
    assert sorted(folder.names()) == ["a.json", "sub"]
    assert folder.names("sub") == ["b"]
    assert folder.is_there()
    assert folder.child("sub").read("b") == b"12345"
    assert (folder.size_of("sub/b"), folder.total_bytes()) == (5, 8)
    assert folder.checksum_of("a.json").sha256.startswith("7692c3ad3540bb")
    stamp = folder.stamp_of("a.json")
    assert folder.stamp_of("a.json") == stamp
    folder.write("a.json", b"two")
    assert folder.stamp_of("a.json") != stamp
    assert (folder.exists("a.json"), folder.exists("sub"), folder.exists("c")) == (True,) + 2 * (
        False,
    )
    folder.move("a.json", "sub/c")
    assert (folder.stamp_of("a.json"), folder.read("sub/c")) == (None, b"two")
    for ask in (folder.size_of, folder.read, folder.checksum_of, folder.changed_at):
        if ask != folder.changed_at or is_local:
            with pytest.raises(FileNotFoundError):
                ask("gone")
    model = tmp_path / "model"
    (model / "deep").mkdir(parents=True)
    (model / "deep" / "x").write_bytes(b"x")
    (model / "y").write_bytes(b"y")
    folder.take_in(model, "model-1")
    copy = folder.local_copy("model-1")
    assert (copy / "deep" / "x").read_bytes() + (copy / "y").read_bytes() == b"xy"
    assert folder.local_copy("model-1") == copy
    assert abs((folder.changed_at("sub/b") - folder.changed_at("model-1")).total_seconds()) < 60
    folder.remove(["model-1", "sub/b", "never"])
    assert sorted(folder.names()) == ["sub"]
    assert folder.names("sub") == ["c"]


def test_a_place_that_cannot_be_reached_says_what_to_check(bucket, monkeypatch):
    with pytest.raises(FormatError, match=r"s3://no-such.* \(NoSuchBucket\)\. Check the AWS_"):
        CodeStore.open("s3://no-such-bucket-here/x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(
        "anybit.store.folders.object_store._RETRY", {"max_retries": 0}, raising=True
    )
    with pytest.raises(FormatError, match=r"cannot be used.*Check the AWS_\* variables"):
        CodeStore.open(f"{bucket}/x")
