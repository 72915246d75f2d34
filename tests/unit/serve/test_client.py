"""The command and the client: a real server in a process of its own."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from anybit.cli import app
from anybit.collection import Collection
from anybit.serve import Client, ServeError

from .conftest import N_VECTORS, digit_vectors, make_vectors, picture_file


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def running(collection, *flags):
    """A server started by the command; its port and process."""
    port = free_port()
    line = [sys.executable, "-m", "anybit.cli", "serve", str(collection), "--port", str(port)]
    process = subprocess.Popen([*line, *flags], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield port, process
    finally:
        process.terminate()  # its workers end with it; they hold the other end of the pipe, too
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A writable server with a token, of a collection of its own."""
    place = tmp_path_factory.mktemp("client")
    made = make_vectors(place)
    (place / "token").write_text("s3cret\n")
    with running(made.path, "--token-file", str(place / "token"), "--writable") as (port, process):
        yield port, process, made


def test_client_searches_and_looks_up(server):
    port, _, made = server
    with Client(f"http://127.0.0.1:{port}", "s3cret") as client:
        assert client.collection()["n_items"] == N_VECTORS
        query = digit_vectors()[0][9]
        found = client.search(query, k=5, bits=8, where="price < 20", with_overlap=True)
        expected = made.search(query, 5, 8, "price < 20")
        assert [hit.id for hit in found.hits] == expected.ids.tolist()
        np.testing.assert_array_equal(
            np.array([hit.score for hit in found.hits], np.float32), expected.scores
        )
        assert (found.bits, found.n_searched) == (8, 200)
        assert 0 <= found.overlap <= 1
        assert len(found.query_codes) == 4
        assert client.search(9, k=1).hits[0].labels
        item = client.item(9)
        assert (item.key, item.metadata["price"], item.score) == ("digit-9", 0.9, None)
        items, cursor = client.items(2)
        assert ([one.id for one in items], cursor) == ([0, 1], "1")
        assert [one.id for one in client.items(2, cursor)[0]] == [2, 3]
        assert client.thumbnail(9) == picture_file(digit_vectors()[0][9])


def test_client_adds_and_deletes(server):
    port, _, made = server
    with Client(f"http://127.0.0.1:{port}", "s3cret") as client:
        x = digit_vectors()[0][:2]
        assert client.add_vectors([801, 802], x, ["a", "b"], metadata=[{"price": 1}, {}]) == 2
        assert client.item(801).metadata["price"] == 1.0
        assert made.count("id > 800") == 2
        assert client.delete([801, 802, 803]) == 2
        assert client.delete(where="id = 801") == 0


def test_client_raises_what_the_server_refuses(server):
    port, _, _ = server
    with Client(f"http://127.0.0.1:{port}") as stranger, pytest.raises(ServeError) as caught:
        stranger.collection()
    assert (caught.value.code, caught.value.status) == ("unauthorized", 401)
    with Client(f"http://127.0.0.1:{port}", "s3cret") as client:
        for query, code in ((10**6, "not_found"), ([1.0], "bad_request"), (b"x", "bad_request")):
            with pytest.raises(ServeError) as caught:
                client.search(query)
            assert caught.value.code == code
            assert caught.value.cure
        with pytest.raises(ServeError, match="A column must be one of") as caught:
            client.search(1, where="nothing = 1")
        assert caught.value.code == "bad_filter"


def test_server_finishes_running_requests_when_it_is_asked_to_end(server):
    """Half of a request is sent, the server gets SIGTERM, then the other half is sent."""
    port, process, _ = server
    body = json.dumps({"id": 5, "k": 3}).encode()
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        head = (
            f"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer s3cret\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body[:5])
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), 1)
        connection.sendall(body[5:])
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["hits"][0]["key"]
    assert process.wait(20) in (0, -signal.SIGTERM)
    lines = process.stderr.read().splitlines()
    logged = [json.loads(one) for one in lines if one.startswith("{")]
    assert any(one.get("route") == "/v1/search" for one in logged)
    assert not any("Traceback" in one for one in lines)
    assert "s3cret" not in "".join(lines)


def found(url, number):
    """The answer of whichever worker takes the connection: it takes none before it has loaded."""
    with Client(url) as client:
        return client.search(number, k=2)


def test_workers_end_when_the_process_that_started_them_is_killed(own):
    with running(own.path, "--workers", "2", "--rate-limit", "0") as (port, process):
        url = f"http://127.0.0.1:{port}"
        found(url, 1)
        process.kill()
        deadline = time.monotonic() + 30
        while True:
            assert time.monotonic() < deadline
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                break
            time.sleep(0.2)


def n_counted(port, route):
    """Return how many requests of a route all workers have counted."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        figures = b""
        while part := connection.recv(65_536):
            figures += part
    counted = [one for one in figures.decode().splitlines() if f'route="{route}"' in one]
    totals = [one for one in counted if one.startswith("anybit_requests_total")]
    return sum(float(one.rsplit(" ", 1)[1]) for one in totals)


def test_several_workers_share_the_collection(own):
    with running(own.path, "--workers", "2", "--rate-limit", "0") as (port, process):
        url = f"http://127.0.0.1:{port}"
        found(url, 1)
        other = Collection.open(own.path)
        codes = other.codebooks.encode(digit_vectors()[0][:1])
        other.add_codes(codes, np.array([950]), own.model_fingerprint)
        for _ in range(12):  # every connection goes to one of them
            assert found(url, 950).n_searched == N_VECTORS + 1
        # Of both workers; a request is counted when its answer has been sent.
        deadline = time.monotonic() + 20
        while n_counted(port, "/v1/search") < 13:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--host", "0.0.0.0"], "needs a token"),
        (["--token", "a b"], "token must be printable ASCII"),
        (["--token", "a", "--token-file", "b"], "got both"),
        (["--token-file", "missing"], "--token-file must be a readable text file"),
        (["--port", "0", "--workers", "2"], "several workers need a port"),
        (["--engine", "abacus"], "engine must be one of"),
    ],
)
def test_wrong_usage_is_said(vectors, flags, said):
    done = CliRunner().invoke(app, ["serve", str(vectors.path), *flags])
    assert done.exit_code == 2, done.output
    assert said in done.output


def test_missing_collection_is_said(tmp_path):
    done = CliRunner().invoke(app, ["serve", str(tmp_path / "nothing")])
    assert done.exit_code == 1
    assert "must be a collection" in done.output
