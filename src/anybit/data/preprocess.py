"""The deterministic way from a picture to the network's input, by Pillow and NumPy alone."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from PIL import Image

from anybit.data.decode import to_rgb
from anybit.errors import DTypeError, FormatError, OptionError, ShapeError
from anybit.types import Float32Array, UInt8Array

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Preprocessor"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# A picture more oblong than this is cut to it before it is resized: the crop drops the rest
# anyway, and a strip of 1 x 80,000,000 pixels would be blown up to terabytes.
_MOST_OBLONG = 16

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Preprocessor:
    """Turns pictures into network input; the same pixels at training, encoding and serving.

    Parameters
    ----------
    size_px : int
        Width and height of the network input.
    resize_px : int or None
        Length to which the shorter side is resized before the centre crop, at least `size_px`;
        None resizes nothing but pictures smaller than the crop. Unused when squashing.
    interpolation : str
        nearest, bilinear, bicubic or lanczos (with Pillow's antialiasing).
    mean, std : tuple of 3 floats
        Per channel of values from 0 to 1: ``(value - mean) / std``.
    is_squash : bool
        Resize to a square without regard to proportions instead of cropping.

    Raises
    ------
    OptionError
        If a size is below 1, `resize_px` below `size_px`, a `std` not positive or the
        interpolation unknown.

    Examples
    --------
    >>> preprocessor = Preprocessor(size_px=2, mean=(0, 0, 0), std=(1, 1, 1))
    >>> preprocessor(Image.new("RGB", (4, 2), (255, 0, 0)))[:, 0, 0]
    array([1., 0., 0.], dtype=float32)
    """

    size_px: int
    resize_px: int | None = None
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    is_squash: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        if self.size_px < 1:
            raise OptionError(f"size_px must be at least 1, got {self.size_px}.")
        if self.resize_px is not None and self.resize_px < self.size_px and not self.is_squash:
            raise OptionError(
                f"resize_px must be at least size_px = {self.size_px}, got {self.resize_px}."
            )
        if self.interpolation not in _RESAMPLING:
            raise OptionError(
                f"interpolation must be one of {', '.join(_RESAMPLING)}, "
                f"got {self.interpolation!r}."
            )
        if len(self.mean) != 3 or len(self.std) != 3:
            raise OptionError("mean and std must have 3 values, one per channel.")
        numbers = (*self.mean, *self.std)
        if not all(math.isfinite(value) for value in numbers) or min(self.std) <= 0:
            raise OptionError(f"mean must be finite and std positive, got {self.mean}, {self.std}.")

    def to_uint8(self, image: Image.Image) -> UInt8Array:
        """Resize and crop a picture to (size_px, size_px, 3), uint8."""
        image = to_rgb(image)
        if self.is_squash:
            image = self._resized(image, self.size_px, self.size_px)
        else:
            image = self._cropped(self._with_shorter_side(image))
        return np.asarray(image, dtype=np.uint8)  # (H, W, 3)

    def normalise(self, pixels: UInt8Array) -> Float32Array:
        """Turn uint8 pictures (B, H, W, 3) into network input (B, 3, H, W), float32.

        The result is a view with the channels innermost in memory, as networks on a CPU like it.
        """
        if pixels.ndim != 4 or pixels.shape[3] != 3:
            raise ShapeError(f"pixels must have shape (B, H, W, 3), got {pixels.shape}.")
        if pixels.dtype != np.uint8:
            raise DTypeError(f"pixels must be uint8, got {pixels.dtype}.")
        mean = np.array(self.mean, dtype=np.float32)
        std = np.array(self.std, dtype=np.float32)
        n_images, height, width, _ = pixels.shape
        # Whole rows at a time: NumPy is slow where the innermost axis has three values.
        factor = np.tile(1.0 / (255.0 * std), width)  # (W * 3,)
        shift = np.tile(-mean / std, width)  # (W * 3,)
        rows = pixels.reshape(n_images, height, width * 3)  # (B, H, W * 3)
        values: Float32Array = np.multiply(rows, factor, dtype=np.float32)
        values += shift
        return values.reshape(n_images, height, width, 3).transpose(0, 3, 1, 2)

    def __call__(self, image: Image.Image) -> Float32Array:
        """Turn one picture into network input (3, size_px, size_px), float32."""
        planes: Float32Array = self.normalise(self.to_uint8(image)[None])[0]
        return planes

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        settings = asdict(self)
        return {**settings, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Preprocessor:
        """Undo `to_dict`.

        Raises
        ------
        FormatError
            If a setting is unknown, missing or out of range.
        """
        known = {field.name for field in fields(cls)}
        if unknown := set(settings) - known:
            raise FormatError(
                f"preprocessor settings must be among {', '.join(sorted(known))}, got also "
                f"{', '.join(sorted(unknown))}. Was it written by a newer anybit?"
            )
        try:
            return cls(**settings)
        except (TypeError, ValueError) as error:
            raise FormatError(f"preprocessor settings are not usable: {error}") from error

    @property
    def fingerprint(self) -> str:
        """Hex digest that changes exactly when a setting changes."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _with_shorter_side(self, image: Image.Image) -> Image.Image:
        """Resize so that the shorter side is `resize_px`, or at least holds the crop."""
        width, height = image.size
        shorter = min(width, height)
        if max(width, height) > _MOST_OBLONG * shorter:
            longest = _MOST_OBLONG * shorter
            image = _centre(image, min(width, longest), min(height, longest))
            width, height = image.size
        wanted = max(shorter, self.size_px) if self.resize_px is None else self.resize_px
        # The longer side is rounded down, as torchvision's Resize does.
        longer = int(wanted * max(width, height) / shorter)
        wide, high = (longer, wanted) if width >= height else (wanted, longer)
        return self._resized(image, wide, high)

    def _resized(self, image: Image.Image, width: int, height: int) -> Image.Image:
        """Resize unless the size fits already."""
        if image.size == (width, height):
            return image
        return image.resize((width, height), _RESAMPLING[self.interpolation])

    def _cropped(self, image: Image.Image) -> Image.Image:
        """Cut the centre square of `size_px`."""
        return _centre(image, self.size_px, self.size_px)


def _centre(image: Image.Image, width: int, height: int) -> Image.Image:
    """Cut the centre out, unless the size fits already."""
    if image.size == (width, height):
        return image
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
