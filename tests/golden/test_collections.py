"""The collections beside this file were written by each format version; they must always open.

Versions from 2 on hold the same items, written in several commits with updates and deletions;
`make_collection.py` writes that of the present version, which is read here as it would be.
"""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from anybit.collection import Collection

_HERE = Path(__file__).parent
_SPEC = importlib.util.spec_from_file_location("make", _HERE / "make_collection.py")
_MAKE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MAKE)
_EXPECTED = json.loads((_HERE / "collection_expected.json").read_text())


@pytest.fixture(params=["collection_v1", "collection_v2", "collection_v3", "made now"])
def collection(tmp_path, request):
    if request.param == "made now":
        return _MAKE.make_collection(tmp_path / "collection")
    return Collection.open(shutil.copytree(_HERE / request.param, tmp_path / "collection"))


def test_nothing_is_damaged(collection):
    assert collection.verify().is_intact


def test_ids_and_codes(collection):
    index = collection.index()
    np.testing.assert_array_equal(index.ids, _EXPECTED["ids"])
    np.testing.assert_array_equal(index.codes.planes, _EXPECTED["planes"])
    assert collection.model_fingerprint == _EXPECTED["model_fingerprint"]


@pytest.mark.parametrize("bits", [4, 8, 12])
def test_search_at_every_length(collection, bits):
    queries = np.array(_EXPECTED["queries"], dtype=np.float32)
    result = collection.search_features(queries, k=5, bits=bits)
    expected = _EXPECTED["hits"][str(bits)]
    np.testing.assert_array_equal(result.ids, expected["ids"])
    # Codewords and queries are multiples of 1/8 and 1/32: every sum is exact in float32.
    np.testing.assert_array_equal(result.scores, np.array(expected["scores"], dtype=np.float32))


def test_labels_metadata_and_thumbnails(collection):
    hits = collection.search(np.zeros(4, np.float32), k=20)
    order = np.argsort(hits.ids)
    assert [hits.labels[row] for row in order] == _EXPECTED["labels"]
    assert hits.metadata["price"].take(order).to_pylist() == _EXPECTED["price"]
    assert [one is not None for one in collection.thumbnails(np.array([105, 500]))] == [True, False]


def test_rows_can_still_be_added(collection):
    index = collection.index()
    report = collection.add_codes(
        index.codes.take(np.array([0, 1])),
        np.array([100, 900]),
        collection.model_fingerprint,
    )
    assert (report.n_added, report.n_updated) == (1, 1)
    assert len(collection) == len(_EXPECTED["ids"]) + 1
