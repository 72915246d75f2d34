"""What every model on images does alike: vectors in pieces that fit a processor's cache."""

import numpy as np
import pytest
import torch

from anybit.models import DQN, BackboneConfig, DQNConfig, ProductConfig, StartsFromImages

BACKBONE = BackboneConfig("resnet-small", 128, {"widths": [4, 4, 8]})


@pytest.fixture
def model():
    torch.manual_seed(2)
    return DQN(DQNConfig(BACKBONE, ProductConfig(3, 4), 6)).eval()


@pytest.fixture
def piece_sizes(model):
    sizes = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return sizes


def test_features_in_pieces_are_those_of_one_batch(model, rng, piece_sizes):
    images = rng.standard_normal((37, 3, 128, 128)).astype(np.float32)
    found = model.features(images)
    assert piece_sizes == [16, 16, 5]  # 2^18 pixels each
    with torch.no_grad():
        whole = model.vectors(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, whole, atol=1e-6)  # float32 sums in another order


@pytest.mark.parametrize(("n_images", "px"), [(0, 128), (3, 600)])
def test_no_image_and_very_large_ones(model, n_images, px, piece_sizes):
    assert model.features(np.zeros((n_images, 3, px, px), np.float32)).shape == (n_images, 6)
    assert piece_sizes == ([1] * n_images or [0])


def test_a_model_remembers_what_its_folder_says(model, tmp_path):
    assert (model.preprocessor, model.class_names, model.summary) == (None, None, {})
    told = {"size_px": 128}, ("cat", "dog"), {"n_images": 7}
    model.describe(*told)
    model.save_pretrained(tmp_path / "model")
    again = DQN.from_pretrained(tmp_path / "model")
    assert (again.preprocessor, again.class_names, again.summary) == told


def test_backbones_say_whether_they_start_from_images(model):
    assert isinstance(model.backbone, StartsFromImages)
    assert not isinstance(torch.nn.Conv2d(3, 4, 3), StartsFromImages)
