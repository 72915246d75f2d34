"""DRQ models with each structure of the head: saved, opened, and as an ONNX graph."""

import json

import numpy as np
import pytest
import torch

from anybit.models import DRQ, BackboneConfig, DRQConfig, QuantizerConfig, onnx_graph

PX = 16
BACKBONE = BackboneConfig("resnet-small", PX, {"widths": [4, 4, 8]})
STRUCTURES = {
    "both": ({}, 11),
    "wide": ({"head_layers": "wide"}, 6),
    "embedding": ({"head_layers": "embedding"}, 5),
    "none": ({"head_layers": "none"}, 8),
    "not concatenated": ({"is_concatenated": False}, 5),
}


def drq(settings):
    torch.manual_seed(0)
    config = DRQConfig(BACKBONE, QuantizerConfig(2, 4), (6, 5), is_unit_length=True, **settings)
    return DRQ(config).eval()


@pytest.fixture
def images(rng):
    return rng.standard_normal((3, 3, PX, PX)).astype(np.float32)


@pytest.mark.parametrize(("settings", "dim"), STRUCTURES.values(), ids=STRUCTURES)
def test_a_saved_model_opens_with_its_structure(tmp_path, images, settings, dim):
    model = drq(settings)
    model.save_pretrained(tmp_path / "model")
    again = DRQ.from_pretrained(tmp_path / "model")
    assert again.config == model.config
    assert again.fingerprint == model.fingerprint
    assert model.features(images).shape == (3, dim)
    np.testing.assert_array_equal(again.features(images), model.features(images))


def test_a_head_of_both_layers_is_told_as_in_0_1(tmp_path):
    told = {}
    for name, (settings, _) in STRUCTURES.items():
        drq(settings).save_pretrained(tmp_path / name)
        told[name] = json.loads((tmp_path / name / "config.json").read_text("utf-8"))
    assert set(told["both"]["architecture"]) == {
        "backbone", "head_dims", "is_concatenated", "is_head_nonlinear", "is_unit_length",
        "quantizer",
    }  # fmt: skip
    assert told["wide"]["architecture"]["head_layers"] == "wide"


@pytest.mark.parametrize(("settings", "dim"), STRUCTURES.values(), ids=STRUCTURES)
def test_the_onnx_graph_gives_the_features_of_the_model(images, settings, dim):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = drq(settings)
    session = runtime.InferenceSession(onnx_graph(model, PX), providers=["CPUExecutionProvider"])
    (found,) = session.run(["features"], {"images": images})
    assert found.shape == (3, dim)
    # float32 sums in another order
    np.testing.assert_allclose(found, model.features(images), rtol=1e-4, atol=1e-5)
