"""The frame around every command: shared flags in, errors out as exit codes."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, get_type_hints

import typer

from anybit.cli.console import Console, Reporting
from anybit.errors import AnybitError, OptionError

__all__ = ["EXIT_FAILED", "EXIT_SOME_FAILED", "EXIT_USAGE", "command", "int_list"]

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_SOME_FAILED = 3

_EXTRA_OF = {
    "torch": "train",
    "lightning_fabric": "train",
    "tensorboard": "train",
    "timm": "vision",
    "torchvision": "vision",
    "matplotlib": "report",
    "sklearn": "report",
    "faiss": "faiss",
    "obstore": "s3",
    "fastapi": "serve",
    "uvicorn": "serve",
    "onnxruntime": "serve",
    "onnx": "onnx",
    "onnxscript": "onnx",
}


def command(run: Callable[..., None]) -> Callable[..., None]:
    """Make a function a command.

    A parameter whose type is a dataclass stands for its fields: each of them becomes an argument
    or flag. The parameter ``console`` is made from the flags of `Reporting`.

    Parameters
    ----------
    run : callable
        Takes ``console`` and the command's arguments by keyword.

    Returns
    -------
    callable
        For ``typer.Typer.command``.
    """
    groups: dict[str, type] = {}
    parameters: list[inspect.Parameter] = []
    hints = get_type_hints(run, include_extras=True)
    for name, parameter in inspect.signature(run).parameters.items():
        if name == "console":
            groups[name] = Reporting
        elif dataclasses.is_dataclass(hints[name]):
            groups[name] = hints[name]
        else:
            parameters.append(parameter.replace(annotation=hints[name]))
    for group in sorted(groups.values(), key=lambda kind: kind is Reporting):
        parameters += _parameters_of(group)
    parameters = [part.replace(kind=inspect.Parameter.KEYWORD_ONLY) for part in parameters]

    @functools.wraps(run)
    def wrapped(**arguments: Any) -> None:
        for name, group in groups.items():
            fields = {part.name: arguments.pop(part.name) for part in _parameters_of(group)}
            arguments[name] = group(**fields)
        console = arguments["console"] = Console(arguments["console"])
        console.listen_to_log()
        _guarded(console, lambda: run(**arguments))

    del wrapped.__wrapped__  # else its annotations would be looked up there
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {part.name: part.annotation for part in parameters}
    return wrapped


def _parameters_of(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[field.name],
            default=inspect.Parameter.empty
            if field.default is dataclasses.MISSING
            else field.default,
        )
        for field in dataclasses.fields(group)
    ]


def _guarded(console: Console, work: Callable[[], None]) -> None:
    """Run a command; an error becomes a message and an exit code, with --debug its trace too."""
    try:
        work()
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except KeyboardInterrupt:
        console.fail("stopped by the keyboard.", "KeyboardInterrupt")
        raise typer.Exit(EXIT_FAILED) from None
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has enough: no error, and nothing left to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(EXIT_FAILED) from None
    except Exception as error:
        if console.flags.is_debug:
            typer.echo(traceback.format_exc(), err=True)
        console.fail(_explained(error), type(error).__name__)
        raise typer.Exit(EXIT_USAGE if isinstance(error, OptionError) else EXIT_FAILED) from None


def _explained(error: Exception) -> str:
    """Say what went wrong and what to do."""
    if isinstance(error, AnybitError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in _EXTRA_OF:
        module = (error.name or "").split(".")[0]
        return f"this needs {module}: pip install 'anybit[{_EXTRA_OF[module]}]'."
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    return f"{type(error).__name__}: {error} (--debug shows where)."


def int_list(text: str, flag: str) -> tuple[int, ...]:
    """Read ``8,16,32``; anything else is wrong usage."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"must be whole numbers with commas between them, such as 8,16,32, got {text!r}.",
            param_hint=flag,
        ) from None
