"""Running the server: one process, or several that share the index file."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from anybit.errors import DependencyError, OptionError
from anybit.serve.logs import logging_as_json
from anybit.serve.options import ServeOptions

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["LOOPBACK", "ServerSettings", "serve", "worker_app"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SETTINGS = "ANYBIT_SERVE_SETTINGS"
_METRICS = "PROMETHEUS_MULTIPROC_DIR"
_KEEP_ALIVE_S = 30


@dataclass(frozen=True)
class ServerSettings:
    """Where a collection is served, and by what.

    Parameters
    ----------
    collection : str
        Path or URL.
    host : str
        Address to listen on; any but the loopback ones needs a token.
    port : int
        0 takes a free one.
    n_workers : int
        Processes.
    device, engine : str
        What runs the model, see `anybit.collection.load_encoder`.
    encoder_threads : int or None
        Of ONNX Runtime.
    stop_s : float
        How long running requests may take after the server was asked to end.
    is_quiet : bool
        Log warnings only.

    Raises
    ------
    OptionError
        If the port or a number is out of range.
    """

    collection: str
    host: str = "127.0.0.1"
    port: int = 8000
    n_workers: int = 1
    device: str = "auto"
    engine: str = "auto"
    encoder_threads: int | None = None
    stop_s: float = 30.0
    is_quiet: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise OptionError(f"port must be from 0 to 65535, got {self.port}.")
        if self.n_workers < 1:
            raise OptionError(f"n_workers must be at least 1, got {self.n_workers}.")
        if self.port == 0 and self.n_workers > 1:
            raise OptionError("several workers need a port of their choice, got 0. Give --port.")


def serve(
    settings: ServerSettings,
    options: ServeOptions | None = None,
    on_ready: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Serve a collection until the process is asked to end; running requests are finished.

    Parameters
    ----------
    settings : ServerSettings
    options : ServeOptions, optional
    on_ready : callable, optional
        Called with what is served when model and index are loaded, before the port is opened.

    Raises
    ------
    OptionError
        If the address is not a loopback one and there is no token.
    DependencyError
        If a part of the extra "serve" is missing, or what the model needs.
    FormatError
        If the collection or its model cannot be loaded.
    """
    options = ServeOptions() if options is None else options
    if settings.host not in LOOPBACK and options.token is None:
        raise OptionError(
            f"an address that others reach needs a token, got host {settings.host} without. "
            "Pass --token-file FILE, or serve on 127.0.0.1."
        )
    if options.token is None and options.allowed_hosts is None:
        options = replace(options, allowed_hosts=LOOPBACK)
    try:
        import uvicorn
    except ModuleNotFoundError as cause:
        raise DependencyError(
            "serving needs uvicorn: run `pip install 'anybit[serve]'`."
        ) from cause
    running: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "http": "anybit.serve.prompt_protocol:PromptProtocol",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # an address that a client writes is not believed
        "timeout_keep_alive": _KEEP_ALIVE_S,
        "timeout_graceful_shutdown": int(settings.stop_s),
        "lifespan": "on",
    }
    with tempfile.TemporaryDirectory(prefix="anybit-metrics-") as metrics:
        if settings.n_workers > 1:
            os.environ[_METRICS] = metrics  # before the metrics are imported
        try:
            app = _app_of(settings, options)
            app.state.service.load()
            if on_ready is not None:
                on_ready(app.state.service.described())
            with logging_as_json(sys.stderr, _level(settings)):
                if settings.n_workers == 1:
                    uvicorn.run(app, **running)
                    return
                # The index file is written by now: the workers map the same one into memory.
                app.state.service.close()
                del app
                # One client may come to any of them.
                shared = replace(options, rate_limit=options.rate_limit / settings.n_workers)
                os.environ[_SETTINGS] = json.dumps([asdict(settings), asdict(shared)])
                workers: dict[str, Any] = {"factory": True, "workers": settings.n_workers}
                uvicorn.run("anybit.serve.server:worker_app", **workers, **running)
        finally:
            os.environ.pop(_SETTINGS, None)
            os.environ.pop(_METRICS, None)


def worker_app() -> FastAPI:
    """Make the application of one worker process, of what `serve` left in the environment."""
    _end_with_parent()
    settings, options = json.loads(os.environ[_SETTINGS])
    opened = ServerSettings(**settings)
    logs = logging_as_json(sys.stderr, _level(opened))
    logs.__enter__()  # as long as the process lives
    if options["allowed_hosts"] is not None:
        options["allowed_hosts"] = tuple(options["allowed_hosts"])
    app = _app_of(opened, ServeOptions(**options))
    app.state.service.load()  # it takes no request before: the other workers can answer
    return app


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, which nobody else would tell it."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="anybit-parent").start()


def _level(settings: ServerSettings) -> int:
    return logging.WARNING if settings.is_quiet else logging.INFO


def _app_of(settings: ServerSettings, options: ServeOptions) -> FastAPI:
    from anybit.collection import Collection, EncoderOptions
    from anybit.serve.app import create_app

    chosen = EncoderOptions(settings.device, settings.engine, settings.encoder_threads)
    return create_app(Collection.open(settings.collection, chosen), options)
