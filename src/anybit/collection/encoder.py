"""From images or vectors to features; torch is imported only for a model that has a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from anybit.codes import Codebooks, ModelFolder, codebooks_of, read_model_folder
from anybit.data import Preprocessor
from anybit.errors import DependencyError, FormatError, OptionError, ShapeError
from anybit.types import Float32Array

__all__ = ["Encoder", "load_encoder"]


class Encoder(Protocol):
    """Turns a batch of preprocessed images, or of vectors, into features.

    Codes are made from the features by ``codebooks.encode``, the same way everywhere.
    """

    @property
    def kind(self) -> Literal["images", "vectors"]:
        """What `features` takes."""

    @property
    def codebooks(self) -> Codebooks:
        """The codebooks that belong to the features."""

    @property
    def preprocessor(self) -> Preprocessor | None:
        """The way from a picture to network input; None for vectors."""

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the model folder."""

    @property
    def has_own_device(self) -> bool:
        """Whether `features` leaves the processors free, so that they can work ahead."""

    def features(self, batch: Float32Array) -> Float32Array:
        """Map (B, 3, H, W) images or (B, D) vectors to features (B, D), float32."""


def load_encoder(model_dir: str | Path, device: str = "auto") -> Encoder:
    """Load the encoder of a model folder.

    Parameters
    ----------
    model_dir : str or Path
    device : str
        auto (a GPU when there is one), cpu, cuda, cuda:1, mps, ... Unused for plain vectors.

    Raises
    ------
    FormatError
        If the folder is missing, damaged or of a newer format version.
    NotTrainedError
        If the model has no codebooks yet.
    DependencyError
        If the model has a network and torch is missing.
    OptionError
        If there is no such device.
    """
    folder = read_model_folder(model_dir)
    codebooks = codebooks_of(folder)
    if backbone_name(folder.config) == "none":
        return _VectorEncoder(
            codebooks, folder.fingerprint, bool(folder.config.get("is_unit_length", False))
        )
    if folder.preprocessor is None:
        raise FormatError(
            f"{model_dir} must have preprocessor.json for its backbone "
            f"{backbone_name(folder.config)!r}, got none. Train the model again."
        )
    return _network_encoder(Path(model_dir), folder, codebooks, device)


def backbone_name(config: dict[str, Any]) -> str:
    """Return the backbone that a model's config names, "none" for plain vectors."""
    backbone = config.get("backbone") or {}
    return str(backbone.get("name", "none"))


@dataclass(frozen=True)
class _VectorEncoder:
    """Features are the vectors themselves, scaled to length 1 where the model asks for it."""

    codebooks: Codebooks
    fingerprint: str
    is_unit_length: bool
    kind: Literal["vectors"] = "vectors"
    preprocessor: None = None
    has_own_device: bool = False

    def features(self, batch: Float32Array) -> Float32Array:
        """Check the dimension of vectors (B, D) and normalise them if need be."""
        batch = np.asarray(batch, dtype=np.float32)
        if batch.ndim != 2 or batch.shape[1] != self.codebooks.dim:
            raise ShapeError(
                f"vectors must have shape (N, {self.codebooks.dim}), got {batch.shape}. "
                "Use vectors of the kind that the model was trained on."
            )
        if not self.is_unit_length:
            return batch
        lengths = np.linalg.norm(batch, axis=1, keepdims=True)
        return np.asarray(batch / np.maximum(lengths, np.float32(1e-12)), dtype=np.float32)


@dataclass(frozen=True)
class _NetworkEncoder:
    """A torch network; images come as (B, 3, H, W)."""

    network: Any
    codebooks: Codebooks
    preprocessor: Preprocessor
    fingerprint: str
    has_own_device: bool
    kind: Literal["images"] = "images"

    def features(self, batch: Float32Array) -> Float32Array:
        """Run the network on preprocessed images (B, 3, H, W)."""
        return np.asarray(self.network.features(batch), dtype=np.float32)  # (B, D)


def _network_encoder(
    model_dir: Path, folder: ModelFolder, codebooks: Codebooks, device: str
) -> Encoder:
    try:
        import torch

        from anybit.models import load_model
    except ImportError as cause:
        raise DependencyError(
            f"a model with a network needs torch: {cause}. Run `pip install anybit[train]`."
        ) from cause
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        network = load_model(model_dir).to(torch.device(device))
    except (RuntimeError, AssertionError) as cause:
        raise OptionError(f"device must be one of this machine, got {device!r}: {cause}") from cause
    preprocessor = Preprocessor.from_dict(folder.preprocessor or {})
    return _NetworkEncoder(
        network.eval(), codebooks, preprocessor, folder.fingerprint, has_own_device=device != "cpu"
    )
