"""Presets with single fields replaced, as a run asks for."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

from anybit.errors import OptionError
from anybit.training.engine.presets import Preset
from anybit.training.engine.train_options import TrainOptions

__all__ = ["overridden", "shared_epochs"]

P = TypeVar("P", bound=Preset[Any])


def _replaced(part: Any, fields: dict[str, Any]) -> Any:
    """Return a preset, or a part of one, with some fields replaced; dicts go into what is there."""
    for name, value in fields.items():
        if name not in vars(part):
            raise OptionError(
                f"preset_overrides must name fields of {type(part).__name__} "
                f"({', '.join(vars(part))}), got {name!r}."
            )
        current = getattr(part, name)
        if isinstance(current, tuple) and isinstance(value, list):
            value = tuple(value)  # JSON has no tuples
        if not _suits(value, current):
            raise OptionError(
                f"preset_overrides must give {name} a value like {current!r}, got {value!r}."
            )
        if is_dataclass(current) and isinstance(value, dict):
            value = _replaced(current, value)
        elif isinstance(current, dict):
            value = {**current, **value}
        part = replace(part, **{name: value})
    return part


def _suits(value: Any, current: Any) -> bool:
    """Tell whether a value may stand in the place of a preset's own."""
    if is_dataclass(current):
        return isinstance(value, dict | type(current))
    if isinstance(current, int | float) and not isinstance(current, bool):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, type(current))


def overridden(preset: P, options: TrainOptions) -> P:
    """Return a method's preset with the overrides, batch size and learning rate of a run put in.

    Raises
    ------
    OptionError
        If an override names no field of the preset, or of a part of it.
    """
    changed = _replaced(preset, options.preset_overrides)
    if options.batch_size is not None:
        changed = replace(changed, batch_size=options.batch_size)
    if options.learning_rate is not None:
        rate = options.learning_rate
        changed = replace(
            changed,
            scratch=replace(changed.scratch, learning_rate=rate),
            fine_tune=replace(changed.fine_tune, learning_rate=rate),
        )
    result: P = changed
    return result


def shared_epochs(n_epochs: int, epochs: tuple[int, ...]) -> tuple[int, ...]:
    """Share a number of epochs among stages in the proportion of a preset's.

    Every stage that the preset has keeps at least one epoch while there are any; the last stage
    takes what is left.
    """
    left, shares = n_epochs, []
    for length in epochs[:-1]:
        share = round(n_epochs * length / max(1, sum(epochs)))
        share = min(left, max(share, 1)) if length else 0
        shares.append(share)
        left -= share
    return (*shares, left)
