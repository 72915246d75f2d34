"""Service, routes and guards put together."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from types import FrameType
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from anybit.collection import Collection
from anybit.serve.errors import ServeError
from anybit.serve.guard import Guard
from anybit.serve.limits import BodyLimit, BodyLimits
from anybit.serve.options import ServeOptions
from anybit.serve.page import page_files
from anybit.serve.requests import problem_of
from anybit.serve.routes import api_router, page_router
from anybit.serve.schemas import DeletedItems, ImageSearch, NewImage, NewItems, Search
from anybit.serve.service import Service

__all__ = ["assemble"]

_BODIES = (Search, ImageSearch, NewItems, NewImage, DeletedItems)
_PREFIX = "#/components/schemas/{model}"
_LARGE_PATHS = ("/v1/items",)


def assemble(collection: Collection, options: ServeOptions) -> FastAPI:
    """Make the application; see `anybit.serve.create_app`."""
    service = Service(collection, options)
    page = page_files()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with _told_of_signals(service):
            async with service.living():
                yield

    app = FastAPI(
        title="anybit",
        summary="Search of a collection by image, item or vector, at any code length.",
        version=version("anybit"),
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # these pages load scripts from other hosts
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.include_router(api_router(service))
    app.include_router(page_router(page))
    app.openapi = lambda: _description(app, options)  # type: ignore[method-assign]
    _add_error_answers(app)
    limits = BodyLimits(
        options.upload_bytes, options.json_bytes, options.body_timeout_s, _LARGE_PATHS
    )
    app.add_middleware(BodyLimit, limits=limits)
    app.add_middleware(Guard, options=options, metrics=service.metrics, open_paths=frozenset(page))
    return app


def _add_error_answers(app: FastAPI) -> None:
    @app.exception_handler(ServeError)
    async def refused(_: Request, error: ServeError) -> Response:
        return JSONResponse(error.body(), error.status, error.headers())

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        made = ServeError(
            "bad_request",
            problem_of(list(error.errors())),
            "See GET /v1/openapi.json for what a request holds.",
        )
        return JSONResponse(made.body(), made.status)

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            made = ServeError(
                "bad_request", "This address takes other methods.",
                "See GET /v1/openapi.json.", status=405,
            )  # fmt: skip
        else:
            made = ServeError(
                "not_found", "The address must be one of the API or the page, it is not.",
                "See GET /v1/openapi.json.",
            )  # fmt: skip
        return JSONResponse(made.body(), made.status, dict(error.headers or {}))


def _description(app: FastAPI, options: ServeOptions) -> dict[str, Any]:
    """Return the OpenAPI description, with the bodies that the routes read themselves."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        _, bodies = models_json_schema(
            [(model, "validation") for model in _BODIES], ref_template=_PREFIX
        )
        components = made.setdefault("components", {})
        components.setdefault("schemas", {}).update(bodies["$defs"])
        for path in made["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None) if _is_fastapis(operation) else None
        if options.token is not None:
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            made["security"] = [{"token": []}]
        app.openapi_schema = made
    return app.openapi_schema


def _is_fastapis(operation: dict[str, Any]) -> bool:
    """Tell whether an operation lists FastAPI's own answer to bad requests: ours is another."""
    content = operation["responses"].get("422", {}).get("content", {})
    reference: str = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    return reference.endswith("HTTPValidationError")


@contextmanager
def _told_of_signals(service: Service) -> Iterator[None]:
    """Let the service know at once that the process is asked to end, before requests are done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}

    def told(number: int, frame: FrameType | None) -> None:
        service.stop_soon()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for one, handler in before.items():
        if callable(handler):
            signal.signal(one, told)
    try:
        yield
    finally:
        for one, handler in before.items():
            if signal.getsignal(one) is told:
                signal.signal(one, handler)
