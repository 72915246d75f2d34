"""The classifier code and the classes that are kept from training."""

import numpy as np
import pytest

from anybit.data import Labels
from anybit.errors import OptionError
from anybit.evaluation import EvaluationOptions, evaluate
from anybit.papers.runs.companions import LabelledFeatures, classifier_code, unseen_classes

NAMES = tuple("abcde")


def blobs(n_items, seed, noise=0.3):
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 5, n_items)
    x = np.eye(5, 8)[classes] + noise * rng.normal(size=(n_items, 8))
    return LabelledFeatures(x.astype(np.float32), Labels.from_integers(classes, NAMES))


def test_the_code_is_the_predicted_class_and_items_rank_by_its_probability():
    train, database, query = blobs(400, 0), blobs(300, 1), blobs(60, 2)
    code = classifier_code(train, database, query, (8, 16))
    assert code.bits_of == {8: 3, 16: 3}
    predicted = code.data.database_codes.planes[0]
    assert code.data.database_codes.n_levels == 1
    right = (predicted == database.labels.integers()).mean()
    assert 0.8 < right < 1
    probabilities = code.data.query_features
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    top = probabilities.argmax(axis=1)
    assert code.accuracy == (top == query.labels.integers()).mean()
    # The ranking by hand: classes by falling probability, hits spread evenly within a class.
    found = evaluate(code.data, EvaluationOptions(bits=(3,), at=300))
    truth = database.labels.integers()
    expected = []
    rng = np.random.default_rng(3)
    for q in range(60):
        values = []
        for _ in range(40):
            order = rng.permutation(300)
            order = order[np.argsort(-probabilities[q][predicted[order]], kind="stable")]
            hits = np.flatnonzero(truth[order] == query.labels.integers()[q]) + 1
            values.append((np.arange(1, len(hits) + 1) / hits).mean())
        expected.append(np.mean(values))
    assert found.lengths[0].measure("map_at", ties=True).value == pytest.approx(
        np.mean(expected), abs=0.004
    )


def test_several_labels_take_a_number_each_as_long_as_bits_last():
    rng = np.random.default_rng(0)
    hot = rng.random((400, 3)) < 0.5
    hot[~hot.any(axis=1), 0] = True
    x = (hot + 0.05 * rng.normal(size=hot.shape)).astype(np.float32)
    part = LabelledFeatures(x, Labels.from_multi_hot(hot, NAMES[:3]))
    code = classifier_code(part, part, part, (2, 4, 7))
    assert code.bits_of == {2: 2, 4: 4, 7: 6}
    planes = code.data.database_codes.planes
    assert planes.shape == (3, 400)
    found = [frozenset(column) - {3} for column in planes.T.tolist()]
    true = [frozenset(np.flatnonzero(row).tolist()) for row in hot]
    assert np.mean([one == other for one, other in zip(found, true, strict=True)]) > 0.99
    measured = evaluate(code.data, EvaluationOptions(bits=(2, 4, 6), at=100))
    values = [one.measure("ndcg_at").value for one in measured.lengths]
    assert values[0] < values[2]


def test_a_class_without_training_items_is_never_predicted():
    train = blobs(300, 0)
    seen = np.flatnonzero(train.labels.integers() != 4)
    train = LabelledFeatures(train.x[seen], train.labels.take(seen))
    code = classifier_code(train, blobs(100, 1), blobs(20, 2), (8,))
    assert code.data.database_codes.planes.max() == 3
    assert (code.data.query_features[:, 4] == 0).all()


def test_a_code_too_short_for_a_class_number_is_refused():
    part = blobs(100, 0)
    with pytest.raises(OptionError, match="takes 3 bits"):
        classifier_code(part, part, part, (2, 8))


def test_unseen_classes_are_always_the_same_three_tenths():
    names = tuple(f"c{n}" for n in range(10))
    assert unseen_classes(names) == unseen_classes(names)
    assert len(unseen_classes(names)) == 3
    assert set(unseen_classes(names)) < set(names)
    assert len(unseen_classes(("a", "b"))) == 1
