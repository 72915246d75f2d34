"""``collection.json``: what makes a folder a collection, and which model its codes are from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from anybit.codes import access_error
from anybit.errors import FormatError
from anybit.store import Folder

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST_NAME",
    "Manifest",
    "are_same_rows",
    "read_manifest",
    "write_manifest",
]

FORMAT_VERSION = 3
MANIFEST_NAME = "collection.json"
_FORMAT = "anybit-collection"
_CHECKSUM = "checksum"


@dataclass(frozen=True)
class Manifest:
    """What a collection is made of.

    Parameters
    ----------
    model_fingerprint : str
        Of the model whose codes it holds.
    n_levels, n_codewords, dim : int
        Shape of the codes, and dimension of the features.
    model, items : str
        Names of the folders of model and rows.
    format_version : int
        Of the folder's layout.
    collection_id : str
        Another one for each collection that is created, also at the same path; it stays when the
        model is replaced. Empty where it was made by format version 1 or 2.
    """

    model_fingerprint: str
    n_levels: int
    n_codewords: int
    dim: int
    model: str = "model"
    items: str = "items.lance"
    format_version: int = FORMAT_VERSION
    collection_id: str = ""


def are_same_rows(one: Manifest, other: Manifest) -> bool:
    """Tell whether two manifests name the same rows, with codes of the same model."""
    ours, theirs = (one.items, one.model_fingerprint), (other.items, other.model_fingerprint)
    return one.collection_id == other.collection_id and ours == theirs


def write_manifest(folder: Folder, manifest: Manifest) -> None:
    """Write ``collection.json``, whole or not at all: this is how a model is replaced."""
    content = {"format": _FORMAT, **asdict(manifest)}
    content[_CHECKSUM] = _checksum_of(content)
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    folder.write(MANIFEST_NAME, text.encode())


def read_manifest(folder: Folder) -> Manifest:
    """Read ``collection.json``.

    Raises
    ------
    FormatError
        If the folder is missing, no collection, damaged, or of a newer format version.
    OptionError
        If the file may not be read.
    """
    place, path = folder.place, f"{folder.place}/{MANIFEST_NAME}"
    try:
        content = json.loads(folder.read(MANIFEST_NAME).decode())
    except (FileNotFoundError, NotADirectoryError) as cause:
        if not folder.is_there():
            raise FormatError(
                f"{place} must be a collection, got no such folder. "
                f"Make one with `anybit create {place} --model MODEL`."
            ) from cause
        raise FormatError(
            f"{place} must be a collection with {MANIFEST_NAME}, got a folder without. "
            "Make one with `anybit create COLLECTION --model MODEL`."
        ) from cause
    except (OSError, ValueError) as cause:
        if (no_access := access_error(place, cause)) is not None:
            raise no_access from cause
        raise FormatError(f"{path} must be a JSON file, got: {cause}") from cause
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise FormatError(f"{path} must describe an {_FORMAT}, got something else.")
    version = content.get("format_version")
    if not isinstance(version, int):
        raise FormatError(f"{path} is damaged: it has no format_version. Restore it from a copy.")
    if not 1 <= version <= FORMAT_VERSION:
        raise FormatError(
            f"{path} must have collection format version {FORMAT_VERSION} or older, "
            f"got {version}. Update anybit."
        )
    if unknown := content.keys() - {"format", _CHECKSUM, *Manifest.__dataclass_fields__}:
        raise FormatError(
            f"{path} is damaged: it has the unknown key {min(unknown)!r}. Restore it from a copy."
        )
    if _CHECKSUM in content and content[_CHECKSUM] != _checksum_of(content):
        raise FormatError(
            f"{path} is damaged: its checksum is not that of its content. Restore it from a copy."
        )
    try:
        return Manifest(
            str(content["model_fingerprint"]),
            int(content["n_levels"]),
            int(content["n_codewords"]),
            int(content["dim"]),
            _folder_name(content, "model", "model"),
            _folder_name(content, "items", "items.lance"),
            version,
            str(content.get("collection_id", "")),
        )
    except (KeyError, TypeError, ValueError) as cause:
        raise FormatError(f"{path} is damaged: {cause!r}. Restore it from a copy.") from cause


def _checksum_of(content: dict[str, object]) -> str:
    """Return the checksum of all other fields; a file without one is of an older version."""
    fields = {key: value for key, value in content.items() if key != _CHECKSUM}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def _folder_name(content: dict[str, object], key: str, default: str) -> str:
    """Return the name of a folder inside the collection; version 1 has fixed ones."""
    name = str(content.get(key, default))
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError(f"{key} must name a folder inside the collection, got {name!r}")
    return name
