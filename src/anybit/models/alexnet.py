"""AlexNet up to its 4096-d layer fc7, as both papers use it."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["AlexNetFc7"]


class AlexNetFc7(nn.Module):
    """AlexNet without its last layer.

    Notes
    -----
    One tower without local response normalisation (Krizhevsky, "One weird trick", 2014), with the
    parameter names of ``torchvision.models.alexnet``, so that a state dict of that model loads;
    its ``classifier.6`` is left out. The papers' network is the two-tower one of 2012.
    """

    dim = 4096

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, 224, 224) to fc7 (B, 4096)."""
        x = self.avgpool(self.features(images))
        out: Tensor = self.classifier(x.flatten(1))
        return out
