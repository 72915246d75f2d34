import io
import os
import pickle
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from anybit.errors import DataError, FormatError, OptionError
from anybit.papers import expected_files, open_dataset
from anybit.papers.datasets.cifar10 import CIFAR10_CLASSES
from anybit.papers.datasets.plain_pickle import read_plain_pickle

BATCHES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


def text_2(text):
    """A str of Python 2 as its pickle holds it."""
    raw = text if isinstance(text, bytes) else text.encode("latin1")
    short = len(raw) < 256
    return (b"U" + bytes([len(raw)]) if short else b"T" + struct.pack("<i", len(raw))) + raw


def pickle_of_python_2(pixels, labels):
    """A batch as cPickle of Python 2 wrote it, protocol 2."""
    return b"".join(
        [
            b"\x80\x02}q\x01(",
            text_2("batch_label"), b"q\x02", text_2("training batch 1 of 5"), b"q\x03",
            text_2("labels"), b"q\x04]q\x05(", *(b"K" + bytes([label]) for label in labels), b"e",
            text_2("data"), b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\n",
            b"q\x08K\x00\x85", text_2("b"), b"\x87Rq\x09(K\x01",
            b"M", struct.pack("<H", len(pixels)), b"M\x00\x0c\x86",
            b"cnumpy\ndtype\nq\x0a", text_2("u1"), b"K\x00K\x01\x87Rq\x0b(K\x03", text_2("|"),
            b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89", text_2(pixels.tobytes()), b"tb",
            b"u.",
        ]
    )  # fmt: skip


def make_batches(rng, n_rows=20):
    """Pixels (n, 3072) and labels of all six batches."""
    return {
        name: (
            rng.integers(0, 256, (n_rows, 3072), dtype=np.uint8),
            (np.arange(n_rows) % 10).tolist(),
        )
        for name in BATCHES
    }


def write_python(folder, batches):
    """Write ``cifar-10-batches-py`` below a folder."""
    place = folder / "cifar-10-batches-py"
    place.mkdir()
    for name, (pixels, labels) in batches.items():
        (place / name).write_bytes(pickle_of_python_2(pixels, labels))
    names = {"label_names": list(CIFAR10_CLASSES), "num_vis": 3072}
    (place / "batches.meta").write_bytes(pickle.dumps(names, protocol=2))
    return place


def write_binary(folder, batches):
    """Write ``cifar-10-batches-bin`` below a folder."""
    place = folder / "cifar-10-batches-bin"
    place.mkdir()
    for name, (pixels, labels) in batches.items():
        rows = np.concatenate([np.array(labels, dtype=np.uint8)[:, None], pixels], axis=1)
        (place / f"{name}.bin").write_bytes(rows.tobytes())
    (place / "batches.meta.txt").write_text("\n".join(CIFAR10_CLASSES) + "\n\n")
    return place


def test_python_and_binary_batches_are_the_same_pictures(rng, tmp_path):
    batches = make_batches(rng)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    write_python(tmp_path / "one", batches)
    write_binary(tmp_path / "two", batches)
    python = open_dataset("cifar10", tmp_path / "one")
    binary = open_dataset("cifar10", tmp_path / "two")
    assert (python.form, binary.form) == ("python", "binary")
    assert python.fingerprint == binary.fingerprint
    assert python.class_names == CIFAR10_CLASSES
    assert {part: len(source) for part, source in python.parts.items()} == {
        "train": 100,
        "test": 20,
    }
    pixels = batches["data_batch_3"][0][7]
    expected = np.stack([pixels[:1024], pixels[1024:2048], pixels[2048:]], axis=-1)
    for dataset in (python, binary):
        assert dataset.keys("train")[47] == "data_batch_3/7"
        got = np.asarray(dataset.parts["train"].read_image(47))
        np.testing.assert_array_equal(got, expected.reshape(32, 32, 3))
        assert dataset.labels("train").names_of(47) == (CIFAR10_CLASSES[7],)


def test_batches_that_are_not_the_published_ones_are_named(rng, tmp_path):
    write_python(tmp_path, make_batches(rng))
    (note,) = open_dataset("cifar10", tmp_path).notes
    assert "differ from the published" in note
    assert "data_batch_1" in note


def test_parquet_is_opened(rng, tmp_path):
    for part in ("train", "test"):
        cells = []
        for _ in range(10):
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file, "PNG")
            cells.append(file.getvalue())
        paths = [f"{part}/{row}.png" for row in range(10)]
        table = pa.table({"image": cells, "label": list(range(10)), "path": paths})
        names = {"class_names": ",".join(CIFAR10_CLASSES)}
        pq.write_table(table.replace_schema_metadata(names), tmp_path / f"{part}.parquet")
    dataset = open_dataset("cifar10", tmp_path)
    assert (dataset.form, dataset.class_names) == ("parquet", CIFAR10_CLASSES)
    assert dataset.keys("test")[3] == "test/3.png"
    assert dataset.parts["test"].read_image(3).size == (32, 32)


def test_missing_batch_is_named(rng, tmp_path):
    (write_binary(tmp_path, make_batches(rng)) / "data_batch_4.bin").unlink()
    with pytest.raises(DataError, match=r"missing: data_batch_4\.bin"):
        open_dataset("cifar10", tmp_path)


def test_cut_binary_batch_is_refused(rng, tmp_path):
    path = write_binary(tmp_path, make_batches(rng)) / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"test_batch\.bin must be records of 3,073 bytes"):
        open_dataset("cifar10", tmp_path)


def test_cut_python_batch_is_refused(rng, tmp_path):
    path = write_python(tmp_path, make_batches(rng)) / "data_batch_2"
    whole = path.read_bytes()
    for n_bytes in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(FormatError, match="data_batch_2"):
            open_dataset("cifar10", tmp_path)


def test_too_few_labels_are_refused(rng, tmp_path):
    batches = make_batches(rng)
    batches["data_batch_1"][1].pop()
    write_python(tmp_path, batches)
    with pytest.raises(DataError, match="20 pictures and 19 labels"):
        open_dataset("cifar10", tmp_path)


def test_unknown_class_number_is_refused(rng, tmp_path):
    batches = make_batches(rng)
    batches["data_batch_1"][1][0] = 10
    write_binary(tmp_path, batches)
    with pytest.raises(DataError, match="part train: class numbers must be below"):
        open_dataset("cifar10", tmp_path)


class Malicious:
    """Runs a command when an ordinary unpickler opens it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("version", [0, 1, 2, 3, 4, 5])
def test_pickle_that_runs_something_is_refused(rng, tmp_path, version):
    place = write_python(tmp_path, make_batches(rng))
    trace = tmp_path / "it_ran"
    malicious = {"labels": [1], "data": Malicious(trace)}
    (place / "data_batch_1").write_bytes(pickle.dumps(malicious, protocol=version))
    with pytest.raises(FormatError, match="It is not opened"):
        open_dataset("cifar10", tmp_path)
    assert not trace.exists()
    with (place / "data_batch_1").open("rb") as file:
        pickle.load(file)
    assert trace.exists()  # so the file was able to


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02cbuiltins\neval\nq\x00X\x01\x00\x00\x001\x85R.",
        b"\x80\x02cnumpy\nload\n(X\x01\x00\x00\x00atR.",
        b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00O8K\x00K\x01\x87R.",
        b"\x80\x02cnumpy\nndarray\n.",
        b"\x80\x02(cos\nsystem\nX\x01\x00\x00\x00ao.",
        b"\x80\x02cnumpy\nndarray\n)\x81}b.",
    ],
)
def test_names_that_are_not_arrays_are_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FormatError, match="plain values and arrays only"):
        read_plain_pickle(tmp_path / "x")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1, "a"], dtype=object), "an array of type O8"),
        (np.zeros(2, dtype=[("x", "u1")]), "an array of type V1"),
    ],
)
def test_array_of_other_things_than_numbers_is_refused(tmp_path, array, message):
    (tmp_path / "x").write_bytes(pickle.dumps(array, protocol=2))
    with pytest.raises(FormatError, match=message):
        read_plain_pickle(tmp_path / "x")


@pytest.mark.parametrize("version", [2, 3, 4])
def test_plain_values_are_read_as_python_reads_them(tmp_path, version):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    value = {"a": [1, -2, 300, 70_000, 2.5, None, True], b"b": ("x", b"y" * 300), "z": array}
    (tmp_path / "x").write_bytes(pickle.dumps(value, protocol=version))
    got = read_plain_pickle(tmp_path / "x")
    np.testing.assert_array_equal(got.pop("z"), value.pop("z"))
    assert got == value


def write_lists(folder, lists):
    """Write lists of (path, class numbers) with ten classes, and the pictures."""
    for part, rows in lists.items():
        lines = []
        for path, numbers in rows:
            (folder / path).parent.mkdir(exist_ok=True, parents=True)
            Image.new("RGB", (4, 4), (len(path), 7, 9)).save(folder / path)
            hot = ["1" if number in numbers else "0" for number in range(10)]
            lines.append(f"./data/cifar10/{path} {' '.join(hot)}\n")
        (folder / f"{part}.txt").write_text("".join(lines))


def test_lists_are_opened_with_foreign_folders_left_out(tmp_path):
    lists = {
        "train": [("train/0 1.jpg", [3])],
        "test": [("test/999_1.jpg", [4])],
        "database": [("train/a.jpg", [3]), ("test/b.jpg", [9])],
    }
    write_lists(tmp_path, lists)
    dataset = open_dataset("cifar10", tmp_path)
    assert dataset.form == "lists"
    assert {part: dataset.keys(part) for part in dataset.parts} == {
        "train": ("train/0 1.jpg",),
        "query": ("test/999_1.jpg",),
        "database": ("train/a.jpg", "test/b.jpg"),
    }
    assert dataset.labels("database").lists() == [(3,), (9,)]
    assert dataset.class_names == CIFAR10_CLASSES
    assert dataset.parts["query"].read_image(0).size == (4, 4)


def test_pictures_of_lists_that_are_not_there_are_counted(tmp_path):
    rows = [(f"train/{row}.jpg", [1]) for row in range(5)]
    write_lists(tmp_path, {"train": rows, "test": [("test/a.jpg", [1])]})
    (tmp_path / "train/1.jpg").unlink()
    (tmp_path / "train/3.jpg").unlink()
    dataset = open_dataset("cifar10", tmp_path)
    assert (dataset.n_missing, len(dataset.parts["train"])) == (2, 3)
    assert "2 of the 5 pictures of train.txt are not on disk" in dataset.notes[0]
    assert "the first: train/1.jpg" in dataset.notes[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train/9.jpg 0 1", "every line must have a path and 10 labels"),
        ("train/9.jpg" + " 0" * 11, "every line must have a path and 10 labels"),
        ("train/9.jpg" + " 0" * 9 + " 2", "labels 0 or 1, line 2 is 'train/9.jpg"),
        ("train/9.jpg", "every line must have a path and 10 labels"),
    ],
)
def test_line_of_another_form_is_refused(tmp_path, line, message):
    write_lists(tmp_path, {"train": [("train/0.jpg", [1])], "test": [("test/a.jpg", [1])]})
    with (tmp_path / "train.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(FormatError, match=message):
        open_dataset("cifar10", tmp_path)


def test_list_without_labels_is_refused(tmp_path):
    write_lists(tmp_path, {"train": [("train/0.jpg", [1])], "test": [("test/a.jpg", [1])]})
    (tmp_path / "test.txt").write_text("test/a.jpg\n")
    with pytest.raises(FormatError, match="for each class 0 or 1"):
        open_dataset("cifar10", tmp_path)


def test_list_with_a_picture_twice_is_refused(tmp_path):
    rows = [("train/0.jpg", [1]), ("train/0.jpg", [1])]
    write_lists(tmp_path, {"train": rows, "test": [("test/a.jpg", [1])]})
    with pytest.raises(DataError, match=r"list every picture once.*train/0\.jpg"):
        open_dataset("cifar10", tmp_path)


def test_lists_in_a_sub_folder_are_not_taken_for_this_data_set(tmp_path):
    (tmp_path / "other").mkdir()
    lists = {"train": [("train/0.jpg", [1])], "test": [("test/a.jpg", [1])]}
    write_lists(tmp_path / "other", lists)
    with pytest.raises(DataError, match="nothing of it was found"):
        open_dataset("cifar10", tmp_path)


def test_missing_data_set_says_what_to_fetch(tmp_path):
    with pytest.raises(DataError, match="nothing of it was found") as caught:
        open_dataset("cifar10", tmp_path)
    assert "cifar-10-python.tar.gz" in str(caught.value)
    assert "c58f30108f718f92721af3b95e74349a" in str(caught.value)
    assert expected_files("cifar10") in str(caught.value)
    with pytest.raises(DataError, match="the folder does not exist"):
        open_dataset("cifar10", tmp_path / "none")


def test_unknown_data_set_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"one of cifar10.*got 'mnist'"):
        open_dataset("mnist", tmp_path)
