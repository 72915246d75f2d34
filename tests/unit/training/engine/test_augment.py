"""Random views: which pixels can appear where."""

from __future__ import annotations

import pytest
import torch

from anybit.errors import OptionError
from anybit.training import TrainOptions
from anybit.training.engine.augment import Augmenter

SIZE = 96
CPU = torch.device("cpu")


def ramp(n_images=8):
    """Pictures whose red tells the column and whose green tells the row, uint8 (B, H, W, 3)."""
    at = torch.arange(SIZE, dtype=torch.uint8)
    images = torch.zeros(n_images, SIZE, SIZE, 3, dtype=torch.uint8)
    images[..., 0], images[..., 1] = at[None, None, :], at[None, :, None]
    return images


def views(kind):
    torch.manual_seed(3)
    return Augmenter(kind, SIZE, (0, 0, 0), (1, 1, 1))(ramp(), CPU) * 255  # (B, 3, H, W)


def test_none_leaves_the_pictures_as_they_are():
    assert torch.equal(views("none").round().to(torch.uint8).permute(0, 2, 3, 1), ramp())


def test_shift_moves_by_at_most_an_eighth_and_keeps_the_scale():
    shifted = views("shift")
    step = (shifted[:, 0, 0, 13:-13] - shifted[:, 0, 0, 12:-14]).abs()
    torch.testing.assert_close(step, torch.ones_like(step))  # one column a pixel: no resizing
    moved = shifted[:, 0, 0, SIZE // 2] - SIZE // 2
    assert moved.abs().max() <= SIZE // 8
    assert len(moved.unique()) > 1


def test_flip_shift_also_mirrors():
    columns = views("flip_shift")[:, 0, 0]
    is_mirrored = columns[:, SIZE // 2 + 5] < columns[:, SIZE // 2 - 5]
    assert 0 < is_mirrored.sum() < len(columns)


def test_crop_of_a_large_picture_magnifies():
    step = views("crop")[:, 0, 0].diff(dim=1).abs().mean(dim=1)
    assert (step < 0.95).any()
    assert (step > 0.42).all()  # at least a quarter of the area, up to proportions of 4 to 3


def test_unknown_kind_is_refused():
    with pytest.raises(OptionError, match=r"augmentation must be one of flip_crop, .* got 'twist'"):
        TrainOptions(augmentation="twist")
