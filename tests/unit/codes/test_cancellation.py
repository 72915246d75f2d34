"""Encoding where float32 differences of squares round off what decides."""

import numpy as np
import pytest

from anybit.codes import Codebooks, Codes


def far_levels(n_levels=2, n_codewords=8, dim=4):
    """Codebooks whose first level lies near 1e5 and whose later levels are near 1."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n_levels, n_codewords, dim))
    values[0] += 1e5
    return values.astype(np.float32)


def greedy_by_hand(codebooks, vectors):
    """Codes and squared errors (M, N) by differences in float64."""
    left, planes, errors = vectors.astype(np.float64), [], []
    for codewords in codebooks.astype(np.float64):
        distances = np.square(left[:, None] - codewords).sum(axis=2)
        planes.append(distances.argmin(axis=1))
        errors.append(distances.min(axis=1))
        left = left - codewords[planes[-1]]
    return np.array(planes), np.array(errors)


def vectors_of(codebooks, n_items=60):
    rng = np.random.default_rng(1)
    picked = [codewords[rng.integers(0, len(codewords), n_items)] for codewords in codebooks]
    # Half a unit off the sums of codewords, in steps that 1e5 holds in float32.
    noise = rng.integers(-32, 33, picked[0].shape) / 64
    return (np.sum(picked, axis=0) + noise).astype(np.float32)


def test_greedy_codes_far_from_zero_are_those_of_plain_differences():
    codebooks = far_levels()
    vectors = vectors_of(codebooks)
    expected, _ = greedy_by_hand(codebooks, vectors)
    np.testing.assert_array_equal(Codebooks.stacked(codebooks).encode(vectors).planes, expected)


def test_shared_codes_far_from_zero_are_those_of_plain_differences():
    codebook = np.concatenate([far_levels(1)[0], far_levels(2)[1]])
    scales = np.array([1, 0.75], np.float32)
    codebooks = Codebooks.shared(codebook, scales)
    vectors = vectors_of(far_levels())
    expected, _ = greedy_by_hand(codebooks.dense(), vectors)
    np.testing.assert_array_equal(codebooks.encode(vectors).planes, expected)
    further = codebooks.encode_further(vectors, Codes(expected[:1].astype(np.uint8), 16))
    np.testing.assert_array_equal(further.planes, expected[1:])


def test_product_codes_far_from_zero_are_those_of_plain_differences():
    codebooks = far_levels(2)
    codebooks[1] += 1e5
    vectors = np.concatenate([vectors_of(codebooks[:1]), vectors_of(codebooks[1:])], axis=1)
    parts = vectors.reshape(-1, 2, 4)
    expected = [greedy_by_hand(codebooks[m : m + 1], parts[:, m])[0][0] for m in (0, 1)]
    np.testing.assert_array_equal(Codebooks.product(codebooks).encode(vectors).planes, expected)


@pytest.mark.parametrize("beam_size", [2, 8])
def test_a_beam_far_from_zero_is_no_worse_than_greedy_codes(beam_size):
    codebooks = far_levels(3)
    vectors = vectors_of(codebooks)
    made = Codebooks.stacked(codebooks, beam_size=beam_size)
    codes = made.encode(vectors)
    dense = codebooks.astype(np.float64)
    left = vectors - sum(dense[level][plane] for level, plane in enumerate(codes.planes))
    _, greedy = greedy_by_hand(codebooks, vectors)
    assert np.square(left).sum(axis=1).mean() <= greedy[-1].mean()


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("size", [1e18, 1e30, 3e38])
def test_a_vector_too_long_for_squares_has_the_code_of_its_direction(size, is_shared, beam_size):
    rng = np.random.default_rng(0)
    codebook = rng.normal(size=(8, 4)).astype(np.float32)
    if is_shared:
        made = Codebooks.shared(codebook, np.array([1, 0.5], np.float32), beam_size=beam_size)
    else:
        made = Codebooks.stacked(np.stack([codebook, codebook / 2]), beam_size=beam_size)
    directions = rng.uniform(-1, 1, size=(20, 4)).astype(np.float32)
    long = directions * np.float32(size)
    expected = np.argmax(directions @ codebook.T, axis=1)  # the largest product wins
    np.testing.assert_array_equal(made.encode(long).planes, [expected, expected])
