"""Two small collections of digits, as vectors and as pictures, and servers of them."""

from __future__ import annotations

import contextlib
import io
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from starlette.testclient import TestClient

from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import AddOptions, Collection
from anybit.data import Preprocessor
from anybit.models import DRQ, BackboneConfig, DRQConfig, QuantizerConfig
from anybit.serve import ServeOptions, create_app

N_VECTORS, N_PICTURES = 300, 40


def digit_vectors():
    digits = load_digits()
    return (digits.data[:N_VECTORS] / 16).astype(np.float32), digits.target[:N_VECTORS]


def residual_codebooks(x, n_levels=4, n_codewords=16):
    """Codewords of each level are what the level before left over of some digits."""
    levels = []
    left = x
    for level in range(n_levels):
        # Others at each level: of those chosen before nothing is left.
        levels.append(left[level :: len(left) // n_codewords][:n_codewords])
        distances = ((left[:, None] - levels[-1][None]) ** 2).sum(axis=2)
        left = left - levels[-1][distances.argmin(axis=1)]
    return Codebooks.stacked(np.array(levels, dtype=np.float32), metric="l2")


def make_vectors(place):
    """300 digits as vectors, with columns of every kind that filters know."""
    x, y = digit_vectors()
    model = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {}, None)
    write_model_folder(place / "model", model, residual_codebooks(x))
    made = Collection.create(place / "digits.anybit", place / "model")
    numbers = np.arange(N_VECTORS)
    columns = pa.table(
        {
            "key": [f"digit-{one}" for one in numbers],
            "labels": pa.array([[f"class {one}"] for one in y], pa.list_(pa.string())),
            "price": numbers / 10,
            "digit": pa.array(y, pa.int32()),
            "colour": [("red", "green", "it's blue")[one % 3] for one in numbers],
            "is_odd": [bool(one % 2) for one in y],
            "made": [datetime(2024, 1 + one % 12, 1) for one in numbers],
            "thumbnail": pa.array([picture_file(x[one]) for one in numbers], pa.binary()),
        }
    )
    made.add_codes(made.codebooks.encode(x), numbers, made.model_fingerprint, columns)
    return made


def picture_file(values, kind="JPEG"):
    """A digit as a picture file of 16 x 16 pixels."""
    grey = np.kron(values.reshape(8, 8) * 255, np.ones((2, 2))).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).convert("RGB").save(file, kind)
    return file.getvalue()


def make_pictures(place):
    """40 digits as pictures, and a network that knows some of their features."""
    x, y = digit_vectors()
    torch.manual_seed(0)
    backbone = BackboneConfig("resnet-small", 16, {"widths": [8, 8, 8]})
    network = DRQ(DRQConfig(backbone, QuantizerConfig(4, 16), (12, 6))).eval()
    preprocessor = Preprocessor(16)
    network.preprocessor = preprocessor.to_dict()
    drawn = [Image.open(io.BytesIO(picture_file(one, "PNG"))) for one in x[:N_PICTURES]]
    features = network.features(np.stack([preprocessor(one) for one in drawn]))
    mean = features.mean(axis=0)
    network.quantizer.set_codebooks(
        Codebooks.shared(
            features[:16] - mean, np.array([1, 0.5, 0.25, 0.125], np.float32), offset=mean
        )
    )
    network.save_pretrained(place / "image-model")
    for row in range(N_PICTURES):
        folder = place / "pictures" / str(y[row])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row}.png").write_bytes(picture_file(x[row], "PNG"))
    made = Collection.create(place / "pictures.anybit", place / "image-model", device="cpu")
    made.add(place / "pictures", AddOptions(thumbnails_px=16, n_workers=1))
    return made


@contextlib.contextmanager
def served(collection, **options):
    """A client of a server in this process."""
    app = create_app(collection, ServeOptions(n_decoders=1, **options))
    app.state.service.load()
    with TestClient(app, base_url="http://127.0.0.1") as client:
        client.service = app.state.service
        yield client


@pytest.fixture(scope="session")
def vectors(tmp_path_factory):
    """300 digits as vectors, to be read only."""
    return make_vectors(tmp_path_factory.mktemp("vectors"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """40 digits as pictures, to be read only."""
    return make_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def api(vectors):
    """A server of the vectors."""
    with served(vectors, rate_limit=0) as client:
        yield client


@pytest.fixture(scope="module")
def image_api(pictures):
    """A server of the pictures."""
    with served(pictures, rate_limit=0, decode_timeout_s=5, decode_bytes=2**28) as client:
        yield client


@pytest.fixture
def own(tmp_path):
    """A collection of 300 vectors that a test may change."""
    return make_vectors(tmp_path)
