"""A whole collection on an object store."""

import shutil

import numpy as np
import obstore
import pytest
from obstore.store import S3Store
from typer.testing import CliRunner

from anybit.cli import app
from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import AddOptions, Collection
from anybit.errors import FormatError, OptionError

N_CODEWORDS, DIM = 4, 3


def _save(path, seed, n_levels=2):
    values = np.random.default_rng(seed).normal(size=(n_levels, N_CODEWORDS, DIM))
    codebooks = Codebooks.stacked(values.astype(np.float32))
    write_model_folder(
        path, ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {}), codebooks
    )
    return path


@pytest.fixture
def url(bucket):
    return f"{bucket}/shops/shop.anybit"


@pytest.fixture
def objects(bucket):
    """The bucket, as any other program sees it."""
    return S3Store(bucket.removeprefix("s3://"), client_options={"allow_http": True})


@pytest.fixture
def vectors(rng, tmp_path):
    found = rng.normal(size=(300, DIM)).astype(np.float32)
    np.save(tmp_path / "x.npy", found)
    return found


@pytest.fixture
def shop(url, tmp_path, vectors):
    made = Collection.create(url, _save(tmp_path / "model", 0))
    made.add(tmp_path / "x.npy", AddOptions(store_features=True))
    return made


def _names(objects, below):
    found = obstore.list_with_delimiter(objects, below)
    paths = [*found["common_prefixes"], *(one["path"] for one in found["objects"])]
    return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)


def test_it_answers_as_one_on_a_disk(shop, url, vectors, tmp_path):
    local = Collection.create(tmp_path / "shop", tmp_path / "model")
    local.add(tmp_path / "x.npy", AddOptions(store_features=True))
    for remote in (shop, Collection.open(url)):
        assert remote.path == url
        for where in (None, "id < 100"):
            ours, theirs = (one.search(vectors[7], 20, where=where) for one in (remote, local))
            np.testing.assert_array_equal(ours.ids, theirs.ids)
            np.testing.assert_array_equal(ours.scores, theirs.scores)
        assert remote.verify().is_intact
        assert remote.info()["n_items"] == 300
    assert shop.add(tmp_path / "x.npy", AddOptions(store_features=True)).n_unchanged == 300
    assert shop.delete(where="id < 10") == 10
    assert shop.compact(0).n_fragments == 1
    assert (shop.count(), shop.checkout(shop.versions()[-1].version).count()) == (290, 290)
    shop.export(tmp_path / "out")
    assert (tmp_path / "out").is_dir()


def test_an_open_collection_sees_what_others_write(shop, url, monkeypatch):
    reader = Collection.open(url)
    shop.delete(np.array([1]))
    assert reader.refresh()
    assert reader.count() == 299
    monkeypatch.setattr("anybit.store.folders.object_store.ObjectFolder.max_age_s", 0.0)
    shop.delete(np.array([2]))
    assert reader.count() == 298  # after a second, without being asked to


def test_another_model_takes_over_for_all_who_have_it_open(shop, url, vectors, tmp_path, objects):
    reader = Collection.open(url)
    new = _save(tmp_path / "new", 1, n_levels=3)
    report = shop.migrate(new)
    assert (report.n_items, report.is_extended) == (300, False)
    reader.refresh()
    expected = reader.codebooks.encode(vectors.astype(np.float16).astype(np.float32))
    for opened in (shop, reader, Collection.open(url)):
        assert opened.model_fingerprint == report.new_fingerprint
        np.testing.assert_array_equal(opened.index().codes.planes, expected.planes)
    names = _names(objects, "shops/shop.anybit")
    assert len(names) == 6  # two models, two of rows, collection.json, the lock
    shop.compact(0)
    assert len(_names(objects, "shops/shop.anybit")) == 4  # what was replaced is gone


def test_a_creation_that_was_interrupted_is_run_again(url, tmp_path, monkeypatch, objects):
    model = _save(tmp_path / "model", 0)
    with monkeypatch.context() as patched:
        patched.setattr("anybit.collection.creation.write_manifest", _broken)
        with pytest.raises(OptionError, match=r"must be writable.*broken"):
            Collection.create(url, model)
    assert _names(objects, "shops/shop.anybit")  # something is there, and it is no collection
    with pytest.raises(FormatError, match=r"collection\.json, got a folder without"):
        Collection.open(url)
    assert Collection.create(url, model).count() == 0


def _broken(*_):
    raise OSError("broken")


def test_a_collection_is_replaced_only_when_asked(shop, url, tmp_path):
    with pytest.raises(OptionError, match=r"must not exist yet.*--overwrite"):
        Collection.create(url, tmp_path / "model")
    assert shop.count() == 300
    assert Collection.create(url, tmp_path / "model", overwrite=True).count() == 0
    shop.refresh()
    assert shop.count() == 0


def test_the_cache_may_be_deleted_at_any_time(shop, url, vectors, tmp_path):
    expected = shop.search(vectors[0]).ids
    assert any((tmp_path / "cache").rglob("model.safetensors"))
    shutil.rmtree(tmp_path / "cache")
    np.testing.assert_array_equal(shop.search(vectors[0]).ids, expected)
    np.testing.assert_array_equal(Collection.open(url).search(vectors[0]).ids, expected)


def test_a_model_that_was_tampered_with_is_refused(url, shop, objects, tmp_path):
    name = next(one for one in _names(objects, "shops/shop.anybit") if one.startswith("model-"))
    path = f"shops/shop.anybit/{name}/model.safetensors"
    content = bytearray(obstore.get(objects, path).bytes())
    content[-1] ^= 1
    obstore.put(objects, path, bytes(content))
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(FormatError, match="is damaged"):
        Collection.open(url)


def test_the_commands_take_a_url(url, tmp_path, vectors):
    model = _save(tmp_path / "model", 0)
    np.save(tmp_path / "q.npy", vectors[3])

    def run(*arguments):
        result = CliRunner().invoke(app, [str(one) for one in arguments])
        assert result.exit_code == 0, result.output
        return result.output

    run("create", url, "--model", model)
    assert "300 added" in run("add", url, tmp_path / "x.npy")
    assert "10" in run("search", url, tmp_path / "q.npy", "-k", 10, "--json")
    run("delete", url, "--where", "id < 10")
    assert "intact" in run("verify", url)
    run("compact", url)
    assert '"n_items": 290' in run("info", url, "--json")
