import numpy as np
import pytest

from anybit.codes import BytePlanes, Codes, levels_per_byte
from anybit.errors import DTypeError, OptionError, ShapeError


@pytest.mark.parametrize(
    ("n_codewords", "n_levels", "n_planes"),
    [(2, 8, 1), (2, 9, 2), (4, 5, 2), (8, 3, 2), (16, 7, 4), (32, 3, 3), (256, 4, 4)],
)
def test_levels_come_back_out_of_their_bytes(n_codewords, n_levels, n_planes, rng):
    planes = rng.integers(0, n_codewords, (n_levels, 33)).astype(np.uint8)
    packed = BytePlanes.of(Codes(planes, n_codewords))
    assert packed.values.shape == (n_planes, 33)
    np.testing.assert_array_equal(packed.codes().planes, planes)
    np.testing.assert_array_equal(packed.block(slice(5, 9)), planes[:, 5:9])
    for cut in range(1, n_levels + 1):
        np.testing.assert_array_equal(packed.cut_levels(cut).codes().planes, planes[:cut])


def test_the_first_level_lies_in_the_lowest_bits():
    packed = BytePlanes.of(Codes(np.array([[3], [2], [1]], dtype=np.uint8), 16))
    assert packed.values.tolist() == [[0x23], [0x01]]


def test_codes_of_a_byte_are_not_copied(rng):
    planes = rng.integers(0, 256, (2, 9)).astype(np.uint8)
    assert BytePlanes.of(Codes(planes)).values is planes


@pytest.mark.parametrize(
    ("values", "n_levels", "n_codewords", "error", "message"),
    [
        (np.zeros((2, 3)), 2, 256, DTypeError, "must be a uint8 array, got float64"),
        (np.zeros((2, 3), np.uint8), 5, 16, ShapeError, r"must have shape \(3, N\), got \(2, 3\)"),
        (np.zeros(3, np.uint8), 1, 256, ShapeError, r"must have shape \(1, N\), got \(3,\)"),
        (np.full((1, 3), 200, np.uint8), 1, 64, OptionError, "below n_codewords = 64, got 200"),
        (np.full((1, 3), 0x91, np.uint8), 2, 8, OptionError, "below n_codewords = 8, got 9"),
    ],
)
def test_wrong_planes_are_refused(values, n_levels, n_codewords, error, message):
    with pytest.raises(error, match=message):
        BytePlanes(values, n_levels, n_codewords)


@pytest.mark.parametrize(
    ("n_codewords", "expected"), [(2, 8), (4, 4), (8, 2), (16, 2), (32, 1), (256, 1)]
)
def test_a_byte_holds_as_many_levels_as_fit(n_codewords, expected):
    assert levels_per_byte(n_codewords) == expected
