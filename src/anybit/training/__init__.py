"""Training: losses, presets, the three stages, checkpoints and logs."""

from anybit.training.losses import (
    adaptive_margin_loss,
    cosine_softmax_loss,
    distortion_losses,
    joint_central_loss,
    triplet_loss,
)
from anybit.training.options import (
    PRESETS,
    LossOptions,
    OptimizerOptions,
    Preset,
    TrainOptions,
)
from anybit.training.train import train

__all__ = [
    "PRESETS",
    "LossOptions",
    "OptimizerOptions",
    "Preset",
    "TrainOptions",
    "adaptive_margin_loss",
    "cosine_softmax_loss",
    "distortion_losses",
    "joint_central_loss",
    "train",
    "triplet_loss",
]
