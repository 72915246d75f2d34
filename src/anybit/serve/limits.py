"""How much a client may send, and how often."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anybit.serve.errors import ServeError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BodyLimit", "BodyLimits", "RateLimiter", "send_error"]

_MOST_CLIENTS = 10_000
_BURST_S = 4.0
# A client that sends too much is listened to for a while: most read the answer only afterwards.
_DRAIN_BYTES, _DRAIN_S = 64 * 2**20, 3.0


@dataclass(frozen=True)
class BodyLimits:
    """How large a request may be and how long it may take to arrive.

    Parameters
    ----------
    upload_bytes : int
        With an image, or of a path in `large_paths`.
    json_bytes : int
        Any other one.
    timeout_s : float
    large_paths : tuple of str
    """

    upload_bytes: int
    json_bytes: int
    timeout_s: float
    large_paths: tuple[str, ...] = ()


class BodyLimit:
    """ASGI middleware that counts the bytes of a request as they come, and refuses too many.

    Reading with a limit in the handler comes too late: by then a form is on the disk, whole. The
    answer is made here, since whoever parses the body would turn the error into another one.

    Parameters
    ----------
    app : ASGI application
    limits : BodyLimits
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self._limits, scope, receive, send)
        if body.is_announced_too_large():
            await body.drain()
        else:
            try:
                await self._app(scope, body.receive, body.send)
            except _RefusedError:
                pass
            except Exception:
                if body.error is None:
                    raise
        if body.error is not None and not body.has_started:
            await send_error(send, body.error, {"Connection": "close"})


class _RefusedError(Exception):
    """Stops whoever reads the body."""


class _Body:
    """The body of one request."""

    def __init__(self, limits: BodyLimits, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        kind = headers.get(b"content-type", b"").lower()
        is_large = kind.startswith(b"multipart/") or scope["path"] in limits.large_paths
        self._most = limits.upload_bytes if is_large else limits.json_bytes
        self._announced = headers.get(b"content-length", b"")
        self._receive, self._send = receive, send
        self._timeout_s = limits.timeout_s
        self._deadline = time.monotonic() + limits.timeout_s
        self._n_bytes, self._is_whole = 0, False
        self.has_started = False
        self.error: ServeError | None = None

    def is_announced_too_large(self) -> bool:
        """Tell whether the header says already that it is too large."""
        if self._announced.isdigit() and int(self._announced[:20]) > self._most:
            self.error = self._too_large(f"{int(self._announced[:20]):,} bytes")
        return self.error is not None

    def _too_large(self, got: str) -> ServeError:
        return ServeError(
            "too_large",
            f"A request of this kind may have {self._most:,} bytes, got {got}.",
            "Send a smaller image or fewer items, or raise --max-upload-mb.",
        )

    async def receive(self) -> Message:
        """Receive a part, or raise when there were too many bytes or it took too long."""
        if self.error is not None:
            raise _RefusedError
        if self._is_whole:
            return await self._receive()  # the end of the connection
        try:
            left_s = max(0.0, self._deadline - time.monotonic())
            message = await asyncio.wait_for(self._receive(), left_s)
        except TimeoutError:
            self.error = ServeError(
                "timeout",
                f"A request must arrive within {self._timeout_s:g} s, got only a part of it.",
                "Send it again over a faster connection.",
                status=408,
            )
            raise _RefusedError from None
        self._n_bytes += len(message.get("body", b""))
        self._is_whole = message["type"] == "http.disconnect" or not message.get("more_body", False)
        if self._n_bytes > self._most:
            self.error = self._too_large("more")
            await self.drain()
            raise _RefusedError
        return message

    async def drain(self) -> None:
        """Throw away what still comes, within bounds."""
        stop = time.monotonic() + _DRAIN_S
        n_bytes = 0
        while not self._is_whole and n_bytes < _DRAIN_BYTES and time.monotonic() < stop:
            try:
                message = await asyncio.wait_for(self._receive(), stop - time.monotonic())
            except TimeoutError:
                return
            n_bytes += len(message.get("body", b""))
            self._is_whole = message["type"] == "http.disconnect" or not message.get("more_body")

    async def send(self, message: Message) -> None:
        """Pass an answer on, unless the request was refused."""
        if self.error is not None and not self.has_started:
            return
        self.has_started = True
        await self._send(message)


async def send_error(send: Send, error: ServeError, headers: dict[str, str] | None = None) -> None:
    """Answer with an error."""
    body = json.dumps(error.body()).encode()
    fields = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **error.headers(),
        **(headers or {}),
    }
    listed = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": listed})
    await send({"type": "http.response.body", "body": body})


class RateLimiter:
    """A token bucket for each client; the oldest of very many clients are forgotten.

    Parameters
    ----------
    per_s : float
        Requests a second over time; 0 allows any. At once a client may make those of 4 seconds.
    """

    def __init__(self, per_s: float) -> None:
        self._per_s, self._most = per_s, max(1.0, per_s * _BURST_S)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def check(self, client: str, now_s: float | None = None) -> None:
        """Count one request.

        Parameters
        ----------
        client : str
            Address; the machines of one IPv6 network (/64) count as one.
        now_s : float, optional
            The time, of a clock that never goes back.

        Raises
        ------
        ServeError
            ``rate_limited``, if the client has made too many.
        """
        if self._per_s == 0:
            return
        now_s = time.monotonic() if now_s is None else now_s
        key = _network_of(client)
        left, before_s = self._buckets.pop(key, (self._most, now_s))
        left = min(self._most, left + (now_s - before_s) * self._per_s)
        self._buckets[key] = (left - 1 if left >= 1 else left, now_s)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        if left < 1:
            wait_s = max(1, round((1 - left) / self._per_s))
            raise ServeError(
                "rate_limited",
                f"A client may make {self._per_s:g} requests a second, got more.",
                f"Try again in {wait_s} s, or start the server with another --rate-limit.",
                retry_after_s=wait_s,
            )


def _network_of(client: str) -> str:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client[:64]
    if address.version == 4:
        return client
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
