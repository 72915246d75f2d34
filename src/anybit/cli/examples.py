"""Example queries with their hits, for the report of an evaluation."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

    from anybit.collection import Collection, Hits
    from anybit.data import Source
    from anybit.evaluation import ExampleHits, ExampleQuery
    from anybit.types import Float32Array

__all__ = ["example_queries"]

_N_HITS = 10
_THUMBNAIL_PX = 96


def example_queries(
    collection: Collection, queries: Source, lengths_bits: tuple[int, ...], n_examples: int
) -> list[ExampleQuery]:
    """Search for a few queries, evenly spread over the source, at some code lengths.

    Parameters
    ----------
    collection : Collection
    queries : Source
        Labelled.
    lengths_bits : tuple of int
        Code lengths; one that occurs twice is shown once.
    n_examples : int

    Returns
    -------
    list of ExampleQuery
        Fewer than asked for where a picture cannot be decoded.
    """
    from anybit.errors import DataError

    n_examples = min(n_examples, len(queries))
    positions = np.linspace(0, len(queries) - 1, n_examples).round().astype(np.int64)
    examples = []
    for position in positions.tolist():
        try:
            examples.append(_example(collection, queries, position, lengths_bits))
        except DataError:
            continue  # undecodable: the evaluation left it out too
    return examples


def _example(
    collection: Collection, queries: Source, position: int, lengths_bits: tuple[int, ...]
) -> ExampleQuery:
    from anybit.evaluation import ExampleQuery

    labels: tuple[str, ...] = ()
    if queries.labels is not None:
        names, (own,) = queries.labels.class_names, queries.labels.take([position]).lists()
        labels = tuple(names[number] for number in own)
    thumbnail = None
    if queries.kind == "images":
        query: Image.Image | Float32Array = queries.read_image(position)
        thumbnail = _png(queries.read_image(position))
    else:
        query = queries.vectors(position, position + 1)[0]  # (D,)
    results = tuple(
        _hits(collection, collection.search(query, _N_HITS, bits), labels)
        for bits in sorted(set(lengths_bits))
    )
    return ExampleQuery(queries.key_of(position), labels, thumbnail, results)


def _hits(collection: Collection, hits: Hits, labels: tuple[str, ...]) -> ExampleHits:
    from anybit.evaluation import ExampleHit, ExampleHits

    thumbnails = collection.thumbnails(hits.ids)
    return ExampleHits(
        hits.bits,
        tuple(
            ExampleHit(
                key=hits.keys[rank] or f"id {hits.ids[rank]}",
                labels=tuple(hits.labels[rank]),
                score=float(hits.scores[rank]),
                is_relevant=not set(labels).isdisjoint(hits.labels[rank]),
                thumbnail=thumbnails[rank],
            )
            for rank in range(len(hits))
        ),
    )


def _png(image: Image.Image) -> bytes:
    """Encode a picture small."""
    image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
