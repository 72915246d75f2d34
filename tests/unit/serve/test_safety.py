"""What strangers may send: each hostile request is refused, quickly, and the server lives on."""

from __future__ import annotations

import io
import json
import logging
import os
import resource
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from anybit.data import Preprocessor
from anybit.errors import OptionError
from anybit.serve import ServeOptions, create_app
from anybit.serve.decode_pool import DecodeLimits, DecodePool
from anybit.serve.errors import ServeError
from anybit.serve.limits import RateLimiter
from anybit.serve.logs import JsonFormatter

from .conftest import digit_vectors, picture_file, served
from .test_api import error_of


def chunk(name, content):
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png(width, height, data=b""):
    """A PNG with any size in its header, grey of 8 bits."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def bomb():
    """30,000 x 30,000 white pixels in less than a megabyte."""
    packer = zlib.compressobj(9)
    row = b"\x00" + b"\xff" * 30_000
    data = b"".join(packer.compress(row) for _ in range(30_000)) + packer.flush()
    return png(30_000, 30_000, data)


def zip_behind(picture):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("evil.sh", "rm -rf")
    return picture + file.getvalue()


PICTURE = picture_file(digit_vectors()[0][0])
PNG = picture_file(digit_vectors()[0][0], "PNG")
SVG = (
    b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b'<svg xmlns="http://www.w3.org/2000/svg"><text>&x;</text></svg>'
)
UPLOADS = {
    "bomb": (bomb(), 413),
    "huge dimensions": (png(2**31 - 1, 2**31 - 1), 413),
    "wide strip": (png(2**31 - 1, 1), 413),
    "zero width": (png(0, 5), 415),
    "truncated JPEG": (PICTURE[: len(PICTURE) // 2], 415),
    "truncated PNG": (PNG[:60], 415),
    "damaged PNG": (PNG[:70] + bytes(20) + PNG[90:], 415),
    "SVG": (SVG, 415),
    "nothing": (b"", 415),
    "text": (b"hello", 415),
    "PDF": (b"%PDF-1.7 ...", 415),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415),
    "TIFF": (None, 415),
    "JPEG with a ZIP": (zip_behind(PICTURE), 415),
    "GIF with JavaScript": (b"GIF89a/*\x00\x00\x00\x00" + b"*/=alert(1)//" * 20, 415),
    "JPEG with a page": (PICTURE + b"<html><script>alert(1)</script>", 415),
    "noise": (os.urandom(50_000), 415),
}


def upload_of(name):
    content, status = UPLOADS[name]
    if name == "TIFF":
        file = io.BytesIO()
        Image.new("L", (9, 9)).save(file, "TIFF")
        content = file.getvalue()
    return content, status


@pytest.mark.parametrize("name", UPLOADS)
def test_hostile_upload_is_refused_quickly_and_in_little_memory(image_api, name):
    content, status = upload_of(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    answer = image_api.post("/v1/search", files={"image": ("../../etc/passwd", content)})
    assert time.monotonic() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
    message = error_of(answer, status, "too_large" if status == 413 else "unsupported_image")
    assert "0x" not in message
    assert "Traceback" not in answer.text


def test_a_good_image_passes_after_all_of_them(image_api):
    answer = image_api.post("/v1/search", files={"image": ("a.jpg", PICTURE)})
    assert answer.status_code == 200, answer.text


def test_forms_that_do_not_fit_are_refused(image_api, api):
    good = ("a.jpg", PICTURE)
    for files, data in (
        ({"picture": good}, {}),
        ({"image": good, "other": good}, {}),
        ({"image": good}, {"query": "{"}),
        ({"image": good}, {"query": '{"id": 5}'}),
        ({"image": good}, {"query": '{"k": 0}'}),
        ({"image": good}, {"more": "x"}),
        ({"image": good}, {"query": '{"where": "1=1"}'}),
    ):
        answer = image_api.post("/v1/search", files=files, data=data)
        assert answer.status_code == 400, (files, data)
        assert answer.json()["error"]["code"] in ("bad_request", "bad_filter")
    kind = {"content-type": "multipart/form-data; boundary=x"}
    for content in (b"", b"--x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n"):
        answer = image_api.post("/v1/search", content=content, headers=kind)
        error_of(answer, 400, "bad_request")
    answer = image_api.post(
        "/v1/search", content=b"x", headers={"content-type": "multipart/form-data"}
    )
    error_of(answer, 400, "bad_request")
    error_of(api.post("/v1/search", files={"image": good}), 400, "bad_request")


def test_endless_upload_is_stopped_while_it_comes(image_api):
    """300 MB in chunks, without a length: most of it is never taken."""
    sent = 0

    def chunks():
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(300):
            sent += 2**20
            yield bytes(2**20)
        yield b"\r\n--x--\r\n"

    kind = {"content-type": "multipart/form-data; boundary=x"}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = image_api.post("/v1/search", content=chunks(), headers=kind)
    message = error_of(answer, 413, "too_large")
    assert "20,971,520 bytes" in message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000  # the client's too
    kind = {"content-type": "application/json"}
    error_of(image_api.post("/v1/search", content=bytes(2**21), headers=kind), 413, "too_large")


async def asgi(app, scope, messages):
    """Send messages to an application; return the answer's parts and how many were taken."""
    sent, taken = [], 0

    async def receive():
        nonlocal taken
        taken += 1
        return next(messages)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent, taken


def scope_of(path="/v1/search", method="POST", headers=()):
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), *headers], "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }  # fmt: skip


def endless(part, n_parts=10_000):
    for _ in range(n_parts):
        yield {"type": "http.request", "body": part, "more_body": True}


def test_no_more_is_taken_than_the_limit_and_a_little(vectors):
    import asyncio

    app = create_app(vectors, ServeOptions(n_decoders=1))
    app.state.service.load()
    headers = [(b"content-type", b"application/json")]
    sent, taken = asyncio.run(asgi(app, scope_of(headers=headers), endless(bytes(2**20))))
    assert sent[0]["status"] == 413
    assert taken < 80  # of 10,000 MiB
    headers.append((b"content-length", b"999999999999"))
    sent, taken = asyncio.run(asgi(app, scope_of(headers=headers), endless(bytes(2**20))))
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]
    app.state.service.close()


def test_slow_request_is_given_up(vectors):
    import asyncio

    app = create_app(vectors, ServeOptions(body_timeout_s=0.05))

    async def never():
        await asyncio.sleep(30)

    async def ask():
        sent = []

        async def send(message):
            sent.append(message)

        app.state.service.state = "ready"
        headers = [(b"content-type", b"application/json")]
        await app(scope_of(headers=headers), never, send)
        return sent

    start = time.monotonic()
    sent = asyncio.run(ask())
    assert time.monotonic() - start < 5
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["error"]["code"] == "timeout"


def test_decoder_that_takes_too_long_is_killed_and_replaced():
    restarts = []
    pool = DecodePool(1, DecodeLimits(10**9, 30.0, 2**30), lambda: restarts.append(1))
    preprocessor = Preprocessor(8)
    try:
        pool.start()
        first = pool._workers[0]._process.pid
        pool._limits = pool._workers[0]._limits = DecodeLimits(10**9, 0.02, 2**30)
        start = time.monotonic()
        with pytest.raises(ServeError, match=r"within 0.02 s, this one did not") as caught:
            pool.decode(png(9_000, 9_000, zlib.compress(bytes(9_001) * 9_000, 1)), preprocessor)
        assert time.monotonic() - start < 5
        assert (caught.value.status, caught.value.code, restarts) == (422, "timeout", [1])
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        pool._limits = pool._workers[0]._limits = DecodeLimits(10**9, 30.0, 2**30)
        assert pool.decode(PICTURE, preprocessor).pixels.shape == (8, 8, 3)
    finally:
        pool.close()


def test_decoder_that_needs_too_much_memory_or_dies_is_replaced():
    restarts = []
    pool = DecodePool(1, DecodeLimits(10**9, 30.0, 2**27), lambda: restarts.append(1))
    try:
        pool.start()
        large = png(20_000, 20_000, zlib.compress(bytes(20_001), 9))
        with pytest.raises(ServeError) as caught:
            pool.decode(large, Preprocessor(8))
        assert (caught.value.code, restarts) == ("too_large", [1])
        assert pool.decode(PICTURE, Preprocessor(8)).pixels.shape == (8, 8, 3)
        os.kill(pool._workers[0]._process.pid, 9)
        pool._workers[0]._process.wait()
        assert pool.decode(PICTURE, Preprocessor(8)).pixels.shape == (8, 8, 3)
    finally:
        pool.close()


def test_decoded_pixels_are_those_of_the_preprocessor():
    pool = DecodePool(1, DecodeLimits(10**6, 30.0, 2**28))
    try:
        turned = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "secret place"
        grey = np.arange(40 * 20, dtype=np.uint8).reshape(40, 20)
        Image.fromarray(grey).convert("RGB").save(turned, "JPEG", exif=exif)
        done = pool.decode(turned.getvalue(), Preprocessor(8), thumbnail_px=16)
        from anybit.data import decode_image

        expected = Preprocessor(8).to_uint8(decode_image(turned.getvalue()))
        np.testing.assert_array_equal(done.pixels, expected)
        assert Image.open(io.BytesIO(done.thumbnail)).size == (16, 8)
        assert b"secret" not in done.thumbnail
    finally:
        pool.close()


def test_token_is_needed_for_everything_but_the_page_and_health(vectors):
    with served(vectors, token="s3cret") as client:
        for path in ("/v1/collection", "/v1/items", "/v1/items/1/thumbnail", "/metrics",
                     "/v1/openapi.json", "/v2"):  # fmt: skip
            error_of(client.get(path), 401, "unauthorized")
            assert client.get(path).headers["www-authenticate"] == "Bearer"
        for wrong in ("s3cret", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2",
                      "Basic s3cret", "Bearer S3CRET", "Bearer s3cret s3cret"):  # fmt: skip
            answer = client.get("/v1/collection", headers={"Authorization": wrong})
            error_of(answer, 401, "unauthorized")
            assert "s3cret" not in answer.text
        right = {"Authorization": "Bearer s3cret"}
        assert client.get("/v1/collection", headers=right).status_code == 200
        assert client.post("/v1/search", json={"id": 1}, headers=right).status_code == 200
        for path in ("/", "/healthz", "/readyz"):
            assert client.get(path).status_code == 200
        told = client.get("/v1/openapi.json", headers=right).json()
        assert told["security"] == [{"token": []}]


@pytest.mark.parametrize("token", ["", "a b", "é", "a\n"])
def test_unusable_tokens_are_refused(token):
    with pytest.raises(OptionError, match="token must be printable ASCII"):
        ServeOptions(token=token)


@pytest.mark.parametrize(
    "path",
    ["/v1/items/../../etc/passwd", "/v1/items/..%2f..%2fetc%2fpasswd", "/v1/items/%2e%2e",
     "/v1/items/1/../../../etc/passwd", "/..%2f..%2fpyproject.toml", "/page/../app.py",
     "/%2e%2e/app.py", "/v1/items/1%00", "/v1/items/1e3", "/v1/items/0x7",
     "/v1/items/99999999999999999999",
     "/__init__.py", "/.env", "//etc/passwd"],
)  # fmt: skip
def test_paths_reach_no_file(api, path):
    answer = api.get(path)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]["code"] in ("not_found", "bad_request")


def test_hits_of_a_hostile_filter_are_never_given(api):
    for where in ("1=1", "price < 1 OR 1=1", "price < 1; DROP TABLE items", "true", "id = id",
                  "price < 1 UNION SELECT thumbnail", "thumbnail IS NOT NULL"):  # fmt: skip
        error_of(api.post("/v1/search", json={"id": 1, "where": where}), 400, "bad_filter")


def test_answers_carry_the_security_headers(api):
    for path, method in (("/", "GET"), ("/v1/items/1", "GET"), ("/nothing", "GET"), ("/", "POST")):
        headers = api.request(method, path).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
        assert len(headers["x-request-id"]) == 16
    assert api.get("/v1/items/1").headers["cache-control"] == "no-store"


def test_pages_of_others_cannot_call(vectors):
    hosts = ("127.0.0.1", "localhost", "::1")
    with served(vectors, allowed_hosts=hosts) as client:
        for host in ("evil.example", "127.0.0.1.evil.example", ""):
            error_of(client.get("/v1/collection", headers={"Host": host}), 421, "bad_request")
        for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
            assert client.get("/v1/collection", headers={"Host": host}).status_code == 200
        for origin in ("http://evil.example", "null", "http://127.0.0.1:9"):
            answer = client.post("/v1/search", json={"id": 1}, headers={"Origin": origin})
            error_of(answer, 403, "unauthorized")
        own = {"Origin": "http://127.0.0.1"}
        assert client.post("/v1/search", json={"id": 1}, headers=own).status_code == 200
        asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        answer = client.options("/v1/search", headers=asked)
        assert "access-control-allow-origin" not in answer.headers


def test_rate_limit_answers_429_and_forgets(vectors):
    with served(vectors, rate_limit=1) as client:
        answers = [client.get("/v1/items/1") for _ in range(8)]
        assert [one.status_code for one in answers[:4]] == [200] * 4
        error_of(answers[-1], 429, "rate_limited")
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert client.get("/healthz").status_code == 200
    limiter = RateLimiter(10.0)
    for _ in range(40):
        limiter.check("10.0.0.1", 0.0)
    with pytest.raises(ServeError):
        limiter.check("10.0.0.1", 0.0)
    limiter.check("10.0.0.2", 0.0)
    limiter.check("10.0.0.1", 0.2)
    for number in range(11_000):
        limiter.check(f"10.1.{number // 256}.{number % 256}", 1.0)
    assert len(limiter) == 10_000
    one_home = RateLimiter(0.25)
    one_home.check("2001:db8::1", 0.0)
    with pytest.raises(ServeError):
        one_home.check("2001:db8::2", 0.0)
    RateLimiter(0).check("10.0.0.1", 0.0)


def test_too_many_waiting_are_refused(vectors):
    with served(vectors, max_waiting=1) as client:
        client.service._n_waiting = 1
        answer = client.get("/v1/items/1")
        error_of(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        client.service._n_waiting = 0
        assert client.get("/v1/items/1").status_code == 200


def test_long_search_times_out(vectors, monkeypatch):
    with served(vectors, search_timeout_s=0.05) as client:
        monkeypatch.setattr(client.service, "described", lambda: time.sleep(0.3))
        error_of(client.get("/v1/collection"), 504, "timeout")


def test_unexpected_failures_tell_nothing(vectors, monkeypatch, caplog):
    with served(vectors) as client:

        def fail():
            raise RuntimeError("secret path 0xdeadbeef")

        monkeypatch.setattr(client.service, "described", fail)
        answer = client.get("/v1/collection")
        message = error_of(answer, 500, "unavailable")
        assert "secret" not in answer.text
        assert message
        assert answer.headers["x-request-id"] in answer.text
        assert "secret path" in caplog.text  # the log has it


def test_logs_are_json_without_vectors_images_or_tokens(vectors, caplog):
    caplog.set_level(logging.INFO, "anybit.serve")
    with served(vectors, token="s3cret") as client:
        right = {"Authorization": "Bearer s3cret"}
        client.post(
            "/v1/search", json={"vector": [0.123456] * 64, "where": "price < 7"}, headers=right
        )
        client.get("/v1/items/271828182845?token=s3cret", headers=right)
    lines = [
        JsonFormatter().format(one) for one in caplog.records if one.name == "anybit.serve.access"
    ]
    told = [json.loads(one) for one in lines]
    assert [(one["route"], one["status"]) for one in told] == [
        ("/v1/search", 200), ("/v1/items/{id}", 404),
    ]  # fmt: skip
    assert {"time", "level", "request", "ms", "client", "bytes", "method"} <= set(told[0])
    text = "".join(lines)
    assert not any(one in text for one in ("0.123456", "s3cret", "price", "271828182845"))
