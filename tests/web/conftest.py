"""Real servers of two small collections, and a real browser that looks at them."""

from __future__ import annotations

import functools
import io
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image
from typer.testing import CliRunner

from anybit.cli import app
from anybit.serve import Client

N_ITEMS = 300
FIRST_ID = 2**60  # of the vectors: beyond what a JavaScript number holds
MARKUP = "<img src=x onerror=\"document.title='run'\">"


def cli(*arguments):
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output


@functools.cache
def read_digits():
    from sklearn.datasets import load_digits

    return load_digits()


def digit_png(number):
    """Return one of scikit-learn's digits as a PNG file of 32 x 32 dots."""
    pixels = np.minimum(read_digits().images[number] * 16, 255).astype(np.uint8)
    image = Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def picture():
    """A function that returns a PNG file of a digit; those up to 299 are in the collection."""
    return digit_png


@pytest.fixture(scope="session")
def markup():
    """The name of the first item of the vectors: HTML that must stay text."""
    return MARKUP


@pytest.fixture(scope="session")
def serve():
    """A context manager that runs `anybit serve` and gives the address."""
    return served


def untrained_network():
    """Return a network of given weights whose codewords are the features of the first 16 digits.

    What training ends at depends on the processor. By these codes every picture of the collection
    is among the first 12 of its own query, and one of the first 16 is the first.
    """
    import torch

    from anybit.codes import Codebooks
    from anybit.data import Preprocessor
    from anybit.models import DRQ, BackboneConfig, DRQConfig, QuantizerConfig

    torch.manual_seed(0)
    backbone = BackboneConfig("resnet-small", 16, {"widths": [8, 8, 8]})
    network = DRQ(DRQConfig(backbone, QuantizerConfig(4, 16, metric="l2"), (12, 4))).eval()
    preprocessor = Preprocessor(16)
    network.preprocessor = preprocessor.to_dict()
    images = [Image.open(io.BytesIO(digit_png(number))) for number in range(N_ITEMS)]
    features = network.features(np.stack([preprocessor(image) for image in images]))
    mean, scales = features.mean(axis=0), np.array([1, 0.5, 0.25, 0.125], np.float32)
    network.quantizer.set_codebooks(Codebooks.shared(features[:16] - mean, scales, offset=mean))
    return network


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A collection of 300 pictures with metadata, and a tiny network of 4 levels."""
    folder, digits = tmp_path_factory.mktemp("digits"), read_digits()
    table = pa.table(
        {
            "image": [digit_png(number) for number in range(N_ITEMS)],
            "label": [str(one) for one in digits.target[:N_ITEMS]],
            "row": list(range(N_ITEMS)),
            "ink": [float(one.mean() / 16) for one in digits.images[:N_ITEMS]],
        }
    )
    pyarrow.parquet.write_table(table, folder / "digits.parquet")
    untrained_network().save_pretrained(folder / "model")
    cli("create", folder / "digits.anybit", "--model", folder / "model")
    cli("add", folder / "digits.anybit", folder / "digits.parquet", "-q")
    return folder / "digits.anybit"


@pytest.fixture(scope="session")
def goods(tmp_path_factory):
    """A collection of vectors with metadata, ids beyond 2^53, and markup in a name."""
    folder, rng = tmp_path_factory.mktemp("goods"), np.random.default_rng(3)
    x = (read_digits().data[:N_ITEMS] / 16).astype(np.float32)
    day = datetime(2026, 1, 1)
    table = pa.table(
        {
            "number": FIRST_ID + np.arange(N_ITEMS),
            "vector": list(x),
            "title": [MARKUP, *(f"chair {one}" for one in range(1, N_ITEMS))],
            "price": np.round(rng.gamma(3, 12, N_ITEMS), 2),
            "added": [day + timedelta(hours=int(one)) for one in rng.integers(0, 6000, N_ITEMS)],
        }
    )
    pyarrow.parquet.write_table(table, folder / "goods.parquet")
    source = [folder / "goods.parquet", "--vector-column", "vector", "--id-column", "number"]
    cli("train", *source, "-o", folder / "model", "--method", "rq-greedy", "--codewords", 16,
        "--bits", 16, "-q")  # fmt: skip
    cli("create", folder / "goods.anybit", "--model", folder / "model")
    cli("add", folder / "goods.anybit", *source, "-q")
    return folder / "goods.anybit"


@pytest.fixture
def found_by():
    """A function that gives the ids the API finds by a picture, as the page writes them."""

    def found(address, content, k=24):
        with Client(address) as client:
            return [str(hit.id) for hit in client.search(content, k=k).hits]

    return found


@pytest.fixture
def port():
    """A port that is free."""
    return free_port()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def served(collection, *flags, port=None):
    """Run `anybit serve` until the block ends; give its address."""
    port = port or free_port()
    command = [sys.executable, "-m", "anybit.cli", "serve", str(collection), "--port", str(port)]
    # Into a file: a pipe that nobody reads fills up, and the server stands still.
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([*command, *flags], stdout=said, stderr=said)
        try:
            wait_until_ready(process, f"http://127.0.0.1:{port}", said)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait_until_ready(process, address, said):
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            said.seek(0)
            raise AssertionError(said.read())
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise AssertionError("the server was not ready within a minute")


@pytest.fixture(scope="session")
def pictures(digits):
    with served(digits) as address:
        yield address


@pytest.fixture(scope="session")
def vectors(goods):
    with served(goods) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    found = shutil.which("chromium") or shutil.which("google-chrome")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        # The only pages it opens are ours; its own sandbox needs rights a container lacks.
        running = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


class Visitor:
    """A page of the browser that notes what went wrong on it, and whom it asked."""

    def __init__(self, browser, width, height, scheme):
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
            locale="en-GB",
        )
        self.context.set_default_timeout(30_000)
        self.page = self.context.new_page()
        self.problems, self.asked, self.expected = [], [], ()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _note(self, message):
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def open(self, address):
        self.page.goto(address)
        self.page.wait_for_selector(".card:not(.bone), .notice")
        return self.page

    def ids(self):
        """Return the ids of the cards on the page, in order."""
        return self.page.eval_on_selector_all(
            ".card:not(.bone)", "cards => cards.map((card) => card.dataset.id)"
        )

    def until(self, condition, given=None):
        """Wait until a JavaScript function gives something true.

        Asked from here: waiting inside of the page needs `eval`, which its policy forbids.
        """
        deadline_s = time.monotonic() + 30
        while not self.page.evaluate(condition, given):
            assert time.monotonic() < deadline_s, condition
            self.page.wait_for_timeout(20)

    def settled(self, title):
        """Wait until the results stand below this heading; return their ids."""
        self.until(
            "(title) => document.querySelector('#summary').textContent.startsWith(title)"
            " && !document.querySelector('.bone')",
            title,
        )
        return self.ids()

    def finish(self):
        self.context.close()
        unexpected = [
            one for one in self.problems if not any(part in one for part in self.expected)
        ]
        assert unexpected == []
        hosts = {urlsplit(one).hostname for one in self.asked if one.startswith("http")}
        assert hosts <= {"127.0.0.1"}


@pytest.fixture
def visitor(browser):
    """A desktop in light colours; its console must stay clean, its requests at home."""
    one = Visitor(browser, 1280, 860, "light")
    yield one
    one.finish()


@pytest.fixture
def phone(browser):
    """The same on a phone, in dark colours."""
    one = Visitor(browser, 390, 844, "dark")
    yield one
    one.finish()
