"""The routes of the HTTP API."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from anybit.errors import DataError
from anybit.serve.answers import item_list
from anybit.serve.errors import STATUS_OF, ServeError
from anybit.serve.item_search import no_item, search_by_image, search_by_item_or_vector
from anybit.serve.item_updates import add_image, add_vectors, delete_items
from anybit.serve.page import PageFile
from anybit.serve.requests import is_multipart, read_image, read_json, request_body
from anybit.serve.schemas import (
    Added,
    CollectionInfo,
    Deleted,
    DeletedItems,
    ErrorAnswer,
    Item,
    ItemPage,
    NewImage,
    NewItems,
    Search,
    SearchAnswer,
    State,
)
from anybit.serve.schemas import ImageSearch as _ImageSearch
from anybit.serve.service import Service

__all__ = ["api_router", "page_router"]

_LARGEST = 2**63 - 1
_THUMBNAIL_AGE_S = 300
_IMAGE_TYPES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"RIFF": "image/webp"}

ItemNumber = Annotated[
    int, Path(alias="id", ge=-_LARGEST, le=_LARGEST, description="Id of an item.", examples=[7])
]


def _errors(*codes: str, statuses: tuple[int, ...] = ()) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of error answers."""
    every = ("unauthorized", "rate_limited", "unavailable")
    listed = {STATUS_OF[code] for code in (*codes, *every)} | set(statuses)
    return {status: {"model": ErrorAnswer} for status in sorted(listed)}


_SEARCH_ERRORS = _errors(
    "bad_request", "not_found", "too_large", "unsupported_image", "timeout", statuses=(408, 422)
)
_WRITE_ERRORS = _errors(
    "bad_request",
    "conflict",
    "read_only",
    "too_large",
    "unsupported_image",
    "timeout",
    statuses=(408, 422),
)


def api_router(service: Service) -> APIRouter:
    """Return the routes that answer from a service.

    Parameters
    ----------
    service : Service
    """
    router = APIRouter()
    _add_health(router, service)
    _add_reading(router, service)
    _add_writing(router, service)
    return router


def page_router(page: dict[str, PageFile]) -> APIRouter:
    """Return one route a file of the page."""
    router = APIRouter(include_in_schema=False)

    def sends(file: PageFile) -> Any:
        async def send(request: Request) -> Response:
            return _cached(request, file.content, file.media_type, file.etag, "no-cache")

        return send

    for path, file in page.items():
        router.add_api_route(path, sends(file), methods=["GET", "HEAD"])
    return router


def _cached(request: Request, content: bytes, kind: str, etag: str, caching: str) -> Response:
    """Send content, or nothing when the client has it already."""
    headers = {"ETag": etag, "Cache-Control": caching}
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or etag in [one.strip().removeprefix("W/") for one in known.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def _add_health(router: APIRouter, service: Service) -> None:
    @router.get("/healthz", response_model=State, tags=["state"])
    async def healthz() -> Response:
        """Tell that the process lives."""
        return JSONResponse({"status": "ok"})

    @router.get("/readyz", response_model=State, tags=["state"], responses={503: {"model": State}})
    async def readyz() -> Response:
        """Tell whether searches can be answered: not while loading, not while stopping."""
        return JSONResponse({"status": service.state}, 200 if service.state == "ready" else 503)

    @router.get(
        "/metrics",
        tags=["state"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **_errors()},
    )
    async def metrics() -> Response:
        """Return figures for Prometheus."""
        return Response(
            service.metrics.text(), headers={"Content-Type": service.metrics.content_type}
        )


def _add_reading(router: APIRouter, service: Service) -> None:
    @router.get(
        "/v1/collection",
        response_model=CollectionInfo,
        tags=["collection"],
        responses=_errors("timeout"),
    )
    async def collection() -> Response:
        """Tell what is served, and what can be asked for."""
        async with service.admitted():
            return JSONResponse(await service.run(service.searching, service.described))

    @router.post(
        "/v1/search",
        response_model=SearchAnswer,
        tags=["search"],
        responses=_SEARCH_ERRORS,
        openapi_extra=request_body(Search, "query", "ImageSearch"),
    )
    async def search(request: Request) -> Response:
        """Find the items nearest to an item, a vector or an image, at any code length."""
        async with service.admitted():
            if is_multipart(request):
                encoded, by_image = await read_image(request, "query", _ImageSearch)
                return JSONResponse(await search_by_image(service, encoded, by_image))
            wanted = await read_json(request, Search)
            return JSONResponse(await search_by_item_or_vector(service, wanted))

    @router.get(
        "/v1/items",
        response_model=ItemPage,
        tags=["items"],
        responses=_errors("bad_request", "timeout"),
    )
    async def items(
        limit: Annotated[int, Query(ge=1, le=200)] = 24,
        cursor: Annotated[
            str | None,
            Query(
                pattern=r"^-?[0-9]{1,18}$|^-?[0-8][0-9]{18}$",
                description="That of the page before.",
            ),
        ] = None,
    ) -> Response:
        """Return some items to choose a query from, in the order of their ids."""

        def work() -> dict[str, Any]:
            after = None if cursor is None else int(cursor)
            listed = service.read(lambda lookup: _page(lookup, after, limit))
            last = str(listed[-1]["id"]) if len(listed) == limit else None
            return {"items": listed, "cursor": last}

        async with service.admitted():
            return JSONResponse(await service.run(service.searching, work))

    @router.get(
        "/v1/items/{id}",
        response_model=Item,
        tags=["items"],
        responses=_errors("bad_request", "not_found", "timeout"),
    )
    async def item(number: ItemNumber) -> Response:
        """Return one item."""

        def work() -> dict[str, Any]:
            return service.read(lambda lookup: _items(lookup, [number]))[0]

        async with service.admitted():
            return JSONResponse(await service.run(service.searching, work))

    @router.get(
        "/v1/items/{id}/thumbnail",
        tags=["items"],
        response_class=Response,
        responses={
            200: {"content": {kind: {} for kind in _IMAGE_TYPES.values()}},
            304: {"description": "The client has it already."},
            **_errors("bad_request", "not_found", "timeout"),
        },
    )
    async def thumbnail(number: ItemNumber, request: Request) -> Response:
        """Return the picture of an item as it is stored."""
        async with service.admitted():
            content = await service.run(service.searching, lambda: _thumbnail(service, number))
        kind = next(kind for mark, kind in _IMAGE_TYPES.items() if content.startswith(mark))
        etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
        return _cached(request, content, kind, etag, f"private, max-age={_THUMBNAIL_AGE_S}")


def _page(lookup: Any, after: int | None, limit: int) -> list[dict[str, Any]]:
    return _items(lookup, lookup.ids_after(after, limit).tolist())


def _items(lookup: Any, numbers: list[int]) -> list[dict[str, Any]]:
    ids = np.array(numbers, dtype=np.int64)
    try:
        rows, codes = lookup.rows(ids)
    except DataError:
        raise no_item(numbers[0]) from None
    return item_list(ids, rows, codes, has_thumbnails="thumbnail" in lookup.schema.names)


def _thumbnail(service: Service, number: int) -> bytes:
    def find(lookup: Any) -> bytes | None:
        if "thumbnail" not in lookup.schema.names:
            return None
        rows, _ = lookup.rows(np.array([number], dtype=np.int64), ["thumbnail"])
        content: bytes | None = rows["thumbnail"].to_pylist()[0]
        return content

    try:
        content = service.read(find)
    except DataError:
        raise no_item(number) from None
    if content is None or not content.startswith(tuple(_IMAGE_TYPES)):
        raise ServeError(
            "not_found", f"The item {number} must have a picture, it has none.",
            "Use its key and metadata.",
        )  # fmt: skip
    return content


def _add_writing(router: APIRouter, service: Service) -> None:
    def check_writable() -> None:
        if not service.options.is_writable:
            raise ServeError(
                "read_only",
                "Items may be changed only where the server allows it, this one does not.",
                "Start it with --writable.",
            )

    @router.post(
        "/v1/items",
        response_model=Added,
        tags=["items"],
        responses=_WRITE_ERRORS,
        openapi_extra=request_body(NewItems, "item", "NewImage"),
    )
    async def add(request: Request) -> Response:
        """Add items given as vectors, or one image; an id that is there is replaced."""
        check_writable()
        async with service.admitted():
            if is_multipart(request):
                encoded, described = await read_image(request, "item", NewImage)
                done = await service.run(
                    service.writing, lambda: add_image(service, encoded, described)
                )
            else:
                new = await read_json(request, NewItems)
                done = await service.run(service.writing, lambda: add_vectors(service, new))
            return JSONResponse(done)

    @router.delete(
        "/v1/items",
        response_model=Deleted,
        tags=["items"],
        responses=_WRITE_ERRORS,
        openapi_extra=request_body(DeletedItems),
    )
    async def delete(request: Request) -> Response:
        """Delete items by their ids or by a condition; ids that are not there are no error."""
        check_writable()
        async with service.admitted():
            doomed = await read_json(request, DeletedItems)
            done = await service.run(service.writing, lambda: delete_items(service, doomed))
            return JSONResponse(done)
