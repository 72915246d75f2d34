"""Fixtures of the whole suite: a generator seeded from the test's name, and no network."""

from __future__ import annotations

import ctypes
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


@pytest.fixture
def without_root_rights():
    """Take from root its right to open every file, for this thread and those that it starts."""
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root opens every file, and gives that right up on Linux only")
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3; 0 is this thread
    rights = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    assert libc.capget(header, rights) == 0
    all_rights = rights[0]
    rights[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(header, rights) == 0
    yield
    rights[0] = all_rights
    assert libc.capset(header, rights) == 0


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
