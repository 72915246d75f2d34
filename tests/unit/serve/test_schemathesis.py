"""Requests made from the OpenAPI description: no failure of the server, no undescribed answer."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from .conftest import make_pictures, served

_WITHOUT_INPUT = ("GET /healthz", "GET /readyz", "GET /metrics", "GET /v1/collection")
_WITH_INPUT = (
    "POST /v1/search", "GET /v1/items", "POST /v1/items", "DELETE /v1/items",
    "GET /v1/items/{id}", "GET /v1/items/{id}/thumbnail",
)  # fmt: skip
_TRIES = [
    *[("positive", one) for one in (*_WITHOUT_INPUT, *_WITH_INPUT)],
    *[("negative", one) for one in _WITH_INPUT],
]


def always_on(app):
    """The application as it runs already: every request would start and end it otherwise."""

    async def call(scope, receive, send):
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})

    return call


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    """What the API offers, by method and path, of a writable server."""
    made = make_pictures(tmp_path_factory.mktemp("schemathesis"))
    with served(made, is_writable=True, rate_limit=0) as client:
        schema = schemathesis.openapi.from_asgi("/v1/openapi.json", always_on(client.app))
        found = [one.ok() for one in schema.get_all_operations()]
        yield {one.label: one for one in found}


def test_all_operations_are_tried(operations):
    assert set(operations) == {*_WITHOUT_INPUT, *_WITH_INPUT}


@pytest.mark.parametrize(("mode", "label"), _TRIES)
def test_no_request_makes_the_server_fail(operations, mode, label):
    strategy = operations[label].as_strategy(generation_mode=schemathesis.GenerationMode(mode))

    @given(case=strategy)
    @settings(
        max_examples=15, deadline=None, derandomize=True, database=None,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def try_one(case):
        # A schema cannot tell the dimension, the columns of a filter, or what is an image.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    try_one()
