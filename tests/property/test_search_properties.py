import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybit.codes import Codebooks, Codes
from anybit.search import Index

_SETTINGS = settings(max_examples=40, deadline=None)


@st.composite
def _worlds(draw):
    """Return codebooks with many ties (small integers), codes, distinct ids and queries."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_levels, n_codewords = draw(st.integers(1, 5)), draw(st.sampled_from([2, 4, 16]))
    dim, n_items, n_queries = draw(st.integers(1, 4)), draw(st.integers(0, 60)), 3
    offset = rng.integers(-2, 3, dim).astype(np.float32) if draw(st.booleans()) else None
    values = rng.integers(-3, 4, (n_levels, n_codewords, dim)).astype(np.float32)
    codebooks = Codebooks.stacked(values, offset=offset)
    planes = rng.integers(0, n_codewords, (n_levels, n_items)).astype(np.uint8)
    ids = rng.permutation(500)[:n_items].astype(np.int64)
    queries = rng.integers(-3, 4, (n_queries, dim)).astype(np.float32)
    return codebooks, Codes(planes, n_codewords), ids, queries


def _looped(codebooks, codes, ids, query, k):
    """Rank by a plain float32 loop over items and levels; ties by id."""
    table = codebooks.lut(query[None], codes.n_levels)[0]
    constant = np.float32(0 if codebooks.offset is None else query @ codebooks.offset)
    ranked = []
    for item in range(codes.n_items):
        total = np.float32(0)
        for level in range(codes.n_levels):
            total = np.float32(total + table[level, codes.planes[level, item]])
        ranked.append((-total, int(ids[item]), np.float32(total + constant)))
    ranked.sort(key=lambda entry: entry[:2])
    return [entry[1] for entry in ranked[:k]], [entry[2] for entry in ranked[:k]]


@_SETTINGS
@given(_worlds(), st.integers(1, 70))
def test_search_equals_a_plain_loop_to_the_bit(world, k):
    codebooks, codes, ids, queries = world
    result = Index(codebooks, codes, ids).search(queries, k)
    for row, query in enumerate(queries):
        expected_ids, expected_scores = _looped(codebooks, codes, ids, query, k)
        np.testing.assert_array_equal(result.ids[row], expected_ids)
        np.testing.assert_array_equal(result.scores[row], expected_scores)


@_SETTINGS
@given(_worlds(), st.sampled_from(["ip", "l2", "cosine"]), st.data())
def test_prefix_search_equals_the_index_over_cut_codes(world, metric, data):
    codebooks, codes, ids, queries = world
    bits = data.draw(st.sampled_from(codebooks.lengths()))
    whole = Index(codebooks, codes, ids, metric).search(queries, 10, bits=bits)
    cut = Index(codebooks.cut(bits), codes.cut(bits), ids, metric).search(queries, 10)
    assert whole.bits == cut.bits == bits
    np.testing.assert_array_equal(whole.ids, cut.ids)
    np.testing.assert_array_equal(whole.scores, cut.scores)


@_SETTINGS
@given(_worlds(), st.sampled_from(["ip", "l2", "cosine"]), st.randoms(use_true_random=False))
def test_shuffling_items_changes_nothing_when_ids_go_with_them(world, metric, random):
    codebooks, codes, ids, queries = world
    order = np.array(random.sample(range(len(ids)), len(ids)), dtype=np.int64)
    before = Index(codebooks, codes, ids, metric).search(queries, 15)
    after = Index(codebooks, codes.take(order), ids[order], metric).search(queries, 15)
    np.testing.assert_array_equal(before.ids, after.ids)
    np.testing.assert_array_equal(before.scores, after.scores)


@_SETTINGS
@given(_worlds(), st.randoms(use_true_random=False))
def test_shuffling_items_without_ids_permutes_ids_up_to_ties(world, random):
    codebooks, codes, _, queries = world
    n_items = codes.n_items
    order = np.array(random.sample(range(n_items), n_items), dtype=np.int64)
    before = Index(codebooks, codes).search(queries, n_items + 1)
    after = Index(codebooks, codes.take(order)).search(queries, n_items + 1)
    np.testing.assert_array_equal(before.scores, after.scores)
    for row in range(len(queries)):
        for score in np.unique(before.scores[row]):
            old = set(before.ids[row][before.scores[row] == score].tolist())
            new = set(order[after.ids[row][after.scores[row] == score]].tolist())
            assert old == new


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_every_metric_ranks_like_the_decoded_vectors(metric):
    rng = np.random.default_rng(11)
    codebooks = Codebooks.shared(
        rng.standard_normal((16, 8)).astype(np.float32),
        np.array([1, 0.6, 0.3], dtype=np.float32),
        offset=rng.standard_normal(8).astype(np.float32),
        metric=metric,
    )
    codes = codebooks.encode(rng.standard_normal((300, 8)).astype(np.float32))
    queries = rng.standard_normal((5, 8)).astype(np.float32)
    result = Index(codebooks, codes).search(queries, 300)
    items = codebooks.decode(codes).astype(np.float64)
    lengths = np.linalg.norm(items, axis=1)
    for row, query in enumerate(queries.astype(np.float64)):
        closeness = {
            "ip": items @ query,
            "l2": -((items - query) ** 2).sum(axis=1),
            "cosine": items @ query / lengths,
        }[metric]
        # the order may differ only where float32 rounding makes values swap
        assert (np.diff(closeness[result.ids[row]]) <= 1e-5).all()
