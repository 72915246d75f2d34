"""Filters of clients: the one language, within limits, with the API's own error."""

from dataclasses import replace

import numpy as np
import pytest

from anybit.errors import TimeLimitError
from anybit.serve.errors import ServeError
from anybit.serve.item_updates import delete_items
from anybit.serve.schemas import DeletedItems

from .conftest import N_VECTORS, served


@pytest.mark.parametrize(
    "where",
    [
        "price",
        "price < 20;",
        "price < 20 -- comment",
        "price < 20) OR (1 = 1",
        "price < 20 LIMIT 1",
        "1 = 1",
        'colour = "blue"',
        "lower(colour) = 'a'",
        "secret = 1",
        "thumbnail IS NULL",
        "path LIKE '/%'",
        "item_source LIKE '/%'",
        "level_00 = 1",
        "_rowaddr = 1",
        "price = 'a'",
        "made = 5",
        "n\x00 = 1",
        "(" * 30 + "id = 1" + ")" * 30,
        "not " * 30 + "id = 1",
        " and ".join(["id = 1"] * 200),
        f"id in ({', '.join(['1'] * 600)})",
        "id = 1" + " " * 3000 + "and id = 2",
    ],
)
def test_anything_else_is_a_bad_filter(api, where):
    answer = api.post("/v1/search", json={"id": 0, "where": where})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_filter")
    assert len(answer.json()["error"]["message"]) < 400
    assert answer.json()["error"]["cure"]


def test_a_bad_filter_deletes_nothing_and_a_good_one_what_it_says(own):
    with served(own, is_writable=True) as client:
        for where in ("price < 20 LIMIT 1", "\"nosuch\" <> 'x'", "price < 20;", " "):
            answer = client.request("DELETE", "/v1/items", json={"where": where})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_filter")
        answer = client.request("DELETE", "/v1/items", json={"where": '"id" >= 298'})
        assert answer.json()["n_deleted"] == 2
    assert own.count() == N_VECTORS - 2


def test_a_filter_that_takes_too_long_is_a_timeout(own):
    with served(own, is_writable=True, search_timeout_s=30) as client:
        client.service.options = replace(client.service.options, search_timeout_s=1e-9)
        own.filter_time_limit_s = 1e-9
        lookup = own.lookup
        condition = client.service.condition(lookup, "price < 20")
        with pytest.raises(TimeLimitError):
            lookup.answer(np.ones((1, 64), np.float32), 1, [None], condition)
        with pytest.raises(ServeError) as caught:
            delete_items(client.service, DeletedItems(where="price < 20"))
    assert caught.value.code == "timeout"
    assert own.count() == N_VECTORS


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("price < 2 AND colour = 'it''s blue'", lambda n: n < 20 and n % 3 == 2),
        ("id BETWEEN 5 AND 9", lambda n: 5 <= n <= 9),
        ("made >= '2024-11-01'", lambda n: n % 12 >= 10),
        ("NOT (colour LIKE 'r%') AND price IN (1.0, 1.2, 1.3)", lambda n: n in (10, 13)),
        ("key = 'digit-8' OR labels = 'nothing'", lambda n: n == 8),
    ],
)
def test_filters_select_in_the_store_what_they_say(api, where, expected):
    answer = api.post("/v1/search", json={"id": 0, "k": 300, "where": where})
    assert answer.status_code == 200, answer.text
    found = {hit["id"] for hit in answer.json()["hits"]}
    assert found == {number for number in range(N_VECTORS) if expected(number)}
    assert found
