import json
import re
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest

from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import Collection, export_model
from anybit.errors import FormatError, OptionError

faiss.omp_set_num_threads(1)
DIM = 16
DOCUMENT = Path(__file__).parents[3] / "docs/export.md"


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


def rotation():
    return np.ascontiguousarray(np.linalg.qr(values(DIM, DIM))[0])


@pytest.mark.parametrize("n_codewords", [2, 16, 256])
@pytest.mark.parametrize(
    "codebooks",
    [
        lambda k: Codebooks.stacked(values(3, k, DIM)),
        lambda k: Codebooks.stacked(values(3, k, DIM), metric="l2"),
        lambda k: Codebooks.shared(values(k, DIM), np.float32([1, 0.5, 0.2])),
        lambda k: Codebooks.product(values(4, k, DIM // 4)),
        lambda k: Codebooks.product(values(4, k, DIM // 4), metric="l2"),
        lambda k: Codebooks.product(values(4, k, DIM // 4), rotation=rotation(), metric="l2"),
        lambda k: Codebooks.stacked(values(3, k, DIM), offset=values(DIM), metric="l2"),
    ],
    ids=["stacked", "stacked l2", "shared", "product", "product l2", "rotated l2", "offset l2"],
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


KINDS = {
    "shared": lambda: Codebooks.shared(values(16, DIM), np.float32([1, 0.5]), offset=values(DIM)),
    "stacked": lambda: Codebooks.stacked(values(3, 4, DIM)),
    "product": lambda: Codebooks.product(values(4, 256, 4), offset=values(DIM)),
    "rotated": lambda: Codebooks.product(values(4, 32, 4), rotation=rotation(), metric="l2"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_documented_arrays_give_the_reconstructions(tmp_path, kind):
    made = collection(tmp_path, KINDS[kind]())
    target = tmp_path / "arrays"
    made.export(target)
    facts = json.loads((target / "export.json").read_text())
    assert facts == {
        "kind": "product" if kind in ("product", "rotated") else "sum",
        "metric": made.codebooks.metric,
        "assignment": "l2",
        "comparison": "aqd",
        "n_items": 200,
        "n_levels": made.codebooks.n_levels,
        "n_codewords": made.codebooks.n_codewords,
        "dim": DIM,
        "bits": made.codebooks.bits,
    }
    documented = {}
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    exec(next(text for text in blocks if "def reconstructions" in text), documented)
    order = np.argsort(np.load(target / "ids.npy"))
    # One product more or less is rounded.
    np.testing.assert_allclose(
        documented["reconstructions"](target, facts["kind"])[order],
        made.codebooks.decode(made.index().codes), rtol=1e-5, atol=1e-5,
    )  # fmt: skip
    found = {path.name: np.load(path) for path in target.glob("*.npy")}
    assert {name: array.dtype.str for name, array in found.items()} == {
        "ids.npy": "<i8", "codes.npy": "|u1",
        **{name: "<f4" for name in found if name not in ("ids.npy", "codes.npy")},
    }  # fmt: skip
    assert all(array.flags.c_contiguous for array in found.values())
    rows = pq.read_table(target / "items.parquet")
    assert rows["id"].to_pylist() == found["ids.npy"].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_exported_without_items(tmp_path, kind):
    made = collection(tmp_path, KINDS[kind]())
    export_model(tmp_path / "model", tmp_path / "arrays")
    made.export(tmp_path / "all")
    names = {path.name for path in (tmp_path / "arrays").iterdir()}
    assert names == {path.name for path in (tmp_path / "all").iterdir()} - {
        "ids.npy", "codes.npy", "items.parquet",
    }  # fmt: skip
    for name in names - {"export.json"}:
        assert (tmp_path / "arrays" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()
    assert json.loads((tmp_path / "arrays/export.json").read_text())["n_items"] == 0

    export_model(tmp_path / "model", tmp_path / "empty.faiss", to="faiss")
    empty = faiss.read_index(str(tmp_path / "empty.faiss"))
    assert (empty.is_trained, empty.ntotal) == (True, 0)
    x = np.random.default_rng(1).standard_normal((200, DIM)).astype(np.float32)
    empty.add(x)  # encodes as we do
    reconstructed = made.codebooks.decode(made.codebooks.encode(x))
    # The offset is added first, and a rotation undone in another order of additions.
    np.testing.assert_allclose(empty.reconstruct_n(0, 200), reconstructed, rtol=1e-4, atol=1e-4)
    scores, ids = empty.search(x[:20], 10)
    ours = np.einsum("qd,qkd->qk", x[:20], reconstructed[ids])
    if kind == "rotated":
        ours = ((x[:20, None] - reconstructed[ids]) ** 2).sum(axis=2)
    np.testing.assert_allclose(scores, ours, rtol=1e-4, atol=1e-4)


def test_an_exported_quantiser_is_small_and_may_follow_several_candidates(tmp_path):
    made = collection(tmp_path, Codebooks.stacked(values(3, 16, DIM), metric="l2"))
    export_model(tmp_path / "model", tmp_path / "empty.faiss", to="faiss")
    index = faiss.read_index(str(tmp_path / "empty.faiss"))
    assert index.rq.codebook_cross_products.size() == 0  # of 64 levels of 256, half a gigabyte
    x = np.random.default_rng(1).standard_normal((200, DIM)).astype(np.float32)
    errors = []
    for index.rq.max_beam_size in (1, 8):
        index.add(x)
        errors.append(((index.reconstruct_n(index.ntotal - 200, 200) - x) ** 2).sum())
    assert errors[1] < 0.99 * errors[0]
    # Sums in another order.
    own = ((made.codebooks.decode(made.codebooks.encode(x)) - x) ** 2).sum()
    np.testing.assert_allclose(errors[0], own, rtol=1e-4)


def test_what_cannot_be_exported_is_refused(tmp_path):
    made = collection(tmp_path, Codebooks.stacked(values(2, 16, DIM), metric="cosine"))
    with pytest.raises(OptionError, match="npy, faiss, onnx, got 'hdf'"):
        made.export(tmp_path / "x", to="hdf")
    with pytest.raises(OptionError, match=r"got cosine: .* Export npy, or train with another"):
        made.export(tmp_path / "x", to="faiss")
    with pytest.raises(OptionError, match="npy, faiss, onnx, got 'hdf'"):
        export_model(tmp_path / "model", tmp_path / "x", to="hdf")
    with pytest.raises(OptionError, match="got cosine"):
        export_model(tmp_path / "model", tmp_path / "x", to="faiss")
    with pytest.raises(FormatError, match="must be a model folder"):
        export_model(tmp_path, tmp_path / "x")
    (tmp_path / "there").mkdir()
    with pytest.raises(OptionError, match="must not exist"):
        made.export(tmp_path / "there")
    with pytest.raises(OptionError, match="must not exist"):
        export_model(tmp_path / "model", tmp_path / "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "shop", "there"]
