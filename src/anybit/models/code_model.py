"""A model for any method: backbone, linear head, and the quantiser block of its codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from torch import Tensor

from anybit.errors import FormatError, OptionError
from anybit.models.backbones import BackboneConfig
from anybit.models.head import Activation, LinearHead
from anybit.models.image_model import ImageModel
from anybit.models.product import ProductConfig, ProductQuantization
from anybit.models.quantizer_block import QuantizerBlock
from anybit.models.recurrent import QuantizerConfig, RecurrentQuantization
from anybit.models.sign import SignConfig, SignQuantization

__all__ = ["CodeModel", "CodeModelConfig"]

_Config: TypeAlias = QuantizerConfig | ProductConfig | SignConfig
# What a config of a quantiser is called in config.json, and the block that it describes.
_BLOCKS: dict[str, tuple[type[Any], type[Any]]] = {
    "shared": (QuantizerConfig, RecurrentQuantization),
    "product": (ProductConfig, ProductQuantization),
    "sign": (SignConfig, SignQuantization),
}


@dataclass(frozen=True)
class CodeModelConfig:
    """Architecture of a `CodeModel`.

    Parameters
    ----------
    method : str
        Name of the method that trains it.
    codes : {"shared", "product", "sign"}
        Recurrent codes of a shared codebook, product codes, or one bit a dimension.
    quantizer : QuantizerConfig, ProductConfig or SignConfig
        In this order of `codes`.
    dim : int
        Dimension D of the feature; of sign codes their bits.
    backbone : BackboneConfig
    hidden_dims : tuple of int
        Sizes of layers with a rectifier between backbone and feature.
    activation : {"none", "tanh", "sigmoid", "relu"}
        Of the feature.
    is_unit_length : bool
        Scale the feature to length 1.
    """

    method: str
    codes: Literal["shared", "product", "sign"]
    quantizer: _Config
    dim: int
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    hidden_dims: tuple[int, ...] = ()
    activation: Activation = "none"
    is_unit_length: bool = False

    def __post_init__(self) -> None:
        if self.codes not in _BLOCKS:
            raise OptionError(f"codes must be one of {', '.join(_BLOCKS)}, got {self.codes!r}.")
        wanted, found = _BLOCKS[self.codes][0], type(self.quantizer)
        if found is not wanted:
            raise OptionError(
                f"the quantizer of {self.codes} codes must be a {wanted.__name__}, got a "
                f"{found.__name__}."
            )

    @classmethod
    def of_signs(
        cls,
        method: str,
        n_bits: int,
        backbone: BackboneConfig,
        *,
        activation: Activation = "none",
        hidden_dims: tuple[int, ...] = (),
    ) -> CodeModelConfig:
        """Describe the model of a hash method: one bit for each dimension of the feature."""
        return cls(method, "sign", SignConfig(n_bits), n_bits, backbone, hidden_dims, activation)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> CodeModelConfig:
        """Read what ``dataclasses.asdict`` wrote to JSON."""
        try:
            parts = {
                "quantizer": _BLOCKS[settings["codes"]][0](**settings["quantizer"]),
                "backbone": BackboneConfig(**settings["backbone"]),
                "hidden_dims": tuple(settings["hidden_dims"]),
            }
            return cls(**{**settings, **parts})
        except (KeyError, TypeError, OptionError) as cause:
            raise FormatError(f"config.json must describe a model: {cause}.") from cause


class CodeModel(ImageModel):
    """Backbone, linear head and quantiser block, for methods that differ by their losses.

    Parameters
    ----------
    config : CodeModelConfig
    weights : Path, optional
        Local file with the backbone's pretrained weights.
    is_pretrained : bool
        Fetch pretrained weights (needs network access).

    Attributes
    ----------
    backbone : Module
        Image (B, 3, H, W) to feature (B, D_b).
    head : LinearHead
        Feature to x (B, D), the vector that is quantised.
    quantizer : QuantizerBlock
        x to codes (M, B).
    """

    kind = "code_model"
    config_class = CodeModelConfig
    config: CodeModelConfig
    head: LinearHead

    def __init__(
        self, config: CodeModelConfig, *, weights: Path | None = None, is_pretrained: bool = False
    ) -> None:
        super().__init__(config, weights=weights, is_pretrained=is_pretrained)
        self.config = config
        self.head = LinearHead(
            self.backbone_dim,
            config.dim,
            hidden_dims=config.hidden_dims,
            activation=config.activation,
            is_unit_length=config.is_unit_length,
        )
        self.quantizer: QuantizerBlock = _BLOCKS[config.codes][1](config.dim, config.quantizer)

    @property
    def method(self) -> str:
        """Name of the method, as in config.json."""
        return self.config.method

    def vectors(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to the vectors x that are quantised, (B, D)."""
        x: Tensor = self.head(self.backbone(images))
        return x

    def forward(self, images: Tensor) -> Any:
        """Map images (B, 3, H, W) to what the quantiser block makes of their vectors."""
        return self.quantizer(self.vectors(images))
