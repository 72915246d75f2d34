"""Random filters select in a store what a slow evaluation of their trees selects."""

from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anybit.collection.conditions import compile_condition
from anybit.data import parse_filter
from anybit.errors import FilterError
from anybit.store import CodeStore
from reference.filters import truth

D, T = Decimal, datetime
TEXTS = ["", "a", "A", "ab", "a%b", "a_b", "it's", "\\", "a\nb", "日本", "b" * 5, '"', None]
VALUES = {
    ("id",): list(range(-2, 38)),
    ("n",): [0, 1, 5, 254, 255, None],
    ("big",): [-(2**63), -1, 0, 2**53 + 1, 2**63 - 1, None],
    ("price",): [-1.5, -0.0, 0.0, 0.25, 1e300, None],
    ("cost",): [D("-1.50"), D("0.00"), D("0.01"), D("99999.99"), None],
    ("name",): TEXTS,
    ("is new",): [True, False, None],
    ("day",): [date(1969, 12, 31), date(2024, 2, 29), date(2026, 1, 31), None],
    ("made",): [T(1969, 12, 31, 23, 59, 59, 999999, UTC), T(2024, 2, 29, tzinfo=UTC), None],
    ("labels",): [["a"], ["a", "b"], [], [None, "it's"], None],
    ("box", "a.b"): [1, 2, None],
    ("box", "text"): TEXTS,
}  # fmt: skip
TYPES = {
    "n": pa.uint8(), "big": pa.int64(), "price": pa.float64(), "cost": pa.decimal128(7, 2),
    "name": pa.string(), "is new": pa.bool_(), "day": pa.date32(),
    "made": pa.timestamp("us", "UTC"),
    "labels": pa.list_(pa.string()), "box": pa.struct([("a.b", pa.int8()), ("text", pa.string())]),
}  # fmt: skip
RNG = np.random.default_rng(8)


def _row(number):
    def draw(*column):
        return VALUES[column][RNG.integers(len(VALUES[column]))]

    row = {name: draw(name) for name in TYPES if name != "box"}
    box = {name: draw("box", name) for name in ("a.b", "text")}
    return {"id": number, **row, "box": box if RNG.random() < 0.8 else None}


ROWS = [_row(number) for number in VALUES["id",]]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = CodeStore.create(tmp_path_factory.mktemp("store") / "items.lance", 1, 4, "fingerprint")
    for part in (ROWS[:25], ROWS[25:]):
        columns = {name: pa.array([row[name] for row in part], TYPES[name]) for name in TYPES}
        ids = pa.array([row["id"] for row in part], pa.int64())
        zeros = pa.array(np.zeros(len(part), np.uint8))
        made.upsert(pa.table({"id": ids, "level_00": zeros, **columns}))
    return made


# --- random trees ---

NUMBERS = [0, 1, 1.5, -0.25, 255, 256, 2**63 - 1, -(2**63), 2**64, D("0.01"), D("99999.995"), 1e299]
PATTERNS = st.lists(
    st.sampled_from(["%", "_", "a", "b", "A", "\\%", "\\_", "\\\\", "it", "日", ".", "("]),
    max_size=5,
).map("".join)
ORDER, EQUAL = ["<", "<=", ">", ">="], ["=", "!="]


def _column(*columns):
    return st.sampled_from([one for one in VALUES if one in columns or not columns])


def _comparable(column):
    """Return a leaf with a value that the column can hold."""
    known = [one for one in VALUES[column] if one is not None]
    if column == ("labels",):
        known = ["a", "b", "it's", "c"]
    signs = EQUAL if column in (("labels",), ("is new",)) else EQUAL + ORDER
    value = st.sampled_from(known)
    if column[0] == "price":
        value |= st.sampled_from([0.1, 1e-300, 7])
    single = st.tuples(st.sampled_from(signs), st.just(column), value)
    return single | st.tuples(
        st.just("in"), st.just(column), st.lists(value, min_size=1, max_size=3)
    )


NUMERIC = _column(("id",), ("n",), ("big",), ("cost",), ("box", "a.b"))
LEAVES = st.one_of(
    _column().flatmap(_comparable),
    st.tuples(st.just("null"), _column()),
    st.tuples(st.sampled_from(ORDER), NUMERIC, st.sampled_from(NUMBERS)),
    st.tuples(st.sampled_from(["like", "ilike"]), _column(("name",), ("box", "text")), PATTERNS),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3))
        | st.tuples(st.just("not"), inner)
    ),
    max_leaves=8,
)


# --- and their text ---


def _written(value):
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"'{value}'" if isinstance(value, date) else str(value)


def _name(column):
    return ".".join(one if one.isidentifier() else f'"{one}"' for one in column)


def text_of(tree):
    kind, first, *rest = tree
    if kind in ("and", "or"):
        return "(" + f" {kind} ".join(map(text_of, first)) + ")"
    if kind == "not":
        return f"NOT ({text_of(first)})"
    if kind == "null":
        return f"{_name(first)} IS NULL"
    if kind == "in":
        return f"{_name(first)} IN ({', '.join(map(_written, rest[0]))})"
    return f"{_name(first)} {kind} {_written(rest[0])}"


@given(tree=TREES)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_filter_selects_what_its_tree_means(store, tree):
    condition = compile_condition(text_of(tree), store)
    expected = [row["id"] for row in ROWS if truth(row, tree)]
    assert sorted(store.ids(condition)) == expected


@given(text=st.text("ab%_\\A.(\n日", max_size=8), pattern=PATTERNS)
@settings(max_examples=500, deadline=None)
def test_like_equals_trying_every_length(text, pattern):
    batch = pa.record_batch({"name": pa.array(["", text, None], pa.string())})
    for kind in ("like", "ilike"):
        found = parse_filter(f"name {kind} {_written(pattern)}", {"name": pa.string()})(batch)
        tree = (kind, ("name",), pattern)
        expected = [truth({"name": one}, tree) for one in ("", text, None)]
        assert found.to_pylist() == expected


@given(
    text=st.text("'\"`()=<>!.,;-* \n\\a1", max_size=30)
    | st.lists(
        st.sampled_from(
            ["price", "labels", "name", "<", "=", "1", "'a'", "(", ")", "AND", "OR", "NOT", "IN",
             "IS", "NULL", "LIKE", "BETWEEN", ",", ".", "date", "array_has", "--", ";"]
        ),
        max_size=12,
    ).map(" ".join)
)  # fmt: skip
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_filter_or_refused(text):
    columns = {
        "price": pa.float64(),
        "name": pa.string(),
        "labels": pa.list_(pa.string()),
        "a": pa.int8(),
    }
    batch = pa.record_batch({name: pa.nulls(2, kind) for name, kind in columns.items()})
    try:
        condition = parse_filter(text, columns)
    except FilterError:
        return
    assert len(condition(batch)) == 2
