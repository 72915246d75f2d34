"""What every request passes: names, tokens, rates; headers, figures and a line of log."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
import uuid
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from anybit.serve.errors import ServeError
from anybit.serve.limits import RateLimiter, send_error
from anybit.serve.metrics import Metrics
from anybit.serve.options import ServeOptions

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SECURITY_HEADERS", "Guard"]

_log = logging.getLogger("anybit.serve.access")

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_HEALTH = ("/healthz", "/readyz")
_SAFE_METHODS = ("GET", "HEAD")


class Guard:
    """ASGI middleware around everything else.

    Parameters
    ----------
    app : ASGI application
    options : ServeOptions
    metrics : Metrics
    open_paths : frozenset of str
        Files of the page: they hold no data, and a browser asks for them before it has a token.
    """

    def __init__(
        self, app: ASGIApp, options: ServeOptions, metrics: Metrics, open_paths: frozenset[str]
    ) -> None:
        self._app, self._metrics = app, metrics
        self._open = open_paths | set(_HEALTH)
        self._token = None if options.token is None else _digest(options.token.encode())
        self._hosts = options.allowed_hosts
        self._rates = RateLimiter(options.rate_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, uuid.uuid4().hex[:16])
        start_s = time.perf_counter()
        try:
            self._check(scope)
            await self._app(scope, receive, answer.send)
        except ServeError as refused:
            await send_error(answer.send, refused)
        except Exception:
            _log.exception("a request failed", extra={"fields": {"request": answer.number}})
            if not answer.status:
                await send_error(answer.send, _failure(answer.number))
        finally:
            self._tell(scope, answer, time.perf_counter() - start_s)

    def _check(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self._hosts is not None and _name_of(f"//{host}") not in self._hosts:
            raise ServeError(
                "bad_request",
                f"The server must be called by one of its names ({', '.join(self._hosts)}).",
                "Use such an address, or serve with --token.",
                status=421,
            )
        if scope["path"] not in _HEALTH:
            self._rates.check((scope.get("client") or ("unknown", 0))[0])
        if self._token is not None and scope["path"] not in self._open:
            given = headers.get(b"authorization", b"")
            kind, _, token = given.partition(b" ")
            is_right = hmac.compare_digest(_digest(token.strip()), self._token)
            if not is_right or kind.lower() != b"bearer":
                raise ServeError(
                    "unauthorized",
                    "The header Authorization must be Bearer and the server's token, "
                    f"got {'another one' if given else 'none'}.",
                    "Send the token that the server was started with; the page takes it from the "
                    "end of its address, #token=TOKEN.",
                )
        origin = headers.get(b"origin")
        if scope["method"] not in _SAFE_METHODS and origin is not None:
            # The page is of this server; a browser sends those of others with their own name.
            _, _, place = origin.decode("latin-1").lower().partition("://")
            if place != host:
                raise ServeError(
                    "unauthorized",
                    "Requests of web pages must come from this server's own page.",
                    "Open the page of this server, or call the API from a program.",
                    status=403,
                )

    def _tell(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        """Count the request and log it, without query, body or headers."""
        route = getattr(scope.get("route"), "path", None) or "other"
        # Methods and paths are the client's words: only known ones become labels.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, str(answer.status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        fields = {
            "request": answer.number,
            "method": method,
            "route": route,
            "status": answer.status,
            "ms": round(seconds * 1000, 2),
            "bytes": answer.n_bytes,
            "client": (scope.get("client") or ("unknown", 0))[0],
        }
        _log.info("request", extra={"fields": fields})


_METHODS = frozenset(("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"))


def _name_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:  # brackets without an address between them
        return None


def _digest(token: bytes) -> bytes:
    # Of equal length whatever was sent: the comparison tells nothing of the token's.
    return hashlib.sha256(token).digest()


def _failure(number: str) -> ServeError:
    return ServeError(
        "unavailable",
        "The request should have been answered; the server failed.",
        f"Try again; the server's log tells more under {number}.",
        status=500,
    )


class _Answer:
    """The answer as it goes out."""

    def __init__(self, send: Send, number: str) -> None:
        self._send, self.number = send, number
        self.status, self.n_bytes = 0, 0

    async def send(self, message: Message) -> None:
        """Add headers, count, and pass it on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", []))
            names = {name.lower() for name, _ in headers}
            extra = {**SECURITY_HEADERS, "Cache-Control": "no-store", "X-Request-Id": self.number}
            for name, value in extra.items():
                if name.lower().encode() not in names:
                    headers.append((name.lower().encode(), value.encode()))
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            self.n_bytes += len(message.get("body", b""))
        await self._send(message)
