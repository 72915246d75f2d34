"""Collections that are overwritten while others write to them or give them another model."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil

import numpy as np
import pyarrow as pa
import pytest

from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import AddOptions, Collection
from anybit.data import open_source
from anybit.errors import OptionError, ReplacedError
from anybit.store import LocalFolder, writer_lock

DIM, N_ITEMS = 4, 300


@pytest.fixture
def models(tmp_path):
    """Paths of two model folders."""
    for seed, name in enumerate(["one", "two"]):
        values = np.random.default_rng(seed).random((2, 16, DIM)).astype(np.float32)
        content = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
        write_model_folder(tmp_path / name, content, Codebooks.stacked(values))
    return [tmp_path / "one", tmp_path / "two"]


@pytest.fixture
def shop(tmp_path, models):
    return Collection.create(tmp_path / "shop", models[0])


@pytest.fixture
def source(tmp_path):
    x = np.random.default_rng(1).integers(0, 16, (N_ITEMS, DIM)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, ids=np.arange(N_ITEMS))
    return tmp_path / "x.npz"


def add_one(collection, number):
    """Store one item."""
    codes = collection.codebooks.encode(np.zeros((1, DIM), np.float32))
    return collection.add_codes(codes, np.array([number]), collection.model_fingerprint)


@pytest.mark.parametrize("to", ["same model", "other model"])
@pytest.mark.parametrize("n_before", [0, 1, 2, 7])
def test_an_addition_says_that_its_collection_was_overwritten(
    shop, models, monkeypatch, source, to, n_before
):
    model = models[0] if to == "same model" else models[1]
    for number in range(n_before):  # versions of the old collection, to be told from the new
        add_one(shop, 1000 + number)

    def overwrite():
        made = Collection.create(shop.path, model, overwrite=True)
        add_one(made, 7)

    upsert, n_commits = type(shop._store).upsert, []

    def first_overwritten(self, *arguments):
        n_commits.append(1)
        if len(n_commits) == 2:
            monkeypatch.undo()
            overwrite()
        return upsert(self, *arguments)

    monkeypatch.setattr(type(shop._store), "upsert", first_overwritten)
    with pytest.raises(ReplacedError, match="was overwritten"):
        shop.add(large(source), AddOptions(rows_per_commit=100))
    assert n_commits
    opened = Collection.open(shop.path)
    np.testing.assert_array_equal(opened.ids(), [7])
    assert opened.verify().is_intact


def large(path):
    """A source of 9,000 vectors, which are read in several blocks."""
    x = np.random.default_rng(2).random((9_000, DIM)).astype(np.float32)
    np.savez(path, x=x, ids=np.arange(len(x)) + 10_000)
    return path


@pytest.mark.parametrize("name", ["replacement", "rows"])
def test_a_collection_in_use_is_not_overwritten(shop, models, name):
    add_one(shop, 1)
    folder = LocalFolder(shop.path)
    lock = (
        folder.lock("replacement.lock")
        if name == "replacement"
        else writer_lock(folder.child("items.lance"))
    )
    with lock, pytest.raises(OptionError, match="must not be in use while it is replaced"):
        Collection.create(shop.path, models[1], overwrite=True)
    np.testing.assert_array_equal(Collection.open(shop.path).ids(), [1])
    assert [one.name for one in shop.path.parent.glob(".shop*")] == []
    Collection.create(shop.path, models[1], overwrite=True)
    assert len(Collection.open(shop.path)) == 0
    assert [one.name for one in shop.path.parent.glob(".shop*")] == []


def test_a_migration_in_progress_is_not_overwritten(shop, models, source):
    shop.add(source, AddOptions(store_features=True))
    refused = []

    def overwrite():
        with pytest.raises(OptionError, match="gives another model"):
            Collection.create(shop.path, models[0], overwrite=True)
        refused.append(1)

    slow = open_source(source, None)

    class Slow(type(slow)):
        def _rows(self, positions):
            if not refused:
                overwrite()
            return super()._rows(positions)

    slow.__class__ = Slow
    shop.migrate(models[1], slow)
    assert refused
    assert len(Collection.open(shop.path)) == N_ITEMS


@pytest.mark.parametrize("what", ["no manifest", "no rows", "damaged manifest"])
def test_a_damaged_collection_can_be_overwritten(shop, models, what):
    if what == "damaged manifest":
        (shop.path / "collection.json").write_text("{")
    elif what == "no rows":
        shutil.rmtree(shop.path / "items.lance")
    else:
        (shop.path / "collection.json").write_text("[]")
    assert len(Collection.create(shop.path, models[1], overwrite=True)) == 0


@pytest.mark.parametrize("model", [0, 1])
def test_a_deletion_is_not_done_to_the_collection_that_came_instead(
    shop, models, monkeypatch, model
):
    add_one(shop, 1)
    delete = type(shop._store).delete

    def late(self, *arguments):
        monkeypatch.undo()
        add_one(Collection.create(shop.path, models[model], overwrite=True), 1)
        return delete(self, *arguments)

    monkeypatch.setattr(type(shop._store), "delete", late)
    with pytest.raises(ReplacedError):
        shop.delete(np.array([1]))
    np.testing.assert_array_equal(Collection.open(shop.path).ids(), [1])


def test_who_waits_for_a_lock_of_a_replaced_folder_gets_that_of_the_new_one(tmp_path, monkeypatch):
    place, flock = tmp_path / "shop", fcntl.flock
    place.mkdir()

    def late(*arguments):
        monkeypatch.undo()
        place.rename(tmp_path / "old")
        place.mkdir()
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", late)
    with LocalFolder(place).lock("lock"):
        with pytest.raises(BlockingIOError), LocalFolder(place).lock("lock", wait=False):
            pass
        with LocalFolder(tmp_path / "old").lock("lock", wait=False):
            pass
    with LocalFolder(place).lock("lock", wait=False):
        pass


def test_an_addition_to_rows_that_are_gone_says_so(shop, models):
    shop.migrate(models[1])  # the rows have another name now
    add_one(shop, 1)
    Collection.create(shop.path, models[0], overwrite=True)
    assert not shop._store.path.exists()
    rows = pa.table({"id": [2], "level_00": np.zeros(1, "u1"), "level_01": np.zeros(1, "u1")})
    with pytest.raises(ReplacedError, match="was overwritten"):
        shop._store.upsert(rows)


def test_a_new_collection_that_cannot_be_put_in_place_leaves_the_old_one(shop, models, monkeypatch):
    add_one(shop, 1)
    rename = os.rename

    def full(source, target):
        if target == shop.path and source.suffix != ".old":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(source, target)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OptionError, match="No space left"):
        Collection.create(shop.path, models[1], overwrite=True)
    np.testing.assert_array_equal(Collection.open(shop.path).ids(), [1])
    assert [one.name for one in shop.path.parent.glob(".shop*")] == []
