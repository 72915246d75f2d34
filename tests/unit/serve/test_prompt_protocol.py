"""Answers of worker processes, which share a socket, are not held back."""

import asyncio
import socket

import pytest
import uvicorn

from anybit.serve.prompt_protocol import PromptProtocol


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"yes"})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_connections_of_a_shared_socket_send_at_once(host, monkeypatch):
    seen = []

    class Watched(PromptProtocol):
        def connection_made(self, transport):
            super().connection_made(transport)
            own = transport.get_extra_info("socket")
            seen.append(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def ask():
        # As uvicorn opens it for several workers: without the protocol's number.
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
            listening.bind((host, 0))
            config = uvicorn.Config(app, http=Watched, log_config=None, lifespan="off")
            server = uvicorn.Server(config)
            running = asyncio.create_task(server.serve([listening]))
            while not server.started:
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(host, listening.getsockname()[1])
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            server.should_exit = True
            await running
        return answer

    assert b"yes" in asyncio.run(ask())
    assert seen
    assert all(seen)
