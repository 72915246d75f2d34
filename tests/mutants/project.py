"""Rooms of a package, their source files and their tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOMS", "Project"]

ROOMS = ("training", "models", "quantizers", "codes")


@dataclass(frozen=True)
class Project:
    """Where the sources and the tests of a package lie.

    Parameters
    ----------
    root : Path
        Folder that holds ``src`` and ``tests``.
    package : str
    rooms : tuple of str
        Sub-packages that are mutated.
    shared_tests : tuple of str
        Folders of tests that belong to every room that their files import.
    upper_rooms : tuple of str
        Rooms above all that are mutated: a shared test that imports one of them is a test of that.
    """

    root: Path
    package: str = "anybit"
    rooms: tuple[str, ...] = ROOMS
    shared_tests: tuple[str, ...] = ("tests/property", "tests/golden")
    upper_rooms: tuple[str, ...] = ("collection", "bench", "papers", "serve", "cli")

    def sources(self, room: str) -> tuple[str, ...]:
        """Return the source files of a room, from the root."""
        return self._files(f"src/{self.package}/{room}", "*.py")

    def tests(self, room: str) -> tuple[str, ...]:
        """Return the test files of a room, from the root: its own and those that import from it."""
        shared = []
        for folder in self.shared_tests:
            for path in self._files(folder, "test_*.py"):
                text = (self.root / path).read_text()
                imported = set(re.findall(rf"\b{re.escape(self.package)}\.(\w+)", text))
                if room in imported and imported.isdisjoint(self.upper_rooms):
                    shared.append(path)
        return (*self._files(f"tests/unit/{room}", "test_*.py"), *shared)

    def module(self, path: str) -> str:
        """Return the dotted name of a source file."""
        parts = Path(path).relative_to("src").with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _files(self, folder: str, pattern: str) -> tuple[str, ...]:
        found = (self.root / folder).rglob(pattern)
        return tuple(sorted(path.relative_to(self.root).as_posix() for path in found))
