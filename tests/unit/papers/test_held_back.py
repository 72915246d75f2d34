"""Training items divided once more: which items of which class go where."""

from dataclasses import replace

import numpy as np
import pytest

from anybit.data import ArrayVectors, Labels
from anybit.errors import DataError
from anybit.papers import DataSet, Protocol, SplitRule, split
from anybit.papers.protocols.held_back import fold_of, hold_back

RULE = Protocol(
    name="small", title="Small", dataset="cifar10", source="none",
    split=SplitRule("per_class", 20, 5, "test", "train"), sizes={"train": 60}, n_classes=3,
    is_multi_label=False, at=0, denominator="found", zero_hit="zero", metric="ip", bits=(8,),
    n_codewords=256,
)  # fmt: skip
CLASSES = ("ant", "bee", "cat")


def vectors(labels):
    return ArrayVectors(np.zeros((len(labels), 2), dtype=np.float32), labels)


@pytest.fixture
def dataset():
    of_class = Labels.from_integers(np.arange(90) % 3, CLASSES)
    return DataSet("cifar10", "python", {"train": vectors(of_class), "test": vectors(of_class)})


def test_only_training_items_are_divided_and_each_is_in_one_part(dataset):
    whole = split(RULE, dataset, seed=3)
    part = hold_back(dataset, whole)
    assert part.sizes == {"train": 42, "database": 12, "query": 6}
    every = [key for role in ("train", "database", "query") for key in part.keys(role)]
    assert sorted(every) == sorted(whole.keys("train"))
    assert part.protocol_checksum == whole.protocol_checksum
    assert part.checksum != whole.checksum
    # Positions and keys still belong together.
    for role in ("train", "database", "query"):
        for items in part.of(role):
            assert list(items.positions) == sorted(items.positions)
            assert items.keys == tuple(dataset.keys("train")[row] for row in items.positions)


def test_every_class_has_its_share_of_each_part(dataset):
    sources = hold_back(dataset, split(RULE, dataset)).sources(dataset)
    assert list(sources.train.labels.counts()) == [14, 14, 14]
    assert [list(one.labels.counts()) for one in sources.database] == [[4, 4, 4]]
    assert list(sources.query.labels.counts()) == [2, 2, 2]


def test_the_seed_of_the_split_decides(dataset):
    whole = split(RULE, dataset, seed=3)
    assert hold_back(dataset, whole).checksum == hold_back(dataset, whole).checksum
    other = replace(whole, seed=4)
    assert hold_back(dataset, other).keys("query") != hold_back(dataset, whole).keys("query")


def test_items_of_several_labels_and_of_several_parts_are_divided(rng):
    hot = rng.random((200, 3)) < (0.1, 0.3, 0.6)
    labels = Labels.from_multi_hot(hot, CLASSES)
    parts = {"a": vectors(labels.take(range(120))), "b": vectors(labels.take(range(120, 200)))}
    dataset = DataSet("cifar10", "original", parts)
    rule = replace(RULE, split=SplitRule("random", 100, 20), sizes={}, is_multi_label=True)
    whole = split(rule, dataset)
    part = hold_back(dataset, whole)
    assert part.sizes == {"train": 70, "database": 20, "query": 10}
    every = {(items.part, key) for r in ("train", "database", "query") for items in part.of(r)
             for key in items.keys}  # fmt: skip
    assert every == {(items.part, key) for items in whole.train for key in items.keys}
    first = np.array([row[0] for row in part.sources(dataset).query.labels.lists()])
    of_all = [row[0] for row in labels.lists() if row]
    shares = np.bincount(first, minlength=3) / len(first)
    assert np.abs(shares - np.bincount(of_all, minlength=3) / len(of_all)).max() < 0.11


def test_too_few_items_are_refused(dataset):
    whole = split(replace(RULE, split=SplitRule("per_class", 3, 5, "test", "train")), dataset)
    with pytest.raises(DataError, match="at least 10 training items, got 9"):
        hold_back(dataset, whole)


def test_every_training_item_is_left_out_in_one_fold_and_trained_on_in_all_others(dataset):
    whole = split(RULE, dataset, seed=3)
    folds = [fold_of(dataset, whole, number, 4) for number in range(4)]
    held = [sorted(fold.keys("query") + fold.keys("database")) for fold in folds]
    assert sorted(key for keys in held for key in keys) == sorted(whole.keys("train"))
    for fold, keys in zip(folds, held, strict=True):
        assert sorted(fold.keys("train") + keys) == sorted(whole.keys("train"))
        assert fold.sizes == {"train": 45, "database": 10, "query": 5}
        counts = fold.sources(dataset).train.labels.counts()
        assert counts.tolist() == [15, 15, 15]
        assert min(fold.sources(dataset).query.labels.counts()) >= 1
    assert len({fold.checksum for fold in folds} | {whole.checksum}) == 5
    with pytest.raises(DataError, match="21 folds need at least 63 training items, got 60"):
        fold_of(dataset, whole, 0, 21)
