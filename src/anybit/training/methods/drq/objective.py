"""The losses of DRQ's three stages."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anybit.models import RecurrentQuantization
from anybit.training.engine.stages import Stage
from anybit.training.methods.drq.losses import (
    adaptive_margin_loss,
    cosine_softmax_loss,
    distortion_losses,
    joint_central_loss,
    triplet_loss,
)
from anybit.training.methods.drq.presets import DRQPreset, LossOptions

__all__ = ["ALL_LEVELS", "Objective"]

ALL_LEVELS = Stage(DRQPreset.stages[2], 3)
"""The last stage."""


class Objective(nn.Module):
    """The sum of losses of a stage of DRQ.

    Parameters
    ----------
    options : LossOptions
    label_vectors : Tensor of shape (C, D_z)
    dim : int
        Dimension D of x, for the class proxies.

    References
    ----------
    Song et al., IJCAI 2019, section 3.3 (as reconstructed): features first, then with one level,
    then everything.
    """

    def __init__(self, options: LossOptions, label_vectors: Tensor, dim: int) -> None:
        super().__init__()
        self.options = options
        self.label_vectors: Tensor
        self.register_buffer("label_vectors", label_vectors)
        n_proxies = len(label_vectors) if options.classification_weight > 0 else 0
        self.proxies = nn.Parameter(torch.empty(n_proxies, dim))
        self.start_proxies()

    def start_proxies(self) -> None:
        """Give the class proxies random directions."""
        nn.init.normal_(self.proxies, std=self.proxies.shape[1] ** -0.5)

    def similarity(self, x: Tensor, z: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the weighted losses of x (B, D) and z (B, D_z) under labels (B, C)."""
        options, losses = self.options, {}
        if options.margin_weight > 0:
            margin = adaptive_margin_loss(
                z, self.label_vectors, labels, is_masked=options.is_margin_masked
            )
            losses["margin"] = options.margin_weight * margin
        if options.triplet_weight > 0:
            # As in the authors' code distances are between unit vectors, whatever x is.
            unit = nn.functional.normalize(x)
            triplet = triplet_loss(unit, labels, options.triplet_margin, options.mining)
            losses["triplet"] = options.triplet_weight * triplet
        if options.classification_weight > 0:
            classification = cosine_softmax_loss(
                x, self.proxies, labels, sharpness=options.sharpness
            )
            losses["classification"] = options.classification_weight * classification
        return losses

    def quantization(
        self, x: Tensor, quantizer: RecurrentQuantization, stage: Stage, step: int
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the weighted quantisation losses and the codes (L, B)."""
        options = self.options
        if not options.is_end_to_end:
            x = x.detach()
        takes_turns = options.is_first_level_separate and stage.number == 3
        is_one_level = stage.number == 2 or (takes_turns and step % 2 == 0)
        output = quantizer(x, 1 if is_one_level else quantizer.config.n_levels)
        soft, hard = distortion_losses(x, output, options.reduction)
        if takes_turns and len(soft) > 1:
            soft, hard = soft[1:], hard[1:]
        weight = options.quantization_weight
        losses = {
            "soft_distortion": weight * options.soft_weight * soft.sum(),
            "hard_distortion": weight * options.hard_weight * hard.sum(),
        }
        if options.central_weight > 0:
            central = joint_central_loss(output, options.reduction)
            losses["central"] = weight * options.central_weight * central
        return losses, output.codes
