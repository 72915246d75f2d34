"""Training: losses, presets, the loop that every method goes through, checkpoints and logs."""

from anybit.training.dqn_presets import DQN_PRESETS, DQNLossOptions, DQNPreset
from anybit.training.losses import (
    adaptive_margin_loss,
    cosine_softmax_loss,
    distortion_losses,
    joint_central_loss,
    triplet_loss,
)
from anybit.training.options import (
    PRESETS,
    Augmentation,
    LossOptions,
    OptimizerOptions,
    Preset,
    TrainOptions,
)
from anybit.training.pairwise_losses import (
    pairwise_cosine_loss,
    pairwise_inner_product_loss,
)
from anybit.training.train import train

__all__ = [
    "DQN_PRESETS",
    "PRESETS",
    "Augmentation",
    "DQNLossOptions",
    "DQNPreset",
    "LossOptions",
    "OptimizerOptions",
    "Preset",
    "TrainOptions",
    "adaptive_margin_loss",
    "cosine_softmax_loss",
    "distortion_losses",
    "joint_central_loss",
    "pairwise_cosine_loss",
    "pairwise_inner_product_loss",
    "train",
    "triplet_loss",
]
