"""Training images as they are, without random views: what codebooks are fitted to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from anybit.models import ImageModel
from anybit.training.engine.augment import Augmenter
from anybit.training.engine.images import TrainingImages
from anybit.types import Float32Array, Int64Array

__all__ = ["PlainImages"]

_BATCH = 256


class PlainImages:
    """Normalised training images, and the model's vectors of them.

    Parameters
    ----------
    model : ImageModel
        Put into evaluation mode by every use.
    images : TrainingImages
    plain : Augmenter
        The normalisation without randomness.
    seed : int
        Of the draw where not all images are wanted.
    """

    def __init__(
        self, model: ImageModel, images: TrainingImages, plain: Augmenter, seed: int
    ) -> None:
        self._model, self._images, self._plain, self._seed = model, images, plain, seed

    def batches(self, n_images: int | None = None) -> Iterator[tuple[Int64Array, Tensor]]:
        """Yield positions and normalised images (B, 3, H, W).

        All usable images, or `n_images` of them drawn at random.
        """
        positions = self._images.positions
        if n_images is not None and len(positions) > n_images:
            rng = np.random.default_rng(self._seed)
            positions = np.sort(rng.choice(positions, n_images, replace=False))
        parts = [positions[at : at + _BATCH] for at in range(0, len(positions), _BATCH)]
        self._model.eval()
        device = next(self._model.parameters()).device
        batches = self._images.batches(parts)
        for part, (images, is_ok) in zip(parts, batches, strict=True):
            yield part[is_ok], self._plain(images, device)[is_ok]

    def vectors(self, n_images: int | None = None) -> tuple[Int64Array, Float32Array]:
        """Return positions (N,) and vectors (N, D) of all images, or of `n_images` of them."""
        rows, parts = [], []
        for positions, images in self.batches(n_images):
            rows.append(positions)
            parts.append(self._model.plain_vectors(images).cpu().numpy())
        return np.concatenate(rows), np.concatenate(parts)
