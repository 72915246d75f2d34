import numpy as np
import pytest

from anybit.errors import DataError, OptionError
from anybit.quantizers import KMeansOptions, ResidualFitOptions, fit_kmeans, fit_residual


def vectors(n_items=400, dim=6):
    return np.random.default_rng(0).normal(2, 1, size=(n_items, dim)).astype(np.float32)


def test_levels_are_kmeans_of_what_is_left():
    features = vectors()
    options = ResidualFitOptions(
        n_levels=2, n_codewords=8, n_iterations=20, has_offset=False, seed=4, beam_size=1
    )
    result = fit_residual(features, options)
    first = fit_kmeans(features, KMeansOptions(8, seed=4))
    second = fit_kmeans(features - first.codebook[first.codes], KMeansOptions(8, seed=5))
    assert result.codebooks.kind == "stacked"
    np.testing.assert_array_equal(result.codebooks.codebooks, [first.codebook, second.codebook])
    np.testing.assert_allclose(result.distortion_per_level, result.history, rtol=1e-4)  # float32


def test_offset_is_the_mean():
    features = vectors()
    result = fit_residual(features, ResidualFitOptions(n_levels=2, n_codewords=8))
    np.testing.assert_allclose(result.codebooks.offset, features.mean(axis=0), rtol=1e-5)


def test_unusable_input_is_refused():
    with pytest.raises(DataError, match="at least 256"):
        fit_residual(vectors(100))
    with pytest.raises(OptionError, match="power of two"):
        ResidualFitOptions(n_codewords=7)
    with pytest.raises(OptionError, match="n_levels must be at least 1"):
        ResidualFitOptions(n_levels=0)
    with pytest.raises(OptionError, match="metric must be one of"):
        ResidualFitOptions(metric="dot")
