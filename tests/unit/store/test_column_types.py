import datetime as dt
import decimal
import logging

import lance
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybit.errors import DataError
from anybit.store import CodeStore
from anybit.store.column_types import stored_type, wider_type
from anybit.store.dataset import Dataset
from anybit.store.exact_values import InexactError, exact_values

D = decimal.Decimal
DAY, NOON = dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 12, 30)
AB = pa.struct([("a", pa.int64()), ("b", pa.string())])
UTC = NOON.replace(tzinfo=dt.UTC)

PLAIN = [
    *(
        pa.array([1, None], kind)
        for kind in (pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64())
    ),
    *(pa.array([7, None], pa.timestamp(unit)) for unit in ("s", "ns")),
    *(pa.array([7, None], pa.timestamp(unit, "Europe/Berlin")) for unit in ("ms", "us")),
    *(pa.array([7, None], kind) for kind in (pa.time32("ms"), pa.time64("ns"), pa.duration("ns"))),
    pa.array([DAY, None], pa.date32()),
    pa.array([DAY, None], pa.date64()),
    pa.array([True, None]),
    pa.array(["a", None], pa.large_string()),
    pa.array([b"ab", None], pa.binary(2)),
    pa.array([D("1.5"), None], pa.decimal128(9, 2)),
    pa.array([D("1.5"), None], pa.decimal256(50, 2)),
    pa.array([[[1, None]], None]),
    pa.array([[1, 2], None], pa.list_(pa.int16(), 2)),
    pa.array([{"a.b": 1, "": [{"c": "x"}]}, None]),
    pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"u" * 16, None], pa.binary(16))),
]  # fmt: skip
ENCODED = [
    (pa.array(["a", None]).dictionary_encode(), pa.string()),
    (pa.array(["a", None], pa.string_view()), pa.string()),
    (pa.array([b"a", None], pa.binary_view()), pa.binary()),
    (pa.RunEndEncodedArray.from_arrays([1, 2], pa.array([5, None])), pa.int64()),
    (pa.array([D("1.5"), None], pa.decimal32(5, 1)), pa.decimal128(5, 1)),
    (pa.array([None, [1, 2]], pa.list_view(pa.int64())), pa.list_(pa.int64())),
    (pa.array([["a", "b"], None], pa.list_(pa.string(), 2)), pa.list_(pa.string())),
    (pa.array([[], None], pa.list_(pa.int64(), 0)), pa.list_(pa.int64())),
    (
        pa.StructArray.from_arrays([pa.array(["a", "b"]).dictionary_encode()], ["x"]),
        pa.struct([("x", pa.string())]),
    ),
    (
        pa.MapArray.from_arrays([0, 1, 1], pa.array(["k"]).dictionary_encode(), pa.array([1])),
        pa.map_(pa.string(), pa.int64()),
    ),
]


@pytest.fixture
def store(tmp_path):
    return CodeStore.create(tmp_path / "items.lance", 1, 256, "m")


def _rows(ids, **columns):
    ids = np.asarray(ids, dtype=np.int64)
    return pa.table({"id": ids, "level_00": np.zeros(len(ids), dtype=np.uint8), **columns})


def _values(store, ids=None, name="p"):
    ids = store.ids() if ids is None else ids
    return store.take(np.sort(ids), [name])[name].to_pylist()


def test_every_type_comes_back_as_it_went_in(store):
    columns = {f"c{number}": values for number, values in enumerate(PLAIN)}
    store.upsert(_rows([1, 2], **columns))
    store.compact(kept_s=0)
    found = CodeStore.open(store.path).take(np.array([1, 2]), list(columns))
    for name, values in columns.items():
        assert found[name].combine_chunks().equals(values), values.type


def test_encoded_values_are_stored_plain(store):
    columns = {f"c{number}": values for number, (values, _) in enumerate(ENCODED)}
    store.upsert(_rows([1, 2], **columns))
    store.upsert(_rows([3, 4], **columns))
    found = store.take(np.array([1, 2, 3, 4]), list(columns))
    for (values, kind), column in zip(ENCODED, found.columns, strict=True):
        assert column.type == kind
        assert column.to_pylist() == 2 * values.to_pylist()


@pytest.mark.parametrize(
    "values",
    [
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        pa.array([{}], pa.struct([])),
        pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
        pa.array([[{}]], pa.list_(pa.struct([]))),
        pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]),
        pa.StructArray.from_arrays([pa.array([1])], ["a\0b"]),
    ],
    ids=lambda one: str(one.type),
)
def test_a_type_that_cannot_be_stored_is_refused_and_nothing_is_written(store, values):
    version = store.version
    with pytest.raises(DataError, match="column 'p' must have a type that can be stored, got"):
        store.upsert(_rows([1], p=values, price=[3]))
    assert (store.version, store.metadata_columns) == (version, [])


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (pa.array([DAY]), pa.array([NOON])),
        (pa.array([NOON]), pa.array([DAY])),
        (pa.array([NOON], pa.timestamp("s")), pa.array([NOON.replace(microsecond=1)])),
        (pa.array([NOON]), pa.array([UTC], pa.timestamp("us", "UTC"))),
        (pa.array([UTC]), pa.array([7], pa.timestamp("us", "Asia/Tokyo"))),
        (pa.array([5], pa.time32("s")), pa.array([5_000_000_001], pa.time64("ns"))),
        (pa.array([5], pa.duration("s")), pa.array([1], pa.duration("ns"))),
        (pa.array(["a"]), pa.array([b"a"])),
        (pa.array([b"a"]), pa.array(["a"])),
        (pa.array([5]), pa.array(["5"])),
        (pa.array([5]), pa.array([True])),
        (pa.array(["5"]), pa.array([5])),
        (pa.array([b"ab"], pa.binary(2)), pa.array([b"abc"], pa.binary(3))),
        (pa.array([2**60]), pa.array([0.5])),
        (pa.array([{"a": 1}]), pa.array([{"a": "x", "b": 1}])),
        (pa.array([[1]]), pa.array([["x"]])),
        (pa.array([D("1e37")], pa.decimal256(76, 0)), pa.array([D("0.01")], pa.decimal128(4, 2))),
        (pa.array(["a"]), pa.array([["a"]])),
    ],
    ids=lambda one: str(one.type),
)  # fmt: skip
def test_a_value_that_its_column_does_not_hold_is_refused(store, first, later):
    store.upsert(_rows([1], p=first))
    before = store.take(np.array([1]), ["p"])
    with pytest.raises(DataError, match=r"column p .*Give the .*column another name"):
        store.upsert(_rows([2, 3], p=pa.concat_arrays([pa.nulls(1, later.type), later])))
    assert store.count() == 1
    assert store.take(np.array([1]), ["p"]).equals(before)
    store.upsert(_rows([2], p=first))  # the same type goes on


def test_the_first_value_that_does_not_fit_is_named(store):
    store.upsert(_rows([1], p=[DAY]))
    store.upsert(_rows([1], p=pa.array([DAY], pa.date64())))
    values = pa.chunked_array([pa.array(one, pa.date64()) for one in ([0], [None, 5, 6])])
    with pytest.raises(DataError, match=r"must hold date32.*got date64.* \(id 13\) is not"):
        store.upsert(_rows([11, 12, 13, 14], p=values))


@pytest.mark.parametrize(
    ("first", "later", "kind"),
    [
        (pa.array([1], pa.int32()), pa.array([2**40]), pa.int64()),
        (pa.array([1], pa.uint8()), pa.array([-1], pa.int8()), pa.int16()),
        (pa.array([1.5], pa.float32()), pa.array([0.1]), pa.float64()),
        (pa.array([1.5], pa.float16()), pa.array([70000], pa.int32()), pa.float64()),
        (pa.array([3]), pa.array([0.5]), pa.float64()),
        (pa.array([D("1.5")]), pa.array([D("123.25")]), pa.decimal128(5, 2)),
        (pa.array([{"a": 1}]), pa.array([{"b": "x"}]), AB),
        (pa.array([[{"a": 1}]]), pa.array([[{"a": 2, "b": "x"}]]), pa.list_(AB)),
        (pa.array([{"a": {"b": 1}}]), pa.array([{"a": {"b": 2**40, "c": 1.5}}]), None),
        (pa.array([{"a": None}]), pa.array([{"a": "x"}]), pa.struct([("a", pa.string())])),
        (pa.array([[1, 2]], pa.list_(pa.int64(), 2)), pa.array([[1]]), pa.list_(pa.int64())),
    ],
    ids=lambda one: str(getattr(one, "type", "")),
)  # fmt: skip
def test_a_wider_type_is_given_to_the_column_and_said(store, caplog, first, later, kind):
    store.upsert(_rows([1, 2], p=pa.concat_arrays([first, pa.nulls(1, first.type)])))
    with caplog.at_level(logging.WARNING, "anybit"):
        store.upsert(_rows([3], p=later))
    assert f"column p holds {store.schema.field('p').type} from now on" in caplog.text
    assert kind is None or store.schema.field("p").type.equals(kind) or pa.types.is_list(kind)
    merged = [{**dict.fromkeys(_names(store)), **one} if isinstance(one, dict) else one
              for one in [first[0].as_py(), later[0].as_py()]]  # fmt: skip
    found = _values(store)
    assert found[1] is None
    assert _without_nulls([found[0], found[2]]) == _without_nulls(merged)
    opened = CodeStore.open(store.path)
    assert (opened.metadata_columns, opened.verify().damages) == (["p"], ())


def _names(store):
    kind = store.schema.field("p").type
    return [one.name for one in kind] if pa.types.is_struct(kind) else []


def _without_nulls(value):
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def test_values_that_fit_change_no_type(store, caplog):
    store.upsert(_rows([1], p=pa.array([1], pa.int32()), q=pa.array([1.5], pa.float32())))
    with caplog.at_level(logging.WARNING, "anybit"):
        store.upsert(_rows([2], p=pa.array([5], pa.int64()), q=pa.array([2.5])))
        store.upsert(_rows([3], p=pa.array([2.0]), q=pa.nulls(1)))
    assert caplog.text == ""
    assert store.schema.field("p").type == pa.int32()
    assert (_values(store), _values(store, name="q")) == ([1, 5, 2], [1.5, 2.5, None])


def test_new_columns_are_said(store, caplog):
    with caplog.at_level(logging.WARNING, "anybit"):
        store.upsert(_rows([1], price=[1], signature=[1]))
        assert caplog.text == ""
        store.upsert(_rows([2], colour=["red"], thumbnail=[b"x"]))
    assert "new columns: colour (string); null in the 1 rows before" in caplog.text


def test_an_own_column_keeps_its_type(store):
    store.upsert(_rows([1], feature=pa.array([[1.0, 2.0]], pa.list_(pa.float16(), 2))))
    with pytest.raises(DataError, match="column feature must hold fixed_size_list"):
        store.upsert(_rows([2], feature=pa.array([[1.0] * 3], pa.list_(pa.float16(), 3))))


def test_a_change_of_type_cut_off_at_any_commit_keeps_every_value(tmp_path, monkeypatch):
    committed, drafts = Dataset.committed, set()
    for n_commits in range(4):
        store = CodeStore.create(tmp_path / str(n_commits), 1, 256, "m")
        store.upsert(_rows([1, 2], p=pa.array([1, None], pa.int8()), q=["a", "b"]))
        left = iter(range(n_commits))

        def cut(*args, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return committed(*args)

        with monkeypatch.context() as patched:
            patched.setattr(Dataset, "committed", cut)
            with pytest.raises(KeyboardInterrupt):
                store.upsert(_rows([3], p=[300]))
        drafts |= {one for one in lance.dataset(str(store.path)).schema.names if "anybit_" in one}
        opened = CodeStore.open(store.path)
        assert _values(opened)[:2] == [1, None]  # the rows themselves are the last commit
        assert set(opened.metadata_columns) == {"p", "q"}
        assert opened.verify().damages == ()
        opened.upsert(_rows([3], p=[300]))
        assert _values(opened) == [1, None, 300]
        names = lance.dataset(str(store.path)).schema.names
        assert not [one for one in names if "anybit_" in one]
    assert drafts == {"anybit_draft", "anybit_replaced"}


_LEAVES = st.sampled_from(
    [pa.int8(), pa.int64(), pa.uint32(), pa.float32(), pa.float64(), pa.string(), pa.bool_()]
)
_TYPES = st.recursive(
    _LEAVES,
    lambda kinds: st.one_of(
        kinds.map(pa.list_),
        kinds.map(pa.large_list),
        kinds.map(lambda kind: pa.list_(kind, 2)),
        st.lists(kinds, min_size=1, max_size=2).map(
            lambda some: pa.struct(list(zip("ab", some, strict=False)))
        ),
    ),
    max_leaves=4,
)


def _examples(kind):
    """Return two values of a type, and None."""
    if pa.types.is_struct(kind):
        parts = [_examples(field.type) for field in kind]
        rows = zip(*parts, strict=True)
        names = [field.name for field in kind]
        return [*[dict(zip(names, row, strict=True)) for row in rows][:2], None]
    if pa.types.is_fixed_size_list(kind):
        return [_examples(kind.value_type)[:2], _examples(kind.value_type)[1:], None]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_examples(kind.value_type), [], None]
    if pa.types.is_string(kind):
        return ["x", "", None]
    return [True, False, None] if pa.types.is_boolean(kind) else [1, 100, None]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(_TYPES, _TYPES)
def test_conversion_keeps_values_or_refuses(one, other):
    values = pa.chunked_array([pa.array(_examples(one), one)[1:], pa.array(_examples(one), one)])
    expected = _without_nulls(values.to_pylist())
    assert stored_type(stored_type(one, "p"), "p") == stored_type(one, "p")
    assert exact_values(values, stored_type(one, "p")).to_pylist() == values.to_pylist()
    try:
        made = exact_values(values, other)
        made.validate(full=True)
        assert made.type == other
        assert _without_nulls(made.to_pylist()) == expected
    except InexactError:
        pass
    wider = wider_type(one, other)
    if wider is not None:
        assert _without_nulls(exact_values(values, wider).to_pylist()) == expected
