"""Arrays and plain settings in one safetensors file, written atomically."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from anybit.codes.system_errors import access_error
from anybit.errors import FormatError

__all__ = ["read_tensors", "replace_file", "write_tensors"]

Tensors = dict[str, np.ndarray[Any, Any]]


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole: after a crash or a power cut there is the old one or the new one."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_tensors(path: Path, tensors: Tensors, settings: dict[str, Any]) -> None:
    """Write arrays, and settings as JSON in the file's header."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    replace_file(path, save(contiguous, {"anybit": json.dumps(settings, sort_keys=True)}))


def read_tensors(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read what `write_tensors` wrote; raise FormatError when it is missing or damaged."""
    try:
        path.open("rb").close()  # safetensors says of every file that it does not exist
        with safe_open(path, framework="numpy") as file:
            settings = json.loads((file.metadata() or {}).get("anybit", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError, TypeError) as cause:
        raise access_error(path, cause) or FormatError(
            f"{path} must be a safetensors file, got: {cause}"
        ) from cause
    if not isinstance(settings, dict):
        raise FormatError(f"{path} must hold anybit's settings as a JSON object.")
    return tensors, settings
