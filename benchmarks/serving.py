"""Load `anybit serve` with wrk: latency, requests a second, and what the processor time goes to.

    python benchmarks/serving.py COLLECTION --vectors QUERIES.npy --bits 16,64 --output FILE
    python benchmarks/serving.py COLLECTION --images PICTURES --output FILE

Needs wrk (a package of Debian), and, for the shares of processor time, py-spy (`pip install
py-spy`, as root or with ptrace allowed). Server and clients share the machine: loopback. Every
answer must be 2xx. Each of the queries is sent in turn; latency with one client, requests a second
with several. The server takes one thread for each forward pass, so that all of its processor time
is in threads that py-spy sees.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from anybit.bench import environment, write_result

# wrk's requests: the bodies are files, sent in turn.
LUA = """
local bodies = {}
for number = 0, %(n_bodies)d - 1 do
  local file = assert(io.open(string.format("%(folder)s/%%d", number), "rb"))
  bodies[number] = file:read("*a")
  file:close()
end
local headers = {["Content-Type"] = "%(content_type)s"}
local at = math.floor(tonumber(tostring({}):match("0x(%%x+)"), 16) / 16) %% %(n_bodies)d
function request()
  at = (at + 1) %% %(n_bodies)d
  return wrk.format("POST", "/v1/search", headers, bodies[at])
end
"""
# Threads that wait for work, which py-spy counts where the system does not say so.
IDLE = (
    "_worker (concurrent/futures/thread.py:81)",
    "select (selectors.py:468)",
    "wait (threading.py:331)",
)
BOUNDARY = "anybit-benchmark"
K = 10
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
# The part that a stack of Python frames belongs to: the first whose word is in one of its frames.
PARTS = {
    "decode": ("decode_worker.py", "anybit/data/"),
    "encode": ("anybit/models/", "onnx_engine.py", "encode_pixels", "vector_quantizer.py"),
    "encode codes": ("(anybit/codes/", "_coded "),
    "kernel": ("anybit/search/",),
    "rows of hits": ("kept_rows.py", "Lookup._rows", "anybit/store/"),
    "index": ("anybit/collection/",),
    "answer": ("anybit/serve/item_search.py", "anybit/serve/answers.py"),
    "HTTP and JSON": (".py",),
    "threads without Python": ("",),
}


def main() -> None:
    """Load the server in every way asked for; print the figures and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", type=Path)
    parser.add_argument("--vectors", type=Path, help=".npy of queries, for searches by vector")
    parser.add_argument("--images", type=Path, help="pictures, for searches by image")
    parser.add_argument("--bits", default="", help="code lengths; the full code if not given")
    parser.add_argument("--clients", default="1,8")
    parser.add_argument("--queries", type=int, default=500, help="different ones")
    parser.add_argument("--seconds", type=int, default=15, help="of each measurement")
    parser.add_argument("--workers", default="1", help="of the server, such as 1,2")
    parser.add_argument("--engine", default="auto", help="auto, torch, onnx")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    if (args.vectors is None) == (args.images is None):
        parser.error("one of --vectors and --images must be given")
    bits = [int(part) for part in args.bits.split(",") if part] or [None]
    rows: list[dict[str, Any]] = []
    about: dict[str, Any] = {}
    for n_workers in map(int, args.workers.split(",")):
        with tempfile.TemporaryDirectory() as folder, serving(args, n_workers) as server:
            about = server.collection()
            for length in bits:
                script = write_requests(Path(folder) / str(length), args, length)
                first = {"workers": n_workers, "bits": length or about["bits"]}
                rows += loaded(server, script, args, first)
    if args.output is not None:
        told = environment(("numpy", "torch", "onnxruntime", "fastapi", "uvicorn", "pylance"))
        facts = {key: about[key] for key in ("n_items", "bits", "dim", "engine", "has_thumbnails")}
        settings = {key: getattr(args, key) for key in ("queries", "seconds")}
        sent = "image" if args.images is not None else "vector"
        tool = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)
        settings |= {"k": K, "sent": sent, "tool": " ".join(tool.stdout.split()[:2])}
        told |= {"seed": 0, "settings": settings, "collection": facts, "rows": rows}
        write_result(args.output, told)


def loaded(
    server: Server, script: Path, args: argparse.Namespace, first: dict[str, Any]
) -> list[dict[str, Any]]:
    """Load the server with each number of clients; sample it under the last."""
    measure(server, script, 8, 2)  # everything is loaded and mapped then, in each worker
    rows = []
    for n_clients in map(int, args.clients.split(",")):
        rows.append(
            first | {"clients": n_clients} | measure(server, script, n_clients, args.seconds)
        )
    if shutil.which("py-spy") is not None:
        rows[-1]["processor_shares"] = sampled(server, script, n_clients, args.seconds)
    for row in rows:
        print(json.dumps(row), flush=True)
    return rows


class Server:
    """A running `anybit serve`, and its processes."""

    def __init__(self, address: str, process: subprocess.Popen[bytes]) -> None:
        self.address, self.process = address, process

    def collection(self) -> dict[str, Any]:
        """Return what the server says of the collection."""
        with urllib.request.urlopen(f"{self.address}/v1/collection") as answer:
            return dict(json.load(answer))

    def processor_s(self) -> float:
        """Return the processor time of the server and its processes."""
        ticks = 0
        for number in self._family():
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stages_s(self) -> dict[str, float]:
        """Return the seconds of each stage so far, and of all requests."""
        with urllib.request.urlopen(f"{self.address}/metrics") as answer:
            text = answer.read().decode()
        stage = r'^anybit_stage_seconds_sum\{stage="(\w+)"\} (\S+)$'
        found = {name: float(value) for name, value in re.findall(stage, text, re.MULTILINE)}
        route = r'^anybit_request_seconds_sum\{route="/v1/search"\} (\S+)$'
        return found | {"request": sum(map(float, re.findall(route, text, re.MULTILINE)))}

    def _family(self) -> list[int]:
        """Return the process and all that it started."""
        found = [self.process.pid]
        for number in found:
            for children in Path(f"/proc/{number}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        return found


@contextmanager
def serving(args: argparse.Namespace, n_workers: int) -> Iterator[Server]:
    """Run the server on a free port until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    anybit = Path(sys.executable).with_name("anybit")
    command = [str(anybit), "serve", str(args.collection), "--port", str(port)]
    command += ["--rate-limit", "0", "--workers", str(n_workers), "--quiet"]
    command += ["--engine", args.engine, "--encoder-threads", "1"]
    process = subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        n_ready = 0
        while n_ready < 20 * n_workers:  # any of the workers answers
            try:
                with urllib.request.urlopen(f"{address}/readyz"):
                    n_ready += 1
            except OSError:
                n_ready = 0
                time.sleep(0.2)
            if process.poll() is not None:
                raise SystemExit("the server ended; run it by hand to see why")
        yield Server(address, process)
    finally:
        process.terminate()
        process.wait(30)


def write_requests(folder: Path, args: argparse.Namespace, bits: int | None) -> Path:
    """Write the bodies of the requests, and wrk's script that sends them."""
    folder.mkdir()
    wanted = {"k": K} | ({"bits": bits} if bits else {})
    if args.vectors is not None:
        vectors = np.load(args.vectors)[: args.queries].astype(np.float32)
        bodies = [
            json.dumps(wanted | {"vector": [round(float(x), 6) for x in vector]}).encode()
            for vector in vectors
        ]
        content_type = "application/json"
    else:
        bodies = [form(encoded, wanted) for encoded in pictures(args.images, args.queries)]
        content_type = f"multipart/form-data; boundary={BOUNDARY}"
    for number, body in enumerate(bodies):
        (folder / str(number)).write_bytes(body)
    script = folder / "requests.lua"
    values = {"n_bodies": len(bodies), "folder": folder, "content_type": content_type}
    script.write_text(LUA % values)
    return script


def pictures(place: Path, n_pictures: int) -> list[bytes]:
    """Return encoded pictures of a Parquet file's column ``image``, or the files of a folder."""
    if place.is_dir():
        files = sorted(path for path in place.rglob("*") if path.is_file())
        return [path.read_bytes() for path in files[:n_pictures]]
    import pyarrow.parquet as pq

    batch = next(pq.ParquetFile(place).iter_batches(n_pictures, columns=["image"]))
    cells = batch.column("image").to_pylist()
    return [cell["bytes"] if isinstance(cell, dict) else cell for cell in cells]


def form(encoded: bytes, wanted: dict[str, Any]) -> bytes:
    """Return the body of a search by image."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="query"\r\n'
    query = f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="query"\r\n\r\n'
    end = f"\r\n--{BOUNDARY}--\r\n"
    parts = (head, "Content-Type: image/jpeg\r\n\r\n", encoded, query, json.dumps(wanted), end)
    return b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)


def measure(server: Server, script: Path, n_clients: int, seconds: int) -> dict[str, Any]:
    """Load the server for some seconds; return latencies, rate, and times for a request."""
    before, stages, start_s = server.processor_s(), server.stages_s(), time.perf_counter()
    told = load(server, script, n_clients, seconds)
    took_s = time.perf_counter() - start_s
    spent_s = server.processor_s() - before
    n_requests = told.pop("requests")
    parts = {name: value - stages.get(name, 0.0) for name, value in server.stages_s().items()}
    ms = {f"{name}_ms": round(1000 * value / n_requests, 3) for name, value in parts.items()}
    return told | {
        "requests_per_s": round(n_requests / took_s, 1),
        "server_processor_ms": round(1000 * spent_s / n_requests, 3),
        "server_processors": round(spent_s / took_s, 2),
        **ms,
    }


def load(server: Server, script: Path, n_clients: int, seconds: int) -> dict[str, Any]:
    """Run wrk; return its latencies in milliseconds, and the number of requests."""
    command = ["wrk", "-t1", f"-c{n_clients}", f"-d{seconds}s", "--timeout", "30s", "--latency"]
    done = subprocess.run(
        [*command, "-s", str(script), server.address], capture_output=True, text=True, check=False
    )
    text = done.stdout
    if done.returncode or "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"wrk must get answers of 2xx only, got:\n{text}\n{done.stderr}")
    latencies = {
        f"p{percent}_ms": round(float(value) * _MS[unit], 3)
        for percent, value, unit in re.findall(
            r"^ +(50|90|99)% +([\d.]+)(\w+)$", text, re.MULTILINE
        )
    }
    found = re.search(r"(\d+) requests in", text)
    if found is None or len(latencies) != 3:
        raise SystemExit(f"wrk's report must have requests and latencies, got:\n{text}")
    return {"requests": int(found[1]), **latencies}


def sampled(server: Server, script: Path, n_clients: int, seconds: int) -> dict[str, float]:
    """Load the server again under py-spy; return the shares of its processor time."""
    with tempfile.TemporaryDirectory() as folder:
        stacks = Path(folder) / "stacks"
        # --gil would leave out the kernel, which releases it; threads that wait are left out.
        command = ["py-spy", "record", "--pid", str(server.process.pid), "--subprocesses"]
        command += ["--format", "raw", "--rate", "200", "--duration", str(seconds)]
        spy = subprocess.Popen([*command, "--output", str(stacks)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
        load(server, script, n_clients, seconds + 2)
        spy.wait(60)
        lines = stacks.read_text().splitlines()
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, number = line.rpartition(" ")
        if not stack.endswith(IDLE):
            counts[part_of(stack)] += int(number)
    total = sum(counts.values())
    return {name: round(counts[name] / total, 3) for name in PARTS if counts[name]}


def part_of(stack: str) -> str:
    """Return the part of a search that a stack of frames belongs to."""
    return next(name for name, words in PARTS.items() if any(word in stack for word in words))


if __name__ == "__main__":
    main()
