import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anybit.evaluation import map_at, map_under_ties, rank_positions

RULES = st.sampled_from(["found", "reachable", "database"])
RELEVANCE = hnp.arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 30)))


@given(RELEVANCE, st.integers(1, 40), RULES)
def test_map_at_lies_between_zero_and_one(ranked, at, denominator):
    assert 0 <= map_at(ranked, at, denominator=denominator) <= 1 + 1e-12  # rounding of a sum


@given(st.integers(1, 20), st.integers(0, 20), st.integers(1, 50))
def test_map_at_is_one_when_the_hits_come_first(n_relevant, n_others, at):
    ranked = np.array([[True] * n_relevant + [False] * n_others])
    for denominator in ("found", "reachable"):
        np.testing.assert_allclose(map_at(ranked, at, denominator=denominator), 1.0)


@settings(deadline=None)
@given(st.data(), st.integers(1, 25), RULES)
def test_any_order_of_ties_lies_in_the_interval(data, at, denominator):
    n_items = data.draw(st.integers(1, 20))
    scores = data.draw(hnp.arrays(np.float32, (1, n_items), elements=st.sampled_from([0, 1, 2])))
    relevant = data.draw(hnp.arrays(np.bool_, (1, n_items)))
    order = np.array(data.draw(st.permutations(range(n_items))))
    tie = map_under_ties(scores, relevant, at=at, denominator=denominator)
    ranking = rank_positions(scores[:, order])
    value = map_at(relevant[:, order][:, ranking[0]], at, denominator=denominator)
    # sums of at most 20 doubles
    assert tie.worst - 1e-12 <= value <= tie.best + 1e-12
    assert tie.worst - 1e-12 <= tie.expected <= tie.best + 1e-12
