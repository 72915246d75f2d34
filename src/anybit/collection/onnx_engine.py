"""The network of a model folder as an ONNX graph, run by ONNX Runtime: no torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anybit.errors import DependencyError, FormatError, ShapeError
from anybit.types import Float32Array

__all__ = ["OnnxFacts", "OnnxSession", "has_onnx", "onnx_files", "read_onnx"]

GRAPH_NAME, FACTS_NAME = "model.onnx", "onnx.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class OnnxFacts:
    """What ``onnx.json`` says of ``model.onnx``.

    Parameters
    ----------
    fingerprint : str
        Of the model that the graph was made from.
    sha256 : str
        Of ``model.onnx``.
    size_px : int
        Width and height of its input.
    dim : int
        Dimension D of its output.
    format_version : int
    """

    fingerprint: str
    sha256: str
    size_px: int
    dim: int
    format_version: int = FORMAT_VERSION


def has_onnx(model_dir: str | Path) -> bool:
    """Tell whether a model folder has an ONNX graph, whole or not."""
    return any((Path(model_dir) / name).is_file() for name in (GRAPH_NAME, FACTS_NAME))


def onnx_files(graph: bytes, fingerprint: str, size_px: int, dim: int) -> dict[str, bytes]:
    """Return the two files that make a model folder one that needs no torch."""
    facts = OnnxFacts(fingerprint, hashlib.sha256(graph).hexdigest(), size_px, dim)
    text = json.dumps(asdict(facts), indent=2, sort_keys=True) + "\n"
    return {GRAPH_NAME: graph, FACTS_NAME: text.encode()}


def read_onnx(model_dir: str | Path, fingerprint: str) -> tuple[bytes, OnnxFacts]:
    """Read the ONNX graph of a model folder; ONNX Runtime is not needed.

    Parameters
    ----------
    model_dir : str or Path
    fingerprint : str
        Of the model folder, to which the graph must belong.

    Raises
    ------
    FormatError
        If a file is missing, damaged or of a newer format version, or the graph was made from
        another model.
    """
    path = Path(model_dir) / FACTS_NAME
    try:
        facts = _facts_of(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise FormatError(f"{path} must describe {GRAPH_NAME}, got: {cause!r}. {_CURE}") from cause
    if facts.format_version != FORMAT_VERSION:
        raise FormatError(
            f"{path} must have format version {FORMAT_VERSION}, got {facts.format_version}. "
            "Update anybit."
        )
    if facts.fingerprint != fingerprint:
        raise FormatError(
            f"{model_dir} must hold {GRAPH_NAME} of its model {fingerprint[:12]}, got that of "
            f"{facts.fingerprint[:12]}, which makes other codes. {_CURE}"
        )
    graph_path = path.with_name(GRAPH_NAME)
    try:
        graph = graph_path.read_bytes()
    except OSError as cause:
        raise FormatError(f"{graph_path} must be a file: {cause.strerror}. {_CURE}") from cause
    if hashlib.sha256(graph).hexdigest() != facts.sha256:
        raise FormatError(
            f"{graph_path} is damaged: it does not have the checksum {facts.sha256[:12]} that "
            f"{FACTS_NAME} names. {_CURE}"
        )
    return graph, facts


_CURE = "Export the model again with `anybit export MODEL --to onnx`."


def _facts_of(content: Mapping[str, Any]) -> OnnxFacts:
    return OnnxFacts(
        str(content["fingerprint"]),
        str(content["sha256"]),
        int(content["size_px"]),
        int(content["dim"]),
        int(content["format_version"]),
    )


class OnnxSession:
    """A graph ready to run. Several threads may call `features` at once.

    Parameters
    ----------
    graph : bytes
        As `anybit.models.onnx_graph` makes it.
    facts : OnnxFacts
    n_threads : int, optional
        Threads for one batch; as many as this process has processors when left out.

    Attributes
    ----------
    version : str
        Of ONNX Runtime.

    Raises
    ------
    DependencyError
        If onnxruntime is missing.
    FormatError
        If ONNX Runtime cannot run the graph, or its input or output is not as `facts` say.
    """

    def __init__(self, graph: bytes, facts: OnnxFacts, n_threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as cause:
            raise DependencyError(
                f"a model exported to ONNX needs onnxruntime: {cause}. "
                "Run `pip install 'anybit[serve]'`."
            ) from cause
        options = onnxruntime.SessionOptions()
        # Its own default ties threads to processors that a container may not use.
        options.intra_op_num_threads = n_threads or _n_processors()
        options.log_severity_level = 3  # errors, which are raised as well
        try:
            session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
            images, features = session.get_inputs(), session.get_outputs()
        except Exception as cause:  # its errors have no common base
            raise FormatError(
                f"{GRAPH_NAME} must be a graph that ONNX Runtime {onnxruntime.__version__} runs, "
                f"got: {type(cause).__name__}. Update onnxruntime, or: {_CURE}"
            ) from cause
        self._shape = (3, facts.size_px, facts.size_px)
        has_one_each = len(images) == len(features) == 1
        got = (
            [(one.name, one.type, *one.shape[1:]) for one in (*images, *features)]
            if has_one_each
            else [one.name for one in (*images, *features)]
        )
        wanted = [
            ("images", "tensor(float)", *self._shape),
            ("features", "tensor(float)", facts.dim),
        ]
        if got != wanted:
            raise FormatError(f"{GRAPH_NAME} must map {wanted}, got {got}. {_CURE}")
        self._session = session
        self.version = str(onnxruntime.__version__)

    def features(self, images: Float32Array) -> Float32Array:
        """Map images (B, 3, H, W), as the preprocessor makes them, to features (B, D)."""
        if images.ndim != 4 or images.shape[1:] != self._shape:
            raise ShapeError(
                f"images must have shape (B, {', '.join(map(str, self._shape))}), "
                f"got {images.shape}. Use the model's preprocessor."
            )
        batch = np.ascontiguousarray(images, dtype=np.float32)
        made: list[Any] = self._session.run(["features"], {"images": batch})
        return np.asarray(made[0], dtype=np.float32)  # (B, D)


def _n_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
