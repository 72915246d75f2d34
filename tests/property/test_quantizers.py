import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from anybit.quantizers import (
    RecurrentFitOptions,
    ResidualFitOptions,
    fit_recurrent,
    fit_residual,
)


def vectors(seed, dim=5, n_items=200):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n_items, dim)) * rng.uniform(0.1, 3, size=dim)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n_codewords=st.sampled_from([2, 4, 16, 64]))
def test_kmeans_levels_never_raise_training_distortion(seed, n_codewords):
    options = ResidualFitOptions(4, n_codewords, n_iterations=3, seed=seed, beam_size=1)
    features = vectors(seed)
    distortions = fit_residual(features, options).distortion_per_level
    before = float(((features - features.mean(axis=0)) ** 2).sum(axis=1).mean())
    # float32 rounding where little is left
    assert (np.diff([before, *distortions]) <= 1e-6 * before).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n_levels=st.integers(1, 6), is_shared=st.booleans())
def test_prefix_of_greedy_code_is_code_of_prefix(seed, n_levels, is_shared):
    features = vectors(seed)
    if is_shared:
        fitted = fit_recurrent(features, RecurrentFitOptions(6, 8, n_iterations=2, seed=seed))
    else:
        options = ResidualFitOptions(6, 8, n_iterations=2, seed=seed, beam_size=1)
        fitted = fit_residual(features, options)
    codebooks = fitted.codebooks
    bits = codebooks.lengths()[n_levels - 1]
    cut = codebooks.cut(bits).encode(features).planes
    np.testing.assert_array_equal(codebooks.encode(features).cut(bits).planes, cut)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), is_shared=st.booleans())
def test_shifted_features_shift_the_offset_alone(seed, is_shared):
    # Multiples of 1/64 with a power of two of rows: means and shifts are exact in float32.
    rng = np.random.default_rng(seed)
    features = (rng.integers(-64, 64, size=(256, 4)) / 64).astype(np.float32)
    shift = rng.integers(-8, 8, size=4).astype(np.float32)
    if is_shared:
        fit, options = fit_recurrent, RecurrentFitOptions(3, 8, n_iterations=3, seed=seed)
    else:
        fit, options = fit_residual, ResidualFitOptions(3, 8, n_iterations=3, seed=seed)
    plain, moved = fit(features, options).codebooks, fit(features + shift, options).codebooks
    np.testing.assert_array_equal(moved.codebooks, plain.codebooks)
    np.testing.assert_array_equal(moved.offset, plain.offset + shift)
