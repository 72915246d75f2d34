import numpy as np
import pytest

from anybit.data import Labels
from anybit.errors import DataError


def test_names_are_sorted_and_repeats_count_once():
    labels = Labels.from_lists([["dog", "cat", "dog"], [], ["ant"]])
    assert labels.class_names == ("ant", "cat", "dog")
    assert labels.lists() == [(1, 2), (), (0,)]
    assert labels.n_unlabelled == 1
    assert labels.is_multi
    np.testing.assert_array_equal(labels.counts(), [1, 1, 1])
    assert labels.names_of(0) == ("cat", "dog")


def test_numerals_sort_as_numbers_and_index_given_names():
    assert Labels.from_lists([["10"], ["9"]]).class_names == ("9", "10")
    assert Labels.from_lists([["1"], ["0"]], ["cat", "dog"]).lists() == [(1,), (0,)]


def test_integers_make_dense_classes_and_minus_one_is_unlabelled():
    labels = Labels.from_integers(np.array([2, -1, 0], dtype=np.int8))
    assert labels.class_names == ("0", "1", "2")
    np.testing.assert_array_equal(labels.integers(), [2, -1, 0])
    with pytest.raises(DataError, match="below the 2 class names given, got 2"):
        Labels.from_integers([2], ["a", "b"])
    with pytest.raises(DataError, match="item ids"):
        Labels.from_integers([10_000_000])


def test_multi_hot_round_trip_and_rows():
    hot = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    labels = Labels.from_multi_hot(hot, ["a", "b", "c"])
    np.testing.assert_array_equal(labels.multi_hot(), hot.astype(bool))
    np.testing.assert_array_equal(labels.multi_hot(np.array([2, 0])), hot[[2, 0]].astype(bool))
    np.testing.assert_array_equal(labels.multi_hot(slice(1, 3)), hot[1:].astype(bool))
    with pytest.raises(DataError, match="0 or 1"):
        Labels.from_multi_hot([[2, 0]])


def test_take_by_positions_and_mask():
    labels = Labels.from_lists([["a"], ["a", "b"], [], ["c"]])
    assert labels.take([3, 1, 1]).lists() == [(2,), (0, 1), (0, 1)]
    assert labels.take(np.array([True, False, True, False])).lists() == [(0,), ()]
    assert labels.take([]).lists() == []


def test_aligned_to_renumbers_and_refuses_unknown_classes():
    labels = Labels.from_lists([["a", "b"], ["b"]])
    assert labels.aligned_to(["b", "x", "a"]).lists() == [(0, 2), (0,)]
    with pytest.raises(DataError, match="got also: b"):
        labels.aligned_to(["a"])


def test_integers_refuses_several_classes():
    with pytest.raises(DataError, match="item 1 has 2"):
        Labels.from_lists([["a"], ["a", "b"]]).integers()


def test_unknown_mixed_and_repeated_names_are_refused():
    with pytest.raises(DataError, match="got also: wolf"):
        Labels.from_lists([["wolf"]], ["cat"])
    with pytest.raises(DataError, match="got both"):
        Labels.from_lists([["wolf"], [1]])
    with pytest.raises(DataError, match="got twice: a"):
        Labels.from_lists([["a"]], ["a", "a"])


def test_no_items():
    labels = Labels.from_lists([])
    assert len(labels) == 0
    assert labels.multi_hot().shape == (0, 0)
    assert len(Labels.unlabelled(3)) == 3
