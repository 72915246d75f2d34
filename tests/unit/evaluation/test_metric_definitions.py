"""Our definitions by hand, and against scikit-learn and torchmetrics where theirs coincide.

==================================  =====================================================
ours                                coincides with
==================================  =====================================================
map_at, "found", "zero"             torchmetrics RetrievalMAP(top_k=R)
map_at, "reachable"                 neither; "database" once R is at least the relevant items
map_at, "database", whole list      scikit-learn average_precision_score, when no scores tie
precision_at                        torchmetrics RetrievalPrecision(top_k=R), R up to N
relevant_recall_at                  torchmetrics RetrievalRecall(top_k=R, "skip")
ndcg_at                             scikit-learn ndcg_score(k=R), torchmetrics' when no scores tie
precision_recall_curve              scikit-learn precision_recall_curve, highest of each recall
==================================  =====================================================

Torchmetrics takes items of scores up to 0 for irrelevant ones (all but its NDCG): inner products
and negated distances must be made positive first.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anybit.evaluation import (
    map_at,
    map_full,
    map_under_ties,
    ndcg_at,
    precision_at,
    precision_recall_curve,
    relevant_recall_at,
)

TOY = np.array([[1, 0, 1, 0, 1, 0]], dtype=bool)
RANKINGS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(2, 25)))
GAINS = hnp.arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(2, 25)),
                   elements=st.integers(0, 3))  # fmt: skip
FLOAT32 = 1e-5  # torchmetrics computes in float32


def scores_of(ranked):
    """Positive scores that put the columns in this order, without ties; (Q, N)."""
    return np.tile(np.arange(ranked.shape[1], 0, -1, dtype=np.float64), (len(ranked), 1))


@pytest.fixture(scope="module")
def torchmetrics():
    """Return torchmetrics' retrieval classes; imported here because that takes seconds."""
    return pytest.importorskip("torchmetrics.retrieval")


def by_torchmetrics(metric, ranked, shift=0.0):
    """Value of a torchmetrics metric for rankings (Q, N), all scores less a shift."""
    import torch

    queries = torch.arange(len(ranked)).repeat_interleave(ranked.shape[1])
    scores = torch.as_tensor(scores_of(ranked).ravel() - shift, dtype=torch.float32)
    return metric(scores, torch.as_tensor(ranked.ravel()), indexes=queries).item()


@pytest.mark.parametrize(
    ("ranking", "at", "found", "reachable", "database"),
    [
        # two of four relevant within 3: (1 + 2/3) over 2, min(3, 4), 4
        ([1, 0, 1, 0, 0, 0, 1, 1], 3, 5 / 6, 5 / 9, 5 / 12),
        # all relevant within R: the three are one
        ([0, 1, 1, 0, 0], 4, 7 / 12, 7 / 12, 7 / 12),
        # one late hit: 1/5 of one found, of min(5, 2), of 2
        ([0, 0, 0, 0, 1, 1], 5, 1 / 5, 1 / 10, 1 / 10),
        # R beyond the list
        ([1, 0, 0, 1], 9, 3 / 4, 3 / 4, 3 / 4),
        # nothing within R
        ([0, 0, 1], 2, 0, 0, 0),
    ],
)
def test_three_denominators_by_hand(ranking, at, found, reachable, database):
    values = [
        map_at(np.array([ranking], dtype=bool), at, denominator=name)
        for name in ("found", "reachable", "database")
    ]
    np.testing.assert_allclose(values, [found, reachable, database])


def test_precision_and_recall_by_hand():
    ranked = np.array([[0, 1, 1, 0], [1, 1, 0, 1]], dtype=bool)
    np.testing.assert_allclose(precision_at(ranked, [1, 2, 3, 4]), [1 / 2, 3 / 4, 2 / 3, 5 / 8])
    np.testing.assert_allclose(relevant_recall_at(ranked, [1, 2, 3]), [1 / 6, 7 / 12, 5 / 6])


@settings(deadline=None, max_examples=60)
@given(RANKINGS)
def test_whole_list_is_scikit_learns_average_precision(ranked):
    metrics = pytest.importorskip("sklearn.metrics")
    ranked = ranked[ranked.any(axis=1)]  # without relevant items scikit-learn warns and gives 0
    if len(ranked) == 0:
        return
    theirs = [
        metrics.average_precision_score(row, scores)
        for row, scores in zip(ranked, scores_of(ranked), strict=True)
    ]
    np.testing.assert_allclose(map_full(ranked), np.mean(theirs), rtol=1e-12)


def test_scikit_learn_takes_a_group_of_ties_for_one_rank():
    """Two tied items, one relevant: 1/2 there; here 3/4 expected, from 1/2 to 1."""
    metrics = pytest.importorskip("sklearn.metrics")
    tie = map_under_ties(np.zeros((1, 2), dtype=np.float32), np.array([[True, False]]))
    assert metrics.average_precision_score([1, 0], [0.0, 0.0]) == 0.5
    assert (tie.worst, tie.expected, tie.best) == (0.5, 0.75, 1.0)


@settings(deadline=None, max_examples=60)
@given(GAINS, st.integers(1, 30))
def test_ndcg_is_scikit_learns(gains, at):
    metrics = pytest.importorskip("sklearn.metrics")
    theirs = metrics.ndcg_score(gains, scores_of(gains), k=at)
    np.testing.assert_allclose(ndcg_at(gains, at), theirs, rtol=1e-12)


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.bool_, st.integers(2, 25)).filter(np.any))
def test_curve_is_the_highest_precision_of_each_recall_of_scikit_learn(ranking):
    """Scikit-learn has a point a rank; several ranks have one recall, we read the first."""
    metrics = pytest.importorskip("sklearn.metrics")
    precision, recall, _ = metrics.precision_recall_curve(ranking, scores_of(ranking[None])[0])
    shares = np.arange(1, ranking.sum() + 1) / ranking.sum()
    highest = [precision[np.abs(recall - share) < 1e-9].max() for share in shares]
    curve = precision_recall_curve(ranking[None], shares.tolist())
    np.testing.assert_allclose(curve.precision, highest, rtol=1e-12)


@settings(deadline=None, max_examples=25)
@given(RANKINGS, st.integers(1, 30))
def test_found_is_torchmetrics_map(torchmetrics, ranked, at):
    theirs = by_torchmetrics(torchmetrics.RetrievalMAP(top_k=at), ranked)
    np.testing.assert_allclose(map_at(ranked, at), theirs, atol=FLOAT32)


def test_where_torchmetrics_and_scikit_learn_part_from_the_other_denominators(torchmetrics):
    """Hits at ranks 1, 3 and 5, R = 2: found 1, reachable 1/2, database 1/3; whole list .756."""
    metrics = pytest.importorskip("sklearn.metrics")
    theirs = by_torchmetrics(torchmetrics.RetrievalMAP(top_k=2), TOY)
    ours = {name: map_at(TOY, 2, denominator=name) for name in ("found", "reachable", "database")}
    np.testing.assert_allclose(list(ours.values()), [1, 1 / 2, 1 / 3])
    np.testing.assert_allclose(theirs, ours["found"], atol=FLOAT32)
    whole = metrics.average_precision_score(TOY[0], scores_of(TOY)[0])
    np.testing.assert_allclose([whole, map_full(TOY)], (1 + 2 / 3 + 3 / 5) / 3)


def test_torchmetrics_misses_hits_of_negative_scores(torchmetrics):
    """The same order, scores less 4: the hits of TOY at ranks 3 and 5 no longer count there."""
    metric = torchmetrics.RetrievalMAP()
    np.testing.assert_allclose(by_torchmetrics(metric, TOY), map_full(TOY), atol=FLOAT32)
    np.testing.assert_allclose(by_torchmetrics(metric, TOY, shift=4), 1.0)


def test_skip_leaves_out_more_queries_than_torchmetrics(torchmetrics):
    """A query whose only relevant item lies beyond R: 0 there, left out here."""
    ranked = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    metric = torchmetrics.RetrievalMAP(top_k=2, empty_target_action="skip")
    np.testing.assert_allclose(by_torchmetrics(metric, ranked), 1 / 2)
    assert map_at(ranked, 2, zero_hit="skip") == 1.0
    np.testing.assert_allclose(map_at(ranked, 2), 1 / 3)


@settings(deadline=None, max_examples=25)
@given(RANKINGS, st.data())
def test_precision_and_recall_are_torchmetrics(torchmetrics, ranked, data):
    at = data.draw(st.integers(1, ranked.shape[1]))
    precision = torchmetrics.RetrievalPrecision(top_k=at)
    recall = torchmetrics.RetrievalRecall(top_k=at, empty_target_action="skip")
    np.testing.assert_allclose(
        precision_at(ranked, [at])[0], by_torchmetrics(precision, ranked), atol=FLOAT32
    )
    np.testing.assert_allclose(
        relevant_recall_at(ranked, [at])[0], by_torchmetrics(recall, ranked), atol=FLOAT32
    )


def test_recall_of_a_query_without_relevant_items_is_left_out_not_zero(torchmetrics):
    ranked = np.array([[1, 0], [0, 0]], dtype=bool)
    assert relevant_recall_at(ranked, [1]) == (1.0,)
    assert by_torchmetrics(torchmetrics.RetrievalRecall(top_k=1), ranked) == 0.5


@settings(deadline=None, max_examples=25)
@given(GAINS, st.integers(1, 30))
def test_ndcg_is_torchmetrics(torchmetrics, gains, at):
    theirs = by_torchmetrics(torchmetrics.RetrievalNormalizedDCG(top_k=at), gains)
    np.testing.assert_allclose(ndcg_at(gains, at), theirs, atol=FLOAT32)
