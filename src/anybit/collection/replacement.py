"""Putting another model, and the rows that go with it, in the place of a collection's own."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from anybit.codes import ModelFolder, codebooks_of, read_model_folder
from anybit.collection.creation import (
    ITEMS_PREFIX,
    MODEL_PREFIX,
    SavesPretrained,
    take_model,
)
from anybit.collection.encoder import EncoderOptions, load_encoder
from anybit.collection.manifest import Manifest, read_manifest, write_manifest
from anybit.collection.migration import Features, MigrateReport, are_prefix, reencode_store
from anybit.collection.onnx_engine import has_onnx
from anybit.collection.onnx_export import export_onnx
from anybit.data import Source
from anybit.errors import OptionError
from anybit.store import CodeStore, Folder
from anybit.types import ProgressCallback

__all__ = ["add_onnx_to_folder", "migrate_folder", "remove_replaced"]


def migrate_folder(
    folder: Folder,
    manifest: Manifest,
    store: CodeStore,
    model: str | Path | SavesPretrained,
    source: Source | None,
    device: str | EncoderOptions,
    progress: ProgressCallback | None,
) -> MigrateReport:
    """Encode a collection's items by another model and switch to it; see `Collection.migrate`."""
    try:
        name, fingerprint = take_model(folder, model)
    except OSError as cause:
        raise OptionError(f"{folder.place} must be writable: {cause}.") from cause
    old_fingerprint = manifest.model_fingerprint
    if fingerprint == old_fingerprint:
        if has_onnx(folder.local_copy(name)):
            _switch_to_equal(folder, manifest, store, name)
        return MigrateReport(store.count(), 0, True, old_fingerprint, fingerprint)
    ours, theirs = folder.local_copy(manifest.model), folder.local_copy(name)
    old, encoder = codebooks_of(read_model_folder(ours)), load_encoder(theirs, device)
    new = encoder.codebooks
    features = Features(store, encoder, source)
    changed = replace(
        manifest,
        model_fingerprint=fingerprint,
        model=name,
        n_levels=new.n_levels,
        n_codewords=new.n_codewords,
        dim=new.dim,
        format_version=Manifest.format_version,
    )
    is_extended = are_prefix(old, new) and _have_one_network(ours, theirs)
    if is_extended:
        n_encoded = store.extend(
            lambda ids, codes: new.encode_further(features.of(ids), codes),
            lambda: write_manifest(folder, changed),
            fingerprint,
        )
        return MigrateReport(n_encoded, n_encoded, True, old_fingerprint, fingerprint)
    changed = replace(changed, items=f"{ITEMS_PREFIX}{fingerprint[:12]}.lance")
    draft = _draft_store(folder.child(changed.items), changed)
    store.refresh()
    version = store.version
    n_encoded = reencode_store(store, draft, features, new, progress)
    with store.locked():
        if store.version != version:
            n_encoded += reencode_store(store, draft, features, new)  # what came meanwhile
        write_manifest(folder, changed)
        store.retire()
    return MigrateReport(draft.count(), n_encoded, False, old_fingerprint, fingerprint)


def add_onnx_to_folder(
    folder: Folder, manifest: Manifest, store: CodeStore, *, overwrite: bool
) -> None:
    """Give a collection's model an ONNX graph; see `Collection.add_onnx`."""
    ours = folder.local_copy(manifest.model)
    if has_onnx(ours) and not overwrite:
        raise OptionError(
            f"{folder.place} must have a model without model.onnx, got one with it. "
            "Pass overwrite (--overwrite) to replace it."
        )
    with tempfile.TemporaryDirectory(prefix="anybit-model-") as draft:
        made = Path(draft) / "model"
        export_onnx(ours, made)
        try:
            name, _ = take_model(folder, made)
            _switch_to_equal(folder, manifest, store, name)
        except OSError as cause:
            raise OptionError(f"{folder.place} must be writable: {cause}.") from cause


def _switch_to_equal(folder: Folder, manifest: Manifest, store: CodeStore, name: str) -> None:
    """Point a collection to another copy of its model; processes that have it open follow."""
    if name == manifest.model:
        return
    with store.locked():
        if read_manifest(folder) != manifest:
            raise OptionError(
                f"{folder.place} must keep its model meanwhile, got another one. "
                "Run the same command again."
            )
        changed = replace(manifest, model=name, format_version=Manifest.format_version)
        write_manifest(folder, changed)


def _have_one_network(old: Path, new: Path) -> bool:
    """Tell whether two models make the same features: all but the codebooks is equal."""
    ours, theirs = read_model_folder(old), read_model_folder(new)
    if ours.preprocessor != theirs.preprocessor:
        return False
    if _network_config(ours) != _network_config(theirs):
        return False
    weights, others = _network_tensors(ours), _network_tensors(theirs)
    return weights.keys() == others.keys() and all(
        np.array_equal(weights[name], others[name]) for name in weights
    )


def _network_config(folder: ModelFolder) -> dict[str, Any]:
    config = {key: folder.config.get(key) for key in ("backbone", "is_unit_length")}
    architecture = folder.config.get("architecture") or {}
    return {**config, **architecture, "quantizer": None}


def _network_tensors(folder: ModelFolder) -> dict[str, Any]:
    return {
        name: value for name, value in folder.tensors.items() if not name.startswith("codebooks.")
    }


def _draft_store(folder: Folder, manifest: Manifest) -> CodeStore:
    """Open the store of a migration that was interrupted, or make one."""
    fingerprint = manifest.model_fingerprint
    if not folder.is_there():
        return CodeStore.create(folder.place, manifest.n_levels, manifest.n_codewords, fingerprint)
    draft = CodeStore.open(folder.place, n_levels=manifest.n_levels, model_fingerprint=fingerprint)
    with draft.locked():
        draft.upgrade(fingerprint)
    return draft


def remove_replaced(folder: Folder, manifest: Manifest, kept_s: float) -> None:
    """Remove models and rows that were replaced more than `kept_s` seconds ago."""
    if read_manifest(folder) != manifest:
        return
    known, now = {manifest.model, manifest.items}, datetime.now(UTC).replace(tzinfo=None)
    for name in folder.names():
        of = name.removesuffix(".index")
        is_replaced = of in ("model", "items.lance") or of.startswith((MODEL_PREFIX, ITEMS_PREFIX))
        if not is_replaced or of in known:
            continue
        if (now - folder.changed_at(name)).total_seconds() >= kept_s:
            folder.remove([name])
