"""The web application of a collection; its parts are imported when it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anybit.errors import DependencyError
from anybit.serve.options import ServeOptions

if TYPE_CHECKING:
    from fastapi import FastAPI

    from anybit.collection import Collection

__all__ = ["create_app"]


def create_app(collection: Collection, options: ServeOptions | None = None) -> FastAPI:
    """Make the HTTP API and web page of a collection.

    Parameters
    ----------
    collection : Collection
        Opened; rows that other processes commit to it are found within seconds.
    options : ServeOptions, optional

    Returns
    -------
    fastapi.FastAPI
        An ASGI application for any server of that kind. ``app.state.service.load()`` loads model
        and index beforehand, and raises AnybitError where they cannot be loaded; otherwise the
        application does so when it starts, and ``/readyz`` tells when it is done.

    Raises
    ------
    DependencyError
        If FastAPI or another part of the extra "serve" is missing.

    Examples
    --------
    ::

        app = create_app(Collection.open("shop.anybit"), ServeOptions(token="..."))
        uvicorn.run(app)
    """
    try:
        from anybit.serve.assembly import assemble
    except ModuleNotFoundError as cause:
        raise DependencyError(
            f"serving needs {cause.name}: run `pip install 'anybit[serve]'`."
        ) from cause
    return assemble(collection, ServeOptions() if options is None else options)
