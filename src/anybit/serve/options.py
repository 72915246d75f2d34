"""How a collection is served."""

from __future__ import annotations

from dataclasses import dataclass, fields

from anybit.errors import OptionError

__all__ = ["ServeOptions"]

_MAY_BE_ZERO = ("rate_limit", "batch_wait_ms", "kept_bytes")


@dataclass(frozen=True)
class ServeOptions:
    """How a collection is served.

    Parameters
    ----------
    token : str or None
        Clients must send it as ``Authorization: Bearer TOKEN``; None lets everybody in.
    is_writable : bool
        Whether items may be added and deleted.
    allowed_hosts : tuple of str or None
        Names that a request's ``Host`` may have; None allows all. On the loopback address without
        token it keeps web pages of other names out (DNS rebinding).
    upload_bytes : int
        Largest request with an image, or with items to add.
    json_bytes : int
        Largest request without an image.
    max_pixels : int
        Width times height above which an image is refused before it is decoded.
    max_k : int
        Largest number of hits of one search.
    rate_limit : float
        Requests a second that one client (IP address) may make over time, four seconds' worth at
        once; 0: any. Each worker process counts for itself.
    max_waiting : int
        Searches and writes in work or waiting; more are refused until some are done.
    search_timeout_s, body_timeout_s : float
        Time for an answer, and for the request to arrive.
    decode_timeout_s : float
        Time for decoding one image; the process that decodes is killed after it.
    decode_bytes : int
        Memory for decoding one image (where the system can limit it).
    n_decoders : int
        Processes that decode images.
    batch_size : int
        Most query images of one forward pass.
    batch_wait_ms : float
        How long the first image of a batch waits for others, when others are on their way.
    n_threads : int or None
        Threads that search; None: one for each processor.
    kept_bytes : int
        Memory for keys, labels and columns of items, so that hits need not be read from disk; as
        many items as fit; 0: none.
    follow_s : float
        Seconds between looks for what other processes have committed.

    Raises
    ------
    OptionError
        If a number is too small, or the token is empty or cannot stand in a header.
    """

    token: str | None = None
    is_writable: bool = False
    allowed_hosts: tuple[str, ...] | None = None
    upload_bytes: int = 20 * 2**20
    json_bytes: int = 2**20
    max_pixels: int = 50_000_000
    max_k: int = 500
    rate_limit: float = 100.0
    max_waiting: int = 128
    search_timeout_s: float = 30.0
    body_timeout_s: float = 30.0
    decode_timeout_s: float = 10.0
    decode_bytes: int = 2**30
    n_decoders: int = 2
    batch_size: int = 32
    batch_wait_ms: float = 3.0
    n_threads: int | None = None
    kept_bytes: int = 256 * 2**20
    follow_s: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if field.name in _MAY_BE_ZERO:
                if not value >= 0:
                    raise OptionError(f"{field.name} must be at least 0, got {value}.")
            elif field.name.endswith("_s"):
                if not value > 0:
                    raise OptionError(f"{field.name} must be above 0 seconds, got {value}.")
            elif value < 1:
                raise OptionError(f"{field.name} must be at least 1, got {value}.")
        token = "x" if self.token is None else self.token
        if not (token and token.isascii() and token.isprintable() and " " not in token):
            raise OptionError(
                "token must be printable ASCII without spaces, got something else or nothing. "
                "Make one with `openssl rand -hex 32`."
            )
