"""Tables as spreadsheets, pandas and old systems write them."""

import json

import pyarrow as pa
import pytest

from anybit.data.sources.table_files import read_table
from anybit.errors import DataError, FormatError

ROWS = {"file_name": ["a.png", "\u00e9.png"], "label": ["caf\u00e9", "x"], "price": [1.5, 2.0]}
TEXT = "file_name,label,price\na.png,caf\u00e9,1.5\n\u00e9.png,x,2.0\n"


def read(path, data, name="t.csv"):
    (path / name).write_bytes(data)
    return read_table(path / name)


ENCODINGS = {
    "utf-8": "",
    "utf-8-sig": "",
    "utf-16": "utf-16",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "utf-32": "utf-32",
    "cp1252": "Windows-1252",
    "latin-1": "Windows-1252",
}


@pytest.mark.parametrize(("encoding", "note"), ENCODINGS.items())
def test_csv_in_other_encodings(tmp_path, encoding, note):
    found = read(tmp_path, TEXT.encode(encoding))
    assert found.table.to_pydict() == ROWS
    assert [note in one for one in found.notes] == ([True] if note else [])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_lines_in_other_encodings(tmp_path, encoding):
    text = "".join(
        json.dumps({"path": "\u00e9.png", "n": n}, ensure_ascii=False) + "\n" for n in (1, 2)
    )
    found = read(tmp_path, text.encode(encoding), "t.ndjson")
    assert found.table.to_pydict() == {"path": ["\u00e9.png"] * 2, "n": [1, 2]}


@pytest.mark.parametrize(
    "text",
    [
        " file_name , label , price \na.png,caf\u00e9, 1.5\n\u00e9.png,x, 2.0 \n",
        '"file_name", "label", "price"\n"a.png","caf\u00e9",1.5\n"\u00e9.png","x",2.0\n',
        '"file_name"," label "," price"\na.png, "caf\u00e9",1.5\n\u00e9.png, "x",2.0\n',
        TEXT.replace(",", ";"),
        TEXT.replace(",", "\t"),
        TEXT.replace("\n", "\r\n"),
    ],
    ids=["spaces", "spaced quotes", "quoted spaces", "semicolons", "tabs", "crlf"],
)
def test_csv_as_other_programs_write_it(tmp_path, text):
    assert read(tmp_path, text.encode()).table.to_pydict() == ROWS


def test_a_tsv_with_commas_is_read(tmp_path):
    found = read(tmp_path, TEXT.encode(), "t.tsv")
    assert found.table.to_pydict() == ROWS
    assert "separated by commas" in found.notes[0]


def test_a_separator_in_a_cell_does_not_change_the_separator(tmp_path):
    found = read(tmp_path, b"file_name,label\na.png,x;y\nb.png,z;w\n").table
    assert found.to_pydict() == {"file_name": ["a.png", "b.png"], "label": ["x;y", "z;w"]}
    found = read(tmp_path, b'"a,b";c\n1;2\n').table
    assert found.to_pydict() == {"a,b": [1], "c": [2]}
    assert read(tmp_path, b"one;column\n").table.column_names == ["one", "column"]


def test_columns_without_a_name_get_one(tmp_path):
    found = read(tmp_path, b",file_name,\n0,a.png,x\n1,b.png,y\n")
    assert found.table.column_names == ["index", "file_name", "column_3"]
    assert found.table.column("index").to_pylist() == [0, 1]
    assert ["is called index" in note for note in found.notes] == [True, False]
    with pytest.raises(DataError, match="must be unique"):
        read(tmp_path, b"a, a\n1,2\n")


def test_numbers_stay_numbers_and_codes_stay_texts(tmp_path):
    found = read(tmp_path, b"id,n,f,m\n007, 1,1.0,1\n008,2 , 2.5,x\n").table
    assert found.to_pydict() == {
        "id": ["007", "008"],
        "n": [1, 2],
        "f": [1.0, 2.5],
        "m": ["1", "x"],
    }


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.csv"])
def test_a_row_may_be_longer_than_a_block(tmp_path, name):
    long = "y" * 3_000_000
    if name == "t.csv":
        data = f"path,caption\na.png,x\nb.png,{long}\n"
    else:
        rows = [{"path": "a.png", "caption": "x"}, {"path": "b.png", "caption": long}]
        data = "\n".join(map(json.dumps, rows))
    assert read(tmp_path, data.encode(), name).table.column("caption").to_pylist() == ["x", long]


@pytest.mark.parametrize(
    ("first", "last", "kind"),
    [
        ([], [{"box": [1, 2]}], pa.list_(pa.struct([("box", pa.list_(pa.int64()))]))),
        (None, "text", pa.string()),
        (1, 1.5, pa.float64()),
        ({}, {"a": True}, pa.struct([("a", pa.bool_())])),
    ],
)
def test_a_type_that_shows_late_is_the_type_of_the_column(tmp_path, first, last, kind):
    rows = [{"path": f"{n}.png", "pad": "x" * 90, "c": first} for n in range(12_000)]
    rows.append({"path": "z.png", "pad": "", "c": last})
    table = read(tmp_path, "\n".join(map(json.dumps, rows)).encode(), "t.jsonl").table
    assert table.schema.field("c").type == kind
    assert table.column("c")[-1].as_py() == last


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        (['{"a": 1}', "", '{"a": "x"}'], r"line 3: a holds a text, but a number in line 1"),
        (['{"a": {"b": [1]}}', '{"a": {"b": ["x"]}}'], r"line 2: a.b\[\] holds a text"),
        (['{"a": true}', '{"a": []}'], "line 2: a holds a list, but a boolean in line 1"),
        (['{"a": 1}', '{"a": 2'], "line 2 must be a JSON object: "),
        (['{"a": 1}', "[1]"], "line 2 must be a JSON object, got a list"),
    ],
)
def test_faults_of_json_lines_are_named_by_line(tmp_path, lines, match):
    with pytest.raises(FormatError, match=match):
        read(tmp_path, "\n".join(lines).encode(), "t.jsonl")


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b" \n"])
def test_empty_tables_are_refused(tmp_path, data):
    with pytest.raises(DataError, match="is empty"):
        read(tmp_path, data)


def test_cut_utf16_and_ragged_rows_are_damage(tmp_path):
    with pytest.raises(FormatError, match="must be text in utf-16"):
        read(tmp_path, TEXT.encode("utf-16")[:-1])
    with pytest.raises(
        FormatError, match=r"t.csv cannot be read as csv: .*Expected 2 columns, got 3"
    ):
        read(tmp_path, b"a,b\n1,2,3\n")
