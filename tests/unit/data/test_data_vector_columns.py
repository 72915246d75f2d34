"""Vectors in every list type that Arrow has, and lists that are no vectors."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anybit.data import SourceOptions, open_source
from anybit.errors import DataError

ROWS = np.arange(-10, 14, dtype=np.int64).reshape(6, 4)
POSITIVE = np.arange(24).reshape(6, 4)


def tensor(values, shape):
    flat = pa.FixedSizeListArray.from_arrays(values, int(np.prod(shape)))
    kind = pa.fixed_shape_tensor(values.type, shape)
    return pa.ExtensionArray.from_storage(kind, flat)


def views(values, kind):
    starts = pa.array(range(0, 24, 4), pa.int32() if kind is pa.ListViewArray else pa.int64())
    return kind.from_arrays(starts, pa.array([4] * 6, starts.type), values)


FLOATS = pa.array(ROWS.reshape(-1).astype(np.float32))
COLUMNS = {
    **{
        f"list<{kind}>": pa.array(ROWS.tolist(), pa.list_(kind))
        for kind in (pa.int8(), pa.int16(), pa.int64(), pa.float32(), pa.float64())
    },
    "list<float16>": pa.array(list(ROWS.astype(np.float16)), pa.list_(pa.float16())),
    "large_list<int32>": pa.array(ROWS.tolist(), pa.large_list(pa.int32())),
    "list_view<float>": views(FLOATS, pa.ListViewArray),
    "large_list_view<int8>": views(FLOATS.cast(pa.int8()), pa.LargeListViewArray),
    "fixed<int8>": pa.array(ROWS.tolist(), pa.list_(pa.int8(), 4)),
    "fixed<fixed<double>>": pa.array(
        ROWS.reshape(6, 2, 2).tolist(), pa.list_(pa.list_(pa.float64(), 2), 2)
    ),
    "tensor<float>(4)": tensor(FLOATS, [4]),
    "tensor<int8>(2, 2)": tensor(FLOATS.cast(pa.int8()), [2, 2]),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS.keys())
@pytest.mark.parametrize("name", ["embedding", "anything"])
def test_vectors_of_every_list_type(tmp_path, column, name):
    table = pa.table({name: column, "price": range(6)})
    pq.write_table(table, tmp_path / "v.parquet", row_group_size=4)
    source = open_source(tmp_path / "v.parquet")
    assert (source.kind, source.dim) == ("vectors", 4)
    np.testing.assert_array_equal(source.vectors(), ROWS)
    np.testing.assert_array_equal(source.vectors(3, 5), ROWS[3:5])
    np.testing.assert_array_equal(source.take([5, 0]).vectors(), ROWS[[5, 0]])


@pytest.mark.parametrize("kind", [pa.uint8(), pa.uint16(), pa.uint64()])
def test_unsigned_vectors(tmp_path, kind):
    table = pa.table({"vector": pa.array(POSITIVE.tolist(), pa.list_(kind))})
    pq.write_table(table, tmp_path / "v.parquet")
    np.testing.assert_array_equal(open_source(tmp_path / "v.parquet").vectors(), POSITIVE)


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"labels": pa.list_(pa.int64())}, None),
        ({"tags": pa.list_(pa.int32()), "codes": pa.list_(pa.int64())}, "codes"),
        ({"codes": pa.list_(pa.int64()), "deep": pa.list_(pa.float32())}, "deep"),
        ({"tokens": pa.list_(pa.int64()), "boxes": pa.list_(pa.int64())}, None),
        ({"tokens": pa.list_(pa.int64()), "Embedding": pa.list_(pa.int8())}, "Embedding"),
        ({"many": pa.list_(pa.list_(pa.float32(), 4))}, None),
        ({"words": pa.list_(pa.string())}, None),
    ],
)
def test_lists_of_integers_are_vectors_by_name_or_as_the_only_candidate(tmp_path, columns, wanted):
    table = pa.table({name: pa.nulls(2, kind) for name, kind in columns.items()})
    pq.write_table(table, tmp_path / "v.parquet")
    if wanted is None:
        with pytest.raises(DataError, match="--vector-column"):
            open_source(tmp_path / "v.parquet")
    else:
        with pytest.raises(DataError, match="row 0 is empty"):
            open_source(tmp_path / "v.parquet")


def test_labels_stay_labels_next_to_vectors(tmp_path):
    table = pa.table(
        {
            "labels": pa.array([[0], [1, 2]] * 3, pa.list_(pa.int64())),
            "embedding": COLUMNS["fixed<int8>"],
        }
    )
    pq.write_table(table, tmp_path / "v.parquet")
    source = open_source(tmp_path / "v.parquet")
    assert source.labels.lists()[:2] == [(0,), (1, 2)]
    np.testing.assert_array_equal(source.vectors(), ROWS)


def test_a_named_column_of_integers_is_taken(tmp_path):
    table = pa.table({"boxes": COLUMNS["list<int8>"], "tokens": COLUMNS["list<int64>"]})
    pq.write_table(table, tmp_path / "v.parquet")
    with pytest.raises(DataError, match="--vector-column"):
        open_source(tmp_path / "v.parquet")
    source = open_source(tmp_path / "v.parquet", SourceOptions(vector_column="tokens"))
    np.testing.assert_array_equal(source.vectors(), ROWS)
    assert source.metadata.column_names == ["boxes"]


def test_files_of_a_folder_may_differ_in_the_type_of_their_vectors(tmp_path):
    for number, name in enumerate(("list<int8>", "fixed<fixed<double>>", "tensor<float>(4)")):
        table = pa.table({"embedding": COLUMNS[name], "n": pa.array([number] * 6)})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    source = open_source(tmp_path)
    np.testing.assert_array_equal(source.vectors(), np.tile(ROWS, (3, 1)))
    np.testing.assert_array_equal(source.take([17, 0, 6]).vectors(), ROWS[[5, 0, 0]])


@pytest.mark.parametrize(
    ("column", "match"),
    [
        (pa.array(["a"] * 6), r"1.parquet must have vectors in column embedding"),
        (pa.array([[1.0, 2.0]] * 6, pa.list_(pa.float32(), 2)), "row 6 has 2"),
        (pa.array([[1.0, None, 3.0, 4.0]] * 6), "no empty values"),
        (pa.array([[1, 2, 3, 4], None] * 3), "row 7 has none"),
    ],
)
def test_vectors_that_do_not_fit_the_first_file_are_refused(tmp_path, column, match):
    pq.write_table(pa.table({"embedding": COLUMNS["list<float>"]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"embedding": column}), tmp_path / "1.parquet")
    with pytest.raises(DataError, match=match):
        open_source(tmp_path).vectors()
