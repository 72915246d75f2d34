import os
import resource
import subprocess
import sys
import tempfile
import threading

import lance
import numpy as np
import pyarrow as pa
import pytest

from anybit.codes import write_errors
from anybit.errors import AnybitError, DataError, OptionError
from anybit.store import CodeStore, LocalFolder

ROWS = pa.table({"id": pa.array([1, 2]), "level_00": pa.array([0, 1], pa.uint8())})


@pytest.fixture
def store(tmp_path):
    return CodeStore.create(tmp_path / "items.lance", 1, 256, "m")


def test_a_file_that_was_removed_is_named(store):
    store.upsert(ROWS)
    opened = CodeStore.open(store.path)
    for file in (store.path / "data").iterdir():
        file.unlink()
    try:
        opened._dataset.lance.to_table()
    except (OSError, ValueError) as cause:
        with pytest.raises(OptionError, match=r"No such file.*data/.*restore that from a copy"):
            with write_errors("shop"):
                raise cause


def test_a_file_that_grows_beyond_the_limit_is_told(store):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OptionError, match=r"got: File too large.*ulimit -f"):
            store.upsert(ROWS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.upsert(ROWS).n_added == 2


def test_a_path_that_cannot_be_made_says_why(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    for place, reason in (
        (tmp_path / "file" / "items.lance", "A folder above it is a file"),
        (tmp_path / ("n" * 300), "Choose a shorter path"),
    ):
        with pytest.raises(OptionError, match=reason):
            CodeStore.create(place, 1, 256, "m")


def test_an_error_of_lance_itself_leaves_the_store_as_it_was(store, monkeypatch):
    store.upsert(ROWS)

    def refused(self, *_):
        lance.dataset(str(store.path)).add_columns(pa.schema([pa.field("a.b", pa.int64())]))

    monkeypatch.setattr(CodeStore, "_make_room", refused)
    with pytest.raises(AnybitError, match=r"was not changed: Lance failed \(LanceError\(Schema\)"):
        store.upsert(ROWS)
    monkeypatch.undo()
    assert store.count() == 2


def _model(path):
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "sub").mkdir()
    (path / "sub" / "weights").write_bytes(b"w")
    return path


@pytest.mark.parametrize("kind", ["file", "folder", "relative", "dangling", "chain", "nested"])
def test_a_link_that_leads_out_of_a_folder_is_not_followed(tmp_path, kind):
    source, secret = _model(tmp_path / "model"), tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    link = source / "sub" / "link" if kind == "nested" else source / "link"
    target = {
        "folder": secret, "relative": "../secret/key", "dangling": "/no/such/file",
    }.get(kind, secret / "key")  # fmt: skip
    if kind == "chain":
        (source / "inside").symlink_to(target)
        target = "inside"
    link.symlink_to(target)
    (tmp_path / "shop").mkdir()
    with pytest.raises(DataError, match=r"must be a file of its folder, got a link to .*cp -rL"):
        LocalFolder(tmp_path / "shop").take_in(source, "model")
    assert os.listdir(tmp_path / "shop") == []


def test_a_link_inside_the_folder_is_copied_as_a_file(tmp_path):
    source = _model(tmp_path / "real")
    (source / "model.safetensors").symlink_to("sub/weights")
    (tmp_path / "model").symlink_to(source)  # the folder itself may be one
    (tmp_path / "shop").mkdir()
    LocalFolder(tmp_path / "shop").take_in(tmp_path / "model", "model")
    copied = tmp_path / "shop" / "model" / "model.safetensors"
    assert copied.read_bytes() == b"w"
    assert not copied.is_symlink()


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    source = _model(tmp_path / "model")
    os.mkfifo(source / "model.onnx")
    (tmp_path / "shop").mkdir()
    done = threading.Event()

    def take():
        with pytest.raises(DataError, match="must be a regular file"):
            LocalFolder(tmp_path / "shop").take_in(source, "model")
        done.set()

    threading.Thread(target=take, daemon=True).start()
    assert done.wait(20)


def test_a_panic_reaches_the_user_as_an_error():
    code = """
import pyarrow as pa
from anybit.errors import AnybitError
from anybit.store import CodeStore
import sys
store = CodeStore.create(sys.argv[1], 1, 256, "m")
pairs = pa.array([["a", "b"]], pa.list_(pa.string(), 2))
rows = pa.table({"id": [1], "level_00": pa.array([0], pa.uint8()), "p": pairs})
import anybit.store.code_store as module
module.plain_rows = lambda rows: rows  # a type that Lance 14 panics at
try:
    store.upsert(rows)
except AnybitError as error:
    print(error)
"""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code, f"{folder}/items.lance"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert "Lance failed" in done.stdout, done.stderr
    assert "writable" not in done.stdout
    np.testing.assert_equal(done.returncode, 0)
