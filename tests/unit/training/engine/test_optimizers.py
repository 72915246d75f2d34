"""Learning rates, decay and momentum of every group of parameters, and the schedules."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from anybit.training import OptimizerOptions, presets_of
from anybit.training.engine.optimizers import (
    learning_rate_factor,
    make_network_optimizer,
    make_quantizer_optimizer,
    set_learning_rates,
)


class Proxies(nn.Module):
    def __init__(self):
        super().__init__()
        self.proxies = nn.Parameter(torch.zeros(2, 3))


def model(is_pretrained):
    return SimpleNamespace(
        backbone=nn.Linear(4, 3),
        head=nn.Linear(3, 3),
        quantizer=nn.Linear(3, 2),
        is_backbone_pretrained=is_pretrained,
    )


def groups(options, *, is_pretrained=True, is_head_only=False):
    """Return (rate, decay) of the backbone's and the head's weight and bias, and of the proxies."""
    network, objective = model(is_pretrained), Proxies()
    made = make_network_optimizer(network, objective, options, is_head_only=is_head_only)
    found = {}
    for group in made.param_groups:
        assert group["initial_lr"] == group["lr"]
        for parameter in group["params"]:
            found[id(parameter)] = (group["lr"], group["weight_decay"])
    wanted = (
        network.backbone.weight,
        network.backbone.bias,
        network.head.weight,
        network.head.bias,
        objective.proxies,
    )
    return [found.get(id(parameter)) for parameter in wanted], made


FACTORS = OptimizerOptions(
    "adamw",
    0.5,
    pretrained_factor=0.1,
    bias_factor=2.0,
    pretrained_bias_factor=3.0,
    weight_decay=0.01,
)


def test_each_group_has_its_factor_and_biases_no_decay():
    found, _ = groups(FACTORS)
    np.testing.assert_allclose(
        found, [(0.05, 0.01), (0.15, 0), (0.5, 0.01), (1.0, 0), (0.5, 0.01)], rtol=1e-12
    )  # float64 products


def test_a_backbone_from_scratch_is_as_new_as_the_head():
    found, _ = groups(FACTORS, is_pretrained=False)
    assert found == [(0.5, 0.01), (1.0, 0), (0.5, 0.01), (1.0, 0), (0.5, 0.01)]


def test_the_head_alone_leaves_the_backbone_out():
    found, _ = groups(FACTORS, is_head_only=True)
    assert found[:2] == [None, None]
    assert found[2:] == [(0.5, 0.01), (1.0, 0), (0.5, 0.01)]


@pytest.mark.parametrize(
    ("kind", "known"),
    [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)],
)
def test_kind_names_the_optimizer(kind, known):
    assert type(groups(OptimizerOptions(kind))[1]) is known


@pytest.mark.parametrize("is_nesterov", [True, False])
def test_momentum_is_that_of_nesterov_or_plain(is_nesterov):
    _, made = groups(OptimizerOptions("sgd", is_nesterov=is_nesterov))
    assert {(one["momentum"], one["nesterov"]) for one in made.param_groups} == {(0.9, is_nesterov)}


def test_the_quantizer_has_adam_and_a_rate_of_its_own():
    made = make_quantizer_optimizer(model(True), OptimizerOptions(quantizer_learning_rate=0.03))
    assert type(made) is torch.optim.Adam
    (group,) = made.param_groups
    assert (group["lr"], group["initial_lr"], len(group["params"])) == (0.03, 0.03, 2)


@pytest.mark.parametrize(
    ("schedule", "steps", "factors"),
    [
        ("constant", (0, 20_000), (1, 1)),
        ("step", (0, 9_999, 10_000, 20_000), (1, 1, 0.9, 0.81)),
        ("halving", (499, 500, 1000), (1, 0.5, 0.25)),
        ("one_cycle", (0, 15, 30, 100, 199, 200), (0.05, 0.525, 1, 10 / 17, 1 / 170, 0.005)),
    ],
)
def test_schedules(schedule, steps, factors):
    found = [learning_rate_factor(step, 200, schedule) for step in steps]
    np.testing.assert_allclose(found, factors, rtol=1e-12)  # float64 arithmetic


def test_a_factor_scales_the_base_rate_of_every_group():
    _, made = groups(FACTORS)
    for factor in (0.5, 0.25):
        set_learning_rates((made,), factor)
        for group in made.param_groups:
            assert group["lr"] == factor * group["initial_lr"]


@pytest.mark.parametrize(
    ("method", "rates"),
    [("drq", (0.0005, 0.001, 0.005, 0.01)), ("dqn", (0.002, 0.004, 0.02, 0.04))],
)
def test_official_multiplies_rates_as_the_authors_code(method, rates):
    """Of the sum of both losses: x1/2, x1, x5, x10 in DRQ's; x1, x2, x10, x20 in DQN's."""
    options = presets_of(method)["official"].fine_tune
    found, made = groups(options)
    np.testing.assert_allclose([rate for rate, _ in found[:4]], rates, rtol=1e-12)
    assert {(one["momentum"], one["nesterov"]) for one in made.param_groups} == {(0.9, False)}
    assert not presets_of(method)["official"].scratch.is_nesterov
