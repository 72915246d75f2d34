import numpy as np
import pytest

from anybit.codes import BytePlanes, Codebooks, Codes
from anybit.errors import DataError, DTypeError, OptionError, ShapeError
from anybit.search import Index


def _stacked(n_levels=3, n_codewords=4, dim=5, seed=0, **options):
    rng = np.random.default_rng(seed)
    shape = (n_levels, n_codewords, dim)
    return Codebooks.stacked(rng.standard_normal(shape).astype(np.float32), **options)


def _codes(codebooks, n_items, seed=1):
    rng = np.random.default_rng(seed)
    planes = rng.integers(0, codebooks.n_codewords, (codebooks.n_levels, n_items))
    return Codes(planes.astype(np.uint8), codebooks.n_codewords)


def _queries(n_queries, dim=5, seed=2):
    return np.random.default_rng(seed).standard_normal((n_queries, dim)).astype(np.float32)


def test_hand_computed_inner_products():
    codebooks = Codebooks.stacked(np.array([[[1, 0], [0, 1]], [[2, 0], [0, 4]]], dtype=np.float32))
    codes = Codes(np.array([[0, 1, 0], [0, 1, 1]], dtype=np.uint8), n_codewords=2)
    result = Index(codebooks, codes).search(np.array([[1, 3]], dtype=np.float32), k=3)
    # items: (1+2, 0), (0, 1+4), (1, 4): inner products 3, 15, 13
    np.testing.assert_array_equal(result.ids, [[1, 2, 0]])
    np.testing.assert_array_equal(result.scores, [[15, 13, 3]])
    assert result.bits == 2


def test_ties_go_to_the_lower_id():
    codebooks = _stacked()
    codes = Codes(np.zeros((3, 6), dtype=np.uint8), n_codewords=4)
    ids = np.array([40, 10, 60, 20, 50, 30])
    result = Index(codebooks, codes, ids).search(_queries(2), k=4)
    np.testing.assert_array_equal(result.ids, [[10, 20, 30, 40]] * 2)


def test_ties_across_blocks_of_items(monkeypatch):
    monkeypatch.setattr("anybit.search._reference.BLOCK_ITEMS", 3)
    codes = Codes(np.zeros((3, 10), dtype=np.uint8), n_codewords=4)
    result = Index(_stacked(), codes).search(_queries(1), k=5)
    np.testing.assert_array_equal(result.ids, [[0, 1, 2, 3, 4]])


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_scores_are_those_of_the_reconstructions(metric):
    offset = np.arange(5, dtype=np.float32)
    codebooks = _stacked(offset=offset, metric=metric)
    codes, queries = _codes(codebooks, 50), _queries(4)
    result = Index(codebooks, codes).search(queries, k=50)
    items = codebooks.decode(codes).astype(np.float64)
    for row, query in enumerate(queries.astype(np.float64)):
        products = items @ query
        expected = {
            "ip": products,
            "l2": -((items - query) ** 2).sum(axis=1),
            "cosine": products / np.linalg.norm(items, axis=1) / np.linalg.norm(query),
        }[metric]
        # float32 sums of a few terms of size up to 50 against float64
        np.testing.assert_allclose(result.scores[row], expected[result.ids[row]], atol=1e-4)
        assert (np.diff(result.scores[row]) <= 0).all()


def test_zero_vectors_have_cosine_zero():
    codebooks = Codebooks.stacked(np.array([[[0, 0], [1, 0]]], dtype=np.float32), metric="cosine")
    index = Index(codebooks, Codes(np.array([[0, 1]], dtype=np.uint8), n_codewords=2))
    queries = np.array([[3, 0], [0, 0]], dtype=np.float32)
    np.testing.assert_array_equal(index.search(queries, k=2).scores, [[1, 0], [0, 0]])


def test_where_as_mask_follows_the_order_of_the_given_codes():
    codebooks = _stacked()
    codes, ids = _codes(codebooks, 4), np.array([8, 2, 6, 4])
    index = Index(codebooks, codes, ids)
    mask = np.array([True, False, True, False])
    by_mask = index.search(_queries(3), k=4, where=mask)
    by_ids = index.search(_queries(3), k=4, where=np.array([6, 8, 999]))
    assert set(by_mask.ids.ravel().tolist()) == {6, 8}
    np.testing.assert_array_equal(by_mask.ids, by_ids.ids)
    np.testing.assert_array_equal(by_mask.scores, by_ids.scores)


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_where_gives_what_the_unrestricted_search_gives_among_those(metric):
    codebooks = _stacked(metric=metric)
    codes = _codes(codebooks, 60)
    index = Index(codebooks, codes)
    allowed = np.arange(0, 60, 3)
    everything = index.search(_queries(2), k=60)
    some = index.search(_queries(2), k=5, where=allowed)
    for row in range(2):
        kept = np.isin(everything.ids[row], allowed)
        np.testing.assert_array_equal(some.ids[row], everything.ids[row][kept][:5])


def test_fewer_items_than_k_give_fewer_columns():
    codebooks = _stacked()
    assert Index(codebooks, _codes(codebooks, 3)).search(_queries(2), k=10).ids.shape == (2, 3)


@pytest.mark.parametrize("n_items", [0, 1])
def test_small_indexes(n_items):
    codebooks = _stacked()
    result = Index(codebooks, _codes(codebooks, n_items)).search(_queries(2), k=2)
    assert result.ids.shape == result.scores.shape == (2, n_items)


def test_no_query_gives_no_row():
    codebooks = _stacked()
    index = Index(codebooks, _codes(codebooks, 3))
    assert index.search(np.empty((0, 5), dtype=np.float32), k=2).ids.shape == (0, 2)


def test_threads_do_not_change_the_answer():
    codebooks = _stacked(n_codewords=256, metric="l2")
    index = Index(codebooks, _codes(codebooks, 500))
    queries = _queries(200)
    one, three = (index.search(queries, k=20, n_threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one.ids, three.ids)
    np.testing.assert_array_equal(one.scores, three.scores)


def test_non_contiguous_and_integer_queries_are_taken():
    codebooks = _stacked()
    index = Index(codebooks, _codes(codebooks, 9))
    queries = np.arange(30).reshape(3, 10)[:, ::2]
    expected = index.search(np.ascontiguousarray(queries, dtype=np.float32), k=4)
    np.testing.assert_array_equal(index.search(queries, k=4).ids, expected.ids)


def test_product_codes_are_searched_whole_and_never_cut():
    rng = np.random.default_rng(5)
    codebooks = Codebooks.product(rng.standard_normal((2, 4, 3)).astype(np.float32))
    index = Index(codebooks, _codes(codebooks, 9))
    assert index.search(_queries(1, dim=6), k=3).bits == 4
    with pytest.raises(OptionError, match="cannot be cut"):
        index.search(_queries(1, dim=6), k=3, bits=2)


def test_refusals_say_what_was_wrong():
    codebooks = _stacked()
    codes = _codes(codebooks, 4)
    index = Index(codebooks, codes)
    with pytest.raises(ShapeError, match=r"\(Q, 5\), got \(2, 4\)"):
        index.search(_queries(2, dim=4))
    with pytest.raises(DataError, match="infinity in query 1"):
        index.search(np.array([[0] * 5, [np.nan] * 5], dtype=np.float32))
    with pytest.raises(OptionError, match="k and n_threads"):
        index.search(_queries(1), k=0)
    with pytest.raises(OptionError, match="bits must be one of 2, 4, 6, got 5"):
        index.search(_queries(1), bits=5)
    with pytest.raises(ShapeError, match="where must have shape"):
        index.search(_queries(1), where=np.ones(3, dtype=bool))
    with pytest.raises(DTypeError, match="bool"):
        index.search(_queries(1), where=np.ones(3))
    with pytest.raises(OptionError, match="distinct, got 7"):
        Index(codebooks, codes, np.array([7, 1, 7, 2]))
    with pytest.raises(ShapeError, match="ids must have shape"):
        Index(codebooks, codes, np.arange(3))
    with pytest.raises(DTypeError, match="integers"):
        Index(codebooks, codes, np.arange(4.0))
    with pytest.raises(ShapeError, match="at most 3 levels of 4"):
        Index(codebooks, Codes(np.zeros((4, 1), dtype=np.uint8), n_codewords=4))
    with pytest.raises(OptionError, match="metric must be one of"):
        Index(codebooks, codes, metric="hamming")


@pytest.mark.parametrize("n_codewords", [16, 256])
def test_a_read_only_memory_map_is_searched_in_place(tmp_path, n_codewords):
    codebooks = _stacked(n_levels=3, n_codewords=n_codewords)
    codes = _codes(codebooks, 5000)
    packed = BytePlanes.of(codes)
    packed.values.tofile(tmp_path / "planes")
    mapped = np.memmap(tmp_path / "planes", dtype=np.uint8, mode="r", shape=packed.values.shape)
    index = Index(codebooks, BytePlanes(mapped, 3, n_codewords), metric="l2")
    assert index._planes.values is mapped
    expected = Index(codebooks, codes, metric="l2").search(_queries(5), k=7)
    found = index.search(_queries(5), k=7)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.scores, expected.scores)


def symmetric_codebooks(rng, kind, metric):
    offset = rng.normal(size=6).astype(np.float32)
    if kind == "shared":
        scales = np.array([1, -0.5, 0.25])
        return Codebooks.shared(rng.normal(size=(8, 6)), scales, offset=offset, metric=metric)
    if kind == "stacked":
        return Codebooks.stacked(rng.normal(size=(3, 8, 6)), offset=offset, metric=metric)
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0] if kind == "rotated" else None
    values = rng.normal(size=(3, 8, 2))
    return Codebooks.product(values, rotation=rotation, offset=offset, metric=metric)


def scores_of(asked, items, metric):
    """Scores (Q, N) of two sets of vectors in float64."""
    asked, items = asked.astype(np.float64), items.astype(np.float64)
    if metric == "l2":
        return -((asked[:, None] - items[None]) ** 2).sum(axis=2)
    if metric == "cosine":
        asked, items = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (asked, items))
    return asked @ items.T


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("kind", ["shared", "stacked", "product", "rotated"])
def test_symmetric_scores_are_those_of_two_reconstructions(rng, metric, kind):
    codebooks = symmetric_codebooks(rng, kind, metric)
    vectors, queries = (rng.normal(size=(n, 6)).astype(np.float32) for n in (200, 5))
    codes = codebooks.encode(vectors)
    index = Index(codebooks, codes)
    rows = np.arange(5)[:, None]
    for bits in codebooks.lengths():
        items, asked = (codebooks.encode(x).cut(bits) for x in (vectors, queries))
        expected = scores_of(codebooks.decode(asked), codebooks.decode(items), metric)
        found = index.search(queries, 200, bits, comparison="sqd")
        ordered = np.sort(expected, axis=1)[:, ::-1]
        # Sums of float32 products, of numbers up to about 50.
        np.testing.assert_allclose(found.scores, ordered, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(expected[rows, found.ids], ordered, rtol=1e-4, atol=1e-4)
        by_codes = index.search(asked, 200, bits)
        np.testing.assert_array_equal(by_codes.ids, found.ids)
        np.testing.assert_array_equal(by_codes.scores, found.scores)
    asymmetric = index.search(queries, 200, comparison="aqd")
    assert np.abs(asymmetric.scores - found.scores).max() > 0.01
    usual = Index(codebooks.compared_by("sqd"), codes).search(queries, 200)
    np.testing.assert_array_equal(usual.scores, found.scores)


def test_comparison_that_does_not_fit_is_refused(rng):
    codebooks = Codebooks.stacked(rng.normal(size=(3, 4, 6)))
    codes = codebooks.encode(rng.normal(size=(9, 6)))
    index = Index(codebooks, codes)
    with pytest.raises(OptionError, match="comparison must be one of aqd, sqd, got 'both'"):
        index.search(np.zeros((1, 6)), comparison="both")
    with pytest.raises(OptionError, match="codes as queries must be compared by sqd"):
        index.search(codes, comparison="aqd")
    with pytest.raises(ShapeError, match="at most 3 levels of 4 codewords, got 1 of 2"):
        index.search(Codes(np.zeros((1, 1), np.uint8), 2))
    with pytest.raises(OptionError, match="at least the 3 levels that are compared, got 2"):
        index.search(codes.cut_levels(2))
    assert index.search(codes.cut_levels(2), bits=4).ids.shape == (9, 9)
    many = Codebooks.stacked(np.ones((129, 256, 1)))
    with pytest.raises(OptionError, match=r"at most 1 GiB .* got 4\.1 GiB for 129 levels of 256"):
        Index(many, Codes(np.zeros((129, 1), np.uint8))).search(np.ones((1, 1)), comparison="sqd")


def test_symmetric_products_beyond_float32_are_refused():
    codebooks = Codebooks.stacked(np.full((2, 2, 1), 1e19, dtype=np.float32))
    index = Index(codebooks, Codes(np.zeros((2, 3), np.uint8), 2))
    with pytest.raises(DataError, match="must stay below 1e\\+37"):
        index.search(Codes(np.zeros((2, 1), np.uint8), 2))
