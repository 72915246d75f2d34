"""What ``anybit papers show`` tells of a table or figure, as values and as text."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anybit.papers import Artefact

__all__ = ["artefact_facts", "artefact_text"]

_RECIPES = ("cpu", "full", "modern", "paper")


def artefact_facts(name: str) -> dict[str, Any]:
    """Return everything about an artefact in JSON values.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    from anybit.papers import members

    parts = [_facts_of(one) for one in members(name)]
    return parts[0] if len(parts) == 1 else {"name": name, "parts": parts}


def _facts_of(wanted: Artefact) -> dict[str, Any]:
    from anybit.papers import configuration, published

    return {
        "name": wanted.name,
        "kind": wanted.kind,
        "title": wanted.title,
        "needs_data": wanted.needs_data,
        "protocols": [_protocol_facts(one) for one in wanted.protocols],
        "methods": [asdict(configuration(one)) for one in wanted.methods],
        "published": [asdict(published(one)) for one in wanted.published],
    }


def _protocol_facts(name: str) -> dict[str, Any]:
    from anybit.codes import bits_per_level
    from anybit.evaluation import DEFINITIONS
    from anybit.papers import expected_files, protocol, recipe

    rule = protocol(name)
    step = bits_per_level(rule.n_codewords)
    return {
        **asdict(rule),
        "checksum": rule.checksum,
        "n_levels": [bits // step for bits in rule.bits],
        "definition": DEFINITIONS["map_at"],
        "files": expected_files(rule.dataset),
        "recipes": {one: asdict(recipe(one, name)) for one in _RECIPES},
    }


def artefact_text(facts: dict[str, Any]) -> str:
    """Write what `artefact_facts` returned for a person."""
    if "parts" in facts:
        return "\n\n".join(artefact_text(one) for one in facts["parts"])
    parts = [f"{facts['name']} ({facts['kind']}): {facts['title']}"]
    if not facts["needs_data"]:
        parts.append("No data set is needed.")
    parts += [_protocol_text(one) for one in facts["protocols"]]
    if facts["methods"]:
        parts.append(_lines("Methods", [_method_text(one) for one in facts["methods"]]))
    parts += [_published_text(one) for one in facts["published"]]
    return "\n\n".join(parts)


def _protocol_text(rule: dict[str, Any]) -> str:
    at = f"mAP@{rule['at']}" if rule["at"] else "mAP over the whole database"
    split = ", ".join(f"{key} {value}" for key, value in rule["split"].items() if value is not None)
    sizes = ", ".join(f"{key} {value:,}" for key, value in rule["sizes"].items())
    lengths = ", ".join(
        f"{bits} (M = {levels})"
        for bits, levels in zip(rule["bits"], rule["n_levels"], strict=True)
    )
    protocol = _lines(
        f"Protocol {rule['name']}: {rule['title']}",
        [
            f"source: {rule['source']}",
            f"data set: {rule['dataset']}, {rule['n_classes']} classes, "
            f"{'several labels' if rule['is_multi_label'] else 'one label'} an item",
            f"split: {split}",
            f"sizes: {sizes}",
            f"measure: {at}, denominator {rule['denominator']}, a query without a hit: "
            f"{rule['zero_hit']}; compared by {rule['metric']}",
            f"definition: {rule['definition']}",
            f"code lengths in bits: {lengths}; K = {rule['n_codewords']}",
            f"checksum: {rule['checksum']}",
            *(f"note: {note}" for note in rule["notes"]),
        ],
    )
    recipes = _lines(
        "Recipes", [f"{name}: {_recipe_text(one)}" for name, one in rule["recipes"].items()]
    )
    return f"{protocol}\n\nFiles expected in --data:\n{rule['files']}\n\n{recipes}"


def _recipe_text(recipe: dict[str, Any]) -> str:
    own = {key: value for key, value in recipe.items() if key != "name" and value is not None}
    return ", ".join(f"{key} {value}" for key, value in own.items())


def _method_text(method: dict[str, Any]) -> str:
    changes = f"; changed: {method['overrides']}" if method["overrides"] else ""
    return f"{method['name']}: {method['title']} (--method {method['method']}){changes}"


def _published_text(table: dict[str, Any]) -> str:
    """Write the paper's numbers in columns."""
    from anybit.papers import value_text

    rows = [("method", *(f"{bits} bits" for bits in table["bits"]))]
    rows += [(name, *map(value_text, values)) for name, values in table["methods"].items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]
    lines += [f"note: {note}" for note in table["notes"]]
    return _lines(f"{table['source']}: {table['metric']}", lines)


def _lines(title: str, lines: list[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)])
