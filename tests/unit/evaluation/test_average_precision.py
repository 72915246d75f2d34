import numpy as np
import pytest

from anybit.errors import OptionError, ShapeError
from anybit.evaluation import map_at, map_at_query_relevant, map_full

TOY = np.array([[1, 0, 1, 0, 1, 0]], dtype=bool)


def test_map_at_divides_by_the_hits_found_by_default():
    # (1/1 + 2/3) / 2
    np.testing.assert_allclose(map_at(TOY, 4), 5 / 6)


def test_map_at_reachable_divides_by_the_smaller_of_r_and_relevant():
    np.testing.assert_allclose(map_at(TOY, 4, denominator="reachable"), (1 + 2 / 3) / 3)
    np.testing.assert_allclose(map_at(TOY, 2, denominator="reachable"), 1 / 2)


def test_map_at_database_divides_by_all_relevant():
    np.testing.assert_allclose(map_at(TOY, 2, denominator="database"), 1 / 3)


def test_hitless_query_counts_zero_or_is_skipped():
    ranking = np.vstack([TOY, np.zeros_like(TOY)])
    np.testing.assert_allclose(map_at(ranking, 4), 5 / 12)
    np.testing.assert_allclose(map_at(ranking, 4, zero_hit="skip"), 5 / 6)


def test_all_queries_skipped_gives_zero():
    assert map_at(np.zeros((2, 3), dtype=bool), 2, zero_hit="skip") == 0.0


def test_map_full_uses_the_whole_list():
    np.testing.assert_allclose(map_full(TOY), (1 + 2 / 3 + 3 / 5) / 3)


def test_map_at_query_relevant_cuts_at_each_querys_count():
    ranking = np.array([[1, 0, 1, 0], [1, 1, 1, 0]], dtype=bool)
    # first: R = 2, one hit at rank 1; second: R = 3, all hits
    np.testing.assert_allclose(map_at_query_relevant(ranking), (1 / 2 + 1) / 2)


def test_given_totals_replace_those_of_a_cut_ranking():
    value = map_at(TOY[:, :4], 4, denominator="database", n_relevant=np.array([3]))
    np.testing.assert_allclose(value, (1 + 2 / 3) / 3)


@pytest.mark.parametrize("denominator", ["found", "reachable", "database"])
@pytest.mark.parametrize("at", [1, 5, 12, 40])
def test_map_at_equals_the_plain_loop(rng, reference, denominator, at):
    ranking = rng.random((20, 12)) < 0.3
    expected = np.mean(
        [
            reference.average_precision(row.tolist(), at, denominator, int(row.sum()))
            for row in ranking
        ]
    )
    np.testing.assert_allclose(map_at(ranking, at, denominator=denominator), expected)


def test_wrong_arguments_are_refused():
    with pytest.raises(ShapeError, match=r"shape \(Q, N\)"):
        map_at(np.zeros(3, dtype=bool), 1)
    with pytest.raises(ShapeError, match="at least one query"):
        map_full(np.zeros((0, 3), dtype=bool))
    with pytest.raises(OptionError, match="at must be at least 1, got 0"):
        map_at(TOY, 0)
    with pytest.raises(OptionError, match="denominator must be one of"):
        map_at(TOY, 1, denominator="all")
    with pytest.raises(OptionError, match="zero_hit must be one of"):
        map_at(TOY, 1, zero_hit="drop")
    with pytest.raises(ShapeError, match="n_relevant must have shape"):
        map_at(TOY, 1, n_relevant=np.array([1]))
