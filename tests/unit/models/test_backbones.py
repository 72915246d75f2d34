"""Backbones by name: dimensions, local weights, normalisation, and clear refusals."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from anybit.errors import FormatError, OptionError
from anybit.models import BackboneConfig, build_backbone


@pytest.mark.parametrize(
    ("name", "px", "dim"),
    [
        ("resnet-small", 28, 256),
        ("alexnet", 224, 4096),
        ("squeezenet1_1", 64, 512),
        ("torchvision:resnet18", 64, 512),
        ("timm:mobilenetv2_035", 64, 1280),
    ],
)
def test_backbone_gives_one_feature_an_image(name, px, dim):
    built = build_backbone(BackboneConfig(name, px))
    assert (built.dim, built.input_px, built.is_pretrained) == (dim, px, False)
    with torch.no_grad():
        assert built.module.eval()(torch.zeros(2, 3, px, px)).shape == (2, dim)


def test_local_weights_are_loaded_and_the_classifier_is_left_out(tmp_path):
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    whole = squeezenet1_1()
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    built = build_backbone(BackboneConfig("squeezenet1_1", 64), tmp_path / "weights.safetensors")
    assert built.is_pretrained
    torch.testing.assert_close(
        built.module.state_dict()["features.0.weight"], whole.state_dict()["features.0.weight"]
    )


def test_weights_of_another_network_are_refused(tmp_path):
    save_file({"stem.weight": torch.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(FormatError, match="must hold the weights of SqueezeNet"):
        build_backbone(BackboneConfig("squeezenet1_1", 64), tmp_path / "weights.safetensors")


def test_damaged_weights_are_refused(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"no weights")
    with pytest.raises(FormatError, match="weights must be a safetensors or torch"):
        build_backbone(BackboneConfig(), tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["no_such_net", "keras:vgg16"])
def test_unknown_backbone_is_refused(name):
    with pytest.raises(OptionError, match="backbone"):
        build_backbone(BackboneConfig(name))


def test_too_small_input_is_refused():
    with pytest.raises(OptionError, match=r"8 x 8 pixels.*Choose a larger input_px"):
        build_backbone(BackboneConfig(input_px=8))


def test_normalisation_can_be_given():
    built = build_backbone(BackboneConfig(mean=0.5, std=0.25))
    assert (built.mean, built.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    with pytest.raises(OptionError, match="std must be above 0"):
        build_backbone(BackboneConfig(std=0.0))


def test_whitened_stem_decorrelates_patches(rng):
    backbone = build_backbone(BackboneConfig(options={"widths": [4, 8, 8]})).module
    smooth = torch.tensor(rng.standard_normal((64, 3, 16, 16)).cumsum(axis=3), dtype=torch.float32)
    backbone.start_from(smooth / smooth.std())
    out = backbone.stem(smooth / smooth.std())[:, :12]  # (64, 12, 15, 15)
    covariance = np.cov(out.detach().transpose(0, 1).flatten(1).numpy())
    # the ridge of 5e-4 keeps small directions below variance 1
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=0.05)
    assert 0.3 < np.diag(covariance).max() < 1.1
