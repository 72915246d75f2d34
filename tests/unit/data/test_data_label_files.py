"""Label files and manifests that write the paths of pictures in another form than the folder."""

import os
import sys
import unicodedata

import numpy as np
import pytest

from anybit.data import Preprocessor, SourceOptions, open_source
from anybit.errors import DataError, FormatError

KEYS = ("blue/0.png", "red/0.png", "red/1.png", "red/caf\u00e9.png")


@pytest.fixture
def photos(tmp_path, put):
    for shade, key in enumerate(KEYS):
        put(tmp_path / "photos" / key, 10 * shade)
    return tmp_path / "photos"


def labelled(photos, table):
    return open_source(photos, SourceOptions(labels=table))


def write(path, names, suffix=""):
    rows = "".join(f'"{name}",x{number}\n' for number, name in enumerate(names))
    path.write_text(f"file_name,label\n{rows}{suffix}", encoding="utf-8")
    return path


FORMS = {
    "dot": "./{}",
    "spaces": "  {} ",
    "doubled": "red/..//{}",
    "parent": "photos/{}",
    "absolute": "{root}/{}",
}


def form_names(photos, form):
    return [form.format(key, root=photos) for key in KEYS]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_label_files_and_manifests_read_the_same_forms(photos, tmp_path, form):
    names = form_names(photos, form)
    source = labelled(photos, write(tmp_path / "labels.csv", names))
    assert source.labels.lists() == [(0,), (1,), (2,), (3,)]
    listed = open_source(write(photos / "list.csv", names))
    shades = [listed.read_image(row).getpixel((0, 0))[0] for row in range(4)]
    assert shades == [0, 10, 20, 30]


def mixed(key):
    return key.replace("/", "\\") if "0" in key else key


CHANGES = {
    "backslashes": lambda key: key.replace("/", "\\"),
    "mixed separators": mixed,
    "decomposed": lambda key: unicodedata.normalize("NFD", key),
    "upper case": str.upper,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_other_spellings_of_a_name_are_matched(photos, tmp_path, change):
    names = [change(key) for key in KEYS]
    source = labelled(photos, write(tmp_path / "labels.csv", names))
    assert source.labels.n_unlabelled == 0
    listed = open_source(write(photos / "list.csv", names))
    assert listed.uint8_batch(range(4), Preprocessor(4))[1].all()


@pytest.mark.parametrize("place", ["photos/red", "tables/deep"])
def test_paths_may_start_at_the_label_files_own_folder(photos, tmp_path, place):
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    names = [os.path.relpath(photos / key, folder) for key in KEYS]
    assert labelled(photos, write(folder / "labels.csv", names)).labels.n_unlabelled == 0


def test_paths_may_start_at_the_folder_above_the_source(photos, tmp_path):
    (tmp_path / "tables").mkdir()
    table = write(tmp_path / "tables" / "labels.csv", [f"photos/{key}" for key in KEYS])
    assert labelled(photos, table).labels.lists() == [(0,), (1,), (2,), (3,)]


def test_one_start_of_the_paths_is_taken_for_the_whole_file(tmp_path, put):
    put(tmp_path / "photos/a.png")
    put(tmp_path / "photos/photos/a.png")
    put(tmp_path / "photos/photos/b.png")
    table = write(tmp_path / "labels.csv", ["photos/a.png", "photos/b.png"])
    source = labelled(tmp_path / "photos", table)
    assert source.keys == ("a.png", "photos/a.png", "photos/b.png")
    assert source.labels.lists() == [(), (0,), (1,)]


def test_letter_case_is_kept_where_it_tells_files_apart(tmp_path, put):
    for name in ("A.png", "a.png", "b.png"):
        put(tmp_path / "photos" / name)
    table = write(tmp_path / "labels.csv", ["A.png", "a.png", "B.PNG"])
    assert labelled(tmp_path / "photos", table).labels.lists() == [(0,), (1,), (2,)]
    (tmp_path / "photos/b.png").unlink()
    table = write(tmp_path / "labels.csv", ["a.PNG", "a.png"])
    source = labelled(tmp_path / "photos", table)
    assert source.labels.lists() == [(), (1,)]
    assert "1 further rows match no item, the first is row 1 (a.PNG)" in source.describe()


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_table_names_a_file_whose_name_is_not_utf8(tmp_path, put, encoding):
    put(tmp_path / "photos" / os.fsdecode("caf\u00e9.png".encode("latin-1")), 50)
    table = tmp_path / "labels.csv"
    table.write_bytes("file_name,label\ncaf\u00e9.png,x\n".encode(encoding))
    source = labelled(tmp_path / "photos", table)
    assert source.labels.lists() == [(0,)]
    (tmp_path / "photos/list.csv").write_bytes(table.read_bytes())
    assert open_source(tmp_path / "photos/list.csv").read_image(0).getpixel((0, 0))[0] == 50
    table.write_text("file_name,label\ncaf\\xe9.png,x\n")
    assert labelled(tmp_path / "photos", table).labels.lists() == [(0,)]


def test_rows_and_items_that_do_not_match_are_counted(photos, tmp_path):
    table = write(tmp_path / "labels.csv", ["red/0.png", "red/9.png", "gone/1.png"])
    source = labelled(photos, table)
    assert source.labels.n_unlabelled == 3
    found = source.describe()
    assert "joined by file_name: 1 rows; 2 further rows match no item" in found
    assert "the first is row 2 (red/9.png)" in found
    assert "3 items have no row" in found


def test_labels_that_match_nothing_or_one_item_twice_are_refused(photos, tmp_path):
    with pytest.raises(DataError, match=r"none of its 1 rows .* is x.png, the first item is blue"):
        labelled(photos, write(tmp_path / "labels.csv", ["x.png"]))
    with pytest.raises(DataError, match=r"listed once, got red/0.png in 2 rows"):
        labelled(photos, write(tmp_path / "labels.csv", ["red/0.png", "./red\\0.png"]))


def test_an_id_column_that_names_no_item_gives_way_to_the_paths(photos, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("id,file_name,label\n1,red/0.png,a\n2,blue/0.png,b\n")
    source = labelled(photos, table)
    assert source.labels.lists() == [(1,), (0,), (), ()]
    with pytest.raises(DataError, match="none of its 2 rows"):
        open_source(photos, SourceOptions(labels=table, id_column="id"))


def test_a_manifest_with_ids_of_its_own_is_joined_by_path_or_by_id(photos, tmp_path):
    (photos / "list.csv").write_text("id,file_name\nk7,red/0.png\nk3,blue/0.png\n")
    by_path = write(tmp_path / "by_path.csv", ["blue/0.png", "red/0.png"])
    source = labelled(photos / "list.csv", by_path)
    assert source.keys == ("k7", "k3")
    assert source.labels.lists() == [(1,), (0,)]
    (tmp_path / "by_id.csv").write_text("id,label\nk3,a\nk7,b\n")
    assert labelled(photos / "list.csv", tmp_path / "by_id.csv").labels.lists() == [(1,), (0,)]


def test_missing_names_of_a_label_file_match_nothing(photos, tmp_path):
    (tmp_path / "labels.csv").write_text("file_name,label\n,x\nred/0.png,y\n")
    assert labelled(photos, tmp_path / "labels.csv").labels.n_unlabelled == 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_lines_of_labels_in_other_encodings(tmp_path, encoding):
    np.save(tmp_path / "v.npy", np.eye(2))
    (tmp_path / "labels.txt").write_bytes("caf\u00e9\r\nth\u00e9|caf\u00e9\r\n".encode(encoding))
    source = labelled(tmp_path / "v.npy", tmp_path / "labels.txt")
    assert source.class_names == ("caf\u00e9", "th\u00e9")
    assert source.labels.lists() == [(0,), (0, 1)]
    assert ("read as Windows-1252" in source.describe()) == (encoding == "cp1252")


def test_a_path_with_a_nul_character_is_a_bad_item(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"path": "a\\u0000b.png"}\n{"path": "c.png"}\n')
    source = open_source(tmp_path / "m.jsonl")
    with pytest.raises(DataError, match="NUL"):
        source.read_image(0)


def test_a_label_file_that_is_damaged_is_named(photos, tmp_path):
    (tmp_path / "labels.parquet").write_bytes(b"PAR1")
    with pytest.raises(FormatError, match=r"labels.parquet must be a Parquet file"):
        labelled(photos, tmp_path / "labels.parquet")


def test_the_path_column_of_a_label_file_may_have_any_name(photos, tmp_path):
    (tmp_path / "labels.csv").write_text("shot,label\nred/0.png,y\n")
    options = SourceOptions(labels=tmp_path / "labels.csv", path_column="shot")
    assert open_source(photos, options).labels.lists() == [(), (0,), (), ()]
