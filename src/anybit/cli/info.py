"""``anybit info``: what a collection or model holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anybit.cli.command import command
from anybit.cli.console import Console

__all__ = ["info"]


@command
def info(
    path: Annotated[str, typer.Argument(help="A collection, or a model folder.")],
    console: Console,
) -> None:
    """Tell what a collection or a model folder holds."""
    is_model = (Path(path) / "config.json").is_file()
    facts = _of_model(Path(path)) if is_model else _of_collection(path)
    console.table(("", ""), [(name, _in_words(value)) for name, value in facts.items()])
    console.result(facts)


def _of_collection(path: str) -> dict[str, Any]:
    from anybit.collection import Collection

    return Collection.open(path).info()


def _of_model(path: Path) -> dict[str, Any]:
    from anybit.codes import codebooks_of, feature_map_of, read_model_folder

    folder = read_model_folder(path)
    codebooks, feature_map = codebooks_of(folder), feature_map_of(folder)
    return {
        "path": str(path),
        "method": folder.config.get("method"),
        "backbone": (folder.config.get("backbone") or {}).get("name", "none"),
        "bits": codebooks.bits,
        "lengths_bits": list(codebooks.lengths()),
        "n_levels": codebooks.n_levels,
        "n_codewords": codebooks.n_codewords,
        "dim": codebooks.dim,
        "feature_map": None if feature_map is None else feature_map.kind,
        "metric": codebooks.metric,
        "class_names": folder.config.get("class_names"),
        "fingerprint": folder.fingerprint,
        "training": folder.summary,
    }


def _in_words(value: Any) -> str:
    """Write one fact for the table; long ones are cut, --json has them whole."""
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        text = ", ".join(str(part) for part in value)
    elif isinstance(value, dict):
        text = ", ".join(f"{name} {part}" for name, part in value.items())
    else:
        text = f"{value:,}" if type(value) is int else str(value)
    return text if len(text) <= 90 else text[:87] + "..."
