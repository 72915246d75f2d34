"""Ties of Hamming codes: signs of random projections, as codes of two codewords a level."""

import numpy as np
import pytest

from anybit.codes import Codebooks
from anybit.data import Labels
from anybit.evaluation import (
    EvaluationInput,
    EvaluationOptions,
    evaluate,
    map_at,
    map_full,
    map_under_ties,
    rank_positions,
)

BITS = (4, 8, 16, 32)
N_QUERIES = 12


@pytest.fixture
def data(rng):
    """Return signs (N, 32), queries first, and classes (N,) of four overlapping clusters."""
    classes = rng.integers(0, 4, 172)
    vectors = rng.normal(size=(4, 16))[classes] + 1.2 * rng.normal(size=(172, 16))
    return np.sign(vectors @ rng.normal(size=(16, 32))).astype(np.float32), classes


@pytest.fixture
def scores(data):
    """Return a function from bits to Hamming scores, bits - 2 distance; (Q, N) float32."""
    signs, _ = data
    return lambda bits: signs[:N_QUERIES, :bits] @ signs[N_QUERIES:, :bits].T


@pytest.fixture
def relevant(data):
    """Return whether an item has the query's class; (Q, N)."""
    return data[1][:N_QUERIES, None] == data[1][None, N_QUERIES:]


def in_order(scores, relevant, order, at=None):
    """mAP of a database stored in an order (N,), or in one for each query (Q, N)."""
    order = np.broadcast_to(order, scores.shape)
    ranking = rank_positions(np.take_along_axis(scores, order, axis=1))
    stored = np.take_along_axis(relevant, order, axis=1)
    ranked = np.take_along_axis(stored, ranking, axis=1)
    return map_full(ranked) if at is None else map_at(ranked, at)


@pytest.mark.parametrize("bits", BITS)
def test_codes_of_two_codewords_score_by_hamming_distance(data, scores, bits):
    signs = data[0][:, :bits]
    codebooks = Codebooks.product(np.tile(np.float32([[-1], [1]]), (bits, 1, 1)))
    lut = codebooks.lut(signs[:N_QUERIES])  # (Q, M, 2)
    planes = codebooks.encode(signs[N_QUERIES:]).planes  # (M, N)
    got = sum(lut[:, level, plane] for level, plane in enumerate(planes))
    distance = (signs[:N_QUERIES, None] != signs[None, N_QUERIES:]).sum(axis=2)
    # sums of at most 32 ones: exact in float32, so equal distances are equal scores
    np.testing.assert_array_equal(got, bits - 2 * distance)
    np.testing.assert_array_equal(got, scores(bits))


@pytest.mark.parametrize("at", [None, 50])
@pytest.mark.parametrize("bits", [4, 16])
def test_expected_value_is_the_mean_of_random_orders(rng, scores, relevant, bits, at):
    tie = map_under_ties(scores(bits), relevant, at=at)
    values = [
        in_order(scores(bits), relevant, rng.permutation(relevant.shape[1]), at) for _ in range(200)
    ]
    standard_error = np.std(values, ddof=1) / np.sqrt(len(values))
    np.testing.assert_allclose(tie.expected, np.mean(values), atol=5 * standard_error)
    assert tie.worst <= min(values)
    assert max(values) <= tie.best


@pytest.mark.parametrize("bits", BITS)
def test_worst_and_best_bound_databases_stored_class_by_class(data, scores, relevant, bits):
    tie = map_under_ties(scores(bits), relevant)
    by_class = np.argsort(data[1][N_QUERIES:], kind="stable")
    for order in (by_class, by_class[::-1]):
        assert tie.worst < in_order(scores(bits), relevant, order) < tie.best
    # the query's own class last, and first: the two ends themselves
    own_last = np.argsort(relevant, axis=1, kind="stable")
    np.testing.assert_allclose(in_order(scores(bits), relevant, own_last), tie.worst)
    np.testing.assert_allclose(in_order(scores(bits), relevant, own_last[:, ::-1]), tie.best)


def test_interval_shrinks_with_the_number_of_bits(scores, relevant):
    ties = [map_under_ties(scores(bits), relevant) for bits in BITS]
    widths = [tie.best - tie.worst for tie in ties]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 2 * widths[-1]


def test_evaluation_of_hamming_codes_states_the_interval(data, scores, relevant):
    signs, classes = data
    codebooks = Codebooks.stacked(hamming_codebooks(8))
    items, queries = signs[N_QUERIES:, :8], signs[:N_QUERIES, :8]
    labels = [Labels.from_integers(part, "abcd") for part in np.split(classes, [N_QUERIES])]
    found = evaluate(
        EvaluationInput(codebooks, codebooks.encode(items), queries, *labels),
        EvaluationOptions(bits=(4, 8), at=40, n_threads=1),
    )
    for bits in (4, 8):
        got = found.length(bits).measure("map_at", ties=True).interval
        expected = map_under_ties(scores(bits), relevant, at=40)
        np.testing.assert_allclose(
            [got.expected, got.worst, got.best],
            [expected.expected, expected.worst, expected.best],
            rtol=1e-12,
        )


def hamming_codebooks(n_bits):
    """Return codewords -e_m and e_m of each level m, as codes that can be cut; (M, 2, M)."""
    axes = np.eye(n_bits, dtype=np.float32)
    return np.stack([-axes, axes], axis=1)
