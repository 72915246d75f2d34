"""Fixtures of the whole suite: a generator seeded from the test's name, and no network."""

from __future__ import annotations

import logging
import os
import socket
import sys
import urllib.request
import uuid
import zlib
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `import reference.…` from every test


@pytest.fixture
def rng(request):
    """A NumPy generator that differs from test to test and never from run to run."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="session")
def _object_store():
    """Run an S3 server on this machine and name it in the environment, for child processes too."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patched:
        for name in [one for one in os.environ if one.startswith("AWS_")]:
            patched.delenv(name)
        patched.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patched.setenv("AWS_ALLOW_HTTP", "true")
        patched.setenv("AWS_REGION", "us-east-1")
        patched.setenv("AWS_ACCESS_KEY_ID", "test")
        patched.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(_object_store, tmp_path, monkeypatch):
    """The URL of an empty bucket; what is cached of it lies below the test's own folder."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    request = urllib.request.Request(f"{_object_store}/{name}", method="PUT")
    urllib.request.urlopen(request).close()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"s3://{name}"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Refuse connections to anything but this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        is_local = not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1", "localhost")
        if not is_local:
            raise OSError(f"tests must not use the network, got {address}.")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
