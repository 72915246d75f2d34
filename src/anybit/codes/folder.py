"""A model as a folder: ``config.json``, ``model.safetensors``, ``preprocessor.json``. No pickle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anybit.codes.codebooks import Codebooks
from anybit.codes.feature_map import FeatureMap
from anybit.codes.system_errors import access_error, write_errors
from anybit.codes.tensors import read_tensors, replace_file, write_tensors
from anybit.errors import FormatError, NotTrainedError, OptionError

__all__ = [
    "ModelFolder",
    "check_writable",
    "codebooks_of",
    "feature_map_of",
    "read_model_folder",
    "write_model_folder",
]

FORMAT_VERSION = 1
# Of a model with a feature map: readers of version 1 would encode vectors without it.
FORMAT_VERSION_WITH_MAP = 2
_PREFIX = "codebooks."
_MAP_PREFIX = "feature_map."


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder holds.

    Parameters
    ----------
    config : dict
        Method, backbone, head, ``codebooks`` and ``feature_map`` settings, ``class_names``; JSON
        values only.
    tensors : dict of str to ndarray
        All arrays. Those of the codebooks are named ``codebooks.…``, those of a feature map
        ``feature_map.…``.
    preprocessor : dict or None
        The deterministic image path, None for plain vectors.
    summary : dict
        What training reported; not part of the fingerprint.
    fingerprint : str
        SHA-256 over config, tensors and preprocessor: models with the same one give the same
        codes.
    """

    config: dict[str, Any]
    tensors: dict[str, np.ndarray[Any, Any]]
    preprocessor: dict[str, Any] | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""


def codebooks_of(folder: ModelFolder) -> Codebooks:
    """Return the codebooks of a model folder, without torch.

    Raises
    ------
    NotTrainedError
        If the model was saved before it had codebooks.
    """
    tensors = _tensors_of(folder, _PREFIX)
    if "codebooks" not in folder.config or not tensors:
        raise NotTrainedError("the model must have codebooks, got one without. Train it first.")
    return Codebooks.from_tensors(tensors, folder.config["codebooks"])


def feature_map_of(folder: ModelFolder) -> FeatureMap | None:
    """Return the map that a model applies before its codebooks, or None.

    Raises
    ------
    FormatError
        If its arrays or settings are damaged, or do not fit the codebooks.
    """
    tensors = _tensors_of(folder, _MAP_PREFIX)
    if "feature_map" not in folder.config:
        if tensors:
            raise FormatError(f"config.json must describe the feature map, got {sorted(tensors)}.")
        return None
    found = FeatureMap.from_tensors(tensors, folder.config["feature_map"])
    dim = codebooks_of(folder).dim
    if found.dim_out != dim:
        raise FormatError(
            f"the feature map must give the {dim} values that the codebooks take, "
            f"got {found.dim_out}. Restore the folder from a copy."
        )
    return found


def _tensors_of(folder: ModelFolder, prefix: str) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays whose names begin with a prefix, by the rest of the name."""
    return {
        name.removeprefix(prefix): array
        for name, array in folder.tensors.items()
        if name.startswith(prefix)
    }


def fingerprint_of(
    config: dict[str, Any],
    tensors: dict[str, np.ndarray[Any, Any]],
    preprocessor: dict[str, Any] | None,
) -> str:
    """Return the SHA-256 of everything that decides a model's codes, as 64 hex digits."""
    digest = hashlib.sha256()
    for part in (config, preprocessor):
        digest.update(json.dumps(part, sort_keys=True).encode() + b"\0")
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def check_writable(path: str | Path) -> None:
    """Try whether a folder could be written at `path`, before hours of work depend on it.

    Raises
    ------
    OptionError
        If not.
    """
    with write_errors(path):
        _folder_beside(Path(path)).rmdir()


def _folder_beside(target: Path) -> Path:
    """Make an empty temporary folder beside a path, and the folders above it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))


def write_model_folder(
    path: str | Path,
    folder: ModelFolder,
    codebooks: Codebooks | None = None,
    *,
    feature_map: FeatureMap | None = None,
    overwrite: bool = False,
    files: Mapping[str, bytes] | None = None,
) -> str:
    """Write a model folder: complete, or not at all.

    Parameters
    ----------
    path : str or Path
        Where the folder shall be.
    folder : ModelFolder
        Its ``fingerprint`` is not looked at: it is computed here.
    codebooks : Codebooks, optional
        Added to the folder's tensors and config.
    feature_map : FeatureMap, optional
        Likewise.
    overwrite : bool
        Replace a folder that is there already.
    files : mapping of str to bytes, optional
        Further files, by name; not part of the fingerprint.

    Returns
    -------
    str
        The fingerprint.

    Raises
    ------
    OptionError
        If the folder exists and `overwrite` is False, or it cannot be written.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise OptionError(f"{target} must not exist yet. Choose another path, or pass overwrite.")
    config, tensors = dict(folder.config), dict(folder.tensors)
    parts = (("codebooks", codebooks), ("feature_map", feature_map))
    for name, part in parts:
        if part is not None:
            arrays, config[name] = part.to_tensors()
            tensors |= {f"{name}.{key}": array for key, array in arrays.items()}
    has_map = "feature_map" in config
    config["format_version"] = FORMAT_VERSION_WITH_MAP if has_map else FORMAT_VERSION
    fingerprint = fingerprint_of(config, tensors, folder.preprocessor)
    with write_errors(target):
        temporary = _folder_beside(target)
        try:
            temporary.chmod(0o755)
            write_tensors(temporary / "model.safetensors", tensors, {"fingerprint": fingerprint})
            _write_json(temporary / "config.json", {**config, "fingerprint": fingerprint})
            _write_json(temporary / "preprocessor.json", folder.preprocessor)
            _write_json(temporary / "training.json", folder.summary)
            for name, content in (files or {}).items():
                replace_file(temporary / name, content)
            _put_in_place(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return fingerprint


def _put_in_place(folder: Path, target: Path) -> None:
    """Give a finished folder its name; one that has it goes."""
    if not target.exists():
        os.rename(folder, target)
        return
    replaced = folder.with_name(folder.name + ".old")
    os.rename(target, replaced)
    os.rename(folder, target)
    shutil.rmtree(replaced)


def read_model_folder(path: str | Path) -> ModelFolder:
    """Read a model folder and check its fingerprint.

    Raises
    ------
    FormatError
        If the folder or a file is missing, damaged, or of a newer format version.
    OptionError
        If a file may not be read.
    """
    source = Path(path)
    try:
        is_there = (source / "config.json").is_file()
    except OSError as cause:
        raise access_error(source, cause) or FormatError(f"{source}: {cause}") from cause
    if not is_there:
        raise FormatError(
            f"{source} must be a model folder with config.json, got none. "
            "Train one with `anybit train SOURCE --output MODEL`."
        )
    config = _read_json(source / "config.json")
    _check_version(source, config)
    stored = config.pop("fingerprint", "")
    tensors, _ = read_tensors(source / "model.safetensors")
    preprocessor = _read_json(source / "preprocessor.json")
    summary_path = source / "training.json"
    summary = _read_json(summary_path) if summary_path.is_file() else {}
    if fingerprint_of(config, tensors, preprocessor) != stored:
        raise FormatError(
            f"{source} is damaged: its content does not have the fingerprint {stored[:12]} that "
            "its config names. Restore the folder from a copy."
        )
    return ModelFolder(config, tensors, preprocessor, summary, stored)


def _check_version(source: Path, config: Any) -> None:
    """Raise FormatError where a model folder's config is no such, or of a version not known."""
    is_config = isinstance(config, dict)
    version = config.get("format_version") if is_config else None
    wanted = FORMAT_VERSION_WITH_MAP if is_config and "feature_map" in config else FORMAT_VERSION
    if version != wanted:
        raise FormatError(
            f"{source} must have model format version {wanted}, got {version}. "
            "Update anybit, or train the model again."
        )


def _write_json(path: Path, content: object) -> None:
    replace_file(path, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as cause:
        raise access_error(path, cause) or FormatError(
            f"{path} must be a JSON file, got: {cause}"
        ) from cause
