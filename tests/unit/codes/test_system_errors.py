"""Errors of the system and of Lance, and what a user is told of them."""

import errno
import os

import pytest

from anybit.codes import access_error, panics_as_errors, write_errors
from anybit.errors import AnybitError, DataError, OptionError


def panic(text="range start must not be greater than end"):
    """What a panic of Lance is in Python: a class that no `except Exception` catches."""
    return type("PanicException", (BaseException,), {})(text)


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOSPC, "Free space, then run"),
        (errno.EDQUOT, "raise the quota"),
        (errno.EACCES, "Change its permissions"),
        (errno.EROFS, "Mount the file system for writing"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENOENT, "Check the path"),
        (errno.ENOTDIR, "A folder above it is a file"),
        (errno.ENAMETOOLONG, "shorter path"),
        (errno.ENOLCK, "can lock files"),
        (errno.EIO, "Check the disk"),
        (errno.EXDEV, "then run the same command again"),
    ],
)
def test_errors_of_the_system_are_told_apart_in_python_and_in_lance(number, cure):
    reason = os.strerror(number)
    of_lance = f"LanceError(IO): {reason} (os error {number}) at path x, /rust/lance/a.rs:1"
    of_python = OSError(number, reason, "/a/b")
    for cause in (of_python, OSError(of_lance), RuntimeError(of_lance), ValueError(of_lance)):
        with pytest.raises(OptionError, match=f"shop must be writable, got: {reason}") as caught:
            with write_errors("shop"):
                raise cause
        assert cure in str(caught.value)
        assert caught.value.__cause__ is cause
        assert ".rs" not in str(caught.value)


@pytest.mark.parametrize(
    "cause",
    [
        OSError("LanceError(Schema): Top level field a.b cannot contain `.`, /rust/lance/x.rs:35"),
        OSError("Invalid user input: All-null columns must be nullable, /rust/lance/x.rs:3"),
        RuntimeError("Task was aborted"),
        type("PanicException", (BaseException,), {})("called `Option::unwrap()` on a `None`"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_fault_inside_lance_says_nothing_of_permissions(cause):
    with pytest.raises(AnybitError, match=r"Lance failed .*Please report") as caught:
        with write_errors("shop"):
            raise cause
    assert type(caught.value) is AnybitError
    assert "writable" not in str(caught.value)
    assert ".rs" not in str(caught.value)


@pytest.mark.parametrize(
    "cause",
    [RuntimeError("CUDA out of memory"), ValueError("x"), KeyError("x"), KeyboardInterrupt(),
     DataError("ids must be distinct")],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
def test_what_is_no_failure_to_write_is_raised_as_it_is(cause):
    with pytest.raises(type(cause)) as caught:
        with write_errors("shop"):
            raise cause
    assert caught.value is cause


def test_a_failure_of_the_system_without_a_number_has_a_cure():
    with pytest.raises(
        OptionError, match=r"shop must be writable, got: odd\. Free space or change"
    ):
        with write_errors("shop"):
            raise OSError("odd")


def test_a_panic_becomes_an_error_that_can_be_caught():
    cause = panic()
    with pytest.raises(RuntimeError, match="Lance panicked: range start must not be") as caught:
        with panics_as_errors():
            raise cause
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("cause", [ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_what_is_no_panic_is_raised_as_it_is(cause):
    with pytest.raises(type(cause)) as caught:
        with panics_as_errors():
            raise cause
    assert caught.value is cause


def test_a_file_that_may_not_be_opened_is_no_damaged_one():
    denied = OSError(errno.EACCES, os.strerror(errno.EACCES), "/a/b")
    error = access_error("shop", denied)
    assert str(error).startswith("shop must be readable, got: Permission denied (/a/b). Change its")
    assert access_error("shop", OSError(errno.EIO, "Input/output error")) is None
    assert access_error("shop", ValueError("x")) is None
