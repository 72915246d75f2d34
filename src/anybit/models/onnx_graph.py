"""A network as an ONNX graph, for serving without torch."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from anybit.errors import DependencyError, OptionError
from anybit.models.image_model import ImageModel

__all__ = ["onnx_graph"]


class _Vectors(nn.Module):
    """The part of a model that makes features: all but the quantiser."""

    def __init__(self, model: ImageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to features (B, D)."""
        return self.model.vectors(images)


def onnx_graph(model: ImageModel, size_px: int) -> bytes:
    """Return the way from a preprocessed image to its feature as an ONNX model.

    Parameters
    ----------
    model : ImageModel
        On the CPU.
    size_px : int
        Width and height of the input, as the model's preprocessor makes it.

    Returns
    -------
    bytes
        A serialised ``ModelProto`` with input ``images`` (B, 3, H, W) and output ``features``
        (B, D), both float32; B is free. Weights are inside. It names no file of this machine.

    Raises
    ------
    DependencyError
        If onnx or onnxscript is missing.
    OptionError
        If the network has operations that ONNX has not, or its weights exceed 2 GB, the most that
        one ONNX file holds.

    Notes
    -----
    Made by the exporter on ``torch.export``; that on TorchScript is deprecated. Batch
    normalisation and dropout are those of evaluation.
    """
    try:
        import onnxscript  # noqa: F401 - torch's exporter needs it and says so less clearly
    except ImportError as cause:
        raise DependencyError(
            f"an export to ONNX needs onnx and onnxscript: {cause}. "
            "Run `pip install 'anybit[onnx]'`."
        ) from cause
    module = _Vectors(model).eval()
    # A batch of 1 would be taken for a constant.
    example = torch.zeros(2, 3, size_px, size_px)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the exporter's own insides
            program: Any = _quietly_exported(module, example)
            graph = program.model_proto
            _forget_origin(graph)
            return bytes(graph.SerializeToString())
    except Exception as cause:  # the exporter raises what it meets: its own errors, any of torch's
        name = model.config.backbone.name
        raise OptionError(
            f"the backbone must be one that ONNX can express in 2 GB, got {name!r}: "
            f"{type(cause).__name__}. Serve this model with torch."
        ) from cause


def _quietly_exported(module: nn.Module, example: Tensor) -> Any:
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of registered operators that we do not have
    try:
        return torch.onnx.export(
            module,
            (example,),
            input_names=["images"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    finally:
        logger.setLevel(level)


def _forget_origin(graph: Any) -> None:
    """Drop what the exporter notes of the Python source, paths of this machine among it."""
    parts = [graph, graph.graph, *graph.functions]
    for part in (graph.graph, *graph.functions):
        parts += [*part.node, *part.value_info]
    parts += [*graph.graph.initializer, *graph.graph.input, *graph.graph.output]
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""
