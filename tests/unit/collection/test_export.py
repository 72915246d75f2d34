import json

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest

from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import Collection
from anybit.errors import OptionError

DIM = 16


def collection(tmp_path, codebooks, n_items=200):
    write_model_folder(
        tmp_path / "model",
        ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {}),
        codebooks,
    )
    made = Collection.create(tmp_path / "shop", tmp_path / "model")
    x = np.random.default_rng(1).standard_normal((n_items, DIM)).astype(np.float32)
    ids = np.random.default_rng(2).permutation(10 * n_items)[:n_items]
    made.add_codes(made.codebooks.encode(x), ids, made.model_fingerprint)
    return made


def values(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("n_codewords", [2, 16, 256])
@pytest.mark.parametrize(
    "codebooks",
    [
        lambda k: Codebooks.stacked(values(3, k, DIM)),
        lambda k: Codebooks.stacked(values(3, k, DIM), metric="l2"),
        lambda k: Codebooks.shared(values(k, DIM), np.float32([1, 0.5, 0.2])),
        lambda k: Codebooks.product(values(4, k, DIM // 4)),
        lambda k: Codebooks.product(values(4, k, DIM // 4), metric="l2"),
    ],
    ids=["stacked", "stacked l2", "shared", "product", "product l2"],
)
def test_faiss_ranks_as_the_collection_does(tmp_path, codebooks, n_codewords):
    made = collection(tmp_path, codebooks(n_codewords))
    made.export(tmp_path / "codes.faiss", to="faiss")
    queries = np.random.default_rng(3).standard_normal((5, DIM)).astype(np.float32)
    scores, ids = faiss.read_index(str(tmp_path / "codes.faiss")).search(queries, 200)
    found = made.search_features(queries, 200)
    ours = {(q, i): s for q in range(5) for i, s in zip(found.ids[q], found.scores[q], strict=True)}
    theirs = np.array([[ours[q, i] for i in ids[q]] for q in range(5)])
    sign = -1 if made.codebooks.metric == "l2" else 1
    # Sums of a few products in another order.
    np.testing.assert_allclose(sign * scores, theirs, rtol=1e-4, atol=1e-4)


def test_arrays_and_columns_are_what_is_stored(tmp_path):
    made = collection(tmp_path, Codebooks.shared(values(16, DIM), np.float32([1, 0.5])))
    made.export(tmp_path / "arrays")
    ids, codes = (np.load(tmp_path / "arrays" / f"{name}.npy") for name in ("ids", "codes"))
    books = np.load(tmp_path / "arrays/codebooks.npy")
    np.testing.assert_array_equal(ids, made.index().ids)
    sums = books[0][codes[:, 0]] + books[1][codes[:, 1]]
    # One product more or less is rounded.
    np.testing.assert_allclose(
        sums, made.codebooks.decode(made.index().codes), rtol=1e-5, atol=1e-6
    )
    assert pq.read_table(tmp_path / "arrays/items.parquet")["id"].to_pylist() == ids.tolist()
    assert json.loads((tmp_path / "arrays/export.json").read_text())["n_items"] == 200


def test_what_cannot_be_exported_is_refused(tmp_path):
    made = collection(tmp_path, Codebooks.stacked(values(2, 16, DIM), metric="cosine"))
    with pytest.raises(OptionError, match="npy, faiss, got 'onnx'"):
        made.export(tmp_path / "x", to="onnx")
    with pytest.raises(OptionError, match="no index for the cosine"):
        made.export(tmp_path / "x", to="faiss")
    (tmp_path / "there").mkdir()
    with pytest.raises(OptionError, match="must not exist"):
        made.export(tmp_path / "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "shop", "there"]
