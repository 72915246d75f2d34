"""From images or vectors to features, by torch or ONNX Runtime where the model has a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from anybit.codes import (
    Codebooks,
    FeatureMap,
    ModelFolder,
    codebooks_of,
    feature_map_of,
    read_model_folder,
)
from anybit.collection.onnx_engine import OnnxSession, has_onnx, read_onnx
from anybit.data import Preprocessor
from anybit.errors import DependencyError, FormatError, OptionError, ShapeError
from anybit.types import Float32Array

__all__ = ["ENGINES", "Encoder", "EncoderOptions", "Engine", "load_encoder"]

ENGINES = ("auto", "torch", "onnx")


@dataclass(frozen=True)
class Engine:
    """What runs the network of an encoder.

    Parameters
    ----------
    name : {"torch", "onnxruntime", "none"}
        "none": the model takes vectors and has no network.
    version : str, optional
        Of the library.
    """

    name: Literal["torch", "onnxruntime", "none"]
    version: str | None = None


@dataclass(frozen=True)
class EncoderOptions:
    """Where, and by what, the network of a model runs. Plain vectors need none of it.

    Parameters
    ----------
    device : str
        auto (a GPU when there is one), cpu, cuda, cuda:1, mps, ... ONNX Runtime runs on the cpu.
    engine : {"auto", "torch", "onnx"}
        auto: torch, or ONNX Runtime where torch (or the library of the backbone) is missing and
        the model folder has an ONNX graph.
    n_threads : int, optional
        Of ONNX Runtime, for one batch; as many as this process has processors when left out.
        torch has its own setting.

    Raises
    ------
    OptionError
        If `engine` is unknown, or `n_threads` below 1.
    """

    device: str = "auto"
    engine: str = "auto"
    n_threads: int | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise OptionError(f"engine must be one of {', '.join(ENGINES)}, got {self.engine!r}.")
        if self.n_threads is not None and self.n_threads < 1:
            raise OptionError(f"n_threads must be at least 1, got {self.n_threads}.")


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
    def feature_map(self) -> FeatureMap | None:
        """The last step of `features`, after the network; None where there is none."""

    @property
    def vector_dim(self) -> int:
        """Values of a query vector: an input of a model of vectors, a feature of the others."""

    @property
    def preprocessor(self) -> Preprocessor | None:
        """The way from a picture to network input; None for vectors."""

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the model folder."""

    @property
    def engine(self) -> Engine:
        """What runs the network."""

    @property
    def has_own_device(self) -> bool:
        """Whether `features` leaves the processors free, so that they can work ahead."""

    def features(self, batch: Float32Array) -> Float32Array:
        """Map (B, 3, H, W) images or (B, D) vectors to features (B, D), float32."""


def load_encoder(model_dir: str | Path, device: str | EncoderOptions = "auto") -> Encoder:
    """Load the encoder of a model folder.

    Parameters
    ----------
    model_dir : str or Path
    device : str or EncoderOptions
        A device, with the engine chosen for you, or all options.

    Returns
    -------
    Encoder
        Its ``engine`` says what was chosen. Both engines give the same features, up to rounding.

    Raises
    ------
    FormatError
        If the folder is missing, damaged or of a newer format version, or holds the ONNX graph of
        another model.
    NotTrainedError
        If the model has no codebooks yet.
    DependencyError
        If the model has a network, and torch, or onnxruntime where that shall run it, is missing.
    OptionError
        If there is no such device, or ONNX Runtime is asked for and the folder has no graph.
    """
    options = device if isinstance(device, EncoderOptions) else EncoderOptions(device)
    folder = read_model_folder(model_dir)
    codebooks, feature_map = codebooks_of(folder), feature_map_of(folder)
    if backbone_name(folder.config) == "none":
        is_unit_length = bool(folder.config.get("is_unit_length", False))
        return _VectorEncoder(codebooks, folder.fingerprint, is_unit_length, feature_map)
    if folder.preprocessor is None:
        raise FormatError(
            f"{model_dir} must have preprocessor.json for its backbone "
            f"{backbone_name(folder.config)!r}, got none. Train the model again."
        )
    if options.engine == "onnx":
        return _onnx_encoder(Path(model_dir), folder, codebooks, options)
    try:
        return _network_encoder(Path(model_dir), folder, codebooks, options.device)
    except DependencyError:
        if options.engine == "torch" or not has_onnx(model_dir):
            raise
        return _onnx_encoder(Path(model_dir), folder, codebooks, options)


def backbone_name(config: dict[str, Any]) -> str:
    """Return the backbone that a model's config names, "none" for plain vectors."""
    backbone = config.get("backbone") or {}
    return str(backbone.get("name", "none"))


@dataclass(frozen=True)
class _VectorEncoder:
    """Features are the vectors: of length 1 and mapped where the model asks for it."""

    codebooks: Codebooks
    fingerprint: str
    is_unit_length: bool
    feature_map: FeatureMap | None = None
    kind: Literal["vectors"] = "vectors"
    preprocessor: None = None
    has_own_device: bool = False
    engine: Engine = Engine("none")

    @property
    def vector_dim(self) -> int:
        return self.codebooks.dim if self.feature_map is None else self.feature_map.dim_in

    def features(self, batch: Float32Array) -> Float32Array:
        """Check the dimension of vectors (B, D_in); normalise and map them if need be."""
        batch = np.asarray(batch, dtype=np.float32)
        if batch.ndim != 2 or batch.shape[1] != self.vector_dim:
            raise ShapeError(
                f"vectors must have shape (N, {self.vector_dim}), got {batch.shape}. "
                "Use vectors of the kind that the model was trained on."
            )
        if self.is_unit_length:
            lengths = np.linalg.norm(batch, axis=1, keepdims=True)
            batch = np.asarray(batch / np.maximum(lengths, np.float32(1e-12)), dtype=np.float32)
        return batch if self.feature_map is None else self.feature_map.apply(batch)


@dataclass(frozen=True)
class _NetworkEncoder:
    """A network of torch or ONNX Runtime; images come as (B, 3, H, W)."""

    run: Callable[[Float32Array], Float32Array]
    codebooks: Codebooks
    preprocessor: Preprocessor
    fingerprint: str
    has_own_device: bool
    engine: Engine
    feature_map: FeatureMap | None
    kind: Literal["images"] = "images"

    @property
    def vector_dim(self) -> int:
        return self.codebooks.dim

    def features(self, batch: Float32Array) -> Float32Array:
        """Run the network, and the map after it, on preprocessed images (B, 3, H, W)."""
        features = np.asarray(self.run(batch), dtype=np.float32)  # (B, D)
        return features if self.feature_map is None else self.feature_map.apply(features)


def _network_encoder(
    model_dir: Path, folder: ModelFolder, codebooks: Codebooks, device: str
) -> Encoder:
    try:
        import torch

        from anybit.models import load_model
    except ImportError as cause:
        raise DependencyError(
            f"a model with a network needs torch: {cause}. Run `pip install 'anybit[train]'`, or "
            "export the model where torch is: `anybit export MODEL --to onnx`."
        ) from cause
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        network = load_model(model_dir).to(torch.device(device))
    except (RuntimeError, AssertionError) as cause:
        raise OptionError(f"device must be one of this machine, got {device!r}: {cause}") from cause
    preprocessor = Preprocessor.from_dict(folder.preprocessor or {})
    return _NetworkEncoder(
        network.eval().network_features,
        codebooks,
        preprocessor,
        folder.fingerprint,
        has_own_device=device != "cpu",
        engine=Engine("torch", str(torch.__version__)),
        feature_map=feature_map_of(folder),
    )


def _onnx_encoder(
    model_dir: Path, folder: ModelFolder, codebooks: Codebooks, options: EncoderOptions
) -> Encoder:
    if not has_onnx(model_dir):
        raise OptionError(
            f"engine onnx needs a model with model.onnx, got {model_dir} without. "
            "Make one with `anybit export MODEL --to onnx`."
        )
    if options.device not in ("auto", "cpu"):
        raise OptionError(f"device must be cpu for ONNX Runtime, got {options.device!r}.")
    session = OnnxSession(*read_onnx(model_dir, folder.fingerprint), options.n_threads)
    return _NetworkEncoder(
        session.features,
        codebooks,
        Preprocessor.from_dict(folder.preprocessor or {}),
        folder.fingerprint,
        has_own_device=False,
        engine=Engine("onnxruntime", session.version),
        feature_map=feature_map_of(folder),
    )
