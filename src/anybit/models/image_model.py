"""What every model on images does alike: features, model folder, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn

from anybit.codes import Codebooks, FeatureMap, ModelFolder, read_model_folder, write_model_folder
from anybit.errors import FormatError
from anybit.models.backbones import BackboneConfig, build_backbone
from anybit.models.quantizer_block import QuantizerBlock
from anybit.types import Float32Array

__all__ = ["UNTOLD_DEFAULT", "ImageModel", "ModelConfig"]

UNTOLD_DEFAULT = {"is_default_untold": True}
"""Metadata of a configuration's field that came after 0.1: config.json names it only where it is
not the default, so that the fingerprints of older models stay."""

# Of a piece that a processor maps at once: 64 images of 64 x 64, or 5 of 224 x 224.
_CPU_PIXELS = 1 << 18


class ModelConfig(Protocol):
    """Architecture of a model: a frozen dataclass that JSON can hold."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def backbone(self) -> BackboneConfig:
        """The network before the head."""

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Self:
        """Read what ``dataclasses.asdict`` wrote to JSON."""


class ImageModel(nn.Module, ABC):
    """A backbone, to which a method adds ``head`` and ``quantizer``.

    Parameters
    ----------
    config : ModelConfig
    weights : Path, optional
        Local file with the backbone's pretrained weights.
    is_pretrained : bool
        Fetch pretrained weights (needs network access).

    Attributes
    ----------
    methods : tuple of str
        Methods in config.json whose models this class reads.
    kind : str
        Name of the class in config.json, where it serves methods that it does not list.
    backbone : Module
        Image (B, 3, H, W) to feature (B, D_b).
    backbone_dim : int
        D_b.
    input_px, mean, std
        What the backbone takes.
    feature_map : FeatureMap or None
        Applied to the network's vectors before they are quantised.
    preprocessor, class_names, summary, fingerprint
        Of the model folder.
    """

    methods: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[str] = ""
    config_class: ClassVar[type[Any]]
    config: ModelConfig
    head: nn.Module
    quantizer: QuantizerBlock

    def __init__(
        self, config: ModelConfig, *, weights: Path | None = None, is_pretrained: bool = False
    ) -> None:
        super().__init__()
        built = build_backbone(config.backbone, weights, is_pretrained=is_pretrained)
        self.input_px, self.mean, self.std = built.input_px, built.mean, built.std
        self.is_backbone_pretrained = built.is_pretrained
        self.backbone_dim = built.dim
        self.backbone = built.module
        self.feature_map: FeatureMap | None = None
        self.fingerprint = ""
        self.describe(None, None, {})

    def describe(
        self,
        preprocessor: dict[str, Any] | None,
        class_names: tuple[str, ...] | None,
        summary: dict[str, Any],
    ) -> None:
        """Remember what the model folder says beside the weights.

        Parameters
        ----------
        preprocessor : dict or None
            Of the images that the model takes.
        class_names : tuple of str or None
            Of the training labels.
        summary : dict
            What was trained on what, in JSON values.
        """
        self.preprocessor = preprocessor
        self.class_names = class_names
        self.summary = summary

    @property
    def method(self) -> str:
        """Name of the method, as in config.json."""
        return self.methods[0]

    @abstractmethod
    def vectors(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to the vectors that are mapped and quantised, (B, D)."""

    @torch.no_grad()
    def plain_vectors(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to vectors (B, D), float32, without gradients.

        A processor gets pieces whose activations stay in its cache: of 1.5 to 1.9 times the speed
        of one large batch.
        """
        n_images = max(1, len(images))
        if images.device.type == "cpu":
            n_images = max(1, _CPU_PIXELS // (images.shape[2] * images.shape[3]))
        return torch.cat([self.vectors(piece).float() for piece in torch.split(images, n_images)])

    def features(self, images: Float32Array) -> Float32Array:
        """Return the vectors x of preprocessed images, which are quantised.

        Parameters
        ----------
        images : ndarray of shape (B, 3, H, W), float32
            As the model's preprocessor makes them.

        Returns
        -------
        ndarray of shape (B, D), float32
        """
        features = self.network_features(images)
        return features if self.feature_map is None else self.feature_map.apply(features)

    @torch.inference_mode()
    def network_features(self, images: Float32Array) -> Float32Array:
        """Return what the network makes of images, before a feature map; see `features`."""
        self.eval()
        device = next(self.parameters()).device
        batch = torch.from_numpy(images).to(device)
        return self.plain_vectors(batch.contiguous(memory_format=torch.channels_last)).cpu().numpy()

    def export_codebooks(self) -> Codebooks:
        """Return the codebooks as NumPy values, for encoding and search without torch."""
        return self.quantizer.export_codebooks()

    def save_pretrained(self, path: str | Path, *, overwrite: bool = False) -> str:
        """Write the model folder (see `anybit.codes.ModelFolder`); return its fingerprint."""
        own = {k: v for k, v in self.state_dict().items() if not k.startswith("quantizer.")}
        tensors = {k: v.detach().cpu().contiguous().numpy() for k, v in own.items()}
        config: dict[str, Any] = {
            "method": self.method,
            "architecture": _told(self.config),
            "backbone": self.config.backbone.to_dict(),
            "class_names": list(self.class_names) if self.class_names else None,
        }
        if self.kind:
            config["model"] = self.kind
        folder = ModelFolder(config, tensors, self.preprocessor, self.summary)
        codebooks = self.export_codebooks()
        self.fingerprint = write_model_folder(
            path, folder, codebooks, feature_map=self.feature_map, overwrite=overwrite
        )
        return self.fingerprint

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Self:
        """Read a model folder that `save_pretrained` wrote.

        Raises
        ------
        FormatError
            If the folder is damaged, or holds another method.
        """
        return cls.of_folder(read_model_folder(path), path)

    @classmethod
    def reads(cls, config: dict[str, Any]) -> bool:
        """Tell whether a model with this config.json is one of this class."""
        if "model" in config:
            return bool(config["model"] == cls.kind)
        return config.get("method") in cls.methods

    @classmethod
    def of_folder(cls, folder: ModelFolder, path: str | Path) -> Self:
        """Make the model of a folder that was read from `path`; see `from_pretrained`."""
        method = folder.config.get("method")
        if not cls.reads(folder.config) or "architecture" not in folder.config:
            raise FormatError(f"{path} must hold a {cls.__name__} model, got {method!r}.")
        model = cls(cls.config_class.from_dict(folder.config["architecture"]))
        tensors, settings = dict(folder.tensors), folder.config["codebooks"]
        arrays = {k[10:]: tensors.pop(k) for k in list(tensors) if k.startswith("codebooks.")}
        model.quantizer.set_codebooks(Codebooks.from_tensors(arrays, settings))
        return model._restored(folder, tensors, path)

    def _restored(self, folder: ModelFolder, tensors: dict[str, Any], path: str | Path) -> Self:
        """Take over a folder's weights, those of the quantiser excepted, and description."""
        state = {k: torch.from_numpy(v.copy()) for k, v in tensors.items()}
        state |= {k: v for k, v in self.state_dict().items() if k.startswith("quantizer.")}
        try:
            self.load_state_dict(state)
        except RuntimeError as cause:
            raise FormatError(f"{path} holds weights of another network: {cause}") from cause
        names = folder.config.get("class_names")
        self.describe(folder.preprocessor, tuple(names) if names else None, folder.summary)
        self.fingerprint = folder.fingerprint
        return self.eval().to(memory_format=torch.channels_last)


def _told(config: ModelConfig) -> dict[str, Any]:
    """Return a configuration in JSON values; see `UNTOLD_DEFAULT`."""
    settings = asdict(config)
    for one in fields(config):
        if "is_default_untold" in one.metadata and getattr(config, one.name) == one.default:
            del settings[one.name]
    return settings
