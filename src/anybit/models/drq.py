"""Deep Recurrent Quantization: backbone, head, and one codebook reused at every level."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from anybit.codes import Codebooks, ModelFolder, read_model_folder, write_model_folder
from anybit.errors import FormatError
from anybit.models.backbones import BackboneConfig, build_backbone
from anybit.models.head import ConcatHead
from anybit.models.recurrent import QuantizerConfig, RecurrentOutput, RecurrentQuantization
from anybit.types import Float32Array

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
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)
    head_dims: tuple[int, int] = (1748, 300)
    is_head_nonlinear: bool = False
    is_unit_length: bool = False

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
            )
        except (KeyError, TypeError) as cause:
            raise FormatError(f"config.json must describe a DRQ model: {cause}.") from cause


class DRQ(nn.Module):
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

    def __init__(
        self, config: DRQConfig, *, weights: Path | None = None, is_pretrained: bool = False
    ) -> None:
        super().__init__()
        self.config = config
        built = build_backbone(config.backbone, weights, is_pretrained=is_pretrained)
        self.input_px, self.mean, self.std = built.input_px, built.mean, built.std
        self.is_backbone_pretrained = built.is_pretrained
        self.backbone = built.module
        self.head = ConcatHead(
            built.dim,
            config.head_dims,
            is_nonlinear=config.is_head_nonlinear,
            is_unit_length=config.is_unit_length,
        )
        self.quantizer = RecurrentQuantization(self.head.dim, config.quantizer)
        self.preprocessor: dict[str, Any] | None = None
        self.class_names: tuple[str, ...] | None = None
        self.summary: dict[str, Any] = {}
        self.fingerprint = ""

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (B, 3, H, W) to x (B, D) and z (B, D_z)."""
        out: tuple[Tensor, Tensor] = self.head(self.backbone(images))
        return out

    def forward(self, images: Tensor) -> RecurrentOutput:
        """Map images (B, 3, H, W) to the reconstructions and codes of every prefix."""
        out: RecurrentOutput = self.quantizer(self.embed(images)[0])
        return out

    @torch.inference_mode()
    def features(self, images: Float32Array) -> Float32Array:
        """Return the vectors x of preprocessed images.

        Parameters
        ----------
        images : ndarray of shape (B, 3, H, W), float32
            As the model's preprocessor makes them.

        Returns
        -------
        ndarray of shape (B, D), float32
        """
        self.eval()
        device = self.quantizer.codebook.device
        batch = torch.from_numpy(images).to(device)
        x, _ = self.embed(batch.contiguous(memory_format=torch.channels_last))
        return x.float().cpu().numpy()

    def export_codebooks(self) -> Codebooks:
        """Return the codebooks as NumPy values, for encoding and search without torch."""
        return self.quantizer.export_codebooks()

    def save_pretrained(self, path: str | Path, *, overwrite: bool = False) -> str:
        """Write the model folder (see `anybit.codes.ModelFolder`); return its fingerprint."""
        own = {k: v for k, v in self.state_dict().items() if not k.startswith("quantizer.")}
        tensors = {k: v.detach().cpu().contiguous().numpy() for k, v in own.items()}
        config = {
            "method": "drq",
            "architecture": asdict(self.config),
            "backbone": self.config.backbone.to_dict(),
            "class_names": list(self.class_names) if self.class_names else None,
        }
        folder = ModelFolder(config, tensors, self.preprocessor, self.summary)
        codebooks = self.export_codebooks()
        self.fingerprint = write_model_folder(path, folder, codebooks, overwrite=overwrite)
        return self.fingerprint

    @classmethod
    def from_pretrained(cls, path: str | Path) -> DRQ:
        """Read a model folder that `save_pretrained` wrote.

        Raises
        ------
        FormatError
            If the folder is damaged, or holds another method.
        """
        folder = read_model_folder(path)
        if folder.config.get("method") != "drq" or "architecture" not in folder.config:
            raise FormatError(f"{path} must hold a DRQ model, got {folder.config.get('method')!r}.")
        model = cls(DRQConfig.from_dict(folder.config["architecture"]))
        tensors, settings = dict(folder.tensors), folder.config["codebooks"]
        arrays = {k[10:]: tensors.pop(k) for k in list(tensors) if k.startswith("codebooks.")}
        model.quantizer.set_codebooks(Codebooks.from_tensors(arrays, settings))
        state = {k: torch.from_numpy(v.copy()) for k, v in tensors.items()}
        state |= {f"quantizer.{k}": v for k, v in model.quantizer.state_dict().items()}
        try:
            model.load_state_dict(state)
        except RuntimeError as cause:
            raise FormatError(f"{path} holds weights of another network: {cause}") from cause
        model.preprocessor, model.summary = folder.preprocessor, folder.summary
        names = folder.config.get("class_names")
        model.class_names = tuple(names) if names else None
        model.fingerprint = folder.fingerprint
        return model.eval().to(memory_format=torch.channels_last)
