import numpy as np
import pytest

from anybit.errors import OptionError, ShapeError
from anybit.evaluation import (
    ndcg_at,
    precision_at,
    precision_recall_curve,
    relevant_recall_at,
)

RANKING = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)


def test_precision_at_counts_every_query():
    np.testing.assert_allclose(precision_at(RANKING, [1, 2, 4]), [1 / 3, 1 / 3, 1 / 4])


def test_relevant_recall_at_leaves_out_queries_without_relevant_items():
    np.testing.assert_allclose(relevant_recall_at(RANKING, [1, 2, 4]), [0.25, 0.75, 1.0])
    assert relevant_recall_at(RANKING[2:], [1]) == (0.0,)


def test_precision_recall_curve_reads_the_rank_that_reaches_each_recall():
    curve = precision_recall_curve(RANKING, [0.5, 1.0])
    # query 0: 1/1 then 2/4; query 1: 1/2 at both
    np.testing.assert_allclose(curve.precision, [0.75, 0.5])
    assert curve.recall == (0.5, 1.0)


def test_precision_recall_curve_needs_no_extra_hit_for_rounding():
    # 0.07 * 100 is 7.000000000000001 in floating point: seven hits must do
    ranking = np.array([[1] * 7 + [0] * 100 + [1] * 93], dtype=bool)
    assert precision_recall_curve(ranking, [0.07]).precision == (1.0,)


def test_precision_recall_curve_without_relevant_items_is_zero():
    assert precision_recall_curve(RANKING[2:], [1.0]).precision == (0.0,)


def test_ndcg_by_hand():
    gains = np.array([[1, 0, 2]])
    ideal = 2 + 1 / np.log2(3)
    np.testing.assert_allclose(ndcg_at(gains, 3), (1 + 2 / 2) / ideal)
    np.testing.assert_allclose(ndcg_at(gains, 1), 1 / 2)


def test_ndcg_of_the_best_order_is_one_and_of_no_gain_zero(rng):
    gains = -np.sort(-rng.integers(0, 4, (5, 30)))
    np.testing.assert_allclose(ndcg_at(gains, 10), 1.0)
    assert ndcg_at(np.zeros((2, 3), dtype=np.int64), 2) == 0.0


def test_wrong_arguments_are_refused():
    with pytest.raises(OptionError, match="ranks must be from 1 to 4"):
        precision_at(RANKING, [5])
    with pytest.raises(OptionError, match="recall must be above 0"):
        precision_recall_curve(RANKING, [0.0])
    with pytest.raises(OptionError, match="at must be at least 1"):
        ndcg_at(np.ones((1, 2)), 0)
    with pytest.raises(ShapeError, match=r"shape \(Q, N\)"):
        relevant_recall_at(np.zeros((0, 2), dtype=bool), [1])
