"""A model folder that serves without torch: its network as an ONNX graph beside the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anybit.codes import (
    check_writable,
    codebooks_of,
    feature_map_of,
    read_model_folder,
    write_model_folder,
)
from anybit.collection.encoder import backbone_name
from anybit.collection.onnx_engine import OnnxFacts, OnnxSession, onnx_files
from anybit.data import Preprocessor
from anybit.errors import DependencyError, FormatError, OptionError
from anybit.types import Float32Array

__all__ = ["export_onnx"]

# Float32 sums in another order differ by about 1e-6 of the largest value.
_TOLERANCE = 1e-3
_MODEL_FILES = frozenset(
    "config.json model.safetensors preprocessor.json training.json model.onnx onnx.json".split()
)


def export_onnx(model: str | Path, target: str | Path, *, overwrite: bool = False) -> str:
    """Write a model folder with its network as ONNX: complete, or not at all.

    The new folder is a model folder as the old one, with the same fingerprint, and two files more:
    ``model.onnx`` and ``onnx.json``. Collections of either model take codes of the other.

    Parameters
    ----------
    model : str or Path
        A model folder with a network.
    target : str or Path
    overwrite : bool
        Replace a model folder (never another kind of folder) that is there.

    Returns
    -------
    str
        The fingerprint.

    Raises
    ------
    FormatError, NotTrainedError
        If the model folder is missing or damaged, or has no codebooks.
    OptionError
        If the model takes vectors, its network cannot be expressed, ONNX Runtime computes other
        features than torch, or `target` exists or cannot be written.
    DependencyError
        If torch, onnx, onnxscript or onnxruntime is missing.

    Notes
    -----
    The graph is run on random pictures and compared with torch before anything is written.
    """
    model, target = Path(model), Path(target)
    _check_target(target, overwrite=overwrite)
    folder = read_model_folder(model)
    codebooks, feature_map = codebooks_of(folder), feature_map_of(folder)
    dim = codebooks.dim if feature_map is None else feature_map.dim_in  # of the graph's output
    if backbone_name(folder.config) == "none":
        raise OptionError(
            f"to onnx takes a model with a network, got {model}, whose items are vectors. "
            "It is served without torch as it is."
        )
    if folder.preprocessor is None:
        raise FormatError(
            f"{model} must have preprocessor.json for its network, got none. Train the model again."
        )
    try:
        from anybit.models import load_model, onnx_graph
    except ImportError as cause:
        raise DependencyError(
            f"an export to ONNX needs torch: {cause}. Run `pip install 'anybit[train,onnx]'`."
        ) from cause
    check_writable(target)
    size_px = Preprocessor.from_dict(folder.preprocessor).size_px
    network = load_model(model)
    graph = onnx_graph(network, size_px)
    session = OnnxSession(graph, OnnxFacts(folder.fingerprint, "", size_px, dim))
    rng = np.random.default_rng(0)
    images = rng.standard_normal((3, 3, size_px, size_px), dtype=np.float32)
    _check_same(network.network_features(images), session.features(images))
    files = onnx_files(graph, folder.fingerprint, size_px, dim)
    return write_model_folder(target, folder, overwrite=overwrite, files=files)


def _check_target(target: Path, *, overwrite: bool) -> None:
    """Refuse before the work what cannot be written after it."""
    if not target.exists():
        return
    if not overwrite:
        raise OptionError(
            f"{target} must not exist yet. Choose another path, or pass overwrite (--overwrite)."
        )
    is_model = (target / "config.json").is_file()
    others = sorted({path.name for path in target.iterdir()} - _MODEL_FILES) if is_model else []
    if not is_model or others:
        raise OptionError(
            f"{target} must be a model folder to be replaced, got "
            f"{f'also {others[0]} in it' if others else 'something else'}. Choose another path."
        )


def _check_same(expected: Float32Array, made: Float32Array) -> None:
    """Compare features (B, D) of torch with those of ONNX Runtime."""
    difference, largest = np.abs(made - expected).max(), np.abs(expected).max()
    if not difference <= _TOLERANCE * largest:  # NaN is no agreement
        raise OptionError(
            "ONNX Runtime must compute the features that torch computes, got a difference of "
            f"{difference:.2g} where the largest value is {largest:.2g}. "
            "Serve this model with torch."
        )
