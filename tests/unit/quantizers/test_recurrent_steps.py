import sys
from pathlib import Path

import numpy as np
import pytest

from anybit.codes import Codebooks
from anybit.quantizers.recurrent_adam import prefix_gradients
from anybit.quantizers.recurrent_steps import (
    encode_prefixes,
    moments,
    solve_codebook,
    solve_powers,
    solve_scales,
)

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))
from recurrent_design import codebook_by_lstsq, objective, scales_by_lstsq

SCALES = np.array([1.0, 0.6, 0.35])
WEIGHTS = np.array([1.0, 0.5, 2.0])


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 5)).astype(np.float32)
    codebook = rng.normal(size=(8, 5)).astype(np.float32)
    return features, codebook, encode_prefixes(features, codebook, SCALES)


def test_encoding_is_that_of_codebooks(problem):
    features, codebook, encoding = problem
    expected = Codebooks.shared(codebook, SCALES.astype(np.float32)).encode(features)
    np.testing.assert_array_equal(encoding.codes, expected.planes)


def test_negative_scale_encodes_as_codebooks_do(problem):
    features, codebook, _ = problem
    scales = np.array([1.0, -0.5])
    encoding = encode_prefixes(features, codebook, scales)
    expected = Codebooks.shared(codebook, scales.astype(np.float32)).encode(features)
    np.testing.assert_array_equal(encoding.codes, expected.planes)


def test_encoding_distortions_match_plain_loop(problem):
    features, codebook, encoding = problem
    expected = objective(features, encoding.codes, codebook, SCALES, WEIGHTS)
    np.testing.assert_allclose(WEIGHTS @ encoding.distortions, expected, rtol=1e-5)  # float32


def test_codebook_update_is_least_squares_of_the_design_matrix(problem):
    features, codebook, encoding = problem
    stats = moments(encoding.codes, WEIGHTS)
    found = solve_codebook(features, SCALES, stats, codebook)
    expected = codebook_by_lstsq(features, encoding.codes, SCALES, WEIGHTS, 8)
    # float32 sums, and a ridge of 1e-6
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_scale_update_is_least_squares_of_the_design_matrix(problem):
    features, codebook, encoding = problem
    stats = moments(encoding.codes, WEIGHTS)
    found = solve_scales(codebook, encoding.projections, stats, SCALES)
    expected = scales_by_lstsq(features, encoding.codes, codebook, WEIGHTS)
    np.testing.assert_allclose(found, expected, rtol=1e-4)  # float32 projections


def test_power_update_is_the_best_single_factor(problem):
    features, codebook, encoding = problem
    stats = moments(encoding.codes, WEIGHTS)
    found = solve_powers(codebook, encoding.projections, stats, SCALES)
    np.testing.assert_allclose(found, found[1] ** np.arange(3), rtol=1e-12)

    def error(factor):
        powers = factor ** np.arange(3)
        return objective(features, encoding.codes, codebook, powers, WEIGHTS)

    fine = np.linspace(0.01, 1, 100)
    best = fine[np.argmin([error(one) for one in fine])]
    assert abs(found[1] - best) < 0.01
    assert error(found[1]) <= error(best) + 1e-6  # float32 projections


def test_unused_codewords_keep_their_values(problem):
    features, codebook, _ = problem
    codebook[5] = 1000
    encoding = encode_prefixes(features, codebook, SCALES)
    stats = moments(encoding.codes, WEIGHTS)
    found = solve_codebook(features, SCALES, stats, codebook)
    np.testing.assert_allclose(found[5], codebook[5], rtol=1e-6)


def test_gradients_match_finite_differences(problem):
    features, codebook, encoding = problem
    by_codebook, by_scales = prefix_gradients(features, codebook, SCALES, WEIGHTS)
    step = 1e-4
    for place in [(0, 0), (3, 2), (7, 4)]:
        ends = []
        for sign in (1, -1):
            moved = codebook.astype(np.float64)
            moved[place] += sign * step
            ends.append(objective(features, encoding.codes, moved, SCALES, WEIGHTS))
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(by_codebook[place], slope, rtol=1e-3, atol=1e-5)  # float32 sums
    for level in range(3):
        ends = []
        for sign in (1, -1):
            moved = SCALES.copy()
            moved[level] += sign * step
            wide = codebook.astype(np.float64)
            ends.append(objective(features, encoding.codes, wide, moved, WEIGHTS))
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(by_scales[level], slope, rtol=1e-3, atol=1e-5)  # float32 sums
