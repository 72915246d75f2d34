"""Optimisers and learning-rate schedules of the network and of the quantiser."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer

from anybit.models import ImageModel
from anybit.training.engine.presets import OptimizerOptions

__all__ = [
    "learning_rate_factor",
    "make_network_optimizer",
    "make_quantizer_optimizer",
    "set_learning_rates",
]


def make_network_optimizer(
    model: ImageModel,
    objective: nn.Module,
    options: OptimizerOptions,
    *,
    is_head_only: bool = False,
) -> Optimizer:
    """Return the optimiser of backbone, head and the objective's own parameters.

    The backbone is left out when `is_head_only`. Each parameter group remembers its base rate as
    ``initial_lr``.
    """
    rate = options.learning_rate
    backbone_rate, backbone_bias_factor = rate, options.bias_factor
    if model.is_backbone_pretrained:
        backbone_rate *= options.pretrained_factor
        backbone_bias_factor = options.pretrained_bias_factor
    new = [*model.head.named_parameters(), *objective.named_parameters()]
    backbone = [] if is_head_only else [*model.backbone.named_parameters()]
    groups = []
    for named, base, bias_factor in (
        (backbone, backbone_rate, backbone_bias_factor),
        (new, rate, options.bias_factor),
    ):
        for is_bias in (False, True):
            chosen = [
                p for name, p in named if name.endswith("bias") == is_bias and p.requires_grad
            ]
            if chosen:
                factor = bias_factor if is_bias else 1.0
                decay = 0.0 if is_bias else options.weight_decay
                groups.append(
                    {
                        "params": chosen,
                        "lr": base * factor,
                        "initial_lr": base * factor,
                        "weight_decay": decay,
                    }
                )
    if options.kind == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=options.is_nesterov)
    if options.kind == "adamw":
        return torch.optim.AdamW(groups)
    return torch.optim.Adam(groups)


def make_quantizer_optimizer(model: ImageModel, options: OptimizerOptions) -> Optimizer:
    """Return the optimiser of the quantiser's parameters: Adam, whatever the network's is."""
    rate = options.quantizer_learning_rate
    return torch.optim.Adam(
        [{"params": list(model.quantizer.parameters()), "lr": rate, "initial_lr": rate}]
    )


def learning_rate_factor(step: int, n_steps: int, schedule: str) -> float:
    """Return the factor on the base rates at a step counted from 0."""
    if schedule == "step":
        return float(0.9 ** (step // 10_000))
    if schedule == "halving":
        return float(0.5 ** (step // 500))
    if schedule == "one_cycle":
        warm_up = max(1, round(0.15 * n_steps))
        if step < warm_up:
            return 0.05 + 0.95 * step / warm_up
        return max(0.005, 1 - (step - warm_up) / max(1, n_steps - warm_up))
    return 1.0


def set_learning_rates(optimizers: tuple[Optimizer, ...], factor: float) -> None:
    """Scale every group's base rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
