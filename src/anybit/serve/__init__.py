"""A collection as an HTTP API and a web page, and a client of it."""

from anybit.serve.app import create_app
from anybit.serve.client import Client
from anybit.serve.errors import ServeError
from anybit.serve.options import ServeOptions
from anybit.serve.server import ServerSettings, serve

__all__ = [
    "Client",
    "ServeError",
    "ServeOptions",
    "ServerSettings",
    "create_app",
    "serve",
]
