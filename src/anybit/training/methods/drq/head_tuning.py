"""A new head for the finished backbone, trained on the pictures as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from anybit.models import DRQ
from anybit.training.engine.optimizers import (
    learning_rate_factor,
    make_network_optimizer,
    make_quantizer_optimizer,
    set_learning_rates,
)
from anybit.training.engine.presets import OptimizerOptions
from anybit.training.methods.drq.objective import ALL_LEVELS, Objective

__all__ = ["HeadSchedule", "tune_head"]


@dataclass(frozen=True)
class HeadSchedule:
    """How long a new head is trained, and how.

    Parameters
    ----------
    update : OptimizerOptions
        How the head is updated, over one cycle of the learning rate.
    n_epochs : int
        The last quarter (at least one, if there are two) has all losses of the last stage.
    batch_size, seed : int
    """

    update: OptimizerOptions
    n_epochs: int
    batch_size: int
    seed: int

    @property
    def n_last(self) -> int:
        """Epochs at the end with the losses of quantisation."""
        return max(1, self.n_epochs // 4) if self.n_epochs > 1 else 0


def tune_head(
    model: DRQ,
    objective: Objective,
    features: Tensor,
    labels: Tensor,
    schedule: HeadSchedule,
    start_quantizer: Callable[[Tensor], None],
) -> None:
    """Train a new head on a finished backbone, first for similarity, last with the quantiser.

    The head that led the backbone has seen every picture many times and in random views only: it
    is sure of the training pictures and ranks others worse than a new one that is trained briefly
    on the views that will be searched. That takes one pass of the backbone and some seconds.

    Parameters
    ----------
    model : DRQ
    objective : Objective
        Its class proxies start anew, too.
    features : Tensor of shape (N, D_backbone), float32
        Of the backbone, without random views.
    labels : Tensor of shape (N, C), bool
    schedule : HeadSchedule
    start_quantizer : callable
        Takes x (N, D) of all features and starts codebook and scales from it.

    References
    ----------
    Kang et al., "Decoupling representation and classifier", ICLR 2020 (a classifier trained anew).
    """
    n_items = len(features)
    size, n_epochs = min(schedule.batch_size, n_items), schedule.n_epochs
    steps_per_epoch = n_items // size
    generator = torch.Generator().manual_seed(schedule.seed)
    with torch.random.fork_rng():
        torch.manual_seed(schedule.seed)
        model.head.reset_parameters()
        objective.start_proxies()
    optimizers = (
        make_network_optimizer(model, objective, schedule.update, is_head_only=True),
        make_quantizer_optimizer(model, schedule.update),
    )
    model.head.train()
    for epoch in range(n_epochs):
        is_last = epoch >= n_epochs - schedule.n_last
        if epoch == n_epochs - schedule.n_last:
            with torch.no_grad():
                start_quantizer(model.head(features)[0])
        order = torch.randperm(n_items, generator=generator)
        for number in range(steps_per_epoch):
            rows = order[number * size : (number + 1) * size].to(features.device)
            step = epoch * steps_per_epoch + number
            factor = learning_rate_factor(step, n_epochs * steps_per_epoch, "one_cycle")
            set_learning_rates(optimizers, factor)
            x, z = model.head(features[rows])
            losses = objective.similarity(x, z, labels[rows])
            if is_last:
                losses |= objective.quantization(x, model.quantizer, ALL_LEVELS, step)[0]
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(torch.stack(list(losses.values())).sum())
            for optimizer in optimizers:
                optimizer.step()
    model.head.eval()
