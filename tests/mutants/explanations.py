"""Why a survivor is no gap in the tests."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from mutants.drawing import Mutant

__all__ = ["Explanations"]

_KEYS = {"file", "operator", "before", "after", "reason"}


class Explanations:
    """The reasons of a file, one ``[[survivor]]`` each.

    Parameters
    ----------
    reasons : mapping of tuple to str
        By `Mutant.identity`: file, operator, text before, text after.
    """

    def __init__(self, reasons: Mapping[tuple[str, str, str, str], str]) -> None:
        self._reasons = reasons

    @classmethod
    def read(cls, path: Path) -> Explanations:
        """Read a file.

        Raises
        ------
        ValueError
            If an entry lacks a key, has another one or gives no reason.
        """
        reasons = {}
        for entry in tomllib.loads(path.read_text()).get("survivor", []):
            if entry.keys() != _KEYS or not entry["reason"].strip():
                raise ValueError(
                    f"a [[survivor]] of {path.name} must have a reason and the keys "
                    f"{', '.join(sorted(_KEYS))}, got {entry}."
                )
            place = (entry["file"], entry["operator"], entry["before"], entry["after"])
            reasons[place] = entry["reason"]
        return cls(reasons)

    def reason(self, mutant: Mutant) -> str:
        """Return why a mutant survives; empty where nothing is known."""
        return self._reasons.get(mutant.identity, "")
