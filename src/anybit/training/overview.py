"""All methods, those on images and those on vectors, as rows of one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from anybit.quantizers import METHODS as VECTOR_METHODS
from anybit.training.registry import IMAGE_METHODS

__all__ = ["MethodOverview", "method_overviews", "methods_page"]

_PAGE = """# Methods

`anybit train SOURCE --output MODEL --method NAME` learns with any of these; `anybit methods` prints
the list, `anybit methods --json` for programs. This page is written from the registries by
`make methods`.

Methods on images train a network and its codes together and need labels
([training.md](training.md)). Methods on vectors learn codebooks alone
([quantizers.md](quantizers.md)). Where codes can be cut, one model serves every shorter length."""


@dataclass(frozen=True)
class MethodOverview:
    """What a method is and what it takes.

    Parameters
    ----------
    name : str
        As on the command line.
    kind : {"images", "vectors"}
        What it learns from.
    summary, reference : str
    is_sequential : bool
        Its codes can be cut.
    needs : tuple of str
        What it cannot do without, beside images or vectors.
    """

    name: str
    kind: Literal["images", "vectors"]
    summary: str
    reference: str
    is_sequential: bool
    needs: tuple[str, ...]


def method_overviews() -> tuple[MethodOverview, ...]:
    """Return all methods, in the order of the registries."""
    return (*_of_images(), *_of_vectors())


def _of_images() -> Iterator[MethodOverview]:
    for one in IMAGE_METHODS.values():
        needs = ("torch", *one.needs)
        yield MethodOverview(
            one.name, "images", one.summary, one.reference, one.is_sequential, needs
        )


def _of_vectors() -> Iterator[MethodOverview]:
    for one in VECTOR_METHODS.values():
        needs = (*(("labels",) if one.needs_labels else ()), *one.needs)
        yield MethodOverview(
            one.name, "vectors", one.title, one.reference, one.is_sequential, needs
        )


def methods_page() -> str:
    """Return the page of the documentation that lists all methods."""
    parts = [_PAGE]
    for kind in ("images", "vectors"):
        parts.append(f"\n## On {kind}\n\n| method | what it is | can be cut | needs | paper |")
        parts.append("|---|---|---|---|---|")
        for one in method_overviews():
            if one.kind == kind:
                cut, needs = "yes" if one.is_sequential else "no", ", ".join(one.needs) or "-"
                parts.append(
                    f"| `{one.name}` | {one.summary} | {cut} | {needs} | {one.reference} |"
                )
    return "\n".join(parts) + "\n"
