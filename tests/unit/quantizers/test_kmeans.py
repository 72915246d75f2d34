from itertools import pairwise

import numpy as np
import pytest

from anybit.errors import DataError, DTypeError, OptionError, ShapeError
from anybit.quantizers import KMeansOptions, assign, fit_kmeans


def vectors(n_items=300, dim=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n_items, dim)).astype(np.float32)


def test_assign_matches_plain_loop():
    features, codebook = vectors(50), vectors(7, seed=1)
    codes, sq_distances = assign(features, codebook)
    for item, vector in enumerate(features):
        distances = [float(((vector - codeword) ** 2).sum()) for codeword in codebook]
        assert codes[item] == int(np.argmin(distances))
        # float32 products against float64 sums of differences
        np.testing.assert_allclose(sq_distances[item], min(distances), rtol=1e-4, atol=1e-5)


def test_two_clusters_by_hand():
    features = np.array([[0, 0], [0, 2], [10, 0], [10, 2]], dtype=np.float32)
    result = fit_kmeans(features, KMeansOptions(2, seed=3))
    np.testing.assert_allclose(np.sort(result.codebook[:, 0]), [0, 10])
    np.testing.assert_allclose(result.codebook[:, 1], [1, 1])
    np.testing.assert_allclose(result.distortion, 1.0)


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_distortion_never_rises(init):
    history = fit_kmeans(vectors(500), KMeansOptions(32, init=init, tolerance=0)).history
    # float32 distances
    assert all(after <= before * (1 + 1e-6) for before, after in pairwise(history))


def test_same_seed_same_codebook_and_other_seed_another():
    features = vectors()
    first = fit_kmeans(features, KMeansOptions(16, seed=5)).codebook
    np.testing.assert_array_equal(first, fit_kmeans(features, KMeansOptions(16, seed=5)).codebook)
    assert (first != fit_kmeans(features, KMeansOptions(16, seed=6)).codebook).any()


def test_dead_codewords_are_revived():
    # Three copies of one vector start three codewords; two get no vector.
    others = [[9, 9], [-9, 9], [5, -9], [0, 0.001]]
    features = np.concatenate([np.zeros((95, 2)), np.eye(2) * 5, others])
    features = features.astype(np.float32)
    result = fit_kmeans(features, KMeansOptions(6, init="random", seed=0))
    assert result.n_revived > 0
    assert len(np.unique(result.codes)) == 6
    np.testing.assert_allclose(result.distortion, 0, atol=1e-6)  # one lies at 0.001


def test_fewer_distinct_vectors_than_codewords():
    features = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    result = fit_kmeans(features, KMeansOptions(8))
    assert result.distortion == 0
    np.testing.assert_array_equal(result.codebook[:3], np.eye(3))
    np.testing.assert_array_equal(result.codebook[3:], np.eye(3)[[0] * 5])


def test_sampled_training_codes_all_vectors():
    features = vectors(400)
    result = fit_kmeans(features, KMeansOptions(8, max_train=64))
    assert result.codes.shape == (400,)
    assert result.distortion < float((features**2).sum(axis=1).mean())


def test_progress_counts_iterations():
    seen = []
    fit_kmeans(vectors(), KMeansOptions(4, 3, tolerance=0), lambda *call: seen.append(call))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_non_contiguous_and_float16_are_accepted():
    features = np.asfortranarray(vectors()).astype(np.float16)[::2]
    assert fit_kmeans(features, KMeansOptions(4)).codebook.dtype == np.float32


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (vectors(10), DataError, "at least 16 vectors are needed.*got 10"),
        (vectors()[0], ShapeError, r"must have shape \(N, D\)"),
        (np.zeros((20, 0), np.float32), ShapeError, "D >= 1"),
        (np.full((20, 2), "a"), DTypeError, "must be real numbers"),
    ],
)
def test_unusable_features_are_refused(features, error, message):
    with pytest.raises(error, match=message):
        fit_kmeans(features, KMeansOptions(16))


def test_nan_names_its_row():
    features = vectors(5000)
    features[4321, 2] = np.nan
    with pytest.raises(DataError, match="first in row 4321"):
        fit_kmeans(features, KMeansOptions(16))


def test_bad_options_are_refused():
    with pytest.raises(OptionError, match="n_codewords must be at least 1"):
        KMeansOptions(0)
    with pytest.raises(OptionError, match="init must be"):
        KMeansOptions(4, init="best")
    with pytest.raises(OptionError, match="max_train must be at least"):
        KMeansOptions(4, max_train=3)
    with pytest.raises(ShapeError, match="same D"):
        assign(vectors(), vectors(4, dim=3))
