"""A small residual CNN for pictures of 28 to 96 pixels that trains from scratch on a CPU."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["ResNetSmall"]


class ResidualBlock(nn.Module):
    """Convolve and halve the size, then add one more convolution to the result."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
        )
        self.residual = nn.Sequential(
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, n_in, H, W) to (B, n_out, H/2, W/2)."""
        x = self.down(x)
        out: Tensor = x + self.residual(x)
        return out


class ResNetSmall(nn.Module):
    """Whitening stem, three residual blocks, global maximum.

    Parameters
    ----------
    widths : tuple of int
        Channels of the three blocks.

    Notes
    -----
    The 2 x 2 stem is set by `start_from` to the principal directions of image patches and then
    stays fixed: on CIFAR-size pictures it saves several epochs and costs one eigendecomposition.
    """

    n_stem = 24

    def __init__(self, widths: tuple[int, int, int] = (64, 128, 256)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, self.n_stem, 2, bias=False)
        self.stem.weight.requires_grad_(False)
        sizes = (self.n_stem, *widths)
        self.blocks = nn.Sequential(
            *(ResidualBlock(n_in, n_out) for n_in, n_out in pairwise(sizes))
        )
        self.dim = widths[-1]

    @torch.no_grad()
    def start_from(self, images: Tensor) -> None:
        """Set the stem from normalised training images (B, 3, H, W)."""
        patches = nn.functional.unfold(images.float(), 2)  # (B, 12, P)
        flat = patches.transpose(1, 2).reshape(-1, 12)
        values, vectors = torch.linalg.eigh(torch.cov(flat.T))
        directions = (vectors / (values + 5e-4).sqrt()).T.flip(0).reshape(12, 3, 2, 2)
        self.stem.weight.copy_(torch.cat([directions, -directions]))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to features (B, dim)."""
        x = torch.relu(self.stem(images))
        x = self.blocks(x)
        pooled: Tensor = x.amax(dim=(2, 3))
        return pooled
