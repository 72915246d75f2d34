"""Folders as people have them: odd names, system folders, links, pipes, and no right to read."""

import os
import socket
import sys

import pytest

from anybit.data import BadItems, Preprocessor, SourceOptions, open_source
from anybit.errors import DataError


def reasons(source):
    return {one.key: one.reason for one in source.unusable}


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_names_that_are_not_utf8_become_keys_and_labels(tmp_path, put):
    for name in (b"caf\xe9/0.png", b"red/\xff.png", b"red/a\nb.png"):
        put(tmp_path / os.fsdecode(name), 40)
    source = open_source(tmp_path)
    assert source.keys == ("caf\\xe9/0.png", "red/\\xff.png", "red/a\nb.png")
    assert source.class_names == ("caf\\xe9", "red")
    assert source.uint8_batch(range(3), Preprocessor(4))[1].all()
    source.describe().encode("utf-8")
    assert "a\nb" not in source.describe()


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_two_names_of_the_same_text_are_one_item_and_one_line(tmp_path, put):
    put(tmp_path / "a\\xe9.png")
    put(tmp_path / os.fsdecode(b"a\xe9.png"))
    source = open_source(tmp_path)
    assert source.keys == ("a\\xe9.png",)
    assert "reads the same" in reasons(source)["a\\xe9.png"]


@pytest.mark.parametrize(
    "folder",
    ["@eaDir", "#recycle", "#snapshot", "$RECYCLE.BIN", "System Volume Information", ".Trashes",
     "lost+found", "@Recycle", "@Recently-Snapshot", ".Spotlight-V100", ".fseventsd", "__MACOSX",
     "@EADIR", "lost+Found"],
)  # fmt: skip
def test_system_folders_are_no_classes_and_are_named(tmp_path, put, folder):
    put(tmp_path / "red/0.png")
    put(tmp_path / folder / "x.png")
    put(tmp_path / "red" / folder / "0.png" / "thumb.png")
    (tmp_path / folder / "metadata.csv").write_text("file_name\nx.png\n")
    source = open_source(tmp_path)
    assert source.keys == ("red/0.png",)
    assert source.class_names == ("red",)
    assert f"Skipped 2 system or hidden entries ({folder}: 2)" in source.describe()


def test_a_system_folder_that_is_named_is_read(tmp_path, put):
    put(tmp_path / "@Recycle/red/0.png")
    assert open_source(tmp_path / "@Recycle").keys == ("red/0.png",)


def test_files_of_the_system_are_counted_by_name(tmp_path, put):
    for name in ("0.png", "._0.png", "._1.png", "Thumbs.db", ".DS_Store", "desktop.ini"):
        put(tmp_path / name)
    source = open_source(tmp_path)
    assert source.keys == ("0.png",)
    assert "5 system or hidden entries (._*: 2, .DS_Store: 1" in source.describe()


def test_unsupported_files_are_counted_by_suffix(tmp_path, put):
    for name in ("0.png", "a.txt", "b.TXT", "c.mov", "README"):
        put(tmp_path / name)
    found = open_source(tmp_path).describe()
    assert "Skipped 4 unsupported files (.txt: 2, .mov: 1, no suffix: 1)" in found
    assert open_source(tmp_path).unusable == ()


@pytest.mark.parametrize(
    ("name", "cure"),
    [("a.CR2", "export them as JPEG"), ("b.svg", "convert them"), ("c.psd", "convert them"),
     ("d.dng", "export them as JPEG")],
)  # fmt: skip
def test_pictures_in_formats_that_cannot_be_read_are_unusable_with_a_cure(
    tmp_path, put, name, cure
):
    put(tmp_path / "red/0.png")
    put(tmp_path / "red" / name)
    source = open_source(tmp_path)
    assert cure in reasons(source)[f"red/{name}"]
    assert cure in source.describe()
    assert open_source(tmp_path, SourceOptions()).take([0]).unusable == source.unusable
    (tmp_path / "red/0.png").unlink()
    with pytest.raises(DataError, match=cure):
        open_source(tmp_path)


def test_unreadable_folders_and_files_are_named_and_the_others_read(
    tmp_path, put, without_root_rights
):
    put(tmp_path / "red/0.png", 70)
    put(tmp_path / "red/closed.png")
    put(tmp_path / "private/1.png")
    put(tmp_path / "red/deep/2.png")
    for name in ("red/closed.png", "private", "red/deep"):
        (tmp_path / name).chmod(0)
    try:
        source, bad = open_source(tmp_path), BadItems()
        bad.add_unlisted(source.unusable)
        assert source.uint8_batch(range(2), Preprocessor(4), bad)[1].tolist() == [True, False]
    finally:
        for name in ("private", "red/deep"):
            (tmp_path / name).chmod(0o755)
    assert {one.key for one in bad} == {"red/closed.png", "private", "red/deep"}
    assert all("Permission denied" in one.reason for one in bad)
    assert bad.to_csv().decode().splitlines()[1] == (
        "1,red/closed.png,the image file cannot be read: Permission denied."
    )
    assert ",private,the folder cannot be read: Permission denied." in bad.to_csv().decode()
    assert "metadata" not in source.describe()
    bad.check(n_total=100, max_bad=0.01)  # folders do not count


def test_an_unreadable_root_is_an_error(tmp_path, put, without_root_rights):
    put(tmp_path / "photos/0.png")
    (tmp_path / "photos").chmod(0)
    try:
        with pytest.raises(DataError, match=r"cannot read the folder .*photos: Permission denied"):
            open_source(tmp_path / "photos")
        with pytest.raises(DataError, match=r"cannot read the source .*0.png: Permission denied"):
            open_source(tmp_path / "photos/0.png")
    finally:
        (tmp_path / "photos").chmod(0o755)


def test_sub_folders_without_right_beside_manifests_are_unusable(
    tmp_path, put, without_root_rights
):
    for name in ("train", "test"):
        put(tmp_path / name / "0.png")
        (tmp_path / name / "metadata.csv").write_text("file_name\n0.png\n")
    (tmp_path / "test").chmod(0)
    try:
        source = open_source(tmp_path)
    finally:
        (tmp_path / "test").chmod(0o755)
    assert source.keys == ("train/0.png",)
    assert list(reasons(source)) == ["test"]


def test_pipes_sockets_and_links_that_lead_nowhere_are_unusable(tmp_path, put):
    put(tmp_path / "0.png", 30)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "self.png").symlink_to("self.png")
    (tmp_path / "good.png").symlink_to("0.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "talk.png"))
        source = open_source(tmp_path)
    assert source.keys == ("0.png", "good.png")
    assert "no regular file" in reasons(source)["pipe.png"]
    assert "no regular file" in reasons(source)["talk.png"]
    assert "link leads nowhere: No such file" in reasons(source)["gone.png"]
    assert "Too many levels of symbolic links" in reasons(source)["self.png"]


def test_a_pipe_is_refused_without_waiting_for_its_other_end(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match="must be a folder or a regular file"):
        open_source(tmp_path / "pipe.png")
    (tmp_path / "m.csv").write_text("path\npipe.png\n")
    with pytest.raises(DataError, match=r"pipe.png: the image must be a regular file"):
        open_source(tmp_path / "m.csv").read_image(0)
    with pytest.raises(DataError, match="regular file"):
        open_source(tmp_path / "m.csv").encoded(0)


def test_linked_folders_are_read_once(tmp_path, put):
    put(tmp_path / "red/0.png")
    (tmp_path / "red/again").symlink_to(tmp_path)
    (tmp_path / "zoo").symlink_to("red")
    assert open_source(tmp_path).keys == ("red/0.png",)


def test_a_folder_with_the_name_of_a_picture_is_a_folder(tmp_path, put):
    put(tmp_path / "x.jpg/0.png")
    source = open_source(tmp_path)
    assert source.keys == ("x.jpg/0.png",)
    assert source.class_names == ("x.jpg",)


def test_empty_and_vanished_files_are_bad_items(tmp_path, put):
    for name in ("0.png", "1.png", "2.png"):
        put(tmp_path / name)
    (tmp_path / "0.png").write_bytes(b"")
    source, bad = open_source(tmp_path), BadItems()
    (tmp_path / "1.png").unlink()
    assert source.uint8_batch(range(3), Preprocessor(4), bad)[1].tolist() == [False, False, True]
    assert ["empty" in one.reason or "missing" in one.reason for one in bad] == [True, True]


def test_hidden_parquet_files_are_no_shards(tmp_path, put):
    put(tmp_path / "0.png")
    (tmp_path / "._data.parquet").write_bytes(b"x")
    assert open_source(tmp_path).keys == ("0.png",)
