"""What there is to know about a collection, as ``info`` tells it."""

from __future__ import annotations

from typing import Any

from anybit.codes import Codebooks
from anybit.collection.conditions import HAS_LABELS
from anybit.collection.encoder import backbone_name
from anybit.collection.manifest import Manifest
from anybit.store import CodeStore, Folder

__all__ = ["describe"]


def describe(
    folder: Folder,
    manifest: Manifest,
    store: CodeStore,
    codebooks: Codebooks,
    model_config: dict[str, Any],
) -> dict[str, Any]:
    """Return the facts of a collection as plain JSON values."""
    return {
        "path": str(folder.place),
        "format_version": manifest.format_version,
        "n_items": store.count(),
        "n_labelled": store.count(HAS_LABELS),
        "bits": codebooks.bits,
        "lengths_bits": codebooks.lengths(),
        "n_levels": manifest.n_levels,
        "n_codewords": manifest.n_codewords,
        "dim": manifest.dim,
        "metric": codebooks.metric,
        "feature_map": (model_config.get("feature_map") or {}).get("kind"),
        "method": model_config.get("method"),
        "backbone": backbone_name(model_config),
        "class_names": model_config.get("class_names"),
        "model_fingerprint": manifest.model_fingerprint,
        "metadata_columns": store.metadata_columns,
        "has_thumbnails": "thumbnail" in store.columns,
        "has_features": "feature" in store.columns,
        "version": store.version,
        "oldest_version": store.oldest_version,
        "size_bytes": folder.total_bytes(),
    }
