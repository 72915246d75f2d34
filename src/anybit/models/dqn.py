"""Deep Quantization Network: features for cosine similarity, and product codes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from torch import Tensor

from anybit.errors import FormatError, OptionError
from anybit.models.backbones import BackboneConfig
from anybit.models.head import LinearHead
from anybit.models.image_model import ImageModel
from anybit.models.product import ProductConfig, ProductOutput, ProductQuantization

__all__ = ["DQN", "DQNConfig", "DQNVariant"]

DQNVariant: TypeAlias = Literal["dqn", "dqn2+", "dqnip"]
VARIANTS: tuple[DQNVariant, ...] = get_args(DQNVariant)


@dataclass(frozen=True)
class DQNConfig:
    """Architecture of a DQN model.

    Parameters
    ----------
    backbone : BackboneConfig
    quantizer : ProductConfig
        With a rotation for ``dqn2+``, whose codes are OPQ's.
    dim : int
        Dimension D of the bottleneck, a multiple of the subspaces M. 300 in the authors' code.
    is_unit_length : bool
        Scale the feature to length 1. Not in the paper: cosines leave the length free, and
        shrinking features would be a cheap way to a small quantisation loss.
    variant : {"dqn", "dqn2+", "dqnip"}
        The paper's DQN; its two-step variant, which learns features first and OPQ on them
        afterwards; the one with inner products instead of cosines in the loss.
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    quantizer: ProductConfig = field(default_factory=ProductConfig)
    dim: int = 300
    is_unit_length: bool = False
    variant: DQNVariant = "dqn"

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise OptionError(
                f"variant must be one of {', '.join(VARIANTS)}, got {self.variant!r}."
            )
        if self.variant == "dqnip" and self.is_unit_length:
            raise OptionError(
                "dqnip needs features of free length: inner products over D of unit vectors are "
                "almost 0. Pass is_unit_length=False."
            )
        if (self.variant == "dqn2+") != self.quantizer.has_rotation:
            raise OptionError(
                f"dqn2+ has a rotation and the others have none, got {self.variant} with "
                f"has_rotation={self.quantizer.has_rotation}."
            )

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> DQNConfig:
        """Read what ``dataclasses.asdict`` wrote to JSON."""
        try:
            return cls(
                BackboneConfig(**settings["backbone"]),
                ProductConfig(**settings["quantizer"]),
                settings["dim"],
                settings["is_unit_length"],
                settings["variant"],
            )
        except (KeyError, TypeError, OptionError) as cause:
            raise FormatError(f"config.json must describe a DQN model: {cause}.") from cause


class DQN(ImageModel):
    """Deep Quantization Network.

    The network learns z so that ``cos(z_i, z_j)`` tells whether two images share a label, and so
    that product codes describe z well: the sum ``L + lambda Q`` of eq. 3 and 4, minimised in turns
    over network, codebooks C and codes h (`anybit.training`). A query z_q is compared with a code
    by the asymmetric distance of eq. 5, ``AQD = sum_m |z_qm - C_m h_m|^2``: one table of (M, K)
    entries a query, M look-ups an item (`anybit.search`).

    Parameters
    ----------
    config : DQNConfig
    weights : Path, optional
        Local file with the backbone's pretrained weights.
    is_pretrained : bool
        Fetch pretrained weights (needs network access).

    Attributes
    ----------
    backbone : Module
        Image (B, 3, H, W) to feature (B, D_b): the layers of AlexNet up to fc7 in the paper.
    head : LinearHead
        Feature to z (B, D), the vector that is quantised: the paper's layer in the place of fc8.
    quantizer : ProductQuantization
        z to codes (M, B), one a subspace; they cannot be cut, and each length needs a model.

    Raises
    ------
    OptionError
        If D is no multiple of the subspaces M.

    Notes
    -----
    The quantisation error bounds that of the distance: ``|sqrt(AQD(q, x)) - |z_q - z_x|| <=
    |z_x - C h_x|``, by the triangle inequality. (Eq. 6 as printed mixes squared and plain
    distances.)

    References
    ----------
    Cao, Long, Wang, Zhu, Wen, "Deep Quantization Network for Efficient Image Retrieval",
    AAAI 2016.
    """

    methods = VARIANTS
    config_class = DQNConfig
    config: DQNConfig
    head: LinearHead
    quantizer: ProductQuantization

    def __init__(
        self, config: DQNConfig, *, weights: Path | None = None, is_pretrained: bool = False
    ) -> None:
        super().__init__(config, weights=weights, is_pretrained=is_pretrained)
        self.config = config
        self.head = LinearHead(self.backbone_dim, config.dim, is_unit_length=config.is_unit_length)
        self.quantizer = ProductQuantization(config.dim, config.quantizer)

    @property
    def method(self) -> str:
        """The variant, as in config.json."""
        return self.config.variant

    def vectors(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to the vectors z that are quantised, (B, D)."""
        z: Tensor = self.head(self.backbone(images))
        return z

    def forward(self, images: Tensor) -> ProductOutput:
        """Map images (B, 3, H, W) to reconstructions and codes."""
        out: ProductOutput = self.quantizer(self.vectors(images))
        return out
