"""A client of the HTTP API; it needs the standard library only."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

import numpy as np

from anybit.errors import OptionError
from anybit.serve.errors import ServeError
from anybit.types import Float32Array

__all__ = ["Client", "Found", "FoundItem"]

_MOST_IDS = 10_000


@dataclass(frozen=True)
class FoundItem:
    """An item as the server knows it.

    Parameters
    ----------
    id : int
    key : str or None
        Its name, such as the file it came from.
    codes : tuple of int
        One number a level, of the full code.
    metadata : dict
    labels : tuple of str
        Empty for an unlabelled item.
    thumbnail : str or None
        Path of its picture on the server, see `Client.thumbnail`.
    score : float or None
        Larger is closer; None outside of a search.
    """

    id: int
    key: str | None
    codes: tuple[int, ...]
    metadata: dict[str, Any]
    labels: tuple[str, ...]
    thumbnail: str | None
    score: float | None = None


@dataclass(frozen=True)
class Found:
    """The answer to a search.

    Parameters
    ----------
    hits : tuple of FoundItem
        Best first.
    bits : int
        Code length that was compared.
    n_searched : int
        Items that were compared.
    query_codes : tuple of int
        Full code of the query.
    overlap : float or None
        Share of the hits that the full code finds too; None unless asked for.
    took_ms : dict of str to float
        Milliseconds on the server: decode, encode, search, total.
    version : int
        Of the collection.
    """

    hits: tuple[FoundItem, ...]
    bits: int
    n_searched: int
    query_codes: tuple[int, ...]
    overlap: float | None
    took_ms: dict[str, float]
    version: int


class Client:
    """A connection to ``anybit serve``; threads may share it, and take turns.

    Parameters
    ----------
    url : str
        Such as ``http://127.0.0.1:8000``.
    token : str, optional
        That of the server.
    timeout_s : float

    Raises
    ------
    OptionError
        If the URL is not one of http or https.

    Examples
    --------
    ::

        with Client("http://127.0.0.1:8000") as shop:
            for hit in shop.search("query.jpg", k=10, bits=16, where="price < 20").hits:
                ...
    """

    def __init__(self, url: str, token: str | None = None, timeout_s: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise OptionError(f"url must be such as http://127.0.0.1:8000, got {url!r}.")
        self._prefix, self._token = parts.path.rstrip("/"), token
        self._lock = threading.Lock()
        place: dict[str, Any] = {"port": parts.port, "timeout": timeout_s}
        self._connection = (
            http.client.HTTPSConnection(
                parts.hostname, context=ssl.create_default_context(), **place
            )
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.hostname, **place)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._connection.close()

    def collection(self) -> dict[str, Any]:
        """Return what is served: number of items, code lengths, columns, engine, limits."""
        return self._json("GET", "/v1/collection")

    def search(
        self,
        query: int | str | Path | bytes | Sequence[float] | Float32Array,
        k: int = 24,
        bits: int | None = None,
        where: str | None = None,
        *,
        with_overlap: bool = False,
    ) -> Found:
        """Find the items nearest to a query.

        Parameters
        ----------
        query : int, str, Path, bytes, sequence of float or ndarray of shape (D,)
            An item's id; the path of an image, or its file's content; a vector.
        k : int
        bits : int, optional
            Code length to compare; all of it when left out.
        where : str, optional
            Condition on the columns, such as ``price < 20``.
        with_overlap : bool
            Also compare with the answer of the full code.

        Raises
        ------
        ServeError
            If the server refuses: ``code``, ``message`` and ``cure`` say why.
        """
        wanted: dict[str, Any] = {"k": k, "bits": bits, "where": where}
        wanted["with_overlap"] = with_overlap
        if isinstance(query, str | Path | bytes):
            found = self._json("POST", "/v1/search", *_form(_content(query), "query", wanted))
        elif isinstance(query, int | np.integer):
            found = self._json("POST", "/v1/search", *_body({**wanted, "id": int(query)}))
        else:
            vector = [float(value) for value in np.asarray(query, dtype=np.float64).ravel()]
            found = self._json("POST", "/v1/search", *_body({**wanted, "vector": vector}))
        overlap = found["overlap"]
        return Found(
            tuple(_item(one) for one in found["hits"]),
            found["bits"],
            found["n_searched"],
            tuple(found["query"]["codes"]),
            None if overlap is None else overlap["share"],
            found["took_ms"],
            found["version"],
        )

    def item(self, number: int) -> FoundItem:
        """Return an item by its id; ServeError ``not_found`` if there is none."""
        return _item(self._json("GET", f"/v1/items/{number}"))

    def items(
        self, limit: int = 24, cursor: str | None = None
    ) -> tuple[list[FoundItem], str | None]:
        """Return some items and the cursor of the next ones, None at the end."""
        query = {"limit": str(limit), **({} if cursor is None else {"cursor": cursor})}
        page = self._json("GET", f"/v1/items?{urlencode(query)}")
        return [_item(one) for one in page["items"]], page["cursor"]

    def thumbnail(self, number: int) -> bytes:
        """Return the picture of an item as it is stored; ServeError if it has none."""
        return self._call("GET", f"/v1/items/{number}/thumbnail", b"", {})

    def add_vectors(
        self,
        ids: Sequence[int],
        vectors: Float32Array,
        keys: Sequence[str] | None = None,
        labels: Sequence[Sequence[str]] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
    ) -> int:
        """Store items; return how many are new.

        Items whose ids were given before are replaced. Those that were added from a folder, file
        or array are not: ServeError with the code ``conflict``.

        Parameters
        ----------
        ids : sequence of int
        vectors : ndarray of shape (n, D), float32
        keys, labels, metadata : sequence, optional
            One entry an item.
        """
        items: list[dict[str, Any]] = []
        for row, number in enumerate(ids):
            item: dict[str, Any] = {"id": int(number), "vector": vectors[row].tolist()}
            for name, values in (("key", keys), ("labels", labels), ("metadata", metadata)):
                if values is not None:
                    item[name] = values[row]
            items.append(item)
        return int(self._json("POST", "/v1/items", *_body({"items": items}))["n_added"])

    def add_image(
        self,
        number: int,
        image: str | Path | bytes,
        key: str | None = None,
        labels: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Store an image as `add_vectors` stores vectors; return how many are new (0 or 1)."""
        item = {"id": number, "key": key, "labels": labels, "metadata": dict(metadata or {})}
        return int(
            self._json("POST", "/v1/items", *_form(_content(image), "item", item))["n_added"]
        )

    def delete(self, ids: Sequence[int] | None = None, where: str | None = None) -> int:
        """Delete items by ids or by a condition; return how many there were."""
        if ids is None or len(ids) <= _MOST_IDS:
            doomed = {"where": where} if ids is None else {"ids": [int(one) for one in ids]}
            return int(self._json("DELETE", "/v1/items", *_body(doomed))["n_deleted"])
        return sum(
            self.delete(ids[start : start + _MOST_IDS]) for start in range(0, len(ids), _MOST_IDS)
        )

    def _json(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._call(method, path, body, headers or {}))
        return answer

    def _call(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        if self._token is not None:
            headers = {**headers, "Authorization": f"Bearer {self._token}"}
        with self._lock:
            try:
                status, content = self._exchange(method, path, body, headers)
            except (http.client.HTTPException, OSError) as cause:
                self._connection.close()
                raise ServeError(
                    "unavailable",
                    f"The server at {self._connection.host}:{self._connection.port} must answer, "
                    f"it did not ({type(cause).__name__}).",
                    "Start it with `anybit serve COLLECTION`.",
                ) from cause
        if status < 400:
            return content
        raise _refusal(status, content)

    def _exchange(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        is_old = self._connection.sock is not None
        target = self._prefix + quote(path, safe="/?=&%-_.~")
        try:
            self._connection.request(method, target, body or None, headers)
            response = self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._connection.close()
            # The server ends idle connections; what changes items is not sent twice.
            if not is_old or (method not in ("GET", "DELETE") and path != "/v1/search"):
                raise
            self._connection.request(method, target, body or None, headers)
            response = self._connection.getresponse()
        return response.status, response.read()


def _item(one: dict[str, Any]) -> FoundItem:
    return FoundItem(
        one["id"],
        one["key"],
        tuple(one["codes"]),
        one["metadata"],
        tuple(one["labels"] or ()),
        one["thumbnail"],
        one.get("score"),
    )


def _refusal(status: int, content: bytes) -> ServeError:
    try:
        error = json.loads(content)["error"]
        return ServeError(error["code"], error["message"], error["cure"], status)
    except (ValueError, KeyError, TypeError):
        return ServeError(
            "unavailable", f"An answer of anybit was expected, got status {status}.",
            "Check the address.", status,
        )  # fmt: skip


def _content(image: str | Path | bytes) -> bytes:
    return image if isinstance(image, bytes) else Path(image).read_bytes()


def _body(value: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    return json.dumps(value).encode(), {"Content-Type": "application/json"}


def _form(image: bytes, part: str, value: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Return a form with an image and JSON, and the headers that go with it."""
    mark = uuid.uuid4().hex
    lead = f'--{mark}\r\nContent-Disposition: form-data; name="'
    head = f'{lead}{part}"\r\nContent-Type: application/json\r\n\r\n{json.dumps(value)}\r\n'
    head += f'{lead}image"; filename="image"\r\nContent-Type: application/octet-stream\r\n\r\n'
    body = head.encode() + image + f"\r\n--{mark}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={mark}"}
