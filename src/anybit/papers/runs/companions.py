"""What stands beside a supervised figure: the trivial classifier code, and unseen classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anybit.codes import Codebooks, Codes
from anybit.data import Labels
from anybit.errors import DependencyError, OptionError
from anybit.evaluation import EvaluationInput
from anybit.types import Float32Array

__all__ = ["ClassifierCode", "LabelledFeatures", "classifier_code", "unseen_classes"]

_UNSEEN_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Features of some items and what they show.

    Parameters
    ----------
    x : ndarray of shape (N, D), float32
    labels : Labels
    """

    x: Float32Array
    labels: Labels


@dataclass(frozen=True, eq=False)
class ClassifierCode:
    """The code that names the predicted class, ready to be evaluated.

    Parameters
    ----------
    data : EvaluationInput
        Codebooks of one-hot codewords; queries are class probabilities.
    bits_of : dict of int to int
        Bits used of each code length asked for: of one class only as many as its number takes.
    accuracy : float
        Share of queries one of whose classes is the most probable one.
    """

    data: EvaluationInput
    bits_of: dict[int, int]
    accuracy: float


def classifier_code(
    train: LabelledFeatures,
    database: LabelledFeatures,
    query: LabelledFeatures,
    bits: tuple[int, ...],
) -> ClassifierCode:
    """Make the code that a supervised code must beat: the number of the predicted class.

    A logistic regression of the training features predicts the class of every database item; its
    number is the code, and items rank by the query's probability of that class. With several
    labels an item has as many class numbers as bits allow, of classes more likely than not.

    Parameters
    ----------
    train, database, query : LabelledFeatures
    bits : tuple of int
        Code lengths asked for.

    Returns
    -------
    ClassifierCode

    Raises
    ------
    OptionError
        If a length is too short for one class number, or there are more than 256 classes.
    DependencyError
        If scikit-learn is missing.

    References
    ----------
    Sablayrolles, Douze, Usunier, Jégou, "How should we evaluate supervised hashing?", ICASSP 2017:
    on classes seen in training this code outdoes most supervised hashing.
    """
    names = train.labels.class_names
    labels = [part.labels.aligned_to(names) for part in (database, query)]
    is_multi = train.labels.is_multi or any(one.is_multi for one in labels)
    n_numbers = len(names) + is_multi  # one number more for "no further class"
    step = max(1, (n_numbers - 1).bit_length())
    if step > 8 or step > min(bits):
        raise OptionError(
            f"the number of one of {len(names)} classes takes {step} bits, at most 8 and at most "
            f"the shortest code, got {min(bits)}. Ask for longer codes."
        )
    levels = {one: one // step if is_multi else 1 for one in bits}
    probabilities = _Probabilities(train, is_multi)
    items, queries = probabilities.of(database.x), probabilities.of(query.x)
    codewords = np.zeros((1 << step, len(names)), dtype=np.float32)  # (K, C)
    codewords[: len(names)] = np.eye(len(names), dtype=np.float32)
    n_levels = max(levels.values())
    codes = Codes(_numbers(items, n_levels, is_multi), 1 << step)
    codebooks = Codebooks.stacked(np.repeat(codewords[None], n_levels, axis=0), metric="ip")
    hit = labels[1].multi_hot()[np.arange(len(queries)), queries.argmax(axis=1)]
    return ClassifierCode(
        EvaluationInput(codebooks, codes, queries, labels[1], labels[0]),
        {one: step * count for one, count in levels.items()},
        float(hit.mean()),
    )


def unseen_classes(class_names: tuple[str, ...], share: float = _UNSEEN_SHARE) -> tuple[str, ...]:
    """Return the classes that are kept from training, always the same ones, in their order."""
    count = max(1, round(share * len(class_names)))
    chosen = np.random.default_rng(0).choice(len(class_names), count, replace=False)
    return tuple(class_names[number] for number in sorted(chosen))


class _Probabilities:
    """Class probabilities by logistic regression."""

    def __init__(self, train: LabelledFeatures, is_multi: bool) -> None:
        try:
            from sklearn.linear_model import LogisticRegression
            from sklearn.multiclass import OneVsRestClassifier
        except ImportError as cause:
            raise DependencyError(
                "the classifier code needs scikit-learn: pip install 'anybit[report]'."
            ) from cause
        self._n_classes = train.labels.n_classes
        self._mean = train.x.mean(axis=0)
        self._scale = float((train.x - self._mean).std()) or 1.0
        x, hot = self._scaled(train.x), train.labels.multi_hot()
        self._known = np.flatnonzero(hot.any(axis=0))
        regression: Any = LogisticRegression(C=0.1, max_iter=1000)
        if is_multi:
            regression = OneVsRestClassifier(regression)
            self._model = regression.fit(x, hot[:, self._known])
        else:
            self._model = regression.fit(x, hot.argmax(axis=1))

    def of(self, x: Float32Array) -> Float32Array:
        """Return the probability of each class, (N, C)."""
        found = np.zeros((len(x), self._n_classes), dtype=np.float32)
        found[:, self._known] = self._model.predict_proba(self._scaled(x))
        return found

    def _scaled(self, x: Float32Array) -> Float32Array:
        return np.asarray((x - self._mean) / self._scale, dtype=np.float32)


def _numbers(probabilities: Float32Array, n_levels: int, is_multi: bool) -> NDArray[np.uint8]:
    """Return the class numbers of each item, most probable first, (M, N)."""
    n_classes = probabilities.shape[1]
    if not is_multi:
        return np.asarray(probabilities.argmax(axis=1)[None], dtype=np.uint8)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :n_levels]  # (N, <= M)
    planes = np.full((n_levels, len(probabilities)), n_classes, dtype=np.uint8)
    for level in range(order.shape[1]):
        number = order[:, level]
        is_likely = probabilities[np.arange(len(number)), number] > 0.5
        planes[level] = np.where(is_likely | (level == 0), number, n_classes)
    return planes
