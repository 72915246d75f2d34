"""Fixtures of the whole suite: a generator seeded from the test's name, and no network."""

from __future__ import annotations

import socket
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `import reference.…` from every test


@pytest.fixture
def rng(request):
    """A NumPy generator that differs from test to test and never from run to run."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


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
