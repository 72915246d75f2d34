"""One search, from the request to the answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from anybit.codes import Codes
from anybit.collection import Encoder, Lookup
from anybit.errors import DataError, OptionError, TimeLimitError
from anybit.serve.answers import hit_list, overlap_of
from anybit.serve.client_filter import too_slow
from anybit.serve.errors import ServeError
from anybit.serve.schemas import ImageSearch, Search
from anybit.serve.service import Service
from anybit.types import Float32Array, UInt8Array

__all__ = ["no_item", "search_by_image", "search_by_item_or_vector"]


@dataclass(frozen=True, eq=False)
class _Query:
    """What is searched for."""

    kind: str
    features: Float32Array  # (1, D)
    codes: UInt8Array  # (M,)


def no_item(number: int) -> ServeError:
    """Return the error for an id that is not there."""
    return ServeError(
        "not_found",
        f"An id must be one of the collection, got {number}.",
        "Look ids up with GET /v1/items.",
    )


async def search_by_image(service: Service, encoded: bytes, wanted: ImageSearch) -> dict[str, Any]:
    """Answer a search by an image file.

    Raises
    ------
    ServeError
        If the image or a setting is not usable.
    """
    start_s, times = time.perf_counter(), _no_times()
    encoder = service.encoder()
    preprocessor = encoder.preprocessor
    if preprocessor is None:
        raise ServeError(
            "bad_request",
            "This collection takes ids and vectors, got an image.",
            "Send the vector that your model makes of the image.",
        )
    _check(service, wanted)
    service.batcher.announce(1)
    try:
        with service.timed("decode", times):
            decoded = await service.run(
                service.decoding, lambda: service.decoders.decode(encoded, preprocessor)
            )
    finally:
        service.batcher.announce(-1)
    encode_s = time.perf_counter()
    features = await service.batcher.features(encoder, decoded.pixels)
    return await service.run(
        service.searching,
        lambda: _finish(
            service, _coded("image", encoder, features), wanted, times, (start_s, encode_s)
        ),
    )


async def search_by_item_or_vector(service: Service, wanted: Search) -> dict[str, Any]:
    """Answer a search by an id or a vector.

    Raises
    ------
    ServeError
        If the id is not there, or something is not usable.
    """
    if (wanted.id is None) == (wanted.vector is None):
        got = "neither" if wanted.id is None else "both"
        raise ServeError(
            "bad_request",
            f"A search must have either id or vector, got {got}.",
            "Send one of them, or an image as multipart/form-data.",
        )
    start_s, times = time.perf_counter(), _no_times()

    def work() -> dict[str, Any]:
        _check(service, wanted)
        encode_s = time.perf_counter()
        if wanted.vector is not None:
            query = _coded("vector", service.encoder(), service.vector(wanted.vector))
        else:
            number = int(wanted.id or 0)
            query = service.read(lambda lookup: _of_item(service, lookup, number))
        return _finish(service, query, wanted, times, (start_s, encode_s))

    return await service.run(service.searching, work)


def _no_times() -> dict[str, float]:
    return {"decode": 0.0, "encode": 0.0, "search": 0.0, "total": 0.0}


def _check(service: Service, wanted: ImageSearch) -> None:
    """Refuse numbers that are out of range."""
    lengths = service.collection.codebooks.lengths()
    if wanted.bits is not None and wanted.bits not in lengths:
        raise ServeError(
            "bad_request",
            f"bits must be one of {', '.join(map(str, lengths))}, got {wanted.bits}.",
            "Leave bits out for the full code.",
        )
    if wanted.k > service.options.max_k:
        raise ServeError(
            "bad_request",
            f"k must be from 1 to {service.options.max_k}, got {wanted.k}.",
            "Ask for fewer hits, and narrow them with where.",
        )


def _coded(kind: str, encoder: Encoder, features: Float32Array) -> _Query:
    return _Query(kind, features, encoder.codebooks.encode(features).planes[:, 0])


def _of_item(service: Service, lookup: Lookup, number: int) -> _Query:
    """Return an item as a query: its stored feature, or what its code says."""
    codebooks = service.collection.codebooks
    names = [name for name in ("feature",) if name in lookup.schema.names]
    try:
        rows, codes = lookup.rows(np.array([number], dtype=np.int64), [*names, "key"])
    except DataError:
        raise no_item(number) from None
    feature = rows["feature"].to_pylist()[0] if names else None
    if feature is not None:
        return _Query("id", np.array([feature], dtype=np.float32), codes[0])
    planes = np.ascontiguousarray(codes.T)  # (M, 1)
    return _Query("id", codebooks.decode(Codes(planes, codebooks.n_codewords)), codes[0])


def _finish(
    service: Service,
    query: _Query,
    wanted: ImageSearch,
    times: dict[str, float],
    starts_s: tuple[float, float],
) -> dict[str, Any]:
    """Search and make the answer; `starts_s` are those of the request and of the encoding."""
    seconds = time.perf_counter() - starts_s[1]
    times["encode"] = round(seconds * 1000, 3)
    service.metrics.stage_seconds.labels("encode").observe(seconds)
    full = service.collection.codebooks.bits
    bits = full if wanted.bits is None else wanted.bits
    lengths = [bits, full] if wanted.with_overlap else [bits]
    lengths = lengths[:1] if bits == full else lengths

    def find(lookup: Lookup) -> tuple[Any, bool]:
        where = service.condition(lookup, wanted.where)
        answer = lookup.answer(query.features, wanted.k, lengths, where)
        return answer, "thumbnail" in lookup.schema.names

    with service.timed("search", times):
        try:
            answer, has_thumbnails = service.read(find)
        except OptionError:
            raise ServeError(
                "bad_filter",
                "A filter must be a condition that can be evaluated, this one cannot.",
                "Write a simpler one, such as price < 20.",
            ) from None
        except TimeLimitError as cause:
            raise too_slow(cause) from None
        except DataError:
            raise ServeError(
                "bad_request", "A vector must be finite and not too large, got another one.",
                "Send a vector of the kind that the collection's model takes.",
            ) from None  # fmt: skip
        hits = hit_list(answer, has_thumbnails=has_thumbnails)
    times["total"] = round((time.perf_counter() - starts_s[0]) * 1000, 3)
    return {
        "hits": hits,
        "query": {"kind": query.kind, "codes": query.codes.tolist()},
        "bits": bits,
        "code_bytes": bits / 8 if bits % 8 else bits // 8,
        "n_searched": answer.n_searched,
        "overlap": overlap_of(answer, full) if wanted.with_overlap else None,
        "took_ms": times,
        "version": answer.version,
    }
