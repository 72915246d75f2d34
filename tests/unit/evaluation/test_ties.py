import numpy as np
import pytest

from anybit.errors import OptionError, ShapeError
from anybit.evaluation import map_full, map_under_ties


def test_two_tied_items_one_relevant():
    tie = map_under_ties(np.array([[1, 1]], dtype=np.float32), np.array([[False, True]]))
    assert (tie.expected, tie.worst, tie.best) == (0.75, 0.5, 1.0)


def test_best_order_for_found_can_leave_a_hit_outside():
    # Rank 1 is a hit, ranks 2-8 are not, then two tied items at the cut-off, one of them relevant:
    # finding it would lower the mean over the hits found from 1 to (1 + 2/9) / 2.
    scores = np.array([[9, 8, 7, 6, 5, 4, 3, 2, 1, 1]], dtype=np.float32)
    relevant = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 1, 0]], dtype=bool)
    tie = map_under_ties(scores, relevant, at=9)
    np.testing.assert_allclose([tie.worst, tie.best], [(1 + 2 / 9) / 2, 1.0])
    np.testing.assert_allclose(tie.expected, (tie.worst + tie.best) / 2)


@pytest.mark.parametrize("denominator", ["found", "reachable", "database"])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 7, 8])
def test_equals_every_order_tried_out(rng, reference, denominator, at):
    for n_scores in (1, 2, 3, 8):
        scores = rng.integers(0, n_scores, 7).astype(np.float32)
        relevant = rng.random(7) < 0.45
        expected = reference.tie_interval(scores.tolist(), relevant.tolist(), at, denominator)
        tie = map_under_ties(scores[None], relevant[None], at=at, denominator=denominator)
        # both sum at most a few thousand doubles
        np.testing.assert_allclose([tie.expected, tie.worst, tie.best], expected, atol=1e-12)


def test_without_ties_all_three_are_the_value(rng):
    relevant = rng.random((3, 50)) < 0.2
    scores = np.tile(-np.arange(50, dtype=np.float32), (3, 1))
    tie = map_under_ties(scores, relevant)
    np.testing.assert_allclose([tie.expected, tie.worst, tie.best], map_full(relevant))


def test_expected_value_is_the_mean_of_random_orders(rng):
    scores = rng.integers(0, 4, 400).astype(np.float32)
    relevant = rng.random(400) < 0.3
    tie = map_under_ties(scores[None], relevant[None])
    values = []
    for _ in range(300):
        order = np.lexsort((rng.random(400), -scores))
        values.append(map_full(relevant[order][None]))
    # five standard errors of the mean of the sample
    np.testing.assert_allclose(
        tie.expected, np.mean(values), atol=5 * np.std(values) / np.sqrt(len(values))
    )
    assert tie.worst < min(values)
    assert max(values) < tie.best


def test_negative_zero_ties_with_zero():
    tie = map_under_ties(np.array([[-0.0, 0.0]], dtype=np.float32), np.array([[True, False]]))
    assert tie.worst == 0.5


def test_hitless_query_counts_zero():
    scores = np.zeros((2, 2), dtype=np.float32)
    tie = map_under_ties(scores, np.array([[True, False], [False, False]]))
    assert tie.expected == 0.375


def test_wrong_arguments_are_refused():
    scores = np.zeros((1, 2), dtype=np.float32)
    with pytest.raises(ShapeError, match="same shape"):
        map_under_ties(scores, np.zeros((1, 3), dtype=bool))
    with pytest.raises(OptionError, match="at must be at least 1"):
        map_under_ties(scores, np.zeros((1, 2), dtype=bool), at=0)
