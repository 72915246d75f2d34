"""Every error that anybit raises on purpose.

::

    AnybitError
    ├── ShapeError      (also ValueError)   an array has the wrong rank or size
    ├── OptionError     (also ValueError)   an option is out of range or contradicts another
    │   └── FilterError                     the text of a filter cannot be understood
    ├── DTypeError      (also TypeError)    an array or argument has the wrong type
    ├── NotTrainedError                     a model is used before it has codebooks
    ├── FormatError                         a file is damaged, foreign or of another version
    ├── DataError                           a source, its labels or its vectors cannot be used
    │   └── ReplacedError                   a collection was replaced while it was written
    ├── TimeLimitError                      a filter took longer than it may
    └── DependencyError                     an optional package is missing

A message says what was required, what came, and the cure.
"""

from __future__ import annotations

__all__ = [
    "AnybitError",
    "DTypeError",
    "DataError",
    "DependencyError",
    "FilterError",
    "FormatError",
    "NotTrainedError",
    "OptionError",
    "ReplacedError",
    "ShapeError",
    "TimeLimitError",
]


class AnybitError(Exception):
    """Base of all errors that anybit raises on purpose."""


class ShapeError(AnybitError, ValueError):
    """An array has the wrong rank or size."""


class OptionError(AnybitError, ValueError):
    """An option is out of range or contradicts another one."""


class FilterError(OptionError):
    """The text of a filter cannot be understood.

    Parameters
    ----------
    message : str
        What was required and what came.
    cure : str
        What to do; may be empty.
    position : int
        Number of the character that does not fit, from 1; 0 if there is none.
    """

    def __init__(self, message: str, cure: str = "", position: int = 0) -> None:
        super().__init__(f"{message} {cure}".strip())
        self.message, self.cure, self.position = message, cure, position


class DTypeError(AnybitError, TypeError):
    """An array or argument has the wrong type."""


class NotTrainedError(AnybitError):
    """A model was used before it was trained."""


class FormatError(AnybitError):
    """A file or folder is damaged, foreign, or of an unknown format version."""


class DataError(AnybitError):
    """A source, its labels or its vectors cannot be used."""


class ReplacedError(DataError):
    """A collection got another model, or another one took its place, before something was stored.

    Nothing of the commit in question was stored. The same call, made again, works with what is
    there by then.
    """


class TimeLimitError(AnybitError):
    """A filter took longer than it may."""


class DependencyError(AnybitError):
    """A package that this step needs is not installed."""
