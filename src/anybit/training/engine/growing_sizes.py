"""Smaller pictures in the first epochs: faster, and no worse in the end."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from anybit.models import ImageModel
from anybit.training.engine.presets import Preset

__all__ = ["GrowingSizes"]

_log = logging.getLogger(__name__)

# No network here takes much smaller pictures than these.
_SMALLEST_PX = 16
# Share of the epochs of stage 1 after which pictures have their full size.
_GROWING_SHARE = 0.7


class GrowingSizes:
    """The size of training pictures, epoch by epoch.

    A network that takes one size only, such as a vision transformer, gets it all the time.

    Parameters
    ----------
    model : ImageModel
    preset : Preset

    References
    ----------
    Tan and Le, "EfficientNetV2", ICML 2021, section 4 (progressive learning).
    """

    def __init__(self, model: ImageModel, preset: Preset[object]) -> None:
        self._full_px = model.input_px
        self._n_growing = max(1.0, _GROWING_SHARE * preset.epochs[0])
        self._first_scale = preset.first_scale
        if self.size_px(0) < self._full_px and not _takes(model, self.size_px(0)):
            self._first_scale = 1.0

    def size_px(self, epoch: int) -> int:
        """Return the side of the pictures of an epoch, counted from 0."""
        first = self._first_scale
        scale = min(1.0, first + (1 - first) * epoch / self._n_growing)
        return min(self._full_px, max(_SMALLEST_PX, 4 * round(self._full_px * scale / 4)))

    def resized(self, views: Tensor, epoch: int) -> Tensor:
        """Resize full-size pictures (B, 3, H, W) to the size of the epoch."""
        size = self.size_px(epoch)
        if size >= self._full_px:
            return views
        smaller = nn.functional.interpolate(views, size=size, mode="bilinear", antialias=True)
        return smaller.contiguous(memory_format=torch.channels_last)


def _takes(model: ImageModel, px: int) -> bool:
    """Try a picture of another size on the backbone."""
    was_training = model.backbone.training
    parameter = next(model.backbone.parameters())
    try:
        with torch.no_grad():
            model.backbone.eval()(torch.zeros(1, 3, px, px, device=parameter.device))
    except (RuntimeError, AssertionError) as cause:
        _log.info("training starts with pictures of full size: %s", cause)
        return False
    finally:
        model.backbone.train(was_training)
    return True
