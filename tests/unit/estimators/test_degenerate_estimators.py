"""The estimators on repeated and extreme vectors."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from anybit.errors import DataError
from anybit.sklearn import ProductQuantizer, RecurrentQuantizer, ResidualQuantizer

KINDS = [ProductQuantizer, RecurrentQuantizer, ResidualQuantizer]


def vectors(n_items=64, dim=8):
    return np.random.default_rng(0).normal(size=(n_items, dim)).astype(np.float32)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "features",
    [
        np.repeat(vectors(4), 50, axis=0),
        np.eye(8)[np.arange(64) % 8],
        np.ones((64, 8)),
        np.zeros((64, 8)),
        (vectors() > 0)[np.arange(64) % 7].astype(np.int8),
    ],
    ids=["repeated", "one-hot", "equal", "zeros", "binary"],
)
def test_repeated_vectors_come_back_exactly(kind, features):
    fitted = kind(n_levels=2, n_codewords=16, random_state=0).fit(features)
    back = fitted.inverse_transform(fitted.transform(features))
    np.testing.assert_allclose(back, features, atol=1e-5)  # float32 sums of two codewords
    assert fitted.score(features) <= 0
    assert (fitted.distortions_ >= 0).all()


def test_codewords_that_the_data_do_not_need_are_a_convergence_warning():
    quantizer = ResidualQuantizer(n_levels=2, n_codewords=16, random_state=0)
    with pytest.warns(ConvergenceWarning) as caught:
        quantizer.fit(np.repeat(vectors(4), 50, axis=0))
    texts = [str(one.message) for one in caught]
    assert "4 distinct vectors (in float32) for 16 codewords" in texts[0]
    assert "level 1 describes the training vectors exactly" in texts[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e20, 1e-20])
def test_values_that_float32_cannot_square_are_refused_with_the_cure(kind, size):
    with pytest.raises(DataError, match=r"largest value .* Divide all vectors by"):
        kind(n_levels=2, n_codewords=16).fit(vectors() * size)
