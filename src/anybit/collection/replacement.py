"""Putting another model, and the rows that go with it, in the place of a collection's own."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from anybit.codes import ModelFolder, codebooks_of, feature_map_of, read_model_folder, write_errors
from anybit.collection.creation import (
    ITEMS_PREFIX,
    MODEL_PREFIX,
    SavesPretrained,
    take_model,
)
from anybit.collection.encoder import EncoderOptions, load_encoder
from anybit.collection.manifest import (
    MANIFEST_NAME,
    Manifest,
    read_manifest,
    write_manifest,
)
from anybit.collection.migration import (
    Features,
    MigrateReport,
    Stored,
    are_prefix,
    reencode_store,
)
from anybit.collection.onnx_engine import has_onnx
from anybit.collection.onnx_export import export_onnx
from anybit.collection.replacement_lock import REPLACEMENT_LOCK
from anybit.data import Source
from anybit.errors import FormatError, OptionError
from anybit.store import REMOVED_PREFIX, CodeStore, Folder, Hold
from anybit.types import ProgressCallback

__all__ = [
    "Target",
    "add_onnx_to_folder",
    "migrate_folder",
    "remove_replaced",
]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """The collection that gets another model.

    Parameters
    ----------
    folder : Folder
    manifest : Manifest
        As it was read after the lock was taken.
    store : CodeStore
        The rows that it names.
    hold : Hold
        Of `replacement_lock`.
    """

    folder: Folder
    manifest: Manifest
    store: CodeStore
    hold: Hold

    def switch(self, manifest: Manifest) -> None:
        """Make another manifest that of the collection; only while the store is locked.

        Raises
        ------
        OptionError
            If the collection has another manifest than the one that was read: it was replaced.
        """
        self.hold.check()
        if read_manifest(self.folder) != self.manifest:
            raise OptionError(
                f"{self.folder.place} must keep its model meanwhile, got another one. "
                "Run the same command again."
            )
        write_manifest(self.folder, manifest)


def migrate_folder(
    target: Target,
    model: str | Path | SavesPretrained,
    source: Source | None,
    device: str | EncoderOptions,
    progress: ProgressCallback | None,
) -> MigrateReport:
    """Encode a collection's items by another model and switch to it; see `Collection.migrate`."""
    folder, manifest, store = target.folder, target.manifest, target.store
    with write_errors(folder.place):
        name, fingerprint = take_model(folder, model)
    old_fingerprint = manifest.model_fingerprint
    if fingerprint == old_fingerprint:
        if has_onnx(folder.local_copy(name)):
            _switch_to_equal(target, name)
        return MigrateReport(store.count(), 0, True, old_fingerprint, fingerprint)
    ours, theirs = folder.local_copy(manifest.model), folder.local_copy(name)
    old, encoder = codebooks_of(read_model_folder(ours)), load_encoder(theirs, device)
    new = encoder.codebooks
    has_same_features = _have_one_network(ours, theirs)
    features = Features(store, encoder, source, _stored_by(ours, has_same_features))
    changed = replace(
        manifest,
        model_fingerprint=fingerprint,
        model=name,
        n_levels=new.n_levels,
        n_codewords=new.n_codewords,
        dim=new.dim,
        format_version=Manifest.format_version,
    )
    is_extended = are_prefix(old, new) and has_same_features
    if is_extended:
        n_encoded = store.extend(
            lambda ids, codes: new.encode_further(features.of(ids), codes),
            lambda: target.switch(changed),
            fingerprint,
        )
        return MigrateReport(n_encoded, n_encoded, True, old_fingerprint, fingerprint)
    changed = replace(changed, items=_items_name(manifest.items, fingerprint))
    draft = _draft_store(folder, changed)
    n_encoded = store.at_newest(lambda: reencode_store(store, draft, features, new, progress))
    version = store.version
    with store.locked():
        if store.version != version:
            n_encoded += reencode_store(store, draft, features, new)  # what came meanwhile
        target.switch(changed)
    return MigrateReport(draft.count(), n_encoded, False, old_fingerprint, fingerprint)


def add_onnx_to_folder(target: Target, *, overwrite: bool) -> None:
    """Give a collection's model an ONNX graph; see `Collection.add_onnx`."""
    folder, manifest = target.folder, target.manifest
    ours = folder.local_copy(manifest.model)
    if has_onnx(ours) and not overwrite:
        raise OptionError(
            f"{folder.place} must have a model without model.onnx, got one with it. "
            "Pass overwrite (--overwrite) to replace it."
        )
    with tempfile.TemporaryDirectory(prefix="anybit-model-") as draft:
        made = Path(draft) / "model"
        export_onnx(ours, made)
        with write_errors(folder.place):
            name, _ = take_model(folder, made)
            _switch_to_equal(target, name)


def _switch_to_equal(target: Target, name: str) -> None:
    """Point a collection to another copy of its model; processes that have it open follow."""
    if name == target.manifest.model:
        return
    with target.store.locked():
        changed = replace(target.manifest, model=name, format_version=Manifest.format_version)
        target.switch(changed)


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


def _stored_by(ours: Path, has_same_features: bool) -> Stored:
    """Say what the stored features of a collection are to a model that replaces its own."""
    if feature_map_of(read_model_folder(ours)) is None:
        return "vectors"
    return "features" if has_same_features else "foreign features"


def _network_config(folder: ModelFolder) -> dict[str, Any]:
    config = {key: folder.config.get(key) for key in ("backbone", "is_unit_length", "feature_map")}
    architecture = folder.config.get("architecture") or {}
    return {**config, **architecture, "quantizer": None}


def _network_tensors(folder: ModelFolder) -> dict[str, Any]:
    return {
        name: value for name, value in folder.tensors.items() if not name.startswith("codebooks.")
    }


def _items_name(replaced: str, fingerprint: str) -> str:
    """Name the rows that a model makes of those in a folder.

    A migration that is run again finds its draft. As the name depends on all rows before, it is
    never that of rows which a collection has had, which may be out of date.
    """
    history = hashlib.sha256(f"{replaced} {fingerprint}".encode()).hexdigest()[:8]
    return f"{ITEMS_PREFIX}{fingerprint[:12]}-{history}.lance"


def _draft_store(folder: Folder, manifest: Manifest) -> CodeStore:
    """Open the store of a migration that was interrupted, or make one."""
    draft_folder, fingerprint = folder.child(manifest.items), manifest.model_fingerprint
    shape = (manifest.n_levels, manifest.n_codewords)
    if draft_folder.is_there():
        try:
            draft = CodeStore.open(
                draft_folder.place, n_levels=shape[0], model_fingerprint=fingerprint
            )
            with draft.locked():  # compares all files
                draft.upgrade(fingerprint)
            return draft
        except FormatError as cause:  # its process was killed while it made the store
            _LOG.warning("%s: the draft of a migration is made again: %s", folder.place, cause)
            folder.remove([manifest.items])
    return CodeStore.create(draft_folder.place, *shape, fingerprint)


def remove_replaced(folder: Folder, kept_s: float) -> None:
    """Remove models and rows that were replaced more than `kept_s` seconds ago.

    What a running migration writes is in the folder before ``collection.json`` names it, and looks
    replaced. So nothing is removed then.
    """
    with write_errors(folder.place):
        try:
            with folder.lock(REPLACEMENT_LOCK, wait=False) as hold:
                _remove_replaced(folder, kept_s, hold)
        except BlockingIOError:
            _LOG.info("%s is getting another model: replaced folders stay", folder.place)


def _remove_replaced(folder: Folder, kept_s: float, hold: Hold) -> None:
    manifest, now = read_manifest(folder), datetime.now(UTC).replace(tzinfo=None)
    known = {manifest.model, manifest.items}
    switched_at = folder.changed_at(MANIFEST_NAME)
    for name in folder.names():
        if name.startswith((REMOVED_PREFIX, f".{MODEL_PREFIX}")):  # of a process that was killed
            folder.remove([name])
            continue
        of = name.removesuffix(".index")
        is_replaced = of in ("model", "items.lance") or of.startswith((MODEL_PREFIX, ITEMS_PREFIX))
        if not is_replaced or of in known:
            continue
        # A copy of a model has the times of its original: it may look much older than it is.
        changed_at = max(switched_at, folder.changed_at(name))
        if (now - changed_at).total_seconds() >= kept_s:
            hold.check()
            folder.remove([name])
