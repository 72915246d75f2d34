"""Pictures grow to their full size, unless the network takes one size only."""

from dataclasses import replace
from types import SimpleNamespace

import torch
from torch import nn

from anybit.models import ResNetSmall
from anybit.training import Preset, presets_of, train
from anybit.training.engine.growing_sizes import GrowingSizes


def model(px, backbone=None):
    return SimpleNamespace(input_px=px, backbone=backbone or nn.Conv2d(3, 1, 3))


def test_sizes_grow_over_most_of_the_first_stage_in_steps_of_4():
    sizes = GrowingSizes(model(32), Preset("p", None, first_scale=0.5, epochs=(10, 1, 1)))
    assert [sizes.size_px(epoch) for epoch in range(12)] == [
        16, 20, 20, 24, 24, 28, 28, 32, 32, 32, 32, 32
    ]  # fmt: skip
    assert sizes.resized(torch.zeros(2, 3, 32, 32), 1).shape == (2, 3, 20, 20)
    full = torch.rand(2, 3, 32, 32)
    assert sizes.resized(full, 9) is full


def test_small_inputs_do_not_shrink():
    assert GrowingSizes(model(16), presets_of("drq")["anybit"]).size_px(0) == 16
    assert GrowingSizes(model(14), presets_of("drq")["anybit"]).size_px(0) == 14


def test_a_network_of_one_size_gets_no_other():
    class OneSize(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3 * 32 * 32, 4)

        def forward(self, images):
            return self.layer(images.flatten(1))

    backbone = OneSize().train()
    assert GrowingSizes(model(32, backbone), presets_of("drq")["anybit"]).size_px(0) == 32
    assert backbone.training


def test_full_size_pictures_are_left_alone():
    assert GrowingSizes(model(32), presets_of("drq")["paper"]).size_px(0) == 32


def test_a_run_shows_the_network_growing_pictures(source, options):
    seen = []

    def note(module, inputs):
        if isinstance(module, ResNetSmall) and module.training:
            seen.append(inputs[0].shape[2])

    hook = nn.modules.module.register_module_forward_pre_hook(note)
    try:
        overrides = {**options.preset_overrides, "first_scale": 0.6}
        train(source, replace(options, epochs=(4, 1, 1), preset_overrides=overrides))
    finally:
        hook.remove()
    assert seen[::3] == [16, 20, 24, 28, 28, 28]  # 3 steps an epoch
