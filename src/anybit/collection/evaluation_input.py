"""Queries as features, and the codes and labels of a store, for `anybit.evaluation`."""

from __future__ import annotations

import logging

import numpy as np

from anybit.collection.add_options import AddOptions
from anybit.collection.batches import batches_of
from anybit.collection.encoder import Encoder
from anybit.data import BadItems, Labels, Source
from anybit.errors import DataError
from anybit.evaluation import EvaluationInput
from anybit.store import CodeStore
from anybit.types import Float32Array, Int64Array, ProgressCallback

__all__ = ["features_of", "gather_input"]

_log = logging.getLogger(__name__)


def gather_input(
    queries: Source,
    encoder: Encoder,
    store: CodeStore,
    options: AddOptions,
    progress: ProgressCallback | None,
) -> EvaluationInput:
    """Return what an evaluation needs; the database is in the order of ids.

    Raises
    ------
    DataError
        If queries or items have no labels, or too many images are bad.
    """
    if queries.labels is None:
        raise DataError("queries must have labels to be evaluated, got none.")
    features, positions = features_of(queries, encoder, options, progress)
    with store.frozen():
        store.refresh()
        _, codes = store.codes()
        names = [row or [] for row in store.read(["labels"])["labels"].to_pylist()]
        database_features = store.features()
    if not any(names):
        raise DataError("items of the collection must have labels to be evaluated, got none.")
    return EvaluationInput(
        codebooks=encoder.codebooks,
        database_codes=codes,
        query_features=features,
        query_labels=queries.labels.take(positions),
        database_labels=Labels.from_lists(names),
        database_features=database_features,
        metric=encoder.codebooks.metric,
    )


def features_of(
    source: Source, encoder: Encoder, options: AddOptions, progress: ProgressCallback | None
) -> tuple[Float32Array, Int64Array]:
    """Return the features (Q, D) of a source and the positions (Q,) they belong to."""
    bad, parts, positions = BadItems(), [], []
    bad.add_unlisted(source.unusable)
    n_done = 0
    for batch in batches_of(source, encoder, options, bad):
        bad.check(len(source), options.max_bad)
        if len(batch.positions):
            parts.append(encoder.features(batch.inputs))
            positions.append(batch.positions)
        n_done += batch.n_read
        if progress is not None:
            progress(n_done, len(source))
    if len(bad):
        first = next(iter(bad))
        _log.warning(
            "%d items or folders of the source are left out, the first is %s: %s",
            len(bad),
            first.key,
            first.reason,
        )
    if not parts:
        raise DataError(f"the source must hold at least one usable item, got {len(bad)} bad ones.")
    return np.concatenate(parts), np.concatenate(positions)
