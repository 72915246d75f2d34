"""HTTP that sends the end of an answer without waiting for the client."""

from __future__ import annotations

import asyncio
import socket

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["PromptProtocol"]

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class PromptProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with TCP_NODELAY on the sockets that worker processes share, too.

    asyncio sets it only where it has opened the listening socket itself. Without, the end of an
    answer waits until the client has acknowledged its beginning, which Linux delays by 40 ms.
    """

    def connection_made(  # type: ignore[override]  # as uvicorn has it
        self, transport: asyncio.Transport
    ) -> None:
        """Take a new connection."""
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in _INTERNET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
