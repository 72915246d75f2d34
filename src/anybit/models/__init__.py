"""Torch modules: backbones, heads, the two quantisers, DRQ and DQN."""

from anybit.models.backbones import (
    Backbone,
    BackboneConfig,
    StartsFromImages,
    build_backbone,
)
from anybit.models.dqn import DQN, DQNConfig, DQNVariant
from anybit.models.drq import DRQ, DRQConfig
from anybit.models.head import ConcatHead
from anybit.models.image_model import ImageModel, ModelConfig
from anybit.models.loading import load_model
from anybit.models.onnx_graph import onnx_graph
from anybit.models.product import ProductConfig, ProductOutput, ProductQuantization
from anybit.models.recurrent import (
    QuantizerConfig,
    RecurrentOutput,
    RecurrentQuantization,
)
from anybit.models.resnet_small import ResNetSmall

__all__ = [
    "DQN",
    "DRQ",
    "Backbone",
    "BackboneConfig",
    "ConcatHead",
    "DQNConfig",
    "DQNVariant",
    "DRQConfig",
    "ImageModel",
    "ModelConfig",
    "ProductConfig",
    "ProductOutput",
    "ProductQuantization",
    "QuantizerConfig",
    "RecurrentOutput",
    "RecurrentQuantization",
    "ResNetSmall",
    "StartsFromImages",
    "build_backbone",
    "load_model",
    "onnx_graph",
]
