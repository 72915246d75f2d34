"""Torch modules: backbones, the head of the papers, the recurrent quantiser, and DRQ itself."""

from anybit.models.backbones import Backbone, BackboneConfig, build_backbone
from anybit.models.drq import DRQ, DRQConfig
from anybit.models.head import ConcatHead
from anybit.models.recurrent import (
    QuantizerConfig,
    RecurrentOutput,
    RecurrentQuantization,
)
from anybit.models.resnet_small import ResNetSmall

__all__ = [
    "DRQ",
    "Backbone",
    "BackboneConfig",
    "ConcatHead",
    "DRQConfig",
    "QuantizerConfig",
    "RecurrentOutput",
    "RecurrentQuantization",
    "ResNetSmall",
    "build_backbone",
]
