"""The files of a folder that comes from outside, and may come from anybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from anybit.errors import DataError

__all__ = ["files_below"]


def files_below(source: Path) -> list[str]:
    """Return the paths of all files below a folder, relative to it.

    Links may lead to other files of the folder. A link that leads elsewhere would copy a file of
    this machine that the folder's author chose, such as a private key.

    Raises
    ------
    DataError
        If there is a link that leads out of the folder, or something that is no file: reading a
        pipe or a device may never end.
    """
    root, found = source.resolve(), []
    for folder, folders, files in os.walk(source):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() and not _leads_inside(path, root):
                raise DataError(
                    f"{path} must be a file of its folder, got a link to {os.readlink(path)}. "
                    "If you trust it, copy the folder with the files themselves (cp -rL) and give "
                    "the copy."
                )
        for name in files:
            path = Path(folder, name)
            if not stat.S_ISREG(path.stat().st_mode):
                raise DataError(f"{path} must be a regular file, got a pipe, device or socket.")
            found.append(path.relative_to(source).as_posix())
    return sorted(found)


def _leads_inside(path: Path, root: Path) -> bool:
    """Tell whether a link leads to a file of the folder; os.walk does not go into linked ones."""
    target = path.resolve()
    return target.is_relative_to(root) and target.is_file()
