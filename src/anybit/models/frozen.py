"""A backbone that is never trained, and the codebooks of a method on vectors after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from anybit.codes import Codebooks, FeatureMap, ModelFolder, codebooks_of, feature_map_of
from anybit.errors import FormatError, NotTrainedError
from anybit.models.backbones import BackboneConfig
from anybit.models.image_model import ImageModel

__all__ = ["FrozenConfig", "FrozenModel"]


@dataclass(frozen=True)
class FrozenConfig:
    """Architecture of a `FrozenModel`.

    Parameters
    ----------
    backbone : BackboneConfig
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> FrozenConfig:
        """Read what ``dataclasses.asdict`` wrote to JSON."""
        try:
            return cls(BackboneConfig(**settings["backbone"]))
        except (KeyError, TypeError) as cause:
            raise FormatError(f"config.json must describe a frozen model: {cause}.") from cause


class FrozenModel(ImageModel):
    """Backbone, feature map and codebooks; only the last two are learned, from its features.

    Parameters
    ----------
    config : FrozenConfig
    method : str
        Name of the method on vectors (`anybit.quantizers.METHODS`).
    weights : Path, optional
        Local file with the backbone's pretrained weights.
    is_pretrained : bool
        Fetch pretrained weights (needs network access).

    Attributes
    ----------
    codebooks : Codebooks or None
        None until `set_codebooks`.
    feature_map : FeatureMap or None
        Between the backbone and the codebooks.
    """

    kind = "frozen_model"
    config_class = FrozenConfig
    config: FrozenConfig

    def __init__(
        self,
        config: FrozenConfig,
        method: str = "rq",
        *,
        weights: Path | None = None,
        is_pretrained: bool = False,
    ) -> None:
        super().__init__(config, weights=weights, is_pretrained=is_pretrained)
        self.config, self._method = config, method
        self.codebooks: Codebooks | None = None
        self.requires_grad_(False).eval()

    @property
    def method(self) -> str:
        """Name of the method on vectors."""
        return self._method

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: the backbone's statistics are frozen, too."""
        return super().train(False)

    def vectors(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to what the backbone makes of them, (B, D_b)."""
        features: Tensor = self.backbone(images)
        return features

    def set_codebooks(self, codebooks: Codebooks, feature_map: FeatureMap | None = None) -> None:
        """Take over what a method has learned from the backbone's features."""
        self.codebooks, self.feature_map = codebooks, feature_map

    def export_codebooks(self) -> Codebooks:
        """Return the codebooks.

        Raises
        ------
        NotTrainedError
            If there are none yet.
        """
        if self.codebooks is None:
            raise NotTrainedError(
                "the model must have codebooks, got none. Learn them with anybit.train."
            )
        return self.codebooks

    @classmethod
    def of_folder(cls, folder: ModelFolder, path: str | Path) -> Self:
        """Make the model of a folder that was read from `path`; see `from_pretrained`."""
        config = folder.config
        if not cls.reads(config) or "architecture" not in config:
            raise FormatError(
                f"{path} must hold a model with a frozen backbone, got {config.get('method')!r}."
            )
        model = cls(FrozenConfig.from_dict(config["architecture"]), str(config.get("method")))
        model.set_codebooks(codebooks_of(folder), feature_map_of(folder))
        parts = ("codebooks.", "feature_map.")
        return model._restored(
            folder, {k: v for k, v in folder.tensors.items() if not k.startswith(parts)}, path
        )
