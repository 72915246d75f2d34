"""Checkpoints: everything a run needs to go on as if it had never stopped."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch

from anybit.codes import write_errors
from anybit.errors import FormatError

__all__ = ["latest_checkpoint", "read_checkpoint", "write_checkpoint"]

_KEPT = 2


def write_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write a checkpoint (tensors, numbers, strings, lists, dicts), then drop all but two.

    The file appears under its name only when it is complete and on disk.

    Raises
    ------
    OptionError
        If it cannot be written.
    """
    path = folder / f"step-{step:09d}.pt"
    temporary = folder / f".{path.name}.tmp"
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with write_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        for old in sorted(folder.glob("step-*.pt"))[:-_KEPT]:
            old.unlink()
    return path


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint, or None."""
    found = sorted(folder.glob("step-*.pt"))
    return found[-1] if found else None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running any code that it may hold.

    Raises
    ------
    FormatError
        If the file is damaged or holds anything but tensors and plain values.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as cause:
        raise FormatError(
            f"{path} must be a checkpoint of anybit, got: {cause}. Delete it to go on from the "
            "one before."
        ) from cause
    return state
