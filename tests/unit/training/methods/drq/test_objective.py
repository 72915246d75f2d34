"""Which losses of quantisation count in which stage, at which step, with which weight."""

from dataclasses import replace

import pytest
import torch

from anybit.models import QuantizerConfig, RecurrentQuantization
from anybit.training import distortion_losses, joint_central_loss
from anybit.training.engine.stages import Stage
from anybit.training.methods.drq.objective import ALL_LEVELS, Objective
from anybit.training.methods.drq.presets import LossOptions

ONE_LEVEL = Stage("one level", 2)
PLAIN = LossOptions(quantization_weight=0.5, hard_weight=3.0, soft_weight=2.0, central_weight=0.25)
TURNS = replace(PLAIN, is_first_level_separate=True, reduction="mean")


@pytest.fixture
def quantizer():
    torch.manual_seed(2)
    block = RecurrentQuantization(5, QuantizerConfig(3, 4, has_offset=False)).double()
    with torch.no_grad():
        block.codebook.normal_()
    return block


@pytest.fixture
def x(rng):
    return torch.tensor(rng.standard_normal((7, 5)), requires_grad=True)


def found(options, x, quantizer, stage, step=0):
    losses, codes = Objective(options, torch.eye(3, 5), 5).quantization(x, quantizer, stage, step)
    return {name: float(value.detach()) for name, value in losses.items()}, len(codes)


@torch.no_grad()
def wanted(options, x, quantizer, levels):
    """The losses over the distortions of some prefixes, L_JCL at the last of them."""
    output = quantizer(x, levels.stop)
    soft, hard = distortion_losses(x, output, options.reduction)
    central = joint_central_loss(output, options.reduction)
    return {
        "soft_distortion": float(0.5 * 2.0 * soft[levels].sum()),
        "hard_distortion": float(0.5 * 3.0 * hard[levels].sum()),
        "central": float(0.5 * 0.25 * central),
    }


@pytest.mark.parametrize("options", [PLAIN, TURNS], ids=["paper", "official"])
@pytest.mark.parametrize("step", [0, 1])
def test_stage_2_has_level_1_alone(options, x, quantizer, step):
    losses, n_levels = found(options, x, quantizer, ONE_LEVEL, step)
    assert losses == pytest.approx(wanted(options, x, quantizer, slice(0, 1)), rel=1e-12)
    assert n_levels == 1


@pytest.mark.parametrize("step", [0, 1])
def test_stage_3_of_the_paper_sums_over_all_prefixes(x, quantizer, step):
    losses, n_levels = found(PLAIN, x, quantizer, ALL_LEVELS, step)
    assert losses == pytest.approx(wanted(PLAIN, x, quantizer, slice(0, 3)), rel=1e-12)
    assert n_levels == 3


def test_stage_3_of_the_authors_code_takes_turns_and_both_have_the_central_loss(x, quantizer):
    turns = [found(TURNS, x, quantizer, ALL_LEVELS, step)[0] for step in (0, 1)]
    assert turns[0] == pytest.approx(wanted(TURNS, x, quantizer, slice(0, 1)), rel=1e-12)
    assert turns[1] == pytest.approx(wanted(TURNS, x, quantizer, slice(1, 3)), rel=1e-12)
    assert turns[0]["central"] > 0


@pytest.mark.parametrize("step", [0, 1])
def test_turns_of_a_single_level_are_alike(x, step):
    block = RecurrentQuantization(5, QuantizerConfig(1, 4, has_offset=False)).double()
    losses, _ = found(TURNS, x, block, ALL_LEVELS, step)
    assert losses == pytest.approx(wanted(TURNS, x, block, slice(0, 1)), rel=1e-12)


@pytest.mark.parametrize("is_end_to_end", [True, False])
def test_losses_reach_the_network_only_end_to_end(x, quantizer, is_end_to_end):
    objective = Objective(replace(PLAIN, is_end_to_end=is_end_to_end), torch.eye(3, 5), 5)
    losses, _ = objective.quantization(x, quantizer, ALL_LEVELS, 0)
    torch.stack(list(losses.values())).sum().backward()
    assert (x.grad is not None) == is_end_to_end
    assert quantizer.codebook.grad.abs().max() > 0
