"""What the server refuses, and why: one error type, known to server and client."""

from __future__ import annotations

from anybit.errors import AnybitError

__all__ = ["STATUS_OF", "ServeError"]

STATUS_OF = {
    "bad_filter": 400,
    "bad_request": 400,
    "unauthorized": 401,
    "read_only": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "unsupported_image": 415,
    "rate_limited": 429,
    "unavailable": 503,
    "timeout": 504,
}
"""Error codes of the API, and the HTTP status that each has unless another one is more exact."""


class ServeError(AnybitError):
    """A request was refused, or could not be answered.

    Parameters
    ----------
    code : str
        One of `STATUS_OF`.
    message : str
        What was required and what came.
    cure : str
        What to do.
    status : int, optional
        HTTP status; that of the code when left out.
    retry_after_s : int, optional
        Seconds after which trying again makes sense.
    """

    def __init__(
        self,
        code: str,
        message: str,
        cure: str = "",
        status: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(f"{message} {cure}".strip())
        self.code, self.message, self.cure = code, message, cure
        self.status = STATUS_OF.get(code, 500) if status is None else status
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, dict[str, str]]:
        """Return the JSON value that the API answers with."""
        return {"error": {"code": self.code, "message": self.message, "cure": self.cure}}

    def headers(self) -> dict[str, str]:
        """Return the headers that go with the answer."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers
