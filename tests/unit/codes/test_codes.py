import numpy as np
import pytest

from anybit.codes import Codes
from anybit.errors import DTypeError, OptionError, ShapeError

ROWS = np.array([[3, 1, 2], [0, 2, 1]], dtype=np.uint8)


def test_planes_are_columns_of_rows():
    codes = Codes.from_rows(ROWS, 4)
    np.testing.assert_array_equal(codes.planes, ROWS.T)
    np.testing.assert_array_equal(codes.rows(), ROWS)
    assert (codes.n_levels, codes.n_items, len(codes), codes.bits, codes.code_bytes) == (
        (3, 2, 2, 6, 1)
    )


def test_pack_by_hand():
    # 3, 1, 2 in two bits each: 11 01 10 and two unused zero bits
    packed = Codes.from_rows(ROWS, 4).pack()
    np.testing.assert_array_equal(packed, [[0b11011000], [0b00100100]])
    assert packed.dtype == np.uint8


def test_pack_of_256_codewords_is_the_rows():
    codes = Codes.from_rows(ROWS)
    np.testing.assert_array_equal(codes.pack(), ROWS)
    np.testing.assert_array_equal(Codes.unpack(ROWS, 3).rows(), ROWS)


def test_cut_is_a_view_of_the_first_levels():
    codes = Codes.from_rows(ROWS, 4)
    assert np.shares_memory(codes.cut(4).planes, codes.planes)
    np.testing.assert_array_equal(codes.cut(4).rows(), ROWS[:, :2])
    np.testing.assert_array_equal(codes.cut_levels(1).rows(), ROWS[:, :1])


@pytest.mark.parametrize("bits", [0, -2, 3, 8])
def test_cut_to_an_impossible_length(bits):
    with pytest.raises(OptionError, match=f"bits must be one of 2, 4, 6, got {bits}"):
        Codes.from_rows(ROWS, 4).cut(bits)


@pytest.mark.parametrize("n_levels", [0, 4])
def test_cut_levels_out_of_range(n_levels):
    with pytest.raises(OptionError, match="n_levels must be from 1 to 3"):
        Codes.from_rows(ROWS, 4).cut_levels(n_levels)


def test_take_orders_items():
    np.testing.assert_array_equal(
        Codes.from_rows(ROWS, 4).take(np.array([1, 0, 1])).rows(), ROWS[[1, 0, 1]]
    )


@pytest.mark.parametrize("n_codewords", [2, 16, 256])
def test_no_items(n_codewords):
    codes = Codes(np.empty((3, 0), np.uint8), n_codewords)
    packed = codes.pack()
    assert packed.shape == (0, codes.code_bytes)
    assert Codes.unpack(packed, 3, n_codewords).n_items == 0


def test_wrong_planes_are_refused():
    with pytest.raises(DTypeError, match="uint8 array, got int64"):
        Codes(np.zeros((2, 3), np.int64))
    with pytest.raises(DTypeError, match="uint8 array, got list"):
        Codes([[1]])
    with pytest.raises(ShapeError, match=r"shape \(M, N\)"):
        Codes(np.zeros(3, np.uint8))
    with pytest.raises(ShapeError, match="at least one level"):
        Codes(np.zeros((0, 3), np.uint8))
    with pytest.raises(ShapeError, match=r"rows must have shape \(N, M\)"):
        Codes.from_rows(np.zeros(3, np.uint8))
    with pytest.raises(OptionError, match="below n_codewords = 4, got 4"):
        Codes(np.full((1, 1), 4, np.uint8), 4)


@pytest.mark.parametrize("n_codewords", [0, 1, 3, 48, 512])
def test_wrong_number_of_codewords(n_codewords):
    with pytest.raises(OptionError, match="power of two from 2 to 256"):
        Codes(np.zeros((1, 1), np.uint8), n_codewords)


def test_packed_rows_of_another_length():
    with pytest.raises(ShapeError, match=r"\(N, 1\), got \(2, 2\)"):
        Codes.unpack(np.zeros((2, 2), np.uint8), 3, 4)
