"""What must not change between a run and its continuation, as text in a checkpoint."""

from __future__ import annotations

import ast
import json
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from typing import Any

__all__ = ["RunIdentity"]


@dataclass(frozen=True)
class RunIdentity:
    """The options and the data of a run.

    Parameters
    ----------
    preset : Preset
        With the run's overrides put in.
    bits, n_codewords, seed : int
    model : ModelConfig
    n_images, sum_of_positions : int
        Of the usable images in the source.
    class_names : tuple of str
    augmentation : str

    Notes
    -----
    A field that is missing in the text counts as one with its default: a checkpoint stays readable
    when a later version has more to choose.
    """

    preset: Any
    bits: int
    n_codewords: int
    seed: int
    model: Any
    n_images: int
    sum_of_positions: int
    class_names: tuple[str, ...]
    augmentation: str

    def to_json(self) -> str:
        """Return the identity as text."""
        return json.dumps(asdict(self), sort_keys=True)

    def is_that_of(self, text: str) -> bool:
        """Tell whether a checkpoint with this text is one of the same run."""
        try:
            stored = json.loads(text) if text.startswith("{") else _of_version_1(text)
        except (ValueError, TypeError, SyntaxError):
            return False
        return _is_same(stored, self)


def _of_version_1(text: str) -> dict[str, Any]:
    """Read the text of 0.1, the ``repr`` of nested tuples and dataclasses."""
    tree = _CallsToDicts().visit(ast.parse(text, mode="eval"))
    choices, model, data, augmentation = ast.literal_eval(tree)
    names = ("preset", "bits", "n_codewords", "seed")
    found = dict(zip(names, choices, strict=True))
    found |= dict(zip(("n_images", "sum_of_positions", "class_names"), data, strict=True))
    return {**found, "model": model, "augmentation": augmentation}


class _CallsToDicts(ast.NodeTransformer):
    """Replace ``Name(a=1, b=2)`` by ``{"a": 1, "b": 2}``."""

    def visit_Call(self, node: ast.Call) -> ast.Dict:
        self.generic_visit(node)
        if node.args:
            raise ValueError("the fields of a dataclass have names")
        keys: list[ast.expr | None] = [ast.Constant(word.arg) for word in node.keywords]
        return ast.Dict(keys, [word.value for word in node.keywords])


def _is_same(stored: Any, live: Any) -> bool:
    """Compare values read from text with those of this run; a tuple equals a list."""
    if is_dataclass(live):
        if not isinstance(stored, dict):
            return False
        known = {one.name: one for one in fields(live)}
        return stored.keys() <= known.keys() and all(
            _is_same(stored[name] if name in stored else _default(one), getattr(live, name))
            for name, one in known.items()
        )
    if isinstance(live, dict):
        return (
            isinstance(stored, dict)
            and stored.keys() == live.keys()
            and all(_is_same(stored[name], live[name]) for name in live)
        )
    if isinstance(live, list | tuple):
        return (
            isinstance(stored, list | tuple)
            and len(stored) == len(live)
            and all(map(_is_same, stored, live))
        )
    return bool(stored == live)


def _default(one: Field[Any]) -> Any:
    """Return the default of a field as plain values, or a value that equals nothing."""
    value = one.default
    if one.default_factory is not MISSING:
        value = one.default_factory()
    if value is MISSING:
        return object()
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
