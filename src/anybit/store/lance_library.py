"""Lance, imported where it is first needed."""

from __future__ import annotations

from types import ModuleType

from anybit.errors import DependencyError

__all__ = ["lance_library"]


def lance_library() -> ModuleType:
    """Return the module `lance`: the import takes 0.4 s.

    Raises
    ------
    DependencyError
        If pylance is not installed.
    """
    try:
        import lance
    except ImportError as cause:
        raise DependencyError("a collection needs pylance. Run `pip install pylance`.") from cause
    module: ModuleType = lance
    return module
