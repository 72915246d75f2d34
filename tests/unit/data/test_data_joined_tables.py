from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from anybit.data import open_source
from anybit.errors import DataError

BIG = 2**53 + 1
INT, FLOAT = pa.int64(), pa.float64()


def two_files(folder, first, second):
    """Write a folder of two Parquet files with a vector and a value each."""
    folder.mkdir()
    for name, values in (("a", first), ("b", second)):
        vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0], pa.float32()), 2)
        pq.write_table(pa.table({"embedding": vectors, "x": values}), folder / f"{name}.parquet")
    return folder


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([BIG], INT), pa.array([0.5], FLOAT)),
        (pa.array([0.5], FLOAT), pa.array([-BIG], INT)),
        (pa.array([BIG], INT), pa.array([0.5], pa.float32())),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([-1], INT)),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([0.5], FLOAT)),
        (pa.array([Decimal("0.1")], pa.decimal128(5, 1)), pa.array([0.5], FLOAT)),
        (pa.array([0.5], FLOAT), pa.array([Decimal(BIG)], pa.decimal128(20, 0))),
        (pa.array([[1, BIG]], pa.list_(INT)), pa.array([[0.5]], pa.list_(FLOAT))),
        (pa.array([{"a": BIG}]), pa.array([{"a": 0.5}])),
        (pa.array(["1"]), pa.array([1], INT)),
    ],
    ids=lambda one: str(one.type),
)
def test_files_whose_values_no_common_type_holds_are_refused(tmp_path, first, second):
    with pytest.raises(DataError, match=r"the same type"):
        open_source(two_files(tmp_path / "vectors", first, second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([BIG - 1], INT), pa.array([0.5], FLOAT)),
        (pa.array([2**24 + 1], INT), pa.array([0.5], pa.float32())),
        (pa.array([BIG], INT), pa.array([1], pa.int8())),
        (pa.array([BIG], INT), pa.nulls(1)),
        (pa.array([0.1], pa.float32()), pa.array([0.1], FLOAT)),
        (pa.array([Decimal("0.5"), None], pa.decimal128(5, 1))[:1], pa.array([0.25], FLOAT)),
        (pa.array([[1, BIG]], pa.list_(INT)), pa.array([[2]], pa.list_(pa.int8()))),
        (pa.array([{"a": BIG}]), pa.array([{"a": 1, "b": "x"}])),
        (pa.array([datetime(2024, 1, 2)], pa.timestamp("s")),
         pa.array([datetime(2024, 1, 2, 3)], pa.timestamp("us"))),
    ],
    ids=lambda one: str(one.type),
)  # fmt: skip
def test_values_of_several_files_stay_as_they_are(tmp_path, first, second):
    made = open_source(two_files(tmp_path / "vectors", first, second))
    one, two = made.metadata["x"].to_pylist()
    given = first.to_pylist()[0]
    assert one == given if not isinstance(given, dict) else one["a"] == given["a"]
    assert two == second.to_pylist()[0]


def test_manifests_of_several_folders_keep_their_values_too(tmp_path):
    for name, value in (("a", BIG), ("b", 0.5)):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / "1.png")
        line = json.dumps({"file_name": "1.png", "x": value})
        (folder / "metadata.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match="the same type"):
        open_source(tmp_path / "photos")
