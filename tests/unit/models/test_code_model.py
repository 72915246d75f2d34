"""The model for any method: its blocks, its folder, and folders that are not its own."""

import numpy as np
import pytest
import torch

from anybit.errors import FormatError, OptionError
from anybit.models import (
    DQN,
    BackboneConfig,
    CodeModel,
    CodeModelConfig,
    ProductConfig,
    QuantizerConfig,
    SignConfig,
    load_model,
)

BACKBONE = BackboneConfig("resnet-small", 16, {"widths": [4, 4, 8]})
CONFIGS = {
    "shared": CodeModelConfig("m1", "shared", QuantizerConfig(2, 4), 6, BACKBONE),
    "product": CodeModelConfig(
        "m2", "product", ProductConfig(3, 4), 6, BACKBONE, (5, 7), "relu", is_unit_length=True
    ),
    "sign": CodeModelConfig.of_signs("m3", 6, BACKBONE, activation="tanh", hidden_dims=(5,)),
}


@pytest.mark.parametrize("codes", CONFIGS)
def test_a_saved_model_comes_back_with_its_method(tmp_path, rng, codes):
    torch.manual_seed(0)
    model = CodeModel(CONFIGS[codes]).eval()
    images = rng.standard_normal((5, 3, 16, 16)).astype(np.float32)
    model.save_pretrained(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.config == model.config
    assert again.method == CONFIGS[codes].method
    assert again.fingerprint == model.fingerprint
    features = again.features(images)
    assert features.shape == (5, 6)
    np.testing.assert_array_equal(features, model.features(images))
    output = again(torch.from_numpy(images))
    codes = again.export_codebooks().encode(features)
    np.testing.assert_array_equal(codes.planes, output.codes.numpy())


def test_another_class_does_not_read_it(tmp_path):
    CodeModel(CONFIGS["sign"]).save_pretrained(tmp_path / "model")
    with pytest.raises(FormatError, match="must hold a DQN model, got 'm3'"):
        DQN.from_pretrained(tmp_path / "model")


def test_quantizer_of_another_kind_is_refused():
    with pytest.raises(OptionError, match="sign codes must be a SignConfig, got a ProductConfig"):
        CodeModelConfig("m", "sign", ProductConfig(3, 4), 6, BACKBONE)
    with pytest.raises(OptionError, match="codes must be one of shared, product, sign, got 'tree'"):
        CodeModelConfig("m", "tree", SignConfig(6), 6, BACKBONE)


def test_description_that_is_damaged_is_a_format_error():
    with pytest.raises(FormatError, match="must describe a model"):
        CodeModelConfig.from_dict({"codes": "sign"})
