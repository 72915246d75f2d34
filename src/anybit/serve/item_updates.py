"""Adding and deleting items through the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from anybit.collection import Encoder, UsedIdError
from anybit.errors import DataError, FormatError, OptionError, ReplacedError, TimeLimitError
from anybit.serve.client_filter import too_slow
from anybit.serve.errors import ServeError
from anybit.serve.image_batcher import encode_pixels
from anybit.serve.schemas import DeletedItems, NewImage, NewItems, NewVector
from anybit.serve.service import Service
from anybit.store import RESERVED_COLUMNS, free_column_name
from anybit.types import Float32Array, Int64Array

__all__ = ["add_image", "add_vectors", "delete_items"]

_THUMBNAIL_PX = 96
_MOST_COLUMNS = 100


def add_image(service: Service, encoded: bytes, item: NewImage) -> dict[str, Any]:
    """Store one image; blocks.

    Raises
    ------
    ServeError
        If the image or its description is not usable.
    """

    def add() -> dict[str, Any]:
        encoder = service.encoder()
        if encoder.preprocessor is None:
            raise ServeError(
                "bad_request", "This collection takes vectors, got an image.",
                "Send items with a vector each as JSON.",
            )  # fmt: skip
        decoded = service.decoders.decode(encoded, encoder.preprocessor, _THUMBNAIL_PX)
        features = encode_pixels(encoder, decoded.pixels[None])
        thumbnails = pa.array([decoded.thumbnail], pa.binary())
        return _store(service, encoder, [item], features, thumbnails)

    return _again_if_replaced(service, add)


def add_vectors(service: Service, new: NewItems) -> dict[str, Any]:
    """Store items that are given as vectors; blocks.

    Raises
    ------
    ServeError
        If a vector or a description is not usable.
    """

    def add() -> dict[str, Any]:
        encoder = service.encoder()
        rows = [service.vector(one.vector, encoder) for one in new.items]
        return _store(service, encoder, new.items, np.concatenate(rows), None)

    return _again_if_replaced(service, add)


def _again_if_replaced(service: Service, add: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Add, once more if the collection got another model before the codes were stored.

    Raises
    ------
    ServeError
        ``unavailable``, if that happened twice: nothing was stored.
    """
    try:
        return add()
    except ReplacedError:
        service.collection.refresh()
    try:
        return add()
    except ReplacedError as cause:
        raise ServeError(
            "unavailable",
            "The collection must keep its model while items are added, got another one. "
            "Nothing was stored.",
            "Send the same request again.",
            retry_after_s=2,
        ) from cause


def _store(
    service: Service,
    encoder: Encoder,
    items: list[NewImage] | list[NewVector],
    features: Float32Array,
    thumbnails: pa.Array | None,
) -> dict[str, Any]:
    ids = _distinct([int(one.id) for one in items])
    columns = _columns(service, items)
    if thumbnails is not None:
        columns["thumbnail"] = thumbnails
    try:
        codes = encoder.codebooks.encode(features)
        report = service.collection.add_codes(ids=ids, codes=codes, columns=pa.table(columns),
                                              model_fingerprint=encoder.fingerprint)  # fmt: skip
    except UsedIdError as cause:
        raise ServeError(
            "conflict",
            "An id must be new, or that of an item whose id was given, got one of an item that was "
            "added from a folder, file or array.",
            "Choose another id, or delete that item first.",
        ) from cause
    except ReplacedError:
        raise
    except DataError as cause:
        if service.collection.model_fingerprint != encoder.fingerprint:
            raise ReplacedError(str(cause)) from cause
        raise ServeError(
            "bad_request",
            "Metadata must have the types of the stored columns, got others.",
            "GET /v1/collection tells the types.",
        ) from None
    except (OptionError, FormatError):
        raise _cannot_write() from None
    return {"n_added": report.n_added, "n_updated": report.n_updated, "version": _version(service)}


def _columns(service: Service, items: list[NewImage] | list[NewVector]) -> dict[str, pa.Array]:
    """Return key, labels and metadata columns."""
    columns = {
        "key": pa.array([one.key for one in items], pa.string()),
        "labels": pa.array([one.labels for one in items], pa.list_(pa.string())),
    }
    names = list(dict.fromkeys(name for one in items for name in one.metadata))
    lookup = service.collection.lookup
    known = set(lookup.row_columns)
    for name in names:
        if name in RESERVED_COLUMNS or free_column_name(name) != name:
            raise ServeError(
                "bad_request",
                f"Metadata may not have the name of one of our own columns, got {name}.",
                "Choose another name.",
            )
        try:
            values = pa.array([one.metadata.get(name) for one in items])
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise ServeError(
                "bad_request", f"The values of {name} must be of one type, got several.",
                "Send numbers, strings or booleans only in one column.",
            ) from None  # fmt: skip
        if not pa.types.is_null(values.type):
            columns[name] = values
    if len(known | set(names)) > _MOST_COLUMNS:
        raise ServeError(
            "bad_request", f"A collection may have {_MOST_COLUMNS} columns here, got more.",
            "Use the columns that are there.",
        )  # fmt: skip
    return columns


def delete_items(service: Service, doomed: DeletedItems) -> dict[str, Any]:
    """Delete items by id or condition; blocks.

    Raises
    ------
    ServeError
        If not one of ids and condition is given, or the condition is not usable.
    """
    if (doomed.ids is None) == (doomed.where is None):
        raise ServeError(
            "bad_request",
            f"A deletion must have either ids or where, got "
            f"{'neither' if doomed.ids is None else 'both'}.",
            "Send one of them.",
        )
    lookup = service.collection.lookup
    where = service.condition(lookup, doomed.where)
    if doomed.ids is None and where is None:
        raise ServeError(
            "bad_filter", "The condition of a deletion must not be empty, got nothing.",
            "Say which items to delete, such as price > 100.",
        )  # fmt: skip
    ids = None if doomed.ids is None else np.array([int(one) for one in doomed.ids], np.int64)
    try:
        n_deleted = service.collection.delete(ids, None if where is None else doomed.where)
    except TimeLimitError as cause:
        raise too_slow(cause) from None
    except (OptionError, FormatError):
        raise _cannot_write() from None
    return {"n_deleted": n_deleted, "version": _version(service)}


def _distinct(ids: list[int]) -> Int64Array:
    if len(set(ids)) != len(ids):
        raise ServeError(
            "bad_request", "The ids of new items must be distinct, got repeated ones.",
            "Send each item once.",
        )  # fmt: skip
    return np.array(ids, dtype=np.int64)


def _version(service: Service) -> int:
    return service.collection.lookup.version


def _cannot_write() -> ServeError:
    return ServeError(
        "unavailable",
        "The collection must be writable, it is not at the moment.",
        "Look at space, permissions and `anybit verify` on the server, then try again.",
        retry_after_s=30,
    )
