"""Figures of a fixed toy ranking, worked out by hand; never to be changed."""

import numpy as np

from anybit.evaluation import map_at, map_at_query_relevant, map_full, map_under_ties

TOY = np.array([[1, 0, 1, 0, 1, 0]], dtype=bool)
WITH_HITLESS = np.array([[1, 0, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0]], dtype=bool)

# Half a unit of the fourth decimal: the figures are written with four.
TOLERANCE = 5e-5


def test_toy_ranking():
    np.testing.assert_allclose(map_at(TOY, 4), 0.8333, atol=TOLERANCE)
    np.testing.assert_allclose(map_at(TOY, 4, denominator="reachable"), 0.5556, atol=TOLERANCE)
    np.testing.assert_allclose(map_full(TOY), 0.7556, atol=TOLERANCE)
    np.testing.assert_allclose(map_at_query_relevant(TOY), 0.5556, atol=TOLERANCE)


def test_toy_ranking_with_a_hitless_query():
    np.testing.assert_allclose(map_at(WITH_HITLESS, 4), 0.4167, atol=TOLERANCE)
    np.testing.assert_allclose(map_at(WITH_HITLESS, 4, zero_hit="skip"), 0.8333, atol=TOLERANCE)


def test_toy_ranking_all_tied():
    # Two relevant of four: orders 1100 1010 1001 0110 0101 0011, AP 1, 5/6, 3/4, 7/12, 1/2, 5/12
    tie = map_under_ties(np.zeros((1, 4), dtype=np.float32), np.array([[1, 1, 0, 0]], dtype=bool))
    np.testing.assert_allclose(
        [tie.expected, tie.worst, tie.best], [0.6806, 0.4167, 1.0], atol=TOLERANCE
    )
