"""Bringing a collection of an older format version to this one, before it is written."""

from __future__ import annotations

import logging
from dataclasses import replace

from anybit.collection.manifest import FORMAT_VERSION, Manifest, read_manifest, write_manifest
from anybit.store import FORMAT_VERSION as STORE_VERSION
from anybit.store import CodeStore, Folder

__all__ = ["upgrade_folder"]

_LOG = logging.getLogger(__name__)


def upgrade_folder(folder: Folder, manifest: Manifest, store: CodeStore) -> None:
    """Bring a collection to this format version, where it is of an older one.

    No rows are written again. The store comes first: an interruption leaves a store of this
    version and an older ``collection.json``, which can be read and are upgraded by the next writer.

    Raises
    ------
    OptionError
        If the collection cannot be written.
    """
    if manifest.format_version == FORMAT_VERSION and store.format_version == STORE_VERSION:
        return
    with store.locked():
        if read_manifest(folder) != manifest:
            return  # another process was first
        renamed = store.upgrade(manifest.model_fingerprint)
        if manifest.format_version < FORMAT_VERSION:
            write_manifest(folder, replace(manifest, format_version=FORMAT_VERSION))
    names = "".join(f" Column {old} is now {new}." for old, new in (renamed or {}).items())
    _LOG.warning(
        "%s was upgraded from format version %d to %d; older releases of anybit cannot open it.%s",
        folder.place,
        min(manifest.format_version, FORMAT_VERSION - 1),
        FORMAT_VERSION,
        names,
    )
