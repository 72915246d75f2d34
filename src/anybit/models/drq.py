"""Deep Recurrent Quantization: backbone, head, and one codebook reused at every level."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from anybit.errors import FormatError
from anybit.models.backbones import BackboneConfig
from anybit.models.head import ConcatHead, HeadLayers
from anybit.models.image_model import UNTOLD_DEFAULT, ImageModel
from anybit.models.recurrent import QuantizerConfig, RecurrentOutput, RecurrentQuantization

__all__ = ["DRQ", "DRQConfig"]


@dataclass(frozen=True)
class DRQConfig:
    """Architecture of a DRQ model.

    Parameters
    ----------
    backbone : BackboneConfig
    quantizer : QuantizerConfig
    head_dims : tuple of int
        Sizes of the intermediate layer and of the embedding.
    is_head_nonlinear : bool
        Rectifier, dropout and tanh of the authors' code.
    is_unit_length : bool
        Scale both parts of the feature to the same length, the whole to 1.
    is_concatenated : bool
        The feature is both layers of the head side by side; the embedding alone otherwise.
    head_layers : {"both", "wide", "embedding", "none"}
        Layers of the head; see `ConcatHead`.
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)
    head_dims: tuple[int, int] = (1748, 300)
    is_head_nonlinear: bool = False
    is_unit_length: bool = False
    is_concatenated: bool = True
    head_layers: HeadLayers = field(default="both", metadata=UNTOLD_DEFAULT)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> DRQConfig:
        """Read what ``dataclasses.asdict`` wrote to JSON."""
        try:
            return cls(
                BackboneConfig(**settings["backbone"]),
                QuantizerConfig(**settings["quantizer"]),
                tuple(settings["head_dims"]),
                settings["is_head_nonlinear"],
                settings["is_unit_length"],
                settings.get("is_concatenated", True),  # models of 0.1 do not say
                settings.get("head_layers", "both"),
            )
        except (KeyError, TypeError) as cause:
            raise FormatError(f"config.json must describe a DRQ model: {cause}.") from cause


class DRQ(ImageModel):
    """Deep Recurrent Quantization.

    Parameters
    ----------
    config : DRQConfig
    weights : Path, optional
        Local file with the backbone's pretrained weights.
    is_pretrained : bool
        Fetch pretrained weights (needs network access).

    Attributes
    ----------
    backbone : Module
        Image (B, 3, H, W) to feature (B, D_b).
    head : ConcatHead
        Feature to x (B, D), the vector that is quantised, and z, its semantic part.
    quantizer : RecurrentQuantization
        x to codes (M, B).

    References
    ----------
    Song, Zhu, Gao, Xu, Shen, "Deep Recurrent Quantization for Generating Sequential Binary
    Codes", IJCAI 2019.
    """

    methods = ("drq",)
    config_class = DRQConfig
    config: DRQConfig
    head: ConcatHead
    quantizer: RecurrentQuantization

    def __init__(
        self, config: DRQConfig, *, weights: Path | None = None, is_pretrained: bool = False
    ) -> None:
        super().__init__(config, weights=weights, is_pretrained=is_pretrained)
        self.config = config
        self.head = ConcatHead(
            self.backbone_dim,
            config.head_dims,
            is_nonlinear=config.is_head_nonlinear,
            is_unit_length=config.is_unit_length,
            is_concatenated=config.is_concatenated,
            layers=config.head_layers,
        )
        self.quantizer = RecurrentQuantization(self.head.dim, config.quantizer)

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (B, 3, H, W) to x (B, D) and z (B, D_z)."""
        out: tuple[Tensor, Tensor] = self.head(self.backbone(images))
        return out

    def vectors(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to the vectors x that are quantised, (B, D)."""
        return self.embed(images)[0]

    def forward(self, images: Tensor) -> RecurrentOutput:
        """Map images (B, 3, H, W) to the reconstructions and codes of every prefix."""
        out: RecurrentOutput = self.quantizer(self.vectors(images))
        return out
