"""Making the folder of a collection: complete, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from anybit.codes import codebooks_of, read_model_folder, write_errors
from anybit.collection.manifest import MANIFEST_NAME, Manifest, write_manifest
from anybit.collection.onnx_engine import has_onnx, read_onnx
from anybit.collection.replacement_lock import locked_for_overwriting
from anybit.errors import OptionError
from anybit.store import CodeStore, Folder, LocalFolder, open_folder

__all__ = ["ITEMS_PREFIX", "MODEL_PREFIX", "SavesPretrained", "create_folder", "take_model"]

MODEL_PREFIX, ITEMS_PREFIX = "model-", "items-"


class SavesPretrained(Protocol):
    """A model that can write itself as a model folder."""

    def save_pretrained(self, path: str | Path) -> str:
        """Write the model folder; return its fingerprint."""


def create_folder(
    place: str | Path,
    model: str | Path | SavesPretrained,
    *,
    overwrite: bool = False,
    rows: pa.Table | None = None,
) -> None:
    """Make a collection, empty or with first rows.

    Raises
    ------
    OptionError
        If the place is taken and may not be replaced, or cannot be written.
    """
    folder = open_folder(place)
    with write_errors(place), ExitStack() as locks:
        is_taken = _is_taken(folder, overwrite=overwrite)
        if isinstance(folder, LocalFolder):
            _create_local(folder.place, model, rows, is_taken=is_taken)
            return
        holds = locks.enter_context(locked_for_overwriting(folder)) if is_taken else ()
        manifest = _fill(folder, model, f"{ITEMS_PREFIX}{uuid.uuid4().hex[:12]}.lance", rows=rows)
        for hold in holds:
            hold.check()
        write_manifest(folder, manifest)


def _is_taken(folder: Folder, *, overwrite: bool) -> bool:
    """Tell whether there is a collection, which may be replaced, or raise OptionError."""
    if not folder.names() and not (isinstance(folder, LocalFolder) and folder.place.is_file()):
        return False
    is_collection = folder.exists(MANIFEST_NAME)
    # Elsewhere a creation that was interrupted leaves objects, and no collection.
    if not is_collection and isinstance(folder, LocalFolder):
        raise OptionError(
            f"{folder.place} must not exist yet, got something that is no collection. "
            "Choose another path."
        )
    if is_collection and not overwrite:
        raise OptionError(
            f"{folder.place} must not exist yet, got a collection. "
            "Choose another path, or pass overwrite (--overwrite) to replace it."
        )
    return is_collection


def _create_local(
    target: Path,
    model: str | Path | SavesPretrained,
    rows: pa.Table | None,
    *,
    is_taken: bool,
) -> None:
    """Write the collection beside the target, then put it in its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    replaced = draft.with_name(draft.name + ".old")
    try:
        with locked_for_overwriting(LocalFolder(target)) if is_taken else nullcontext():
            draft.chmod(0o755)
            made = LocalFolder(draft)
            write_manifest(made, _fill(made, model, "items.lance", "model", rows))
            made.settle()
            _replace(target, draft, replaced)
        LocalFolder(target).settle()
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    if replaced.exists():
        shutil.rmtree(replaced)


def _fill(
    folder: Folder,
    model: str | Path | SavesPretrained,
    items: str,
    model_name: str | None = None,
    rows: pa.Table | None = None,
) -> Manifest:
    """Write model and rows; return the manifest that makes a folder a collection."""
    name, fingerprint = take_model(folder, model, model_name)
    codebooks = codebooks_of(read_model_folder(folder.local_copy(name)))
    place = folder.child(items).place
    store = CodeStore.create(place, codebooks.n_levels, codebooks.n_codewords, fingerprint)
    if rows is not None:
        store.upsert(rows)
    shape = (codebooks.n_levels, codebooks.n_codewords, codebooks.dim)
    return Manifest(fingerprint, *shape, model=name, items=items, collection_id=uuid.uuid4().hex)


def take_model(
    folder: Folder, model: str | Path | SavesPretrained, name: str | None = None
) -> tuple[str, str]:
    """Copy a model into a collection; return the folder's name and the fingerprint.

    Without `name` it is named by its fingerprint, and the checksum of its ONNX graph if it has one.
    """
    with tempfile.TemporaryDirectory(prefix="anybit-model-") as draft:
        source = Path(draft) / "model"
        if isinstance(model, str | Path):
            source = Path(model)
        else:
            model.save_pretrained(source)
        read = read_model_folder(source)
        codebooks_of(read)  # refuses a model that has none
        by_content = f"{MODEL_PREFIX}{read.fingerprint[:12]}"
        if has_onnx(source):
            by_content += f"-{read_onnx(source, read.fingerprint)[1].sha256[:8]}"
        name = name or by_content
        folder.take_in(source, name)
    return name, read.fingerprint


def _replace(target: Path, draft: Path, replaced: Path) -> None:
    """Put the finished draft in the target's place; what is there gets the name `replaced`."""
    if not target.exists():
        os.rename(draft, target)
        return
    os.rename(target, replaced)
    try:
        os.rename(draft, target)
    except OSError:
        os.rename(replaced, target)
        raise
