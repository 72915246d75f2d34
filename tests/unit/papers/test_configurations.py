"""Methods, ablations and recipes: each takes away what its name says, and nothing else."""

from dataclasses import asdict, replace

import pytest
import torch

from anybit.errors import OptionError
from anybit.models import QuantizerConfig, RecurrentQuantization
from anybit.papers import configuration, protocol, recipe
from anybit.papers.runs.configurations import ABLATIONS, CONFIGURATIONS
from anybit.papers.runs.run import Run
from anybit.training import TrainOptions, presets_of, resolved_preset
from anybit.training.methods.drq.objective import ALL_LEVELS, Objective

FULL = {"margin", "triplet", "soft_distortion", "hard_distortion", "central"}
QUICK = recipe("quick", "cifar10-setting2")
REMOVED = {
    "drq-unsupervised": {"margin", "triplet"},
    "drq-no-margin": {"margin"},
    "drq-no-triplet": {"triplet"},
    "drq-hard-only": {"soft_distortion", "central"},
    "drq-no-central": {"central"},
    "drq-no-concat": set(),
    "drq-paper": set(),
    "drq-soft-only": {"hard_distortion", "central"},
}
HEADS = {
    "drq-unsupervised": {"head_layers": "none"},
    "drq-no-margin": {"head_layers": "wide", "head_dims": [2048, 300]},
    "drq-no-triplet": {"head_layers": "embedding"},
    "drq-no-concat": {"is_concatenated": False},
}


def preset_of(name):
    one = configuration(name)
    return resolved_preset(
        TrainOptions(method="drq", preset=one.preset, preset_overrides=one.overrides)
    )


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_has_the_papers_losses_but_the_ones_it_names(name):
    losses = preset_of(name).losses
    torch.manual_seed(0)
    x, labels = (
        torch.randn(12, 6, requires_grad=True),
        torch.eye(3, dtype=torch.bool)[[0, 1, 2] * 4],
    )
    objective = Objective(losses, torch.eye(3, 6), 6)
    quantizer = RecurrentQuantization(6, QuantizerConfig(n_levels=2, n_codewords=4))
    found = objective.similarity(x, x, labels)
    quantized = objective.quantization(x, quantizer, ALL_LEVELS, 0)[0]
    found |= quantized
    assert {key for key, value in found.items() if value.item() != 0} == FULL - REMOVED[name]
    total = torch.stack(list(quantized.values())).sum()
    (reached,) = torch.autograd.grad(total, x, allow_unused=True)
    assert (reached is not None) == (name != "drq-unsupervised")


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_is_preset_paper_with_the_head_of_its_row(name):
    found, whole = preset_of(name), presets_of("drq")["paper"]
    assert found.head == {**whole.head, **HEADS.get(name, {})}
    assert replace(found, losses=whole.losses, head=whole.head) == whole


def test_ablations_have_the_order_of_the_papers_table_and_name_what_is_ours():
    titles = [configuration(name).title for name in ABLATIONS]
    assert titles[:3] == ["Unsupervised", "Remove L_A", "Remove L_T"]
    assert [title for title in titles if "ours" in title] == ["Only the soft branch (ours)"]


def test_an_ablation_has_preset_paper_under_every_recipe():
    run = Run(protocol("cifar10-setting2"), configuration("drq-no-central"), QUICK, (32,), 0)
    assert run.recipe.preset == "anybit"
    assert run.train_options().preset == "paper"
    assert replace(run, configuration=configuration("drq")).train_options().preset == "anybit"


def test_a_configuration_without_a_preset_is_described_as_in_0_1():
    assert set(configuration("drq").describe()) == {
        "name", "title", "method", "overrides", "is_supervised"
    }  # fmt: skip
    assert configuration("drq-paper").describe()["preset"] == "paper"


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
