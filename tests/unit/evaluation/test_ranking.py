import numpy as np
import pytest

from anybit.data import Labels
from anybit.errors import DataError, DTypeError, ShapeError
from anybit.evaluation import rank_positions
from anybit.evaluation.ranking import LabelMasks, Ranker


def test_larger_score_first_ties_to_the_lower_position():
    scores = np.array([[1, 3, 2, 3, -1, -2, 0, -0.0]], dtype=np.float32)
    np.testing.assert_array_equal(rank_positions(scores), [[1, 3, 2, 0, 6, 7, 4, 5]])


def test_rank_positions_equals_a_stable_sort(rng):
    scores = rng.normal(size=(5, 300)).astype(np.float32).round(1)
    scores[0, :4] = [np.inf, -np.inf, 1e-42, -1e-42]
    expected = np.argsort(-scores, axis=1, kind="stable")
    np.testing.assert_array_equal(rank_positions(scores), expected)
    np.testing.assert_array_equal(rank_positions(scores, top_k=7), expected[:, :7])


def test_rank_positions_leaves_scores_untouched():
    scores = np.array([[-0.0, 1.0]], dtype=np.float32)
    rank_positions(scores)
    assert np.signbit(scores[0, 0])


def test_rank_positions_refuses_nan_dtype_and_shape():
    with pytest.raises(DataError, match="must not be NaN"):
        rank_positions(np.array([[np.nan]], dtype=np.float32))
    with pytest.raises(DTypeError, match="must be float32"):
        rank_positions(np.zeros((1, 2)))
    with pytest.raises(ShapeError, match=r"shape \(Q, N\)"):
        rank_positions(np.zeros(2, dtype=np.float32))


def test_too_many_items_for_the_sort_key_are_refused():
    with pytest.raises(ShapeError, match="at most"):
        Ranker(2**31, max_gain=3)


def test_ranker_returns_hits_with_gains_in_rank_order():
    ranker = Ranker(4, max_gain=3)
    ranker.sort(np.array([1, 5, 5, 2], dtype=np.float32), ranker.low_keys(np.array([3, 0, 1, 2])))
    ranks, gains = ranker.hits()
    np.testing.assert_array_equal(ranks, [2, 3, 4])
    np.testing.assert_array_equal(gains, [1, 2, 3])


@pytest.mark.parametrize(
    ("scores", "before", "sizes"),
    [
        ([5, 5, 4, 4, 4, 3], [0, 2], [2, 3]),
        ([5, 4, 3], [], []),
        ([1, 1, 1], [0], [3]),
        ([2, 1, 1], [1], [2]),
        ([1], [], []),
    ],
)
def test_tied_groups(scores, before, sizes):
    ranker = Ranker(len(scores))
    ranker.sort(np.array(scores, dtype=np.float32), ranker.low_keys())
    got_before, got_sizes = ranker.tied_groups()
    np.testing.assert_array_equal(got_before, before)
    np.testing.assert_array_equal(got_sizes, sizes)


@pytest.mark.parametrize("n_classes", [3, 64, 65, 130])
def test_label_masks_count_shared_labels(rng, n_classes):
    hot = rng.random((40, n_classes)) < 0.2
    masks = LabelMasks(Labels.from_multi_hot(hot))
    shared = hot.astype(int) @ hot.T.astype(int)
    for query in range(5):
        np.testing.assert_array_equal(masks.shared_with(masks.words[:, query]), shared[query])
    np.testing.assert_array_equal(masks.label_counts(), hot.sum(axis=1))


def test_unlabelled_items_are_relevant_to_nothing():
    masks = LabelMasks(Labels.from_integers(np.array([-1, 0, -1])))
    np.testing.assert_array_equal(masks.shared_with(masks.words[:, 0]), [0, 0, 0])
