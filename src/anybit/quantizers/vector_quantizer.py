"""A trained quantiser of plain vectors, saved in the same folder form as every model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anybit.codes import (
    Codebooks,
    FeatureMap,
    ModelFolder,
    codebooks_of,
    feature_map_of,
    read_model_folder,
    write_model_folder,
)
from anybit.data import Labels
from anybit.errors import FormatError
from anybit.quantizers.methods import fit_vectors
from anybit.types import Float32Array, ProgressCallback

__all__ = ["VectorQuantizer", "train_on_vectors"]


@dataclass
class VectorQuantizer:
    """Codebooks for vectors that come from elsewhere.

    Parameters
    ----------
    codebooks : Codebooks
    summary : dict
        What training reported.
    method : str
        Name of the method, one of `METHODS`.
    fingerprint : str
        Set by `save_pretrained` and `from_pretrained`.
    feature_map : FeatureMap or None
        Applied to the vectors before the codebooks.
    """

    codebooks: Codebooks
    summary: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    method: str = "drq"
    feature_map: FeatureMap | None = None

    def features(self, vectors: Float32Array) -> Float32Array:
        """Return the features of vectors: what the feature map makes of them, or they themselves.

        Parameters
        ----------
        vectors : ndarray of shape (B, D_in), float32

        Returns
        -------
        ndarray of shape (B, D), float32
        """
        return vectors if self.feature_map is None else self.feature_map.apply(vectors)

    def export_codebooks(self) -> Codebooks:
        """Return the codebooks."""
        return self.codebooks

    def save_pretrained(self, path: str | Path, *, overwrite: bool = False) -> str:
        """Write the model folder; return its fingerprint."""
        config = {"method": self.method, "backbone": {"name": "none"}, "class_names": None}
        folder = ModelFolder(config, {}, None, self.summary)
        self.fingerprint = write_model_folder(
            path, folder, self.codebooks, feature_map=self.feature_map, overwrite=overwrite
        )
        return self.fingerprint

    @classmethod
    def from_pretrained(cls, path: str | Path) -> VectorQuantizer:
        """Read a model folder that `save_pretrained` wrote."""
        folder = read_model_folder(path)
        if folder.config.get("backbone", {}).get("name") != "none":
            raise FormatError(f"{path} must hold a model of vectors, got one of images.")
        method = str(folder.config.get("method", "drq"))
        parts = (codebooks_of(folder), folder.summary, folder.fingerprint, method)
        return cls(*parts, feature_map_of(folder))


def train_on_vectors(
    vectors: Float32Array,
    method: str = "rq",
    progress: ProgressCallback | None = None,
    labels: Labels | None = None,
    **settings: Any,
) -> VectorQuantizer:
    """Fit a quantiser to fixed features (N, D), and say how it went.

    `settings` are those of `fit_vectors`.
    """
    fitted = fit_vectors(vectors, method, labels=labels, progress=progress, **settings)
    scales = fitted.codebooks.level_scales
    summary = {
        "n_vectors": len(vectors),
        "dim": fitted.codebooks.dim,
        "distortion_per_level": fitted.distortion_per_level.tolist(),
        "usage_per_level": fitted.usage_per_level.tolist(),
        "n_revived": fitted.n_revived,
        "level_scales": [] if scales is None else scales.tolist(),
        "warnings": list(fitted.warnings),
    }
    return VectorQuantizer(fitted.codebooks, summary, method=method, feature_map=fitted.feature_map)
