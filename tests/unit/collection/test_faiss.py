"""Indexes of FAISS: equal answers, the way there and back, and what cannot go it.

Vectors, codewords and rotation are multiples of small powers of two: float32 then adds them exactly
in any order, so that scores must be equal to the bit, and ids but for the order among equal scores.
"""

import json

import faiss
import numpy as np
import pytest
from typer.testing import CliRunner

from anybit.cli import app
from anybit.codes import Codebooks, Codes, ModelFolder, read_model_folder, write_model_folder
from anybit.collection import Collection, import_faiss
from anybit.collection.faiss_index import content_of_index, faiss_index
from anybit.errors import DataError, FormatError, NotTrainedError, OptionError
from anybit.search import Index

faiss.omp_set_num_threads(1)  # threads that wait for each other take a busy machine's time
DIM, N_ITEMS, N_QUERIES, K = 16, 3000, 1000, 20
KINDS = ("shared", "stacked", "product", "rotated")
# 16 x 16 of +-1/4, orthogonal, and not symmetric: a transposed one must not pass.
HADAMARD = np.array([[1.0]])
for _ in range(4):
    HADAMARD = np.block([[HADAMARD, HADAMARD], [HADAMARD, -HADAMARD]])
ROTATION = np.roll(HADAMARD, 1, axis=0).astype(np.float32) / 4


def clustered(n_vectors, seed):
    """Vectors around 20 centres, multiples of 1/4, within 8."""
    rng = np.random.default_rng(seed)
    centres = 2 * np.random.default_rng(0).standard_normal((20, DIM))
    x = centres[rng.integers(20, size=n_vectors)] + 0.7 * rng.standard_normal((n_vectors, DIM))
    return np.clip(np.round(4 * x) / 4, -8, 8).astype(np.float32)


ITEMS, QUERIES = clustered(N_ITEMS, 1), clustered(N_QUERIES, 2)
IDS = 100 + np.random.default_rng(3).permutation(10 * N_ITEMS)[:N_ITEMS].astype(np.int64)


def codebooks(kind, metric="ip", n_codewords=32, has_offset=True):
    """Codewords drawn from what is left of the items."""
    offset = np.round(4 * ITEMS.mean(axis=0)).astype(np.float32) / 4 + 1 if has_offset else None
    left = ITEMS - (0 if offset is None else offset)
    rng = np.random.default_rng(4)

    def drawn(x):
        return x[rng.permutation(len(x))[:n_codewords]]

    common = {"offset": offset, "metric": metric}
    if kind == "shared":
        return Codebooks.shared(drawn(left), np.float32([1, 0.5, -0.25]), **common)
    if kind == "stacked":
        levels = []
        for _ in range(3):
            levels.append(drawn(left))
            left = left - levels[-1][Codebooks.stacked(levels[-1][None]).encode(left).planes[0]]
        return Codebooks.stacked(np.stack(levels), **common)
    rotation = ROTATION if kind == "rotated" else None
    left = left if rotation is None else np.round(4 * left @ rotation) / 4
    parts = [drawn(part) for part in np.split(left, 4, axis=1)]
    return Codebooks.product(np.stack(parts), rotation=rotation, **common)


def assert_same_hits(theirs, ours, books, codes):
    """FAISS's distances and ids are our scores and ids, but for the order among equal scores."""
    scores, ids = theirs
    scores = -scores if books.metric == "l2" else scores
    np.testing.assert_array_equal(scores, ours.scores)
    inner = ours.scores > ours.scores[:, -1:]  # others as good as the last may be beyond it
    assert inner.mean() > 0.5
    found, expected = (
        np.take_along_axis(one, np.lexsort((one, -ours.scores)), axis=1) for one in (ids, ours.ids)
    )
    np.testing.assert_array_equal(found[inner], expected[inner])
    x = books.decode(codes)[np.argsort(IDS)[np.searchsorted(np.sort(IDS), ids)]]  # (Q, k, D)
    direct = np.einsum("qd,qkd->qk", QUERIES, x)
    if books.metric == "l2":
        direct = -((QUERIES[:, None] - x) ** 2).sum(axis=2)
    np.testing.assert_array_equal(scores, direct)


@pytest.mark.parametrize("n_codewords", [32, 256])
@pytest.mark.parametrize("has_offset", [False, True], ids=["plain", "offset"])
@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("kind", KINDS)
def test_faiss_finds_what_our_index_finds(kind, metric, has_offset, n_codewords):
    books = codebooks(kind, metric, n_codewords, has_offset)
    codes = books.encode(ITEMS)
    index = faiss_index(books, codes, IDS)
    ours = Index(books, codes, IDS).search(QUERIES, K)
    assert_same_hits(index.search(QUERIES, K), ours, books, codes)
    np.testing.assert_array_equal(index.reconstruct(int(IDS[7])), books.decode(codes)[7])


def collection(tmp_path, books):
    write_model_folder(
        tmp_path / "model", ModelFolder({"method": "x", "backbone": {"name": "none"}}, {}), books
    )
    made = Collection.create(tmp_path / "shop", tmp_path / "model")
    made.add_codes(books.encode(ITEMS), IDS, made.model_fingerprint)
    return made


@pytest.mark.parametrize("has_offset", [False, True], ids=["plain", "offset"])
@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_exported_comes_back(tmp_path, kind, metric, has_offset):
    made = collection(tmp_path, codebooks(kind, metric, 32, has_offset))
    made.export(tmp_path / "shop.faiss", to="faiss")
    back = import_faiss(tmp_path / "shop.faiss", tmp_path / "back")
    ours, theirs = made.index(), back.index()
    np.testing.assert_array_equal(theirs.ids, ours.ids)
    np.testing.assert_array_equal(theirs.codes.planes, ours.codes.planes)
    np.testing.assert_array_equal(
        back.codebooks.decode(theirs.codes), made.codebooks.decode(ours.codes)
    )
    if kind != "shared" and not has_offset:
        np.testing.assert_array_equal(back.codebooks.codebooks, made.codebooks.codebooks)
        assert back.codebooks.kind == made.codebooks.kind
    if kind == "rotated":
        np.testing.assert_array_equal(back.codebooks.rotation, ROTATION)
    found, expected = (one.search_features(QUERIES, K) for one in (back, made))
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.scores, expected.scores)
    facts = back.info()
    method = {"product": "pq", "rotated": "opq"}.get(kind, "rq")
    assert (facts["method"], facts["metric"], facts["backbone"]) == (method, metric, "none")
    back.export(tmp_path / "again.faiss", to="faiss")
    assert (tmp_path / "again.faiss").read_bytes() == (tmp_path / "shop.faiss").read_bytes()


def test_more_can_be_added_to_an_import(tmp_path):
    collection(tmp_path, codebooks("stacked", "l2")).export(tmp_path / "a.faiss", to="faiss")
    back = import_faiss(tmp_path / "a.faiss", tmp_path / "back")
    np.save(tmp_path / "x.npy", QUERIES[:5])
    assert back.add(tmp_path / "x.npy").n_added == 5
    assert len(back) == N_ITEMS + 5
    assert read_model_folder(tmp_path / "back/model").summary == {
        "imported_from": "faiss", "n_vectors": N_ITEMS,
    }  # fmt: skip
    assert back.verify().is_intact


def test_documented_bytes_of_codes():
    books = Codebooks.stacked(np.ones((3, 16, 2), np.float32))
    index = faiss_index(books, Codes(np.uint8([[1], [2], [3]]), 16))
    assert faiss.vector_to_array(index.codes).tobytes() == b"\x21\x03"
    under_l2 = faiss_index(
        Codebooks.stacked(np.ones((3, 16, 2), np.float32), metric="l2"),
        Codes(np.uint8([[1], [2], [3]]), 16),
    )
    # (1 + 1 + 1)^2 over two dimensions is 18, 0x41900000 as a float32, from bit 12 on.
    assert faiss.vector_to_array(under_l2.codes).tobytes() == b"\x21\x03\x00\x00\x19\x04"


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("width", range(1, 9))
def test_codes_of_every_width_lie_where_faiss_looks_for_them(width, metric):
    rng = np.random.default_rng(width)
    codes = Codes(rng.integers(0, 1 << width, (9, 50), dtype=np.uint8), 1 << width)
    whole = rng.integers(-99, 99, (9, 1 << width, 9)).astype(np.float32)
    for books in (
        Codebooks.stacked(whole, metric=metric), Codebooks.product(whole[..., :1], metric=metric)
    ):  # fmt: skip
        index = faiss_index(books, codes)
        np.testing.assert_array_equal(index.reconstruct_n(0, 50), books.decode(codes))
        content = content_of_index(index)
        np.testing.assert_array_equal(content.codes.planes, codes.planes)
        np.testing.assert_array_equal(content.codebooks.codebooks, books.codebooks)


def test_codes_cut_short_make_a_shorter_index():
    books = codebooks("shared", "l2")
    codes = books.encode(ITEMS).cut(10)
    ours = Index(books, codes, IDS).search(QUERIES[:9], 3)
    scores, _ = faiss_index(books, codes, IDS).search(QUERIES[:9], 3)
    np.testing.assert_array_equal(-scores, ours.scores)


def trained(factory, metric=faiss.METRIC_L2, ids=None):
    x = np.random.default_rng(5).standard_normal((600, DIM)).astype(np.float32) + 1
    index = faiss.index_factory(DIM, factory, metric)
    if "OPQ" in factory:  # learn a rotation in two rounds, not 50
        before = faiss.downcast_index(index.index) if "IDMap" in factory else index
        faiss.downcast_VectorTransform(before.chain.at(0)).niter = 2
    index.train(x)
    index.add(x) if ids is None else index.add_with_ids(x, ids)
    return index


MADE_BY_FAISS = {
    "RQ3x3": "rq", "RQ3x3_Nfloat": "rq", "RQ3x3_Nqint8": "rq", "IDMap,RQ3x4": "rq", "PQ4x3": "pq",
    "IDMap,PQ4x4": "pq", "OPQ4,PQ4x3": "opq", "IDMap2,OPQ4,PQ4x4": "opq", "RR16,PQ4x3": "opq",
}  # fmt: skip


@pytest.mark.parametrize(
    ("factory", "metric"),
    [(one, metric) for one in MADE_BY_FAISS for metric in ("ip", "l2")] + [("PCAR16,PQ4x3", "l2")],
)
def test_indexes_made_by_faiss_are_imported(tmp_path, factory, metric):
    metric = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    ids = np.arange(600) * 7 - 900 if "IDMap" in factory else None
    index = trained(factory, metric, ids)
    faiss.write_index(index, str(tmp_path / "index"))
    made = import_faiss(tmp_path / "index", tmp_path / "shop")
    assert made.info()["method"] == MADE_BY_FAISS.get(factory, "opq")
    stored = np.arange(600) if ids is None else ids
    np.testing.assert_array_equal(made.index().ids, stored)
    inner = index if ids is None else faiss.downcast_index(index.index)
    # Sums in another order, and a rotation turned back.
    np.testing.assert_allclose(
        made.codebooks.decode(made.index().codes), inner.reconstruct_n(0, 600), rtol=1e-4, atol=1e-4
    )
    if factory.endswith("qint8") and metric == faiss.METRIC_L2:
        return  # its norms are rounded, ours are not
    queries = np.random.default_rng(6).standard_normal((50, DIM)).astype(np.float32)
    scores, found = index.search(queries, 600)
    ours = made.search_features(queries, 600)
    by_id = np.empty((50, stored.max() - stored.min() + 1), np.float32)
    np.put_along_axis(by_id, ours.ids - stored.min(), ours.scores, axis=1)
    sign = -1 if metric == faiss.METRIC_L2 else 1
    np.testing.assert_allclose(
        sign * scores, np.take_along_axis(by_id, found - stored.min(), axis=1), rtol=1e-3, atol=1e-3
    )


def untrained():
    return faiss.IndexPQ(DIM, 4, 4)


def wide(n_bits):
    index = faiss.IndexPQ(DIM, 4, n_bits)
    index.is_trained = True
    return index


def changed(factory, metric, **settings):
    index = trained(factory, metric)
    for name, value in settings.items():
        setattr(index.rq if hasattr(index, "rq") else index, name, value)
    return index


def stretched():
    matrix = faiss.LinearTransform(DIM, DIM, False)
    faiss.copy_array_to_vector(2 * np.eye(DIM, dtype=np.float32).ravel(), matrix.A)
    matrix.is_trained = True
    return faiss.IndexPreTransform(matrix, trained("PQ4x3"))


L2, IP = faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: trained("Flat"), r"must be an IndexResidualQuantizer, .*, got IndexFlat"),
        (lambda: trained("IDMap,SQ8", ids=np.arange(600)), r"IndexIDMap\(IndexScalarQuantizer\)"),
        (lambda: trained("IVF4,PQ4x3"), "got IndexIVFPQ"),
        (lambda: trained("PQ4x4fs"), "got IndexPQFastScan"),
        (lambda: trained("OPQ4,RQ2x3"), r"IndexPreTransform\(IndexResidualQuantizer\)"),
        (lambda: trained("RQ1x3_2x4"), "same number of bits, from 1 to 8, got 3, 4, 4"),
        (lambda: wide(9), "same number of bits, from 1 to 8, got 9"),
        (lambda: trained("OPQ4_8,PQ4x3"), "keeps the number of dimensions.* 16 to 8"),
        (lambda: trained("L2norm,PQ4x3"), "one linear transform.*NormalizationTransform"),
        (lambda: trained("PCAR16,PQ4x3", IP), "under inner product must have no bias"),
        (stretched, "must be orthogonal, got A A' that is 3 away"),
        (lambda: changed("RQ2x3", L2, search_type=1), "ST_LUT_nonorm. Build it as"),
        (lambda: changed("PQ4x3", L2, search_type=faiss.IndexPQ.ST_SDC), "compare by ST_PQ"),
        (lambda: changed("PQ4x3", L2, metric_type=faiss.METRIC_L1), "inner product or L2, got"),
    ],
    ids=["flat", "scalar", "ivf", "fast scan", "rotated rq", "mixed bits", "9 bits", "shrinking",
         "normalised", "bias", "stretched", "no norms", "symmetric", "L1"],
)  # fmt: skip
def test_other_indexes_are_refused(tmp_path, make, message):
    faiss.write_index(make(), str(tmp_path / "index"))
    with pytest.raises(FormatError, match=message):
        import_faiss(tmp_path / "index", tmp_path / "shop")
    assert not (tmp_path / "shop").exists()


def test_an_untrained_index_and_repeated_ids_are_refused(tmp_path):
    faiss.write_index(untrained(), str(tmp_path / "untrained"))
    with pytest.raises(NotTrainedError, match="IndexPQ must be trained"):
        import_faiss(tmp_path / "untrained", tmp_path / "shop")
    faiss.write_index(trained("IDMap,PQ4x3", ids=np.arange(600) // 2), str(tmp_path / "twice"))
    with pytest.raises(DataError, match="distinct ids, got 0 more than once"):
        import_faiss(tmp_path / "twice", tmp_path / "shop")
    unusable = trained("PQ4x3")
    faiss.copy_array_to_vector(np.full(4 * 8 * 4, np.nan, np.float32), unusable.pq.centroids)
    with pytest.raises(FormatError, match="usable codebooks: codebooks must be finite"):
        content_of_index(unusable)
    assert not (tmp_path / "shop").exists()


def test_parts_that_do_not_fit_together_are_refused():
    short = trained("PQ4x3")
    short.ntotal += 1
    with pytest.raises(FormatError, match=r"codes .* must have shape \(601, 2\), got 1200"):
        content_of_index(short)
    short = trained("IDMap,PQ4x3", ids=np.arange(600))
    faiss.copy_array_to_vector(np.arange(599), short.id_map)
    with pytest.raises(FormatError, match="600 ids, got 599"):
        content_of_index(short)


def test_cut_files_are_refused_and_leave_nothing(tmp_path):
    faiss.write_index(trained("IDMap2,OPQ4,PQ4x4", ids=np.arange(600)), str(tmp_path / "whole"))
    whole = (tmp_path / "whole").read_bytes()
    for n_bytes in range(0, len(whole), len(whole) // 23):
        (tmp_path / "cut").write_bytes(whole[:n_bytes])
        with pytest.raises(FormatError, match="must be an index file of FAISS, got"):
            import_faiss(tmp_path / "cut", tmp_path / "shop")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "whole"]


def test_an_empty_collection_goes_and_comes_back(tmp_path):
    made = collection(tmp_path, codebooks("rotated"))
    made.delete(where="id >= 0")
    made.export(tmp_path / "none.faiss", to="faiss")
    back = import_faiss(tmp_path / "none.faiss", tmp_path / "back")
    assert (len(back), back.codebooks.n_levels) == (0, 4)


def test_import_keeps_what_is_there_unless_told(tmp_path):
    made = collection(tmp_path, codebooks("product"))
    made.export(tmp_path / "a.faiss", to="faiss")
    made.delete(ids=IDS[:10])
    with pytest.raises(OptionError, match="must not exist yet"):
        import_faiss(tmp_path / "a.faiss", tmp_path / "shop")
    assert len(Collection.open(tmp_path / "shop")) == N_ITEMS - 10
    assert len(import_faiss(tmp_path / "a.faiss", tmp_path / "shop", overwrite=True)) == N_ITEMS


def test_collections_of_an_object_store_go_and_come_back(tmp_path, bucket):
    collection(tmp_path, codebooks("stacked", "l2")).export(tmp_path / "a.faiss", to="faiss")
    url = f"{bucket}/shop.anybit"

    def run(*arguments):
        result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout.splitlines()[-1])

    assert run("import", tmp_path / "a.faiss", "--output", url)["n_items"] == N_ITEMS
    for to in ("faiss", "npy"):
        report = run("export", url, "--to", to, "--output", tmp_path / to)
        assert (report["collection"], report["n_items"]) == (url, N_ITEMS)
    assert (tmp_path / "faiss").read_bytes() == (tmp_path / "a.faiss").read_bytes()
    assert np.load(tmp_path / "npy/codes.npy").shape == (N_ITEMS, 3)
