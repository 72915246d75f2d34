"""Making the folder of a collection: complete, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Protocol

from anybit.codes import codebooks_of, read_model_folder
from anybit.collection.manifest import MANIFEST_NAME, Manifest, write_manifest
from anybit.errors import OptionError
from anybit.store import CodeStore, sync_folder, sync_tree

__all__ = ["ITEMS_NAME", "MODEL_NAME", "SavesPretrained", "create_folder"]

MODEL_NAME, ITEMS_NAME = "model", "items.lance"


class SavesPretrained(Protocol):
    """A model that can write itself as a model folder."""

    def save_pretrained(self, path: str | Path) -> str:
        """Write the model folder; return its fingerprint."""


def create_folder(
    target: Path, model: str | Path | SavesPretrained, *, overwrite: bool = False
) -> None:
    """Write an empty collection beside the target, then put it in its place.

    Raises
    ------
    OptionError
        If `target` exists and may not be replaced, or cannot be written.
    """
    is_empty_folder = target.is_dir() and not any(target.iterdir())
    if target.exists() and not is_empty_folder:
        if not (target / MANIFEST_NAME).is_file():
            raise OptionError(
                f"{target} must not exist yet, got something that is no collection. "
                "Choose another path."
            )
        if not overwrite:
            raise OptionError(
                f"{target} must not exist yet, got a collection. "
                "Choose another path, or pass overwrite (--overwrite) to replace it."
            )
    if isinstance(model, str | Path):
        codebooks_of(read_model_folder(model))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as cause:
        raise OptionError(f"{target} must be writable: {cause.strerror}.") from cause
    try:
        draft.chmod(0o755)
        if isinstance(model, str | Path):
            shutil.copytree(model, draft / MODEL_NAME)
        else:
            model.save_pretrained(draft / MODEL_NAME)
        _fill(draft)
        sync_tree(draft)
        _replace(target, draft)
        sync_folder(target.parent)
    except OSError as cause:
        raise OptionError(f"{target} must be writable: {cause}.") from cause
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fill(folder: Path) -> None:
    """Add store and manifest to a folder that holds a model."""
    model = read_model_folder(folder / MODEL_NAME)
    codebooks = codebooks_of(model)
    CodeStore.create(folder / ITEMS_NAME, codebooks.n_levels, codebooks.n_codewords)
    manifest = Manifest(model.fingerprint, codebooks.n_levels, codebooks.n_codewords, codebooks.dim)
    write_manifest(folder, manifest)


def _replace(target: Path, draft: Path) -> None:
    """Put the finished draft in the target's place."""
    if not target.exists():
        os.rename(draft, target)
        return
    replaced = draft.with_name(draft.name + ".old")
    os.rename(target, replaced)
    os.rename(draft, target)
    shutil.rmtree(replaced)
