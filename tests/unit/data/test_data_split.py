import numpy as np
import pytest

from anybit.data import Labels, split_positions
from anybit.errors import DataError, OptionError


def test_counts_per_class_are_exact_and_parts_are_disjoint():
    y = np.repeat(np.arange(3), 20)
    split = split_positions(Labels.from_integers(y), query=2, train=5, seed=1)
    np.testing.assert_array_equal(np.bincount(y[split.query]), [2, 2, 2])
    np.testing.assert_array_equal(np.bincount(y[split.train]), [5, 5, 5])
    every = np.concatenate([split.query, split.train, split.database])
    np.testing.assert_array_equal(np.sort(every), np.arange(60))


def test_train_can_be_in_database_and_defaults_to_it():
    labels = Labels.from_integers([0] * 10)
    split = split_positions(labels, query=0.2, train=3, is_train_in_database=True)
    assert (len(split.query), len(split.database)) == (2, 8)
    assert np.isin(split.train, split.database).all()
    split = split_positions(labels, query=2)
    np.testing.assert_array_equal(split.train, split.database)


def test_seed_decides():
    first, again = (split_positions(100, query=0.1, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.query, again.query)
    assert first.query.tolist() != split_positions(100, query=0.1, seed=4).query.tolist()


def test_multi_label_classes_reach_their_count():
    lists = [["a", "b"]] * 5 + [["a"]] * 20 + [["b"]] * 5 + [[]] * 3
    labels = Labels.from_lists(lists)
    split = split_positions(labels, query=4)
    assert (labels.take(split.query).counts() >= 4).all()
    assert len(split.query) + len(split.database) == 33


def test_too_few_items_and_wrong_shares_are_refused():
    with pytest.raises(DataError, match="query needs 3 items of class 1, but only 1"):
        split_positions(Labels.from_integers([0, 0, 0, 1]), query=3)
    with pytest.raises(OptionError, match="share"):
        split_positions(10, query=1.5)
