"""Every error that anybit raises on purpose.

::

    AnybitError
    ├── ShapeError      (also ValueError)   an array has the wrong rank or size
    ├── OptionError     (also ValueError)   an option is out of range or contradicts another
    ├── DTypeError      (also TypeError)    an array or argument has the wrong type
    ├── NotTrainedError                     a model is used before it has codebooks
    ├── FormatError                         a file is damaged, foreign or of another version
    ├── DataError                           a source, its labels or its vectors cannot be used
    └── DependencyError                     an optional package is missing

A message says what was required, what came, and the cure.
"""

from __future__ import annotations

__all__ = [
    "AnybitError",
    "DTypeError",
    "DataError",
    "DependencyError",
    "FormatError",
    "NotTrainedError",
    "OptionError",
    "ShapeError",
]


class AnybitError(Exception):
    """Base of all errors that anybit raises on purpose."""


class ShapeError(AnybitError, ValueError):
    """An array has the wrong rank or size."""


class OptionError(AnybitError, ValueError):
    """An option is out of range or contradicts another one."""


class DTypeError(AnybitError, TypeError):
    """An array or argument has the wrong type."""


class NotTrainedError(AnybitError):
    """A model was used before it was trained."""


class FormatError(AnybitError):
    """A file or folder is damaged, foreign, or of an unknown format version."""


class DataError(AnybitError):
    """A source, its labels or its vectors cannot be used."""


class DependencyError(AnybitError):
    """A package that this step needs is not installed."""
