"""Slow references and small data for the evaluation tests."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from anybit.codes import Codebooks
from anybit.data import Labels
from anybit.evaluation import EvaluationInput

_REFERENCE = Path(__file__).parents[2] / "reference" / "average_precision_reference.py"


@pytest.fixture(scope="session")
def reference():
    """Return the plain-loop versions."""
    return SimpleNamespace(**runpy.run_path(str(_REFERENCE)))


@pytest.fixture
def make_input(rng):
    """Return a maker of evaluation inputs: 3 classes, overlapping, with many tied codes."""

    def make(n_queries=9, n_items=150, *, labels=None, metric="ip", offset=True):
        class_of_item = rng.integers(0, 3, n_items)
        class_of_query = rng.integers(0, 3, n_queries)
        means = rng.normal(size=(3, 6))
        items = (means[class_of_item] + rng.normal(size=(n_items, 6))).astype(np.float32)
        queries = (means[class_of_query] + rng.normal(size=(n_queries, 6))).astype(np.float32)
        codebooks = Codebooks.shared(
            rng.normal(size=(4, 6)).astype(np.float32),
            np.array([1, 0.6, 0.4], dtype=np.float32),
            offset=items.mean(axis=0) if offset else None,
            metric=metric,
        )
        query_labels, item_labels = (
            (
                Labels.from_integers(class_of_query, "abc"),
                Labels.from_integers(class_of_item, "abc"),
            )
            if labels is None
            else labels
        )
        codes = codebooks.encode(items)
        return EvaluationInput(codebooks, codes, queries, query_labels, item_labels, items)

    return make
