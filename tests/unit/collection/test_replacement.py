"""Migrations of a collection while others write to it, compact it, or migrate it too."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time

import numpy as np
import pytest

from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import AddOptions, Collection
from anybit.collection.ingest import code_rows, feature_column
from anybit.data import open_source
from anybit.errors import DataError, FormatError
from anybit.store import LocalFolder

DIM, K = 6, 16
N_ITEMS = 300
# A6 starts with the levels of A4; B3 has nothing in common with them.
MODELS = {"A4": (4, 0), "A6": (6, 0), "B3": (3, 7)}


@pytest.fixture
def models(tmp_path):
    """Paths of model folders, by name."""
    for name, (n_levels, seed) in MODELS.items():
        values = np.random.default_rng(seed).random((8, K, DIM)).astype(np.float32)[:n_levels]
        content = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
        write_model_folder(tmp_path / name, content, Codebooks.stacked(values))
    return {name: tmp_path / name for name in MODELS}


@pytest.fixture
def vectors(tmp_path):
    # Whole sixteenths: float16, in which features are stored, holds them exactly.
    x = np.random.default_rng(1).integers(0, 16, (N_ITEMS + 50, DIM)).astype(np.float32) / 16
    np.savez(tmp_path / "x.npz", x=x[:N_ITEMS], ids=np.arange(N_ITEMS))
    np.savez(tmp_path / "more.npz", x=x[N_ITEMS:], ids=np.arange(N_ITEMS, N_ITEMS + 50))
    return x


@pytest.fixture
def shop(tmp_path, models, vectors):
    made = Collection.create(tmp_path / "shop", models["A4"])
    made.add(tmp_path / "x.npz", AddOptions(store_features=True, rows_per_commit=100))
    return made


def check(path, vectors, ids=None):
    """Check that a collection holds these items, coded by its own model, and can be written."""
    opened = Collection.open(path)
    ids = np.arange(N_ITEMS) if ids is None else np.asarray(ids)
    index = opened.index()
    np.testing.assert_array_equal(index.ids, ids)
    np.testing.assert_array_equal(index.codes.planes, opened.codebooks.encode(vectors[ids]).planes)
    assert opened.verify().damages == ()
    one = opened.codebooks.encode(vectors[:1])
    opened.add_codes(one, np.array([10**6]), opened.model_fingerprint)
    assert opened.delete(np.array([10**6])) == 1


def make_old(path, seconds=7200.0):
    """Make all that a folder holds look that old."""
    then = time.time() - seconds
    for root, names, files in os.walk(path):
        for name in (*names, *files):
            os.utime(os.path.join(root, name), (then, then))


# --- compactions ---


@pytest.mark.parametrize("kept_s", [0.0, 3600.0])
@pytest.mark.parametrize("to", ["B3", "A6"])
def test_a_compaction_removes_nothing_of_a_running_migration(
    shop, models, vectors, tmp_path, to, kept_s
):
    other, n_times = Collection.open(shop.path), []

    class Slow(type(open_source(tmp_path / "x.npz", None))):
        """A source in whose midst another process compacts."""

        def _rows(self, positions):
            if not n_times:
                n_times.append(1)
                make_old(shop.path)
                other.compact(kept_s)
            return super()._rows(positions)

    source = open_source(tmp_path / "x.npz", None)
    source.__class__ = Slow
    report = shop.migrate(models[to], source)
    assert n_times
    assert report.is_extended == (to == "A6")
    check(shop.path, vectors)


def test_a_compaction_says_that_a_migration_keeps_it_from_removing(shop, models, caplog):
    shop.migrate(models["B3"])
    with caplog.at_level(logging.INFO, "anybit"), LocalFolder(shop.path).lock("replacement.lock"):
        Collection.open(shop.path).compact(0.0)
    assert "is getting another model: replaced folders stay" in caplog.text
    assert (shop.path / "items.lance").is_dir()
    shop.compact(0.0)
    assert not (shop.path / "items.lance").exists()


def test_what_was_replaced_a_moment_ago_stays_however_old_its_files_are(shop, models, vectors):
    reader = Collection.open(shop.path)
    make_old(shop.path)
    shop.migrate(models["B3"])
    shop.compact()
    np.testing.assert_array_equal(
        reader._store.codes()[1].planes, reader.codebooks.encode(vectors[:N_ITEMS]).planes
    )
    make_old(shop.path)
    shop.compact()  # the newest file, and the switch, are two hours old
    assert not (shop.path / "items.lance").exists()
    check(shop.path, vectors)


def test_the_draft_of_an_interrupted_migration_stays_until_it_is_old(shop, models, monkeypatch):
    _interrupt(shop, models["B3"], monkeypatch)
    shop.compact()
    drafts = [one for one in shop.path.iterdir() if one.name.startswith("items-")]
    assert len(drafts) == 1
    make_old(shop.path)
    shop.compact()
    assert not drafts[0].exists()
    assert shop.migrate(models["B3"]).n_encoded == N_ITEMS


def test_a_folder_that_a_killed_compaction_began_to_remove_is_gone(shop, models, monkeypatch):
    shop.migrate(models["B3"])

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            shop.compact(0.0)
    names = sorted(one.name for one in shop.path.iterdir())
    assert sum(one.startswith(".removed-") for one in names) == 1
    shop.compact(0.0)
    manifest = shop._manifest
    assert sorted(one.name for one in shop.path.iterdir()) == [
        "collection.json", manifest.items, manifest.model, "replacement.lock",
    ]  # fmt: skip


# --- one migration after another ---


def _interrupt(shop, model, monkeypatch):
    """Run a migration that dies just before it switches."""

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("anybit.collection.replacement.write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            shop.migrate(model)


@pytest.mark.parametrize(
    "path", ["B3 A4 B3", "B3 A4 B3 A4", "A6 A4 A6 A4", "B3 A6 A4 B3", "A6 B3 A6 A4 A6"]
)
def test_a_collection_goes_from_model_to_model_and_back(shop, models, vectors, path):
    ids = list(range(N_ITEMS))
    for number, name in enumerate(path.split()):
        report = shop.migrate(models[name])
        assert report.n_items == len(ids)
        check(shop.path, vectors, ids)
        new = N_ITEMS + number
        features = vectors[new : new + 1]
        np.savez(shop.path.parent / "one.npz", x=features, ids=np.array([new]))
        shop.add(shop.path.parent / "one.npz", AddOptions(store_features=True))
        shop.delete(np.array([number]))
        ids = [*(one for one in ids if one != number), new]


def test_an_old_draft_is_brought_up_to_date(shop, models, vectors, tmp_path, monkeypatch):
    _interrupt(shop, models["B3"], monkeypatch)
    shop.delete(np.arange(10))
    shop.add(tmp_path / "more.npz", AddOptions(store_features=True))
    swapped = vectors.copy()
    swapped[[20, 21]] = vectors[[21, 20]]
    np.savez(tmp_path / "changed.npz", x=swapped[20:22], ids=np.array([20, 21]))
    shop.add(tmp_path / "changed.npz", AddOptions(store_features=True))
    report = shop.migrate(models["B3"])
    assert report.n_encoded == 52
    check(shop.path, swapped, range(10, N_ITEMS + 50))


@pytest.mark.parametrize("damage", ["no records", "no versions", "cut file", "empty"])
def test_a_draft_that_cannot_be_used_is_made_again(shop, models, vectors, monkeypatch, damage):
    _interrupt(shop, models["B3"], monkeypatch)
    (draft,) = [one for one in shop.path.iterdir() if one.name.startswith("items-")]
    if damage == "cut file":
        file = next((draft / "data").iterdir())
        file.write_bytes(file.read_bytes()[:-7])
    elif damage == "empty":
        shutil.rmtree(draft)
        draft.mkdir()
    else:
        shutil.rmtree(draft / {"no records": "_checksums", "no versions": "_versions"}[damage])
    assert shop.migrate(models["B3"]).n_encoded == N_ITEMS
    check(shop.path, vectors)


def test_a_model_folder_that_is_incomplete_is_replaced(shop, models, vectors, monkeypatch):
    _interrupt(shop, models["B3"], monkeypatch)
    (copy,) = shop.path.glob("model-*")
    (copy / "config.json").unlink()
    shop.migrate(models["B3"])
    check(shop.path, vectors)


def test_migrations_take_turns_and_say_so(shop, models, vectors, caplog):
    second = Collection.open(shop.path)
    is_begun, reports = threading.Event(), []

    def wait(done, total):
        is_begun.set()
        while "waiting" not in caplog.text:
            time.sleep(0.01)

    def migrate_too():
        is_begun.wait(60)
        reports.append(second.migrate(models["A6"]))

    thread = threading.Thread(target=migrate_too)
    thread.start()
    shop.migrate(models["B3"], progress=wait)
    thread.join()
    assert "is getting a model from another process: waiting" in caplog.text
    # The second one found the rows of the first one, not those that it was opened with.
    assert reports[0].old_fingerprint != reports[0].new_fingerprint
    assert Collection.open(shop.path).codebooks.n_levels == 6
    check(shop.path, vectors)


# --- additions ---


def test_an_addition_that_meets_a_switch_keeps_its_chunks_and_goes_on(
    shop, models, vectors, tmp_path
):
    other, n_before = Collection.open(shop.path), []

    def migrate(done, total):
        if not n_before:
            n_before.append(len(other))
            other.migrate(models["B3"])

    options = AddOptions(store_features=True, rows_per_commit=1)
    source = _in_parts(open_source(tmp_path / "more.npz", None))
    with pytest.raises(DataError, match=r"was replaced.*same command, run again, continues"):
        _add_in_parts(shop, source, options, migrate)
    n_kept = len(Collection.open(shop.path))
    assert n_kept >= n_before[0] > N_ITEMS
    report = shop.add(tmp_path / "more.npz", options)
    assert report.n_added == N_ITEMS + 50 - n_kept
    assert report.n_unchanged == n_kept - N_ITEMS
    check(shop.path, vectors, range(N_ITEMS + 50))


def _in_parts(source):
    return [source.take(np.arange(start, start + 10)) for start in range(0, len(source), 10)]


def _add_in_parts(shop, parts, options, meanwhile):
    """Add parts through the rows that were in use at first, as one long addition does."""
    from anybit.collection.addition_plan import plan_addition
    from anybit.collection.ingest import Ingest
    from anybit.data import BadItems

    store, codebooks, encoder = shop._store, shop.codebooks, shop.encoder
    for part in parts:
        plan = plan_addition(part, store, options.stored, replace=False)
        Ingest(store, codebooks, part, options, plan).run(encoder, BadItems(), meanwhile)


@pytest.mark.parametrize("to", ["B3", "A6"])
def test_what_is_deleted_or_compacted_goes_to_the_rows_in_use(shop, models, vectors, to):
    """A switch between looking at collection.json and taking the lock is found under the lock."""
    _switch_late(shop, models[to]).delete(np.array([3]))
    shop.migrate(models["A4"])
    _switch_late(shop, models[to]).compact()
    check(shop.path, vectors, [one for one in range(N_ITEMS) if one != 3])


def _switch_late(shop, model):
    """Return a collection that gets another model after the first time that it is refreshed."""
    late, other, done = Collection.open(shop.path), Collection.open(shop.path), []
    follow = late.refresh

    def refresh():
        moved = follow()
        if not done:
            done.append(other.migrate(model))
        return moved

    late.refresh = refresh
    return late


def test_a_marker_of_an_earlier_release_does_not_keep_writers_out(shop, vectors):
    (shop.path / "items.lance/_checksums/retired").touch()
    check(shop.path, vectors)
    assert not (shop.path / "items.lance/_checksums/retired").exists()


def test_a_folder_without_a_manifest_is_not_written(shop):
    manifest = shop.path / "collection.json"
    content = manifest.read_bytes()
    store = shop._store
    manifest.unlink()
    with pytest.raises(FormatError, match="must be a collection"):
        store.delete(np.array([1]))
    manifest.write_bytes(content)
    assert store.delete(np.array([1])) == 1


# --- readers ---

_TOUCHES = (
    "names", "read", "exists", "size_of", "checksum_of", "changed_at", "stamp_of", "quiet_stamp_of",
)  # fmt: skip
_READS = {
    "open": lambda path, _: len(Collection.open(path)),
    "versions": lambda _, one: one.versions(),
    "info": lambda _, one: one.info(),
    "verify": lambda _, one: one.verify().is_intact or pytest.fail("false alarm"),
    "count": lambda _, one: one.count("id > 4"),
    "search": lambda _, one: one.search(np.ones(DIM, np.float32), 3, where="id > 4"),
    "get": lambda _, one: one.get(np.array([7])),
    "export": lambda path, one: one.export(path.parent / f"e{time.monotonic_ns()}"),
    "index": lambda _, one: one.index(),
    "thumbnails": lambda _, one: one.thumbnails(np.array([7])),
    "refresh": lambda _, one: one.refresh(),
}


@pytest.mark.parametrize("name", list(_READS))
def test_a_reader_is_right_wherever_a_compaction_comes_between(shop, monkeypatch, name):
    """Before each look at a file by the reader, another process commits and removes all else."""
    writer, n_looks = Collection.open(shop.path), 0
    at = {"step": 0, "last": 0}

    def touched(method):
        def call(folder, *arguments):
            at["step"] += 1
            if at["step"] == at["last"]:
                at["last"] = -1  # not for the looks of the writer itself
                code = writer.codebooks.encode(np.ones((1, DIM), np.float32))
                writer.add_codes(code, np.array([5000]), writer.model_fingerprint)
                writer.compact(0.0)
            return method(folder, *arguments)

        return call

    for method in _TOUCHES:
        monkeypatch.setattr(LocalFolder, method, touched(getattr(LocalFolder, method)))
    while at["last"] <= 0:
        reader = Collection.open(shop.path)
        n_looks += 1
        at.update(step=0, last=n_looks)
        _READS[name](shop.path, reader)
    assert n_looks > 2


# --- writers ---

_OPTIONS = AddOptions(store_features=True, id_prefix="first")
_WRITES = {
    "add": lambda one, models, place: one.add(place / "more.npz"),
    "move": lambda one, models, place: one.add(place / "moved.npy", _OPTIONS),
    "delete": lambda one, models, place: one.delete(where="id < 2"),
    "migrate": lambda one, models, place: one.migrate(models["B3"]),
    "extend": lambda one, models, place: one.migrate(models["A6"]),
}


@pytest.mark.parametrize("name", list(_WRITES))
def test_a_writer_is_right_wherever_a_compaction_comes_between(
    shop, models, vectors, tmp_path, monkeypatch, name
):
    """Now and then, while no lock is held, another process commits and removes all else."""
    np.savez(tmp_path / "more.npz", x=vectors[:20], ids=np.arange(500, 520))
    np.save(tmp_path / "first.npy", vectors[N_ITEMS : N_ITEMS + 10])
    shop.add(tmp_path / "first.npy", _OPTIONS)
    (tmp_path / "first.npy").rename(tmp_path / "moved.npy")
    n_before = len(shop)
    at = {"step": 0, "last": 0, "writer": None}

    def is_free(place):
        try:
            for one in place.glob("items*.lance"):
                with LocalFolder(one).lock("_checksums/lock", wait=False):
                    pass
        except BlockingIOError:
            return False
        return True

    def touched(method):
        def call(folder, *arguments):
            at["step"] += 1
            if at["last"] > 0 and at["step"] >= at["last"]:
                writer, last, at["last"] = at["writer"], at["last"], -1
                if is_free(writer.path):
                    writer.refresh()
                    code = writer.codebooks.encode(np.ones((1, DIM), np.float32))
                    feature = feature_column(np.ones((1, DIM), np.float32))
                    row = code_rows(np.array([5000]), code).append_column("feature", feature)
                    writer._store.upsert(row)
                    writer.compact(0.0)
                else:
                    at["last"] = last  # at the next look
            return method(folder, *arguments)

        return call

    for method in _TOUCHES:
        monkeypatch.setattr(LocalFolder, method, touched(getattr(LocalFolder, method)))
    n_looks, came_between = 1, True
    while came_between:
        path = shutil.copytree(shop.path, tmp_path / "copies" / f"{n_looks}")
        at["writer"], late = Collection.open(path), Collection.open(path)
        at.update(step=0, last=n_looks)
        _WRITES[name](late, models, tmp_path)
        came_between, at["last"] = at["last"] < 0, 0
        expected = {"add": 20, "delete": -2}.get(name, 0) + came_between
        assert len(Collection.open(path)) == n_before + expected
        shutil.rmtree(path)
        n_looks += 2
    assert n_looks > 5
