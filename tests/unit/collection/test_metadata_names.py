import itertools
import logging

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybit.codes import Codebooks, Codes, ModelFolder, write_model_folder
from anybit.collection import Collection
from anybit.errors import DataError
from anybit.store import RESERVED_COLUMNS, free_column_names

DIM = 4
NAMES = [
    "", "a.b", ".", "a`b", "a\0b", "*", "_rowid", "_rowaddr", "_rowoffset", "_distance", "_score",
    "_row_created_at_version", "path", "signature", "item_source", "anybit_draft", "level_00",
    "level_7", "level_²", "a b", " lead", "trail ", "a'b", 'a"b', "a\nb", "😀", "e\u0301",
    "SELECT", "PRICE", "price", "_ROWID", "LEVEL_00", "x" * 3000, "a,b", "a[0]", "null", "1",
    "**", "$", "$1", "`", "\\", "a/b", "(a)", "a;b", "--", "%", "?", ":a", "{a}", "\t",
    "Id", "KEY", '"x"', "[0]", "y" * 300, "list.item", "__index_level_0__",
]  # fmt: skip


@pytest.fixture
def shop(tmp_path):
    codebooks = Codebooks.stacked(np.random.default_rng(0).random((2, 16, DIM)).astype(np.float32))
    config = {"method": "rq", "backbone": {"name": "none"}}
    write_model_folder(tmp_path / "model", ModelFolder(config, {}), codebooks)
    return Collection.create(tmp_path / "shop", tmp_path / "model")


def _parquet(path, names, first=0):
    """Write three vectors with a column of its own values for each name."""
    vectors = np.random.default_rng(1).random((3, DIM)).astype(np.float32)
    columns = [pa.array([1, 2, 3]), pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), DIM)]
    columns += [pa.array([first + 10 * at + row for row in range(3)]) for at in range(len(names))]
    pq.write_table(pa.Table.from_arrays(columns, names=["id", "embedding", *names]), path)
    return path


def test_every_name_is_added_and_every_value_comes_back(shop, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "anybit"):
        shop.add(_parquet(tmp_path / "a.parquet", NAMES))
    stored = free_column_names(NAMES)
    assert len(set(stored)) == len(NAMES)
    rows = shop.get(np.array([1, 2, 3]), stored)
    for at, name in enumerate(stored):
        assert rows[name].to_pylist() == [10 * at, 10 * at + 1, 10 * at + 2], name
    said = [one.getMessage() for one in caplog.records if "other names" in one.getMessage()]
    assert len(said) == 1
    assert "'' as 'column', 'a.b' as 'a_b_', '.' as '__'" in said[0]
    assert "'a b'" not in said[0]
    shop.add(_parquet(tmp_path / "a.parquet", NAMES, first=1000))  # again: the same columns
    assert set(shop.get(np.array([1])).column_names) == {"id", "key", "labels", *stored}
    assert shop.get(np.array([1]), [stored[1]])[stored[1]].to_pylist() == [1010]
    shop.compact(kept_s=0)
    assert shop.verify().is_intact


def test_every_stored_name_can_be_read_filtered_and_deleted_by(shop, tmp_path):
    shop.add(_parquet(tmp_path / "a.parquet", NAMES))
    query = np.zeros(DIM, dtype=np.float32)
    ids = [1, 2, 3]
    for is_compacted in (False, True):
        if is_compacted:
            assert shop.delete(where='"column" = 2') == 1
            shop.compact(kept_s=0)
            shop, ids = Collection.open(shop.path), [1, 2]
            assert shop.verify().is_intact
        for at, name in enumerate(free_column_names(NAMES)):
            rows = shop.get(np.array(ids), [name])
            assert rows[name].to_pylist() == [10 * at + one - 1 for one in ids], name
            quoted = '"' + name.replace('"', '""') + '"'
            assert shop.search(query, where=f"{quoted} = {10 * at + 1}").ids.tolist() == [2], name
            assert shop.delete(where=f"{quoted} = {10 * at + 5}") == 0
    for at, name in enumerate(free_column_names(NAMES)[:3]):
        quoted = '"' + name.replace('"', '""') + '"'
        assert shop.delete(where=f"{quoted} = {10 * at + 1}") == (1 if at == 0 else 0)


def test_two_columns_never_become_one(shop, tmp_path):
    names = ["a.b", "a_b", "a`b", "key_", "path", "path_", "column", ""]
    source = _parquet(tmp_path / "a.parquet", names)
    shop.add(source)
    stored = free_column_names(names)
    assert stored == ["a_b_", "a_b", "a_b__", "key_", "path__", "path_", "column", "column_"]
    rows = shop.get(np.array([1]), stored)
    assert [rows[name][0].as_py() for name in stored] == [10 * at for at in range(len(names))]


@pytest.mark.parametrize("names", [["a", "a"], ["", ""], ["price", "b", "b", "price"], ["id"]])
def test_a_parquet_file_with_repeated_names_is_refused(shop, tmp_path, names):
    with pytest.raises(DataError, match=r"column names must be unique, got several columns '"):
        shop.add(_parquet(tmp_path / "a.parquet", names))
    assert len(shop) == 0


def test_columns_of_added_codes_are_renamed_like_those_of_a_source(shop, caplog):
    names = ["labels", "key", "", "path", "level_00", "id", "price"]
    values = [[["x"]], ["k"], [1], ["mine"], [3], [5], [7]]
    columns = pa.Table.from_arrays([pa.array(one) for one in values], names=names)
    codes = Codes(np.zeros((2, 1), dtype=np.uint8), 16)
    with caplog.at_level(logging.WARNING, "anybit"):
        shop.add_codes(codes, np.array([9]), shop.model_fingerprint, columns)
    assert "'path' as 'path_'" in caplog.text
    assert shop.get(np.array([9])).to_pylist() == [
        {"id": 9, "key": "k", "labels": ["x"], "column": 1, "path_": "mine", "level_00_": 3,
         "id_": 5, "price": 7},
    ]  # fmt: skip


@given(st.lists(st.sampled_from([*NAMES, "a_b", "column", "a.b", "path_", "level_00_"])))
def test_stored_names_are_distinct_usable_and_independent_of_the_order(names):
    stored = free_column_names(names)
    assert len(set(stored)) == len(stored) == len(names)
    assert not set(stored) & {*RESERVED_COLUMNS, "_rowid", "_rowaddr", "", "*"}
    assert not any(character in name for name in stored for character in ".`\0")
    assert [new for old, new in zip(names, stored, strict=True) if old == "a b"][:1] in (
        [],
        ["a b"],
    )
    if len(set(names)) == len(names):
        expected = dict(zip(names, stored, strict=True))
        again = free_column_names(names[::-1])
        assert dict(zip(names[::-1], again, strict=True)) == expected
    assert free_column_names(stored) == stored


def test_lance_still_refuses_what_is_renamed(tmp_path):
    refused = {
        "": "column",
        "a.b": "a_b",
        "a`b": "a_b",
        "_rowid": "_rowid_",
        "_rowaddr": "_rowaddr_",
    }
    for number, (name, stored) in enumerate(refused.items()):
        for one, is_held in ((name, False), (stored, True)):
            rows = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["id", one])
            try:
                made = lance.write_dataset(rows, str(tmp_path / f"{number}{is_held}"))
                found = made.merge_insert("id").when_matched_update_all().execute(rows)
                assert found["num_updated_rows"] == 1
                assert is_held, name
            except (OSError, ValueError, RuntimeError):
                assert not is_held, one


def test_free_names_are_found_quickly():
    names = [f"a{character * at}b" for at, character in itertools.product(range(40), "._`")]
    assert len(set(free_column_names(names))) == len(names)
