"""The sign block: a bit a dimension, and codebooks that encode alike."""

import numpy as np
import pytest
import torch

from anybit.codes import Codebooks
from anybit.errors import OptionError, ShapeError
from anybit.models import SignConfig, SignQuantization


def test_signs_by_hand():
    output = SignQuantization(3, SignConfig(3))(torch.tensor([[0.5, -2.0, 0.0], [-1.0, 3.0, 4.0]]))
    assert output.hard.tolist() == [[1, -1, 1], [-1, 1, 1]]
    assert output.codes.tolist() == [[1, 0], [0, 1], [1, 1]]


def test_codebooks_encode_and_decode_as_the_block_does(rng):
    block = SignQuantization(12, SignConfig(12, "l2", "aqd"))
    x = rng.standard_normal((50, 12)).astype(np.float32)
    x[0, 0] = 0
    codebooks, output = block.export_codebooks(), block(torch.from_numpy(x))
    assert (codebooks.bits, codebooks.n_codewords, codebooks.metric) == (12, 2, "l2")
    assert codebooks.comparison == "aqd"
    codes = codebooks.encode(x)
    np.testing.assert_array_equal(codes.planes, output.codes.numpy())
    np.testing.assert_array_equal(codebooks.decode(codes), output.hard.numpy())


def test_codebooks_of_another_kind_are_refused():
    block = SignQuantization(4, SignConfig(4))
    block.set_codebooks(block.export_codebooks())
    for other in (
        SignQuantization(5, SignConfig(5)).export_codebooks(),
        Codebooks.product(np.float32([[[-1], [1]]] * 4)),
    ):
        with pytest.raises(ShapeError, match="of kind signs with 4 bits, got"):
            block.set_codebooks(other)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(OptionError, match="must be the 8 bits of the code, got 9"):
        SignQuantization(9, SignConfig(8))
    with pytest.raises(OptionError, match="from 1 to 1024, got 0"):
        SignConfig(0)
