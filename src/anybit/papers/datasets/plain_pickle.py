"""Pickles of plain values and arrays, read without running anything that they name."""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anybit.errors import DataError, FormatError

__all__ = ["read_plain_pickle"]

_MARK = object()
_STRINGS = frozenset(
    {"SHORT_BINSTRING", "BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
)
_BYTES = frozenset({"SHORT_BINBYTES", "BINBYTES", "BINBYTES8"})
_NUMBERS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "INT"})
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_IGNORED = frozenset({"PROTO", "FRAME"})
_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy._core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
}
_TYPES = frozenset({"u1", "i1", "i2", "i4", "i8", "u2", "u4", "u8", "f4", "f8", "b1"})


def read_plain_pickle(path: Path) -> Any:
    """Read a pickle of numbers, texts, bytes, lists, dictionaries and NumPy arrays.

    Nothing is imported or called on the word of the file: its instructions are followed one by
    one, and the only names known are those that NumPy writes for an array of numbers. Everything
    else is refused. Texts of Python 2 come as ``str`` in Latin-1.

    Parameters
    ----------
    path : Path
        A file written by ``pickle`` of Python 2 or 3 with protocol 2, 3 or 4.

    Returns
    -------
    object

    Raises
    ------
    FormatError
        If the file is cut or damaged, or holds anything but plain values.
    DataError
        If it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.") from error
    try:
        return _Reader().read(data)
    except _RefusedError as error:
        raise FormatError(
            f"{path} must hold plain values and arrays only, got {error}. It is not opened."
        ) from error
    # A damaged file may fail in any instruction, with the error of the value met there.
    except Exception as error:
        raise FormatError(f"{path} must be a whole pickle file: {error}.") from error


class _RefusedError(Exception):
    """The pickle names something that is not a plain value."""


class _Name:
    """A name of `_GLOBALS`, not yet applied."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Array:
    """An array or dtype whose state has not come yet."""

    def __init__(self, kind: str, code: str = "") -> None:
        self.kind, self.code = kind, code
        self.value: NDArray[Any] | None = None


class _Reader:
    """A stack machine for the few instructions that plain values need."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._steps: dict[str, Callable[[Any], None]] = {
            "MARK": lambda _: self._stack.append(_MARK),
            "EMPTY_DICT": lambda _: self._stack.append({}),
            "EMPTY_LIST": lambda _: self._stack.append([]),
            "EMPTY_TUPLE": lambda _: self._stack.append(()),
            "TUPLE": lambda _: self._stack.append(tuple(self._to_mark())),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            "APPEND": lambda _: self._append([self._stack.pop()]),
            "APPENDS": lambda _: self._append(self._to_mark()),
            "SETITEM": lambda _: self._set_items([self._stack.pop(-2), self._stack.pop()]),
            "SETITEMS": lambda _: self._set_items(self._to_mark()),
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            "BINGET": lambda at: self._stack.append(self._memo[at]),
            "LONG_BINGET": lambda at: self._stack.append(self._memo[at]),
            "GLOBAL": lambda name: self._name(*name.split(" ", 1)),
            "STACK_GLOBAL": lambda _: self._name(self._stack.pop(-2), self._stack.pop()),
            "REDUCE": lambda _: self._reduce(),
            "BUILD": lambda _: self._build(),
        }

    def read(self, data: bytes) -> Any:
        """Follow all instructions; return the value left."""
        for operation, argument, _ in pickletools.genops(data):
            name = operation.name
            if name in _STRINGS:
                self._stack.append(str(argument))
            elif name in _BYTES or name in _NUMBERS:
                self._stack.append(argument)
            elif name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name])
            elif name in self._steps:
                self._steps[name](argument)
            elif name == "STOP":
                return _finished(self._stack.pop())
            elif name not in _IGNORED:
                raise _RefusedError(f"the instruction {name}")
        raise ValueError("it has no end")

    def _to_mark(self) -> list[Any]:
        """Take everything above the last mark from the stack."""
        at = len(self._stack) - 1 - self._stack[::-1].index(_MARK)
        taken = self._stack[at + 1 :]
        del self._stack[at:]
        return taken

    def _tuple(self, length: int) -> None:
        """Make a tuple of the last values."""
        taken = tuple(self._stack[-length:])
        del self._stack[-length:]
        self._stack.append(taken)

    def _append(self, values: list[Any]) -> None:
        """Put values at the end of the list on the stack."""
        self._stack[-1].extend(_finished(value) for value in values)

    def _set_items(self, values: list[Any]) -> None:
        """Put keys and values into the dictionary on the stack."""
        pairs = zip(values[::2], map(_finished, values[1::2]), strict=True)
        self._stack[-1].update(pairs)

    def _put(self, at: int) -> None:
        """Remember the last value."""
        self._memo[at] = self._stack[-1]

    def _name(self, module: str, name: str) -> None:
        """Look a name up among the few that are known."""
        if (module, name) not in _GLOBALS:
            raise _RefusedError(f"the name {module}.{name}")
        self._stack.append(_Name(_GLOBALS[module, name]))

    def _reduce(self) -> None:
        """Apply a known name to its arguments."""
        arguments, name = self._stack.pop(), self._stack.pop()
        if not isinstance(name, _Name):
            raise _RefusedError("a call of something that is no name")
        if name.kind == "dtype":
            if arguments[0] not in _TYPES:
                raise _RefusedError(f"an array of type {arguments[0]}")
            self._stack.append(_Array("dtype", str(arguments[0])))
        elif name.kind == "reconstruct" and arguments[0].kind == "ndarray":
            self._stack.append(_Array("ndarray"))
        elif name.kind == "encode" and arguments[1] == "latin1":
            self._stack.append(arguments[0].encode("latin1"))
        else:
            raise _RefusedError(f"a call of {name.kind}")

    def _build(self) -> None:
        """Give an array or a dtype its state."""
        state, made = self._stack.pop(), self._stack[-1]
        if not isinstance(made, _Array):
            raise _RefusedError("the state of an object")
        if made.kind == "dtype":
            if state[1] not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
                raise _RefusedError("an array of structures")
            made.code = state[1] + made.code
            return
        _, shape, dtype, is_column_major, content = state
        if isinstance(content, str):  # the bytes of Python 2
            content = content.encode("latin1")
        flat = np.frombuffer(content, dtype=np.dtype(dtype.code))
        made.value = flat.reshape(shape, order="F" if is_column_major else "C")


def _finished(value: Any) -> Any:
    """Return a value, the array where it is one; names and half-made arrays are refused."""
    if isinstance(value, _Array) and value.value is not None:
        return value.value
    if isinstance(value, _Array | _Name) or value is _MARK:
        raise _RefusedError("a name instead of a value")
    return value
