"""Items that are added while the collection gets another model."""

from __future__ import annotations

import numpy as np
import pytest

from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import Collection
from anybit.store import CodeStore

from .conftest import N_VECTORS, digit_vectors, residual_codebooks, served


def other_model(place, n_levels, seed):
    """Write a model of vectors with codewords of its own."""
    x, _ = digit_vectors()
    values = residual_codebooks(x[seed:], n_levels).dense()
    content = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {}, None)
    write_model_folder(place, content, Codebooks.stacked(values, metric="l2"))
    return place


@pytest.fixture
def source(tmp_path):
    """The vectors of all items, for migrations."""
    np.savez(tmp_path / "x.npz", x=digit_vectors()[0], ids=np.arange(N_VECTORS))
    return tmp_path / "x.npz"


def switching(monkeypatch, owner, name, own, source, models):
    """Give a collection the next of some models each time just before a method works."""
    method, left = getattr(owner, name), list(models)

    def late(*arguments, **named):
        if left:
            monkeypatch.setattr(owner, name, method)  # a migration writes, too
            Collection.open(own.path).migrate(left.pop(0), source)
            monkeypatch.setattr(owner, name, late)
        return method(*arguments, **named)

    monkeypatch.setattr(owner, name, late)


ITEM = {"items": [{"id": 1000, "vector": [0.5] * 64, "key": "new"}]}
MOMENTS = [(Collection, "add_codes"), (CodeStore, "upsert")]


@pytest.mark.parametrize("n_levels", [2, 4, 5])
@pytest.mark.parametrize(("owner", "name"), MOMENTS, ids=[one for _, one in MOMENTS])
def test_an_item_is_encoded_again_when_the_model_is_replaced_meanwhile(
    own, tmp_path, monkeypatch, source, owner, name, n_levels
):
    model = other_model(tmp_path / "other", n_levels, seed=50)
    with served(own, is_writable=True) as client:
        switching(monkeypatch, owner, name, own, source, [model])
        answer = client.post("/v1/items", json=ITEM)
        assert answer.status_code == 200, answer.text
        assert answer.json()["n_added"] == 1
    opened = Collection.open(own.path)
    assert (len(opened), opened.codebooks.n_levels) == (N_VECTORS + 1, n_levels)
    stored = opened._store.codes()
    planes = stored[1].planes[:, stored[0] == 1000]
    expected = opened.codebooks.encode(np.full((1, 64), 0.5, np.float32)).planes
    np.testing.assert_array_equal(planes, expected)


@pytest.mark.parametrize(("owner", "name"), MOMENTS, ids=[one for _, one in MOMENTS])
def test_a_request_that_meets_two_new_models_may_be_repeated(
    own, tmp_path, monkeypatch, source, owner, name
):
    models = [other_model(tmp_path / str(seed), 3, seed) for seed in (30, 60)]
    with served(own, is_writable=True) as client:
        switching(monkeypatch, owner, name, own, source, models)
        answer = client.post("/v1/items", json=ITEM)
        assert answer.status_code == 503, answer.text
        error = answer.json()["error"]
        assert error["code"] == "unavailable"
        assert error["message"].endswith("got another one. Nothing was stored.")
        assert error["cure"] == "Send the same request again."
        assert int(answer.headers["Retry-After"]) > 0
        assert len(Collection.open(own.path)) == N_VECTORS
        assert client.post("/v1/items", json=ITEM).json()["n_added"] == 1
