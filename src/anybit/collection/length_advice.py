"""What the length advisor needs, from a collection or from a source that a model was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anybit.advice import Advice, AdviceInput, AdviceOptions, advise
from anybit.codes import Codebooks, Codes
from anybit.collection.add_options import AddOptions
from anybit.collection.encoder import Encoder
from anybit.collection.evaluation_input import features_of
from anybit.collection.migration import Features, Stored
from anybit.data import Labels, Source, open_source
from anybit.errors import DataError
from anybit.store import CodeStore
from anybit.types import Float32Array, Int64Array, ProgressCallback

__all__ = ["AdviceSources", "advise_source", "advise_store"]

_CHUNK_ITEMS = 4096
# Of features with what is decoded from the stored codes of the same ids: that of a wrong source is
# about 0, that of codes which keep a twentieth of the variance 0.2, whatever encoder made them.
_LEAST_CORRELATION = 0.1
# Pictures that are encoded for an advice after training, at most.
_MOST_IMAGES = 20_000

_OPTIMISTIC = (
    "the model was trained on these items: on new ones quality is lower. Hold some back, add them "
    "to a collection, and ask: anybit advise COLLECTION"
)
_DECODED = (
    "no features and no pictures are stored, so the queries are codes decoded at full length: "
    "quality is flattered, most at long codes. Better: --queries with new items, or add with "
    "--store-features"
)


@dataclass(frozen=True)
class AdviceSources:
    """Where queries and features come from, if not from the collection.

    Parameters
    ----------
    queries : Source, str or Path, optional
        Items that are not in the collection.
    items : Source, str or Path, optional
        What was added, by the same ids, for features that are not stored.
    reading : AddOptions, optional
        Batch size, share of bad query images, and how a path is read.
    """

    queries: Source | str | Path | None = None
    items: Source | str | Path | None = None
    reading: AddOptions | None = None

    def opened(self) -> tuple[Source | None, Source | None, AddOptions]:
        """Return both sources, opened, and the options."""
        reading = AddOptions() if self.reading is None else self.reading
        queries, items = (
            one
            if one is None or isinstance(one, Source)
            else open_source(Path(one), reading.source)
            for one in (self.queries, self.items)
        )
        return queries, items, reading


def advise_store(
    store: CodeStore,
    encoder: Callable[[], Encoder],
    codebooks: Codebooks,
    sources: AdviceSources,
    options: AdviceOptions | None = None,
    progress: ProgressCallback | None = None,
) -> Advice:
    """Measure every prefix of the stored codes; see `Collection.advise`.

    Parameters
    ----------
    store : CodeStore
    encoder : callable
        Gives the encoder when it is needed: stored features need none.
    codebooks : Codebooks
    sources : AdviceSources
    options : AdviceOptions, optional
    progress : callable, optional

    Returns
    -------
    Advice
    """
    options = options or AdviceOptions()
    queries, source, reading = sources.opened()
    items = _read(store, with_features=source is None)
    if source is not None:
        features = _features_by_id(Features(store, encoder(), source), items, codebooks)
        items = replace(items, features=features)
    if items.features is None and items.labels is None:
        raise DataError(
            "advice needs what is true: features of all items, or class labels; got neither. Name "
            "the source that was added (--items), add it again with --store-features, or add "
            "labels."
        )
    if queries is None:
        data, notes = _drawn(store, encoder, codebooks, items, options)
        return replace(advise(data, options, progress=progress), notes=notes)
    if items.features is None and queries.labels is None:
        raise DataError(
            "advice needs features of the items, or labels of items and queries, got labels of the "
            "items alone. Name the source that was added (--items), or give labelled queries."
        )
    made, positions = features_of(queries, encoder(), reading, None)
    data = AdviceInput(
        codebooks=codebooks,
        database_codes=items.codes,
        query_features=made,
        database_features=items.features,
        query_labels=None if queries.labels is None else queries.labels.take(positions),
        database_labels=items.labels,
    )
    return advise(data, options, progress=progress)


@dataclass(frozen=True, eq=False)
class _StoredItems:
    """What the store has of its items, in the order of ids."""

    ids: Int64Array
    codes: Codes
    labels: Labels | None
    features: Float32Array | None

    def labelled_positions(self) -> Int64Array:
        """Return the positions (n,) of the items that have a label."""
        if self.labels is None:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(np.diff(self.labels.starts) > 0)


def _read(store: CodeStore, *, with_features: bool) -> _StoredItems:
    with store.frozen():
        ids, codes = store.codes()
        names = [row or [] for row in store.read(["labels"])["labels"].to_pylist()]
        features = store.features() if with_features else None
    if len(ids) == 0:
        raise DataError("the collection must hold items to be advised on, got none.")
    return _StoredItems(ids, codes, Labels.from_lists(names) if any(names) else None, features)


def _features_by_id(features: Features, items: _StoredItems, codebooks: Codebooks) -> Float32Array:
    """Return the features (N, D) of all items from a source, which must be that of the codes."""
    ids, codes = items.ids, items.codes
    made = np.empty((len(ids), codebooks.dim), dtype=np.float32)
    for start in range(0, len(ids), _CHUNK_ITEMS):
        made[start : start + _CHUNK_ITEMS] = features.of(ids[start : start + _CHUNK_ITEMS])
        if start == 0:
            first = np.arange(min(_CHUNK_ITEMS, len(ids)))
            fit = _correlation(made[first], codebooks.decode(codes.take(first)))
            if fit < _LEAST_CORRELATION:
                raise DataError(
                    "items must be the source that was added, got one that does not fit the codes "
                    f"stored by its ids (correlation {fit:.2f})."
                )
    return made


def _correlation(one: Float32Array, other: Float32Array) -> float:
    """Return the correlation of two sets of vectors (n, D); 1 where one does not vary."""
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float((one * other).sum()) / lengths if lengths > 0 else 1.0


def _drawn(
    store: CodeStore,
    encoder: Callable[[], Encoder],
    codebooks: Codebooks,
    items: _StoredItems,
    options: AdviceOptions,
) -> tuple[AdviceInput, tuple[str, ...]]:
    """Return the input with items as queries, and what is to be said of them."""
    notes: tuple[str, ...] = ()
    if items.features is not None:
        own = options.draw(len(items.ids))
        made = items.features[own]
    else:
        labelled = items.labelled_positions()
        own = labelled[options.draw(len(labelled))]
        try:  # their pictures, where they are stored or still in place
            stored: Stored = "vectors" if encoder().feature_map is None else "features"
            made = Features(store, encoder(), None, stored).of(items.ids[own])
        except DataError:
            made, notes = codebooks.decode(items.codes.take(own)), (_DECODED,)
    data = AdviceInput(
        codebooks=codebooks,
        database_codes=items.codes,
        query_features=made,
        database_features=items.features,
        query_labels=None if items.labels is None else items.labels.take(own),
        database_labels=items.labels,
        query_positions=own,
    )
    return data, notes


def advise_source(
    source: Source,
    encoder: Encoder,
    options: AdviceOptions | None = None,
    reading: AddOptions | None = None,
    progress: ProgressCallback | None = None,
) -> Advice:
    """Measure every prefix of a model's codes on the items that it was trained on.

    Parameters
    ----------
    source : Source
        Vectors, or images, of which at most 20,000 drawn at random are encoded.
    encoder : Encoder
    options : AdviceOptions, optional
    reading : AddOptions, optional
        Batch size and share of bad images.
    progress : callable, optional
        Of the encoding: called with (items done, items in all).

    Returns
    -------
    Advice
        With a note that it is optimistic. The queries are drawn from the items, each removed from
        its own ranking.

    Raises
    ------
    DataError
        If there are fewer than two items, or too many images are bad.
    """
    options = options or AdviceOptions()
    notes: tuple[str, ...] = (_OPTIMISTIC,)
    if source.kind == "images" and len(source) > _MOST_IMAGES:
        rng = np.random.default_rng(options.seed)
        n_all = len(source)
        source = source.take(np.sort(rng.choice(n_all, _MOST_IMAGES, replace=False)))
        notes += (f"measured on {_MOST_IMAGES:,} of {n_all:,} images: more items, lower quality",)
    features, kept = features_of(source, encoder, reading or AddOptions(thumbnails_px=0), progress)
    labels = None if source.labels is None else source.labels.take(kept)
    own = options.draw(len(features))
    data = AdviceInput(
        codebooks=encoder.codebooks,
        database_codes=encoder.codebooks.encode(features),
        query_features=features[own],
        database_features=features,
        query_labels=None if labels is None else labels.take(own),
        database_labels=labels,
        query_positions=own,
    )
    return replace(advise(data, options), notes=notes)
