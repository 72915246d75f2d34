import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from anybit.data import BadItems, Preprocessor, SourceOptions, open_source
from anybit.data.sources import hash_keys
from anybit.data.sources.row_groups import RowGroups
from anybit.errors import DataError, FormatError, OptionError


def png(shade, size=(4, 4)):
    file = io.BytesIO()
    Image.new("RGB", size, (shade, shade, shade)).save(file, "PNG")
    return file.getvalue()


def put(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(shade))


def shade_of(source, position):
    return source.read_image(position).getpixel((0, 0))[0]


def write_images(path, n=6, **columns):
    cells = pa.array([png(10 * i) for i in range(n)], pa.binary())
    pq.write_table(pa.table({"image": cells, **columns}), path, row_group_size=2)
    return path


def test_class_folders(tmp_path):
    for key in ("cat/1.png", "dog/deep/2.PNG", "loose.png", ".hidden/3.png", "cat/notes.txt"):
        put(tmp_path / key)
    source = open_source(tmp_path)
    assert source.keys == ("cat/1.png", "dog/deep/2.PNG", "loose.png")
    assert source.labels.lists() == [(0,), (1,), ()]
    assert source.class_names == ("cat", "dog")
    np.testing.assert_array_equal(source.ids, hash_keys(source.keys))
    assert "Skipped 1 unsupported file (.txt: 1)" in source.describe()
    assert "1 unlabelled" in source.describe()


def test_split_folders_are_no_classes(tmp_path):
    put(tmp_path / "train/cat/1.png")
    put(tmp_path / "test/dog/1.png")
    assert open_source(tmp_path).class_names == ("cat", "dog")
    source = open_source(tmp_path, SourceOptions(split="test"))
    assert source.keys == ("test/dog/1.png",)
    with pytest.raises(DataError, match="split must be one of test, train, got val"):
        open_source(tmp_path, SourceOptions(split="val"))


def test_folder_ids_do_not_depend_on_other_files(tmp_path):
    put(tmp_path / "cat/2.png")
    before = open_source(tmp_path).ids[0]
    put(tmp_path / "cat/1.png")
    assert open_source(tmp_path).ids[1] == before


def test_csv_manifest_with_several_labels_and_ids(tmp_path):
    for shade, name in ((10, "a.png"), (20, "b.png"), (30, "c.png")):
        put(tmp_path / "pics" / name, shade)
    text = (
        "file_name,labels,id,price\na.png,cat|dog,007,1.5\nb.png,dog; ant,008,2.5\nc.png,,9,3.5\n"
    )
    (tmp_path / "pics" / "metadata.csv").write_text(text)
    put(tmp_path / "pics" / "unlisted.png")
    source = open_source(tmp_path / "pics")
    assert source.labels.names_of(0) == ("cat", "dog")
    assert source.labels.lists() == [(1, 2), (0, 2), ()]
    assert source.keys == ("007", "008", "9")
    np.testing.assert_array_equal(source.ids, hash_keys(["007", "008", "9"]))
    assert source.metadata.column("price").to_pylist() == [1.5, 2.5, 3.5]
    assert shade_of(source, 1) == 20
    assert "image files that are not listed: 1" in source.describe()


def test_jsonl_and_parquet_manifests(tmp_path):
    put(tmp_path / "a.png", 10)
    put(tmp_path / "b.png", 20)
    rows = [{"path": "a.png", "tags": ["x", "y"], "id": 5}, {"path": "b.png", "tags": [], "id": 3}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "list.parquet")
    for name in ("list.jsonl", "list.parquet"):
        source = open_source(tmp_path / name)
        np.testing.assert_array_equal(source.ids, [5, 3])
        assert source.keys == ("a.png", "b.png")
        assert source.labels.lists() == [(0, 1), ()]
        assert shade_of(source, 1) == 20


def test_multi_hot_columns(tmp_path):
    (tmp_path / "m.csv").write_text("path,cat,dog\na.png,1,0\nb.png,1,1\n")
    source = open_source(tmp_path / "m.csv", SourceOptions(label_column="cat,dog"))
    assert source.class_names == ("cat", "dog")
    assert source.labels.lists() == [(0,), (0, 1)]


def test_repeated_path_or_id_is_refused(tmp_path):
    (tmp_path / "m.csv").write_text("path,label\na.png,1\na.png,2\n")
    with pytest.raises(DataError, match=r"must occur once, got 1 repeated: a.png"):
        open_source(tmp_path / "m.csv")


def test_missing_file_is_a_bad_item(tmp_path):
    put(tmp_path / "a.png", 50)
    (tmp_path / "m.csv").write_text("path,label\na.png,1\nnone.png,2\n")
    source, bad = open_source(tmp_path / "m.csv"), BadItems()
    pixels, is_ok = source.uint8_batch([1, 0], Preprocessor(4), bad)
    np.testing.assert_array_equal(is_ok, [False, True])
    np.testing.assert_array_equal(pixels[:, 0, 0, 0], [0, 50])
    assert [item.key for item in bad] == ["none.png"]
    with pytest.raises(DataError, match=r"none.png: the image file is missing"):
        source.read_image(1)


def test_parquet_images_in_many_row_groups(tmp_path):
    path = write_images(tmp_path / "p.parquet", label=pa.array([0, 1, 0, 1, 0, 1], pa.uint8()))
    table = pq.read_table(path).replace_schema_metadata({"class_names": "cat,dog"})
    pq.write_table(table, path, row_group_size=2)
    source = open_source(path)
    assert [shade_of(source, i) for i in (5, 0, 3)] == [50, 0, 30]
    assert source.class_names == ("cat", "dog")
    np.testing.assert_array_equal(source.ids, np.arange(6))
    np.testing.assert_array_equal(source.labels.integers(), [0, 1, 0, 1, 0, 1])


def test_parquet_struct_images_and_hugging_face_names(tmp_path):
    put(tmp_path / "out.png", 70)
    cells = pa.array([{"bytes": png(5), "path": "x.png"}, {"bytes": None, "path": "out.png"}])
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"image": cells, "label": [1, 0]}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "p.parquet")
    source = open_source(tmp_path / "p.parquet")
    assert [shade_of(source, 0), shade_of(source, 1)] == [5, 70]
    assert source.labels.names_of(0) == ("yes",)


def test_parquet_split_and_take(tmp_path):
    split = ["train", "test"] * 3
    path = write_images(tmp_path / "p.parquet", split=split, id=list("abcdef"))
    source = open_source(path, SourceOptions(split="test"))
    assert source.keys == ("b", "d", "f")
    assert shade_of(source.take([2, 0]), 0) == 50


def test_row_group_cache_is_bounded(tmp_path):
    groups = RowGroups([write_images(tmp_path / "p.parquet")], "image", cache_bytes=1)
    assert [groups.value(i) for i in (0, 5, 1)] == [png(0), png(50), png(10)]
    assert len(groups._cache) == 1


def test_shuffled_epoch_of_a_large_file_reads_each_row_group_once(tmp_path, rng, monkeypatch):
    cells = pa.array([png(number % 250, (64, 64)) for number in range(80)], pa.binary())
    pq.write_table(pa.table({"image": cells}), tmp_path / "p.parquet", row_group_size=4)
    cache_bytes = 14 * 4 * len(png(0, (64, 64)))  # 14 of the 20 row groups
    groups = RowGroups([tmp_path / "p.parquet"], "image", cache_bytes)
    order = groups.shuffled(rng)
    np.testing.assert_array_equal(np.sort(order), np.arange(80))
    window = np.unique(order[:28] // 4)  # half of the cache is mixed, and from all over the file
    assert len(window) < 10
    assert window.max() - window.min() > 10
    assert (np.diff(order[:28]) != 1).sum() > 20
    reads = []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda file, number, **options: reads.append(number) or read(file, number, **options),
    )
    for row in order.tolist():
        groups.value(row)
    assert sorted(reads) == list(range(20))


def test_shuffled_epoch_of_a_small_or_taken_source_mixes_everything(tmp_path):
    source = open_source(write_images(tmp_path / "p.parquet", n=24))
    order = source.shuffled(np.random.default_rng(1))
    np.testing.assert_array_equal(np.sort(order), np.arange(24))
    assert (np.abs(np.diff(order)) > 2).sum() > 10
    taken = source.take([20, 3, 7])
    assert {tuple(taken.shuffled(np.random.default_rng(seed))) for seed in range(60)} == {
        (0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)
    }  # fmt: skip


def test_batches_cover_all_items_in_order(tmp_path):
    source, seen = open_source(write_images(tmp_path / "p.parquet", n=5)), []
    batches = list(source.iter_batches(2, Preprocessor(4), lambda *n: seen.append(n)))
    np.testing.assert_array_equal(np.concatenate([b.positions for b in batches]), np.arange(5))
    shades = np.concatenate([b.data[:, 0, 0, 0] for b in batches])
    np.testing.assert_array_equal(shades, [0, 10, 20, 30, 40])
    assert seen == [(2, 5), (4, 5), (5, 5)]
    with pytest.raises(OptionError, match="with a preprocessor"):
        source.iter_batches(2)


def test_npy_is_mapped_and_converted(tmp_path):
    rows = np.arange(12, dtype=np.float16).reshape(4, 3)
    np.save(tmp_path / "v.npy", rows)
    source = open_source(tmp_path / "v.npy")
    assert (source.kind, source.dim, len(source), source.labels) == ("vectors", 3, 4, None)
    np.testing.assert_array_equal(source.vectors(1, 3), rows[1:3])
    np.testing.assert_array_equal(source.take([3, 0]).vectors(), rows[[3, 0]])
    assert source.vectors().dtype == np.float32


def test_npz_with_labels_and_ids(tmp_path):
    x = np.eye(3)
    np.savez(tmp_path / "v.npz", x=x, y=[1, 0, 1], ids=[7, 5, 6], class_names=["no", "yes"])
    source = open_source(tmp_path / "v.npz")
    np.testing.assert_array_equal(source.ids, [7, 5, 6])
    assert source.labels.names_of(0) == ("yes",)
    np.savez(tmp_path / "v.npz", x=x, y=[1, 0])
    with pytest.raises(DataError, match="one row per item: 3, got 2"):
        open_source(tmp_path / "v.npz")


def test_npz_with_pictures(tmp_path):
    np.savez(tmp_path / "p.npz", x=np.full((2, 8, 8), 9, dtype=np.uint8), y=[0, 1])
    source = open_source(tmp_path / "p.npz")
    assert source.kind == "images"
    assert shade_of(source, 1) == 9


@pytest.mark.parametrize(("suffix", "kind"), [("fvecs", "<f4"), ("bvecs", "u1")])
def test_vecs_files(tmp_path, suffix, kind):
    rows = np.arange(15).reshape(5, 3).astype(kind)
    head = np.array([3], dtype="<i4").tobytes()
    data = b"".join(head + row.tobytes() for row in rows)
    path = tmp_path / f"v.{suffix}"
    path.write_bytes(data)
    np.testing.assert_array_equal(open_source(path).vectors(1), rows[1:])
    path.write_bytes(data[:-1])
    with pytest.raises(FormatError, match="cut or of another kind"):
        open_source(path)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64(), 2)])
def test_parquet_vectors(tmp_path, kind):
    rows = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    table = pa.table({"embedding": pa.array(rows, kind), "label": ["b", "a", "b"]})
    pq.write_table(table, tmp_path / "v.parquet", row_group_size=2)
    source = open_source(tmp_path / "v.parquet")
    assert source.dim == 2
    np.testing.assert_array_equal(source.vectors(), rows)
    np.testing.assert_array_equal(source.vectors(1, 3), rows[1:])
    np.testing.assert_array_equal(source.take([2, 0]).vectors(), [rows[2], rows[0]])
    assert source.labels.names_of(1) == ("a",)


def test_ragged_and_missing_parquet_vectors_are_refused(tmp_path):
    for rows, match in (([[1.0], [1.0, 2.0]], "row 1 has 2"), ([[1.0], None], "row 1 has none")):
        pq.write_table(pa.table({"vector": rows}), tmp_path / "v.parquet")
        with pytest.raises(DataError, match=match):
            open_source(tmp_path / "v.parquet").vectors()


def test_vectors_that_are_not_finite_are_refused_or_listed(tmp_path):
    np.save(tmp_path / "v.npy", np.array([[0.0], [np.nan], [1e300]]))
    source, bad = open_source(tmp_path / "v.npy"), BadItems()
    with pytest.raises(DataError, match="in 2 rows; the first: 1, 2"):
        source.vectors()
    (batch,) = source.iter_batches(8, bad_items=bad)
    np.testing.assert_array_equal(batch.is_ok, [True, False, False])
    assert [item.position for item in bad] == [1, 2]


def test_separate_labels_are_joined_by_id_path_or_row(tmp_path):
    np.save(tmp_path / "v.npy", np.eye(3))
    (tmp_path / "by_id.csv").write_text("id,label\n2,a\n0,b\n")
    (tmp_path / "by_row.txt").write_text("a|b\n\nb\n")
    (tmp_path / "short.txt").write_text("a\n")

    def labels(name, source="v.npy"):
        return open_source(tmp_path / source, SourceOptions(labels=tmp_path / name)).labels

    assert labels("by_id.csv").lists() == [(1,), (), (0,)]
    assert labels("by_row.txt").lists() == [(0, 1), (), (1,)]
    with pytest.raises(DataError, match="one row per item: 3, got 1"):
        labels("short.txt")
    put(tmp_path / "pics/1.png")
    put(tmp_path / "pics/2.png")
    (tmp_path / "by_path.csv").write_text("path,label\n2.png,a\n1.png,b\n")
    assert labels("by_path.csv", "pics").lists() == [(1,), (0,)]


def test_missing_empty_and_foreign_sources_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        open_source(tmp_path / "none")
    with pytest.raises(DataError, match="must hold images"):
        open_source(tmp_path)
    np.save(tmp_path / "v.npy", np.zeros((0, 4)))
    with pytest.raises(DataError, match="is empty"):
        open_source(tmp_path / "v.npy")
    (tmp_path / "x.doc").write_text("x")
    with pytest.raises(DataError, match="must be a folder"):
        open_source(tmp_path / "x.doc")
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object))
    with pytest.raises(FormatError, match="plain numbers"):
        open_source(tmp_path / "o.npy")


def test_wrong_kind_of_access_is_refused(tmp_path):
    np.save(tmp_path / "v.npy", np.eye(2))
    with pytest.raises(OptionError, match="holds vectors"):
        open_source(tmp_path / "v.npy").read_image(0)
    with pytest.raises(OptionError, match="holds images"):
        open_source(write_images(tmp_path / "p.parquet")).vectors()
