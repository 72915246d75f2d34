"""Codes of one bit a level: signs of dimensions, and any other codebooks of two codewords."""

import numpy as np
import pytest

from anybit.codes import MOST_LEVELS, BytePlanes, Codebooks, Codes
from anybit.errors import FormatError, OptionError, ShapeError
from anybit.search import Index


def bits_of(rng, n_items, n_bits):
    return rng.integers(0, 2, (n_bits, n_items)).astype(np.uint8)


def test_bit_is_one_where_the_value_is_not_negative():
    vectors = np.array([[0.5, -0.5, 0, -0.0], [-1e-40, 1e-40, -3, 3e20]], dtype=np.float32)
    codebooks = Codebooks.signs(4)
    codes = codebooks.encode(vectors)
    np.testing.assert_array_equal(codes.rows(), [[1, 0, 1, 1], [0, 1, 0, 1]])
    np.testing.assert_array_equal(codebooks.decode(codes), [[1, -1, 1, 1], [-1, 1, -1, 1]])
    np.testing.assert_array_equal(codebooks.decode(codes.cut(2))[:, 2:], 0)
    assert (codebooks.bits, codebooks.dim, codebooks.lengths()) == (4, 4, [4])


def test_signs_are_product_codebooks_but_for_zeros(rng):
    vectors = rng.standard_normal((300, 24)).astype(np.float32)
    signs = Codebooks.signs(24)
    product = Codebooks.product(signs.codebooks)
    codes = signs.encode(vectors)
    np.testing.assert_array_equal(codes.planes, product.encode(vectors).planes)
    np.testing.assert_array_equal(signs.decode(codes), product.decode(codes))
    np.testing.assert_array_equal(signs.lut(vectors), product.lut(vectors))


@pytest.mark.parametrize("n_bits", [1, 7, 8, 12, 64, 256, MOST_LEVELS])
def test_packed_signs_come_back(rng, n_bits):
    codes = Codes(bits_of(rng, 37, n_bits), 2)
    planes = BytePlanes.of(codes)
    assert planes.values.shape == (-(-n_bits // 8), 37)
    np.testing.assert_array_equal(planes.codes().planes, codes.planes)
    np.testing.assert_array_equal(Codes.unpack(codes.pack(), n_bits, 2).planes, codes.planes)


@pytest.mark.parametrize("n_bits", [1, 8, 48, 256])
def test_inner_products_of_signs_count_the_bits_that_differ(rng, n_bits):
    items, queries = bits_of(rng, 500, n_bits), bits_of(rng, 20, n_bits)
    distances = (items[:, None, :] != queries[:, :, None]).sum(axis=0)  # (Q, N)
    codebooks = Codebooks.signs(n_bits)
    raw = codebooks.decode(Codes(queries, 2))
    found = Index(codebooks, Codes(items, 2)).search(raw, 50)
    for query, row in enumerate(distances):
        order = np.argsort(row, kind="stable")[:50]  # ties by position
        np.testing.assert_array_equal(found.ids[query], order)
        np.testing.assert_array_equal(found.scores[query], n_bits - 2 * row[order])


def test_stored_signs_are_signs_again(tmp_path):
    codebooks = Codebooks.signs(12, metric="l2", comparison="aqd")
    codebooks.save(tmp_path / "signs")
    loaded = Codebooks.load(tmp_path / "signs")
    assert type(loaded) is type(codebooks)
    assert (loaded.metric, loaded.comparison) == ("l2", "aqd")
    zero = np.zeros((1, 12), dtype=np.float32)
    np.testing.assert_array_equal(loaded.encode(zero).planes, 1)
    assert Codebooks.from_tensors(*Codebooks.signs(3).to_tensors()).comparison == "sqd"
    tensors, settings = codebooks.to_tensors()
    tensors["codebooks"] = tensors["codebooks"] * 2
    with pytest.raises(FormatError, match="must hold -1 and \\+1"):
        Codebooks.from_tensors(tensors, settings)


def test_comparison_is_stored_only_where_it_is_not_the_usual_one():
    usual = Codebooks.stacked(np.ones((1, 2, 3), dtype=np.float32))
    assert "comparison" not in usual.to_tensors()[1]
    symmetric = usual.compared_by("sqd")
    assert symmetric.to_tensors()[1]["comparison"] == "sqd"
    assert usual.comparison == "aqd"
    with pytest.raises(OptionError, match="comparison must be one of aqd, sqd, got 'both'"):
        usual.compared_by("both")


def test_too_many_levels_are_refused():
    with pytest.raises(OptionError, match="n_bits must be from 1 to 1024, got 1025"):
        Codebooks.signs(MOST_LEVELS + 1)
    with pytest.raises(OptionError, match="n_bits must be from 1"):
        Codebooks.signs(0)
    many = np.zeros((MOST_LEVELS + 1, 2), dtype=np.uint8)
    with pytest.raises(ShapeError, match="at most 1024 levels, got 1025"):
        Codes(many, 2)
    with pytest.raises(ShapeError, match="at most 1024 levels, got 1025"):
        BytePlanes(many, MOST_LEVELS + 1, 256)
    with pytest.raises(ShapeError, match="codebooks must have 1 to 1024 levels, got 1025"):
        Codebooks.stacked(np.zeros((MOST_LEVELS + 1, 2, 1)))
    with pytest.raises(OptionError, match=r"bits must be one of 1, 2, \.\.\., 64, got 65"):
        Codebooks.stacked(np.zeros((64, 2, 1))).cut(65)
    with pytest.raises(OptionError, match="signs codes cannot be cut: all 8 bits"):
        Codebooks.signs(8).cut(4)
