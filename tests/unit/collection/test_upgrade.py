import json
import logging
import shutil
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import Collection
from anybit.errors import FormatError
from anybit.store import CodeStore

GOLDEN = Path(__file__).parents[2] / "golden"
OLD = {1: GOLDEN / "collection_v1", 2: GOLDEN / "collection_v2"}
NAMES = ["id", "key", "labels", "price", "level_00", "level_01", "level_02"]


@pytest.fixture(params=OLD)
def old(tmp_path, request):
    return Path(shutil.copytree(OLD[request.param], tmp_path / "collection"))


def _contents(path):
    """All files but the lock and the index, which are no part of the content."""
    return {
        str(one.relative_to(path)): one.read_bytes()
        for one in path.rglob("*")
        if one.is_file() and one.name != "lock" and one.suffix != ".index"
    }


def _versions(path):
    """Format versions of collection.json and of the store."""
    schema = lance.dataset(str(path / "items.lance")).schema
    manifest = json.loads((path / "collection.json").read_text())
    return manifest["format_version"], int(schema.metadata[b"anybit.format_version"])


def _rows(collection):
    return collection.get(collection.ids(), NAMES).to_pylist()


def _codes_of(collection, ids, **columns):
    index = collection.index()
    codes = index.codes.take(np.zeros(len(ids), dtype=np.int64))
    table = pa.table(columns) if columns else None
    collection.add_codes(codes, np.array(ids), collection.model_fingerprint, table)


WRITES = {
    "add": lambda one: _codes_of(one, [7000]),
    "delete": lambda one: one.delete(ids=np.array([7000])),
    "compact": lambda one: one.compact(),
}


def test_reading_upgrades_nothing(old):
    before = _contents(old)
    collection = Collection.open(old)
    collection.search(np.zeros(4, np.float32))
    collection.verify()
    collection.info()
    assert _contents(old) == before


@pytest.mark.parametrize("write", WRITES)
def test_the_first_write_upgrades_once_and_says_so(old, write, caplog):
    collection = Collection.open(old)
    before, version = _rows(collection), _versions(old)[0]
    with caplog.at_level(logging.WARNING, "anybit"):
        WRITES[write](collection)
        WRITES[write](collection)
        Collection.open(old).delete(ids=np.array([7000]))
    said = [one.getMessage() for one in caplog.records if "upgraded" in one.getMessage()]
    assert len(said) == 1
    assert f"{old} was upgraded from format version {version} to 3" in said[0]
    assert _versions(old) == (3, 3)
    opened = Collection.open(old)
    assert _rows(opened) == before
    assert opened.verify().is_intact
    for name, content in _contents(OLD[version]).items():  # no row was written again
        if name.startswith("items.lance/data") and write != "compact":
            assert (old / name).read_bytes() == content


def test_the_store_names_its_model_from_then_on(old):
    collection = Collection.open(old)
    WRITES["add"](collection)
    schema = lance.dataset(str(old / "items.lance")).schema
    assert json.loads(schema.metadata[b"anybit.models"]) == {collection.model_fingerprint: 3}


@pytest.mark.parametrize(
    ("version", "names", "renamed"),
    [
        (1, ["path", "image", "signature", "item_source"], 4),
        (1, ["path", "path_", "path__"], 1),
        (2, ["item_source", "item_digest", "item_source_"], 2),
        (2, ["price2"], 0),
    ],
)
def test_metadata_whose_name_is_reserved_now_is_renamed(tmp_path, caplog, version, names, renamed):
    old = Path(shutil.copytree(OLD[version], tmp_path / "collection"))
    collection = Collection.open(old)
    store = CodeStore.open(old / "items.lance")  # writes the format that it finds
    rows = store.read(["id", "level_00", "level_01", "level_02"])
    for name in names:
        rows = rows.append_column(name, pa.array([name] * len(rows)))
    store.upsert(rows)
    assert collection.refresh()
    assert set(names) <= set(collection.info()["metadata_columns"])
    with caplog.at_level(logging.WARNING, "anybit"):
        collection.delete(ids=np.array([7000]))
    assert caplog.text.count(" is now ") == renamed
    found = collection.get(collection.ids()).to_pylist()[0]
    assert sorted(one for one in found.values() if one in names) == sorted(names)
    assert not {"path", "image", "signature", "item_source", "item_digest"} & found.keys()
    assert collection.verify().is_intact
    _codes_of(collection, [100], **{name: ["again"] for name in names if name.endswith("2")})


def test_an_upgrade_cut_off_at_any_commit_is_read_and_finished_by_the_next_writer(
    tmp_path, monkeypatch
):
    expected = _rows(Collection.open(OLD[2]))
    seen = set()
    for n_commits in range(5):
        old = Path(shutil.copytree(OLD[2], tmp_path / str(n_commits)))
        store = CodeStore.open(old / "items.lance")
        rows = store.read(["id", "level_00", "level_01", "level_02", "key", "labels", "price"])
        store.upsert(rows.append_column("item_source", pa.array(["mine"] * len(rows))))
        left = iter(range(n_commits))

        def cut(real, left=left):
            def wrapped(*args, **kwargs):
                if next(left, None) is None:
                    raise KeyboardInterrupt
                return real(*args, **kwargs)

            return wrapped

        from anybit.collection import upgrade

        with monkeypatch.context() as patched:
            dataset = type(store._dataset)
            patched.setattr(dataset, "committed", cut(dataset.committed))
            patched.setattr(upgrade, "write_manifest", cut(upgrade.write_manifest))
            try:
                Collection.open(old).compact()
            except KeyboardInterrupt:
                seen.add(_versions(old))
        opened = Collection.open(old)
        assert _rows(opened) == expected
        mine = "item_source_" if "item_source_" in opened.get(opened.ids()).column_names else None
        mine = mine or "item_source"
        assert set(opened.get(opened.ids(), [mine])[mine].to_pylist()) == {"mine"}
        opened.compact()
        assert _versions(old) == (3, 3)
        assert _rows(Collection.open(old)) == expected
        assert set(opened.get(opened.ids())["item_source_"].to_pylist()) == {"mine"}
    assert {(2, 2), (2, 3)} <= seen


def test_a_new_collection_json_with_an_old_store_is_opened_and_upgraded(old):
    manifest = json.loads((old / "collection.json").read_text())
    manifest["format_version"] = 3
    (old / "collection.json").write_text(json.dumps(manifest))
    collection = Collection.open(old)
    before = _rows(collection)
    WRITES["delete"](collection)
    assert _versions(old) == (3, 3)
    assert _rows(Collection.open(old)) == before


def _model(path, seed, n_levels=2):
    values = np.random.default_rng(seed).random((4, 16, 6)).astype(np.float32)[:n_levels]
    folder = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
    write_model_folder(path, folder, Codebooks.stacked(values))
    return path


@pytest.mark.parametrize("restored", ["items.lance", "collection.json and model", "longer model"])
def test_half_a_backup_of_another_model_is_refused(tmp_path, restored):
    ours = Collection.create(tmp_path / "ours", _model(tmp_path / "a", 0))
    n_levels = 3 if restored == "longer model" else 2
    theirs = Collection.create(tmp_path / "theirs", _model(tmp_path / "b", 1, n_levels))
    names = ["items.lance"] if restored == "items.lance" else ["collection.json", "model"]
    for name in names:
        target, source = ours.path / name, theirs.path / name
        if source.is_dir():
            shutil.rmtree(target)
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    with pytest.raises(FormatError, match=r"must hold codes of the model .*Restore the whole"):
        Collection.open(ours.path)
