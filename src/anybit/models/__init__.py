"""Torch modules: backbones, heads, quantiser blocks, and the models made of them."""

from anybit.models.backbones import (
    Backbone,
    BackboneConfig,
    StartsFromImages,
    build_backbone,
)
from anybit.models.code_model import CodeModel, CodeModelConfig
from anybit.models.dqn import DQN, DQNConfig, DQNVariant
from anybit.models.drq import DRQ, DRQConfig
from anybit.models.frozen import FrozenConfig, FrozenModel
from anybit.models.head import ConcatHead, LinearHead
from anybit.models.image_model import ImageModel, ModelConfig
from anybit.models.loading import load_model
from anybit.models.onnx_graph import onnx_graph
from anybit.models.product import ProductConfig, ProductOutput, ProductQuantization
from anybit.models.quantizer_block import QuantizerBlock
from anybit.models.recurrent import (
    QuantizerConfig,
    RecurrentOutput,
    RecurrentQuantization,
)
from anybit.models.resnet_small import ResNetSmall
from anybit.models.sign import SignConfig, SignOutput, SignQuantization

__all__ = [
    "DQN",
    "DRQ",
    "Backbone",
    "BackboneConfig",
    "CodeModel",
    "CodeModelConfig",
    "ConcatHead",
    "DQNConfig",
    "DQNVariant",
    "DRQConfig",
    "FrozenConfig",
    "FrozenModel",
    "ImageModel",
    "LinearHead",
    "ModelConfig",
    "ProductConfig",
    "ProductOutput",
    "ProductQuantization",
    "QuantizerBlock",
    "QuantizerConfig",
    "RecurrentOutput",
    "RecurrentQuantization",
    "ResNetSmall",
    "SignConfig",
    "SignOutput",
    "SignQuantization",
    "StartsFromImages",
    "build_backbone",
    "load_model",
    "onnx_graph",
]
