"""Random views of training images, by torchvision v2; evaluation never comes through here."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchvision.transforms import v2

__all__ = ["Augmenter"]


class Augmenter:
    """Cut, mirror and normalise uint8 images.

    Parameters
    ----------
    kind : {"flip_crop", "flip", "crop", "none"}
    size_px : int
        Side of the output.
    mean, std : sequence of float
        Per channel of RGB in [0, 1].

    Notes
    -----
    Up to 64 px a crop shifts the picture by up to an eighth, padded by reflection; larger pictures
    get a random resized crop of at least a quarter of the area.
    """

    def __init__(
        self,
        kind: Literal["flip_crop", "flip", "crop", "none"],
        size_px: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        steps: list[torch.nn.Module] = []
        if "flip" in kind:
            steps.append(v2.RandomHorizontalFlip())
        if "crop" in kind and size_px <= 64:
            padding = max(1, size_px // 8)
            steps.append(v2.RandomCrop(size_px, padding=padding, padding_mode="reflect"))
        elif "crop" in kind:
            steps.append(v2.RandomResizedCrop(size_px, scale=(0.25, 1.0), antialias=True))
        self._view = v2.Compose(steps) if steps else None
        self._mean = torch.tensor(mean).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(std).view(1, 3, 1, 1) * 255

    def __call__(self, images: Tensor, device: torch.device) -> Tensor:
        """Map uint8 (B, H, W, 3) to normalised float32 (B, 3, H, W) on the device."""
        views = images.permute(0, 3, 1, 2)  # (B, 3, H, W)
        if self._view is not None:
            views = torch.stack([self._view(image) for image in views])
        batch = views.to(device, memory_format=torch.channels_last, dtype=torch.float32)
        return (batch - self._mean.to(device)) / self._std.to(device)
