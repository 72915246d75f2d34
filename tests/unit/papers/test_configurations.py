"""Methods, ablations and recipes: each takes away what its name says, and nothing else."""

from dataclasses import asdict

import pytest
import torch

from anybit.errors import OptionError
from anybit.models import QuantizerConfig, RecurrentQuantization
from anybit.papers import configuration, recipe
from anybit.papers.runs.configurations import ABLATIONS, CONFIGURATIONS
from anybit.training import TrainOptions, resolved_preset
from anybit.training.methods.drq.objective import ALL_LEVELS, Objective

FULL = {"margin", "triplet", "soft_distortion", "hard_distortion", "central"}
REMOVED = {
    "drq-unsupervised": {"margin", "triplet"},
    "drq-no-margin": {"margin"},
    "drq-no-triplet": {"triplet"},
    "drq-hard-only": {"soft_distortion"},
    "drq-soft-only": {"hard_distortion"},
    "drq-no-central": {"central"},
    "drq-no-concat": set(),
    "drq-paper-losses": set(),
}


def preset_of(name):
    return resolved_preset(
        TrainOptions(method="drq", preset_overrides=configuration(name).overrides)
    )


@pytest.mark.parametrize("name", ABLATIONS)
@pytest.mark.parametrize("preset", ["anybit", "paper"])
def test_an_ablation_has_the_papers_losses_but_the_one_it_names(name, preset):
    overrides = configuration(name).overrides
    options = TrainOptions(method="drq", preset=preset, preset_overrides=overrides)
    losses = resolved_preset(options).losses
    torch.manual_seed(0)
    x, labels = (
        torch.randn(12, 6, requires_grad=True),
        torch.eye(3, dtype=torch.bool)[[0, 1, 2] * 4],
    )
    objective = Objective(losses, torch.eye(3, 6), 6)
    quantizer = RecurrentQuantization(6, QuantizerConfig(n_levels=2, n_codewords=4))
    found = objective.similarity(x, x, labels)
    found |= objective.quantization(x, quantizer, ALL_LEVELS, 0)[0]
    assert {key for key, value in found.items() if value.item() != 0} == FULL - REMOVED[name]
    quantized = objective.quantization(x, quantizer, ALL_LEVELS, 0)[0]
    reaches_network = torch.stack(list(quantized.values())).sum().requires_grad and (
        torch.autograd.grad(
            torch.stack(list(quantized.values())).sum(), x, allow_unused=True
        )[0]
        is not None
    )  # fmt: skip
    assert reaches_network == (name != "drq-unsupervised")


def test_without_concatenation_is_a_matter_of_the_head():
    assert preset_of("drq-no-concat").head["is_concatenated"] is False
    assert all(
        preset_of(name).head.get("is_concatenated", True)
        for name in ABLATIONS
        if name != "drq-no-concat"
    )


def test_only_drq_serves_all_lengths_with_one_model():
    assert {name for name, one in CONFIGURATIONS.items() if not one.is_sequential} == {
        "dqn",
        "dqn2+",
        "dqnip",
    }


def test_a_recipe_is_that_of_the_protocol_with_single_fields_replaced():
    assert recipe("cpu", "cifar10-setting1").backbone == "resnet-small"
    assert not recipe("cpu", "cifar10-setting1").needs_weights
    base = recipe("cpu", "cifar10-setting2")
    assert base.needs_weights
    changed = recipe("cpu", "cifar10-setting2", input_px=96, epochs=None)
    assert asdict(changed) == {**asdict(base), "input_px": 96}


def test_recipe_paper_is_the_network_preset_and_size_of_the_papers():
    found = recipe("paper", "cifar10-setting1")
    assert (found.backbone, found.preset, found.input_px) == ("alexnet", "paper", 224)
    assert found.needs_weights


def test_distributed_parts_have_the_recipes_of_their_setting():
    for name in ("cpu", "full", "modern", "paper"):
        for setting in ("cifar10-setting1", "cifar10-setting2"):
            assert recipe(name, f"{setting}-parts") == recipe(name, setting)


def test_another_backbone_does_not_get_the_options_of_the_recipes_own():
    small = recipe("cpu", "cifar10-setting1")
    other = recipe("cpu", "cifar10-setting1", backbone="squeezenet1_0")
    assert small.backbone_options
    assert other.backbone_options == {}
    mobile = recipe("cpu", "cifar10-setting2", backbone="mobilenetv2_100")
    assert (mobile.backbone, mobile.input_mean) == ("timm:mobilenetv2_100", 0.5)


def test_unknown_names_are_refused_with_those_there_are():
    with pytest.raises(OptionError, match="drq-no-triplet"):
        configuration("drq-no-nothing")
    with pytest.raises(OptionError, match="cpu, full, modern, paper, quick"):
        recipe("fast", "cifar10-setting1")
