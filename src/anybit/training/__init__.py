"""Training: the methods by name, their presets and losses, and `train`.

What needs torch is loaded when it is first used: the names of the methods do without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from anybit.training.registry import AUTO_IMAGE_METHOD, IMAGE_METHODS, ImageMethod, image_method

if TYPE_CHECKING:
    from anybit.training.engine.definition import MethodDefinition, presets_of, resolved_preset
    from anybit.training.engine.method import BaseMethod, BatchOutputs, Method
    from anybit.training.engine.presets import OptimizerOptions, Preset
    from anybit.training.engine.train_options import Augmentation, TrainOptions
    from anybit.training.methods.dqn import (
        DQNLossOptions,
        DQNPreset,
        pairwise_cosine_loss,
        pairwise_inner_product_loss,
    )
    from anybit.training.methods.drq.losses import (
        adaptive_margin_loss,
        cosine_softmax_loss,
        distortion_losses,
        joint_central_loss,
        triplet_loss,
    )
    from anybit.training.methods.drq.presets import DRQPreset, LossOptions
    from anybit.training.overview import MethodOverview, method_overviews, methods_page
    from anybit.training.train_source import train

__all__ = [
    "AUTO_IMAGE_METHOD",
    "IMAGE_METHODS",
    "Augmentation",
    "BaseMethod",
    "BatchOutputs",
    "DQNLossOptions",
    "DQNPreset",
    "DRQPreset",
    "ImageMethod",
    "LossOptions",
    "Method",
    "MethodDefinition",
    "MethodOverview",
    "OptimizerOptions",
    "Preset",
    "TrainOptions",
    "adaptive_margin_loss",
    "cosine_softmax_loss",
    "distortion_losses",
    "image_method",
    "joint_central_loss",
    "method_overviews",
    "methods_page",
    "pairwise_cosine_loss",
    "pairwise_inner_product_loss",
    "presets_of",
    "resolved_preset",
    "train",
    "triplet_loss",
]

_MODULE_OF = {
    "Augmentation": "engine.train_options",
    "BaseMethod": "engine.method",
    "BatchOutputs": "engine.method",
    "DQNLossOptions": "methods.dqn",
    "DQNPreset": "methods.dqn",
    "DRQPreset": "methods.drq.presets",
    "LossOptions": "methods.drq.presets",
    "Method": "engine.method",
    "MethodDefinition": "engine.definition",
    "MethodOverview": "overview",
    "OptimizerOptions": "engine.presets",
    "Preset": "engine.presets",
    "TrainOptions": "engine.train_options",
    "adaptive_margin_loss": "methods.drq.losses",
    "cosine_softmax_loss": "methods.drq.losses",
    "distortion_losses": "methods.drq.losses",
    "joint_central_loss": "methods.drq.losses",
    "method_overviews": "overview",
    "methods_page": "overview",
    "pairwise_cosine_loss": "methods.dqn",
    "pairwise_inner_product_loss": "methods.dqn",
    "presets_of": "engine.definition",
    "resolved_preset": "engine.definition",
    "train": "train_source",
    "triplet_loss": "methods.drq.losses",
}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"anybit.training.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'anybit.training' has no attribute {name!r}")
