"""Backbones by name: ours, torchvision's and timm's, all giving one feature per image."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from anybit.errors import DependencyError, FormatError, OptionError
from anybit.models.alexnet import AlexNetFc7
from anybit.models.resnet_small import ResNetSmall

__all__ = ["Backbone", "BackboneConfig", "StartsFromImages", "build_backbone"]

_log = logging.getLogger(__name__)

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class BackboneConfig:
    """Which network turns an image into a feature.

    Parameters
    ----------
    name : str
        ``resnet-small``, ``alexnet``, ``torchvision:NAME``, ``timm:NAME``, or a bare NAME that is
        looked up in torchvision and then in timm.
    input_px : int or None
        Side of the square input; None: the network's own.
    options : dict
        Passed to the constructor (``widths`` of resnet-small, ``pad_type`` of timm, ...).
    mean, std : float or None
        Normalisation of all channels of RGB in [0, 1], where the weights want another one than
        the library says: 0.5 and 0.5 give inputs in [-1, 1].
    """

    name: str = "resnet-small"
    input_px: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    mean: float | None = None
    std: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier.

    Parameters
    ----------
    module : Module
        Maps (B, 3, H, W) to (B, dim).
    dim : int
        Feature dimension.
    input_px : int
        Side of the square input in pixels.
    mean, std : tuple of float
        Normalisation per channel of RGB in [0, 1].
    is_pretrained : bool
        Whether weights were loaded; random otherwise.
    """

    module: nn.Module
    dim: int
    input_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    is_pretrained: bool


@runtime_checkable
class StartsFromImages(Protocol):
    """A network that sets some of its weights from training images before the first step."""

    def start_from(self, images: Tensor) -> None:
        """Look at normalised images (B, 3, H, W)."""


def build_backbone(
    config: BackboneConfig, weights: Path | None = None, *, is_pretrained: bool = False
) -> Backbone:
    """Make a backbone by name.

    Parameters
    ----------
    config : BackboneConfig
    weights : Path, optional
        Local state dict: safetensors, or a torch file of tensors only. Classifier entries are
        ignored.
    is_pretrained : bool
        Fetch the library's own pretrained weights, which needs network access. Off by default:
        nothing is downloaded unasked.

    Returns
    -------
    Backbone

    Raises
    ------
    OptionError
        If the name is unknown.
    DependencyError
        If torchvision or timm is needed and missing.
    FormatError
        If the weights do not fit the network.
    """
    name, px = config.name, config.input_px
    mean, std = _IMAGENET
    if name == "resnet-small":
        module: nn.Module = ResNetSmall(**_tuples(config.options))
        built = Backbone(module, _dim(module, px or 32), px or 32, mean, std, False)
    elif name == "alexnet" and not config.options:
        built = Backbone(AlexNetFc7(), AlexNetFc7.dim, px or 224, mean, std, False)
    else:
        built = _from_library(config, is_pretrained)
    built = _normalised(built, config)
    if weights is None:
        if not built.is_pretrained:
            _log.info("backbone %s starts from random weights", name)
        return built
    _load_weights(built.module, weights)
    return replace(built, is_pretrained=True)


def _from_library(config: BackboneConfig, is_pretrained: bool) -> Backbone:
    """Build a torchvision or timm network without its classifier."""
    library, _, bare = config.name.rpartition(":")
    if library not in ("", "torchvision", "timm"):
        raise OptionError(f"backbone library must be torchvision or timm, got {library!r}.")
    if library != "timm":
        from_torchvision = _torchvision(bare, config, is_pretrained)
        if from_torchvision is not None:
            return from_torchvision
    if library != "torchvision":
        from_timm = _timm(bare, config, is_pretrained)
        if from_timm is not None:
            return from_timm
    raise OptionError(
        f"backbone must be resnet-small, alexnet, none, or a torchvision or timm model, "
        f"got {config.name!r}. `python -c 'import timm; print(timm.list_models())'` lists them."
    )


def _torchvision(name: str, config: BackboneConfig, is_pretrained: bool) -> Backbone | None:
    try:
        from torchvision import models
    except ImportError as cause:
        raise DependencyError(
            "backbones of torchvision and timm need them installed: pip install 'anybit[vision]'."
        ) from cause
    if name not in models.list_models(module=models):
        return None
    weights = "DEFAULT" if is_pretrained else None
    module = models.get_model(name, weights=weights, **config.options)
    for attribute in ("classifier", "fc", "head", "heads"):
        if hasattr(module, attribute):
            setattr(module, attribute, _without_classifier(getattr(module, attribute)))
            break
    px = config.input_px or 224
    return Backbone(module, _dim(module, px), px, *_IMAGENET, is_pretrained)


def _without_classifier(classifier: nn.Module) -> nn.Module:
    """Keep what comes before the last weighted layer (VGG's fc7), drop that layer."""
    if not isinstance(classifier, nn.Sequential):
        return nn.Identity()
    layers = list(classifier)
    weighted = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Linear | nn.Conv2d)]
    if isinstance(layers[weighted[-1]], nn.Conv2d):  # SqueezeNet: a 1 x 1 convolution, then pool
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers[: weighted[-1]])


def _timm(name: str, config: BackboneConfig, is_pretrained: bool) -> Backbone | None:
    try:
        import timm
        from timm.data.config import resolve_data_config
    except ImportError as cause:
        raise DependencyError(
            "backbones of timm need it installed: pip install 'anybit[vision]'."
        ) from cause
    if not timm.is_model(name):
        return None
    if is_pretrained and os.environ.get("HF_HUB_OFFLINE") == "1":
        raise OptionError(
            f"pretrained weights of {name} need network access, got HF_HUB_OFFLINE=1. "
            "Name a local file with --weights, or train from random weights."
        )
    module = timm.create_model(name, pretrained=is_pretrained, num_classes=0, **config.options)
    data: dict[str, Any] = resolve_data_config({}, model=module)  # type: ignore[no-untyped-call]
    px = config.input_px or int(data["input_size"][-1])
    dim = _dim(module, px)
    return Backbone(module, dim, px, _rgb(data["mean"]), _rgb(data["std"]), is_pretrained)


def _normalised(built: Backbone, config: BackboneConfig) -> Backbone:
    """Put in the normalisation that the configuration asks for."""
    mean = built.mean if config.mean is None else (config.mean,) * 3
    std = built.std if config.std is None else (config.std,) * 3
    if min(std) <= 0:
        raise OptionError(f"the input's std must be above 0, got {config.std}.")
    return replace(built, mean=mean, std=std)


def _rgb(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return (float(red), float(green), float(blue))


def _load_weights(module: nn.Module, path: Path) -> None:
    """Load a local state dict; its classifier may be there or not."""
    try:
        if path.suffix == ".safetensors":
            state: dict[str, Tensor] = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as cause:
        raise FormatError(
            f"weights must be a safetensors or torch state-dict file, got {path}: {cause}"
        ) from cause
    wanted = module.state_dict()
    fitting = {k: v for k, v in state.items() if k in wanted and v.shape == wanted[k].shape}
    missing = [k for k in wanted if k not in fitting and not k.endswith("num_batches_tracked")]
    if missing:
        raise FormatError(
            f"{path} must hold the weights of {type(module).__name__}, got none for "
            f"{len(missing)} of {len(wanted)} entries ({', '.join(missing[:3])}, ...). "
            "Name the backbone that the file belongs to."
        )
    module.load_state_dict(fitting, strict=False)


@torch.no_grad()
def _dim(module: nn.Module, px: int) -> int:
    """Return the feature dimension, by one forward pass on zeros."""
    was_training = module.training
    module.eval()
    try:
        features = module(torch.zeros(1, 3, px, px))
    except RuntimeError as cause:
        raise OptionError(
            f"the network cannot take pictures of {px} x {px} pixels: {cause}. "
            "Choose a larger input_px."
        ) from cause
    module.train(was_training)
    if features.ndim != 2:
        raise OptionError(
            f"a backbone must give features (B, D), got {tuple(features.shape)} from "
            f"{type(module).__name__}. Use a classification network."
        )
    return int(features.shape[1])


def _tuples(options: dict[str, Any]) -> dict[str, Any]:
    """JSON gives lists where constructors take tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
