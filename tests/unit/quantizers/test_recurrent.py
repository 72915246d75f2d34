import numpy as np
import pytest

from anybit.codes import Codebooks
from anybit.errors import DataError, OptionError, ShapeError
from anybit.quantizers import AdamOptions, RecurrentFitOptions, fit_recurrent
from anybit.quantizers.recurrent import _symptoms


def vectors(n_items=600, dim=8, seed=0):
    rng = np.random.default_rng(seed)
    centres = 3 * rng.normal(size=(5, dim)) + 10
    return (centres[rng.integers(5, size=n_items)] + rng.normal(size=(n_items, dim))).astype("f4")


SMALL = {"n_levels": 3, "n_codewords": 16, "n_iterations": 8}


@pytest.mark.parametrize("optimizer", ["als", "adam"])
@pytest.mark.parametrize("start", ["split", "kmeans"])
def test_reported_distortions_are_those_of_the_codebooks(optimizer, start):
    features = vectors()
    options = RecurrentFitOptions(optimizer=optimizer, start=start, **SMALL)
    result = fit_recurrent(features, options)
    codes = result.codebooks.encode(features)
    for level, reported in enumerate(result.distortion_per_level):
        rebuilt = result.codebooks.decode(codes.cut_levels(level + 1))
        actual = ((features - rebuilt) ** 2).sum(axis=1).mean()
        np.testing.assert_allclose(reported, actual, rtol=1e-4)  # float32 sums
    # the kept pass is the best of the history; float32 Gram products against direct differences
    np.testing.assert_allclose(result.distortion_per_level.sum(), min(result.history), rtol=1e-3)


@pytest.mark.parametrize("optimizer", ["als", "adam"])
def test_fit_improves_on_its_start(optimizer):
    adam = AdamOptions(batch_size=64)
    options = RecurrentFitOptions(optimizer=optimizer, adam=adam, **SMALL)
    history = fit_recurrent(vectors(), options).history
    assert min(history) < 0.98 * history[0]


def test_longer_codes_describe_better():
    distortions = fit_recurrent(vectors(), RecurrentFitOptions(**SMALL)).distortion_per_level
    assert (np.diff(distortions) < 0).all()


def test_first_scale_is_one_and_seed_decides():
    features = vectors()
    first = fit_recurrent(features, RecurrentFitOptions(seed=1, **SMALL)).codebooks
    again = fit_recurrent(features, RecurrentFitOptions(seed=1, **SMALL)).codebooks
    other = fit_recurrent(features, RecurrentFitOptions(seed=2, **SMALL)).codebooks
    assert first.level_scales[0] == 1
    np.testing.assert_array_equal(first.codebooks, again.codebooks)
    np.testing.assert_array_equal(first.level_scales, again.level_scales)
    assert (first.codebooks != other.codebooks).any()


def test_offset_is_the_mean_and_helps_when_the_mean_is_large():
    features = vectors()
    centred = fit_recurrent(features, RecurrentFitOptions(**SMALL))
    plain = fit_recurrent(features, RecurrentFitOptions(has_offset=False, **SMALL))
    np.testing.assert_allclose(centred.codebooks.offset, features.mean(axis=0), rtol=1e-5)
    assert plain.codebooks.offset is None
    assert centred.distortion_per_level.sum() < plain.distortion_per_level.sum()


@pytest.mark.parametrize("n_levels", [2, 5])
@pytest.mark.parametrize("optimizer", ["als", "adam"])
def test_two_codewords_are_learned_from_the_vectors_and_not_from_rounding(optimizer, n_levels):
    features = vectors()
    options = RecurrentFitOptions(n_levels=n_levels, n_codewords=2, optimizer=optimizer)
    fitted = fit_recurrent(features, options)
    spread = ((features - features.mean(axis=0)) ** 2).sum(axis=1).mean()
    # Two clusters by k-means leave about 0.6 of the variance; a first level of zeros leaves 1.
    assert fitted.distortion_per_level[0] < 0.8 * spread
    assert np.abs(fitted.codebooks.level_scales).max() <= 1.5


def test_level_weights_shift_the_balance():
    features = vectors()
    first = fit_recurrent(features, RecurrentFitOptions(level_weights=(50, 1, 1), **SMALL))
    alike = fit_recurrent(features, RecurrentFitOptions(**SMALL))
    assert first.distortion_per_level[0] < alike.distortion_per_level[0]


def test_usage_and_metric_are_reported():
    result = fit_recurrent(vectors(), RecurrentFitOptions(metric="l2", **SMALL))
    assert result.codebooks.metric == "l2"
    assert ((result.usage_per_level > 0) & (result.usage_per_level <= 1)).all()
    assert (result.perplexity_per_level <= 16 * result.usage_per_level + 1e-9).all()


@pytest.mark.parametrize("n_codewords", [2, 256])
@pytest.mark.parametrize("n_levels", [1, 16])
def test_smallest_and_largest_codebooks(n_codewords, n_levels):
    options = RecurrentFitOptions(n_levels=n_levels, n_codewords=n_codewords, n_iterations=2)
    result = fit_recurrent(vectors(300), options)
    assert result.codebooks.dense().shape == (n_levels, n_codewords, 8)
    assert np.isfinite(result.distortion_per_level).all()


def test_identical_vectors_are_described_exactly():
    features = np.full((40, 4), 3, dtype=np.float32)
    options = RecurrentFitOptions(n_levels=2, n_codewords=4)
    result = fit_recurrent(features, options)
    np.testing.assert_allclose(result.distortion_per_level, 0, atol=1e-9)


def test_collapsed_scales_are_reported():
    assert _symptoms(np.array([1, 0.5, 0.3])) == {}
    found = _symptoms(np.array([1, 0.001, -0.4]))
    assert len(found) == 2
    assert "level_scales[1] should be well above 0, got 0.0010" in found[1]
    assert "level_scales[2]" in found[2]


def test_progress_ends_at_a_pass():
    seen = []
    options = RecurrentFitOptions(tolerance=-1, **SMALL)
    fit_recurrent(vectors(), options, lambda *call: seen.append(call))
    assert seen[-1] == (8, 8)


def test_features_are_not_changed():
    features = vectors()
    before = features.copy()
    fit_recurrent(features, RecurrentFitOptions(**SMALL))
    np.testing.assert_array_equal(features, before)


def test_unusable_features_are_refused():
    with pytest.raises(DataError, match=r"at least 256 vectors are needed.*got 255"):
        fit_recurrent(vectors(255))
    with pytest.raises(ShapeError, match="one row per item"):
        fit_recurrent(vectors()[0])
    features = vectors()
    features[7] = np.inf
    with pytest.raises(DataError, match="first in row 7"):
        fit_recurrent(features)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_codewords": 48}, "power of two from 2 to 256, got 48"),
        ({"n_levels": 0}, "must be at least 1"),
        ({"metric": "dot"}, "metric must be one of ip, l2, cosine"),
        ({"optimizer": "sgd"}, "optimizer must be one of als, adam"),
        ({"start": "zero"}, "start must be one of"),
        ({"scale_rule": "tied"}, "scale_rule must be one of free, power"),
        ({"scale_rule": "power", "optimizer": "adam"}, 'power must be fitted by "als"'),
        ({"max_train": 8}, "max_train must be at least"),
        ({"level_weights": (1.0,)}, "level_weights must be 8 numbers"),
        ({"level_weights": (1.0,) * 7 + (0.0,)}, "the last above 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        RecurrentFitOptions(**options)


def test_bad_adam_options_are_refused():
    with pytest.raises(OptionError, match="learning_rate must be above 0"):
        AdamOptions(learning_rate=0)


@pytest.mark.parametrize("start", ["split", "kmeans"])
def test_power_rule_is_fitted_under_its_constraint(start):
    features = vectors()
    settings = {**SMALL, "n_levels": 4, "start": start}
    tied = fit_recurrent(features, RecurrentFitOptions(scale_rule="power", **settings))
    scales = tied.codebooks.level_scales
    np.testing.assert_allclose(scales, scales[1] ** np.arange(4), rtol=1e-5)  # float32 powers
    free = fit_recurrent(features, RecurrentFitOptions(**settings)).codebooks
    projected = Codebooks.shared(
        free.codebooks, free.level_scales[1] ** np.arange(4, dtype=np.float32), offset=free.offset
    )
    codes = projected.encode(features)
    lost = sum(
        ((features - projected.decode(codes.cut_levels(level + 1))) ** 2).sum(axis=1).mean()
        for level in range(4)
    )
    assert tied.distortion_per_level.sum() < lost
