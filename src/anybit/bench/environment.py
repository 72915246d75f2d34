"""What a figure depends on, written beside it."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["environment", "write_result"]


def environment(
    packages: tuple[str, ...] = ("numpy", "torch", "torchvision", "timm"),
) -> dict[str, Any]:
    """Return command, commit, machine and versions; paths are cut to their last name."""
    versions = {"python": platform.python_version()}
    for name in ("anybit", *packages):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    words = [word if word.startswith("-") else Path(word).name for word in sys.argv]
    return {
        "command": shlex.join(words if words[0] == "anybit" else ["python", *words]),
        "commit": commit(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": os.environ.get("OMP_NUM_THREADS", "all cores"),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "versions": versions,
    }


def commit() -> str:
    """Return the commit, with a mark when the tree has changes."""

    def git(*words: str) -> str:
        folder = Path(__file__).parent
        line = ["git", *words]
        done = subprocess.run(line, capture_output=True, text=True, cwd=folder, check=False)
        return done.stdout.strip()

    try:
        head = git("rev-parse", "HEAD")
        is_changed = bool(git("status", "--porcelain"))
    except OSError:
        return "git is missing"
    return head + (" with changes" if is_changed else "") if head else "installed"


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write one JSON file and say where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    sys.stderr.write(f"written: {path}\n")
