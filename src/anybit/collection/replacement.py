"""Putting another model, and the rows that go with it, in the place of a collection's own."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from anybit.codes import ModelFolder, codebooks_of, read_model_folder
from anybit.collection.creation import SavesPretrained
from anybit.collection.encoder import load_encoder
from anybit.collection.manifest import Manifest, read_manifest, write_manifest
from anybit.collection.migration import Features, MigrateReport, are_prefix, reencode_store
from anybit.data import Source
from anybit.errors import OptionError
from anybit.store import CodeStore, sync_folder, sync_tree
from anybit.types import ProgressCallback

__all__ = ["migrate_folder", "remove_replaced"]

_MODEL, _ITEMS = "model-", "items-"


def migrate_folder(
    path: Path,
    manifest: Manifest,
    store: CodeStore,
    model: str | Path | SavesPretrained,
    source: Source | None,
    device: str,
    progress: ProgressCallback | None,
) -> MigrateReport:
    """Encode a collection's items by another model and switch to it; see `Collection.migrate`."""
    name, fingerprint = _take_in(path, model)
    old_fingerprint = manifest.model_fingerprint
    if fingerprint == old_fingerprint:
        return MigrateReport(store.count(), 0, True, old_fingerprint, fingerprint)
    old = codebooks_of(read_model_folder(path / manifest.model))
    encoder = load_encoder(path / name, device)
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
    is_extended = are_prefix(old, new) and _have_one_network(path / manifest.model, path / name)
    if is_extended:
        n_encoded = store.extend(
            lambda ids, codes: new.encode_further(features.of(ids), codes),
            lambda: write_manifest(path, changed),
        )
        return MigrateReport(n_encoded, n_encoded, True, old_fingerprint, fingerprint)
    changed = replace(changed, items=f"{_ITEMS}{fingerprint[:12]}.lance")
    draft = _draft_store(path / changed.items, new.n_levels, new.n_codewords)
    store.refresh()
    version = store.version
    n_encoded = reencode_store(store, draft, features, new, progress)
    with store.locked():
        if store.version != version:
            n_encoded += reencode_store(store, draft, features, new)  # what came meanwhile
        write_manifest(path, changed)
        store.retire()
    return MigrateReport(draft.count(), n_encoded, False, old_fingerprint, fingerprint)


def _take_in(path: Path, model: str | Path | SavesPretrained) -> tuple[str, str]:
    """Copy a model into the collection; return the folder's name and the fingerprint."""
    try:
        draft = Path(tempfile.mkdtemp(prefix=".model.", dir=path))
    except OSError as cause:
        raise OptionError(f"{path} must be writable: {cause.strerror}.") from cause
    try:
        draft.chmod(0o755)
        if isinstance(model, str | Path):
            codebooks_of(read_model_folder(model))
            shutil.copytree(model, draft, dirs_exist_ok=True)
        else:
            model.save_pretrained(draft)
        fingerprint = read_model_folder(draft).fingerprint
        name = f"{_MODEL}{fingerprint[:12]}"
        if not (path / name).exists():
            sync_tree(draft)
            os.rename(draft, path / name)
            sync_folder(path)
    except OSError as cause:
        raise OptionError(f"{path} must be writable: {cause}.") from cause
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return name, fingerprint


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


def _draft_store(path: Path, n_levels: int, n_codewords: int) -> CodeStore:
    """Open the store of a migration that was interrupted, or make one."""
    if path.exists():
        return CodeStore.open(path)
    return CodeStore.create(path, n_levels, n_codewords)


def remove_replaced(path: Path, manifest: Manifest, kept_s: float) -> None:
    """Remove models and rows that were replaced more than `kept_s` seconds ago."""
    if read_manifest(path) != manifest:
        return
    known = {manifest.model, manifest.items}
    for folder in path.iterdir():
        name = folder.name.removesuffix(".index")
        is_replaced = name in ("model", "items.lance") or name.startswith((_MODEL, _ITEMS))
        if not is_replaced or name in known or time.time() - folder.stat().st_mtime < kept_s:
            continue
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            folder.unlink(missing_ok=True)
