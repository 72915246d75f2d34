"""The filter language: what a filter selects, and that nothing else is understood."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from anybit.data import FilterLimits, parse_filter
from anybit.errors import FilterError

D, T = Decimal, datetime
COLUMNS = {
    "id": (pa.int64(), [-(2**63), 2, 3, 4]),
    "price": (pa.float64(), [0.5, 20.0, -1500.0, None]),
    "share": (pa.float32(), [0.1, 0.7, -0.0, None]),
    "half": (pa.float16(), [0.5, 1.0, None, 2.0]),
    "n": (pa.uint8(), [1, 2, 255, None]),
    "big": (pa.uint64(), [2**64 - 1, 0, 5, None]),
    "cost": (pa.decimal128(10, 2), [D("1.50"), D("19.99"), D("-3.00"), None]),
    "name": (pa.string(), ["red", "it's", "a_b%\n", None]),
    "long": (pa.large_string(), ["red", "rede", "", None]),
    "kind": (pa.dictionary(pa.int32(), pa.string()), ["a", "b", "a", None]),
    "is_new": (pa.bool_(), [True, False, None, True]),
    "day": (pa.date32(), [date(2026, 1, 31), date(1969, 12, 31), date(2024, 2, 29), None]),
    "day64": (pa.date64(), [date(2026, 1, 31), date(1969, 12, 31), date(2024, 2, 29), None]),
    "made": (pa.timestamp("us"), [T(2024, 1, 2, 3, 4, 5), T(1960, 1, 1), T(2026, 1, 31), None]),
    "seen": (pa.timestamp("ms", "Europe/Berlin"),
             [T(2024, 1, 2, tzinfo=UTC), T(2024, 1, 2, 1, tzinfo=UTC), None, None]),
    "whole": (pa.timestamp("s"), [T(2024, 1, 2), T(2024, 1, 2, 0, 0, 1), None, None]),
    "clock": (pa.time64("us"), [time(12), time(12, 0, 0, 1), time(0), None]),
    "labels": (pa.list_(pa.string()), [["cat", "dog"], [], ["fox", None], None]),
    "sizes": (pa.list_(pa.int16(), 2), [[1, 2], [3, 4], [5, None], None]),
    "maker": (pa.struct([("name", pa.string()), ("a.b", pa.struct([("Q", pa.int8())]))]),
              [{"name": "x", "a.b": {"Q": 1}}, {"name": "y", "a.b": None}, {"name": None}, None]),
    "raw": (pa.binary(), [b"x", b"", b"y", None]),
    "odd name": (pa.int8(), [1, 2, 3, None]),
    'say "hi"': (pa.int8(), [1, 2, 3, None]),
    "back`tick": (pa.int8(), [1, 2, 3, None]),
    "a.b": (pa.int8(), [1, 2, 3, None]),
    "": (pa.int8(), [1, 2, 3, None]),
    "like": (pa.int8(), [1, 2, 3, None]),
    "date": (pa.int8(), [1, 2, 3, None]),
    "Name2": (pa.int8(), [1, 2, 3, None]),
    "naïve_日": (pa.int8(), [1, 2, 3, None]),
}  # fmt: skip
TYPES = {name: kind for name, (kind, _) in COLUMNS.items()}


def _batch():
    arrays = {}
    for name, (kind, values) in COLUMNS.items():
        if pa.types.is_float16(kind):
            values = [None if one is None else np.float16(one) for one in values]
        arrays[name] = pa.array(values, kind)
    return pa.record_batch(arrays)


BATCH = _batch()


def selected(text):
    """Return the numbers, from 1, of the rows that a filter selects."""
    found = parse_filter(text, TYPES)(BATCH)
    # A slice must give the same: Arrow's arrays share their buffers.
    parts = [parse_filter(text, TYPES)(BATCH.slice(at, 2)) for at in (0, 2)]
    assert [*parts[0].to_pylist(), *parts[1].to_pylist()] == found.to_pylist()
    return [number for number, one in enumerate(found.to_pylist(), 1) if one]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("price < 20", [1, 3]),
        ("PRICE>=-1.5e3", [1, 2, 3]),
        ('"price" < 20', [1, 3]),
        ("`price` < 20", [1, 3]),
        ("20 > price", [1, 3]),
        ("0.5 = price", [1]),
        ("price != 20", [1, 3]),
        ("NOT price = 20", [1, 3]),
        ("price IS NULL", [4]),
        ("price is not null", [1, 2, 3]),
        ("price in (20, .5)", [1, 2]),
        ("price NOT IN (20)", [1, 3]),
        ("price between 0.5 and 20", [1, 2]),
        ("price NOT BETWEEN 0.5 AND 20", [3]),
        ("share = 0.1", [1]),
        ("share <= 0.1 and share > 0", [1]),
        ("share IN (0, 0.7)", [2, 3]),
        ("half >= 1", [2, 4]),
        ("half IN (0.5, 2)", [1, 4]),
        ("id = -9223372036854775808", [1]),
        ("id <= -9223372036854775808 OR id = +4.0", [1, 4]),
        ("id < -9223372036854775809", []),
        ("id > -1e30", [1, 2, 3, 4]),
        ("n < 1.5", [1]),
        ("n > 1.5", [2, 3]),
        ("n >= 2.5 or n <= 1.0", [1, 3]),
        ("n < 300 and n > -1", [1, 2, 3]),
        ("NOT n < 300", []),
        ("n == 255", [3]),
        ("big = 18446744073709551615", [1]),
        ("big > 9223372036854775807", [1]),
        ("cost = 1.5", [1]),
        ("cost < 19.995", [1, 2, 3]),
        ("cost > -3.001", [1, 2, 3]),
        ("cost IN (19.99, -3)", [2, 3]),
        ("cost < 1e12", [1, 2, 3]),
        ("name = 'it''s'", [2]),
        ("name > 'b'", [1, 2]),
        ("name <> 'red'", [2, 3]),
        ("name LIKE 'r%'", [1]),
        (r"name LIKE 'a\_b\%_'", [3]),
        ("name NOT LIKE '%e%'", [2, 3]),
        ("name ILIKE 'R_D'", [1]),
        ("name = 'a_b%\n'", [3]),
        ("long LIKE 'red'", [1]),
        ("long LIKE ''", [3]),
        ("long = '' OR long in ('rede')", [2, 3]),
        ("kind in ('a', 'c')", [1, 3]),
        ("kind like 'b'", [2]),
        ("is_new", [1, 4]),
        ("not is_new", [2]),
        ("is_new = false", [2]),
        ("is_new IS NOT TRUE", [2, 3]),
        ("is_new is false", [2]),
        ("is_new IN (TRUE)", [1, 4]),
        ("day = '2026-01-31'", [1]),
        ("day = date '2026-01-31'", [1]),
        ("day < '1970-01-01'", [2]),
        ("day BETWEEN '2024-02-29' AND '2026-01-30'", [3]),
        ("day64 IN ('2024-02-29', '1969-12-31')", [2, 3]),
        ("day64 >= '2026-01-31'", [1]),
        ("made > '2024-01-02T03:04:05+01:00'", [1, 3]),
        ("made = timestamp '2024-01-02 03:04:05'", [1]),
        ("made = '2024-01-02 04:04:05.000000 +01:00'", [1]),
        ("made >= date '2026-01-31'", [3]),
        ("made < '2024-01-02 03:04:05.0000001'", [1, 2]),
        ("seen = '2024-01-02'", [1]),
        ("seen = '2024-01-02T02:00:00+01:00'", [2]),
        ("seen > '2024-01-02 00:00Z'", [2]),
        ("whole > '2024-01-02 00:00:00.5'", [2]),
        ("clock = '12:00'", [1]),
        ("clock > time '12:00:00'", [2]),
        ("labels = 'cat'", [1]),
        ("labels <> 'cat'", [2, 3]),
        ("'cat' = labels", [1]),
        ("labels in ('fox', 'dog')", [1, 3]),
        ("labels NOT IN ('fox', 'dog')", [2]),
        ("array_has(labels, 'fox')", [3]),
        ("NOT list_has(labels, 'fox') AND ARRAY_CONTAINS(labels, 'dog')", [1]),
        ("labels IS NULL", [4]),
        ("array_length(labels) > 0", [1, 3]),
        ("array_length(labels) = 0", [2]),
        ("sizes = 4 or sizes = 5", [2, 3]),
        ("maker.name = 'x'", [1]),
        ("maker.name IS NULL", [3, 4]),
        ('maker."a.b".Q = 1', [1]),
        ("maker.`a.b`.q IS NULL", [2, 3, 4]),
        ("maker IS NULL", [4]),
        ("raw IS NOT NULL", [1, 2, 3]),
        ('"odd name" = 1 or `odd name` = 2', [1, 2]),
        ('"say ""hi""" = 1 OR `say "hi"` = 2', [1, 2]),
        ('"back`tick" = 1 OR `back``tick` = 2', [1, 2]),
        ('"a.b" = 3', [3]),
        ('"" = 3', [3]),
        ('"like" = 3', [3]),
        ("date = 3", [3]),
        ("name2 = 3", [3]),
        ("naïve_日 = 3", [3]),
        ("price < 1 or n = 2 and id = 2", [1, 2, 3]),
        ("(price < 1 or n = 2) and id = 2", [2]),
        ("not (price < 1 or n = 2)", []),
        ("not not price < 1", [1, 3]),
        ("\tprice\n<\r\n1 ", [1, 3]),
    ],
)
def test_a_filter_selects_what_it_says(text, rows):
    assert selected(text) == rows


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "got an empty text"),
        (" \n", 0, "got an empty text"),
        ("price > 1 LIMIT 1", 11, "got 'LIMIT 1' at character 11. A filter only selects"),
        ("price > 1 ORDER BY price LIMIT 1", 11, "take this part away"),
        ("price > 1 OFFSET 3", 11, "take this part away"),
        ("price > 1 FETCH FIRST 1 ROWS ONLY", 11, "take this part away"),
        ("price > 1 GROUP BY name HAVING 1 = 0", 11, "take this part away"),
        ("price > 1; AND name = 'b'", 10, "one condition"),
        ("price > 1 -- comment", 11, "Comments"),
        ("price > 1 /* x */", 11, "Comments"),
        ("price > 1 price < 3", 11, "go on with AND or OR"),
        ("price > 1)", 10, "go on with AND or OR"),
        ("\"nosuch\" <> 'x'", 1, "Double quotes are for names"),
        ('name = "red"', 8, "string in single quotes: 'red'"),
        ('name = "price"', 8, "not with another column"),
        ("price < n", 9, "not with another column"),
        ('"PRICE" < 1', 1, "Did you mean price?"),
        ("secret = 1", 1, "must be one of id, price"),
        ("_rowaddr = 1", 1, "must be one of"),
        ("level_00 = 1", 1, "must be one of"),
        ("price = NULL", 9, "write price IS NULL"),
        ("price != null", 10, "write price IS NULL"),
        ("name IN ('a', NULL)", 15, "IS NULL"),
        ("lower(name) = 'a'", 1, "Functions are not supported"),
        ("name = lower('a')", 8, "Functions are not supported"),
        ("price + 1 > 2", 7, "Arithmetic"),
        ("price -1 > 2", 7, "Arithmetic"),
        ("price > 2 * 3", 11, "Arithmetic"),
        ("price > -n", 9, "Arithmetic"),
        ("name = 'a' || 'b'", 12, "cannot be joined"),
        ("price < (SELECT 1)", 9, "Subqueries"),
        ("id IN (SELECT 1)", 8, "Subqueries"),
        ("1 = 1", 5, "compared with a column"),
        ("1 < price < 2", 11, "go on with AND or OR"),
        ("TRUE", 5, "must follow a value"),
        ("price", 6, "must follow the column price"),
        ("price <", 8, "got the end"),
        ("name not", 9, "must follow the column name"),
        ("not", 4, "name of a column"),
        ("price = 1 and", 14, "name of a column"),
        ("name = 'abc", 8, "End the string"),
        ('"name = 1', 1, "End the name"),
        ("name = \u2018a\u2019", 8, "straight quotes"),
        ("name == == 'a'", 9, "value"),
        ("n in ()", 7, "value"),
        ("n in (1,)", 9, "value"),
        ("n in 1", 6, "needs ( after IN"),
        ("labels IN ['cat']", 11, "round brackets"),
        ("(n = 1", 7, "needs ) after"),
        ("price BETWEEN 1, 2", 16, "needs AND"),
        ("name LIKE 'a' ESCAPE '!'", 15, "escape character"),
        ("name LIKE 'a\\'", 11, "single backslash"),
        ("name LIKE 3", 11, "a 'string'"),
        ("price LIKE 'a'", 7, "cannot be compared by LIKE"),
        ("name = 3", 8, "a 'string'"),
        ("name = DATE '2026-01-31'", 13, "a 'string'"),
        ("price = '1'", 9, "a number"),
        ("price < 1e999", 9, "a number of at most"),
        ("share < 1e39", 9, "a number of at most 3.403e"),
        ("price < nan", 9, "value"),
        ("n = 256", 5, "from 0 to 255"),
        ("n = -1", 5, "from 0 to 255"),
        ("n = 1.5", 5, "a whole number"),
        ("n IN (1, 1.5)", 10, "a whole number"),
        ("id = 9223372036854775808", 6, "a whole number"),
        ("id = 1e99999999", 6, "200 digits"),
        ("id < 1" + "0" * 400, 6, "200 digits"),
        ("cost = 1.555", 8, "2 after it"),
        ("n = 0x10", 5, "value"),
        ("is_new = 1", 10, "TRUE or FALSE"),
        ("is_new > FALSE", 8, "cannot be compared by >"),
        ("day = 5", 7, "a date such as"),
        ("day = '2026-01-31 10:00'", 7, "a date such as"),
        ("day = '2026-02-30'", 7, "a date such as"),
        ("day = timestamp '2026-01-31'", 17, "a date such as"),
        ("made > 'yesterday'", 8, "a time such as"),
        ("made > '2026-01-31 24:00'", 8, "a time such as"),
        ("made = '2026-01-31 10:00:00.0000001'", 8, "exact to one us"),
        ("made > '2026-01-31 10:00 CET'", 8, "a time such as"),
        ("clock = '2026-01-31'", 9, "a time such as"),
        ("clock = '25:00'", 9, "a time such as"),
        ("labels < 'a'", 8, "cannot be compared by <"),
        ("labels LIKE 'a'", 8, "cannot be compared by LIKE"),
        ("array_has(name, 'a')", 1, "cannot be compared by array_has"),
        ("array_length(name) > 1", 1, "cannot be compared by array_length"),
        ("array_length(labels)", 21, "comparison must follow"),
        ("array_length(labels) = 'a'", 24, "a number"),
        ("maker = 'x'", 7, "written column.field"),
        ("maker.nosuch = 1", 7, "field of maker must be one of name"),
        ("name.x = 1", 6, "has no fields"),
        ("raw = 'x'", 5, "Possible are IS NULL"),
        ("made is true", 9, "NULL after IS"),
        ("name is 'x'", 9, "NULL after IS"),
        ("n && 2", 3, "Write AND"),
        ("!is_new", 1, "Write NOT"),
        ("name ~ 'x'", 6, "must follow the column"),
        ("name REGEXP 'x'", 6, "Use LIKE"),
        ("n = ?", 5, "Placeholders"),
        ("n = $1", 5, "Placeholders"),
        ("n\x00 = 1", 2, "must follow the column"),
        ("name = '\ud800'", 0, "Unicode"),
    ],
)
def test_anything_else_is_refused_with_position_and_cure(text, position, reason):
    with pytest.raises(FilterError) as caught:
        parse_filter(text, TYPES)
    assert reason in str(caught.value)
    assert caught.value.position == position
    assert str(caught.value).startswith(caught.value.message)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("n = 1" + " " * 100 + "and n = 2", "50 characters"),
        ("((((n = 1))))", "3 nested"),
        ("not not not not is_new", "3 nested"),
        ("n=1 or n=2 or n=3", "2 comparisons"),
        ("n in (1,2,3,4,5)", "4 values"),
    ],
)
def test_limits_are_those_that_are_given(text, reason):
    limits = FilterLimits(n_characters=50, depth=3, n_predicates=2, n_values=4)
    with pytest.raises(FilterError, match=reason):
        parse_filter(text, TYPES, limits)
    assert selected(text) is not None


@pytest.mark.parametrize(
    "text",
    ["(" * 10**6, "not " * 10**5, "'" * 10**6, "1" * 10**6, "-" * 10**6, "n=1 or " * 10**5 + "n=1",
     "n in (" + "1," * 10**6, "name.x." * 10**5, "x" * 3 * 10**6],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_large_hostile_texts_are_refused_and_no_stack_overflows(text):
    with pytest.raises(FilterError) as caught:
        parse_filter(text, TYPES)
    assert len(str(caught.value)) < 700


def test_equal_filters_are_equal_and_hash_alike():
    one, same, other = (
        parse_filter(text, TYPES)
        for text in ("price < 20 AND labels = 'a'", "(PRICE<2e1) and `labels`='a'", "price < 20")
    )
    assert (one, hash(one)) == (same, hash(same))
    assert one != other
    assert one.columns == {"price", "labels"}


@pytest.mark.parametrize(
    "name", ["price", "Name2", "a b", 'say "hi"', "back`tick", "", "like", "1"]
)
def test_the_message_names_columns_as_they_are_written(name):
    with pytest.raises(FilterError, match="must be one of") as caught:
        parse_filter("nosuch = 1", {name: pa.int64()})
    listed = str(caught.value).split("must be one of ")[1].split(", got")[0]
    parse_filter(f"{listed} = 1", {name: pa.int64()})
