"""The recurrent block: scales, cutting, and the same codes as the NumPy export."""

import numpy as np
import pytest
import torch

from anybit.codes import Codebooks
from anybit.errors import OptionError
from anybit.models import QuantizerConfig, RecurrentQuantization


def random_block(dim=16, **settings):
    torch.manual_seed(1)
    block = RecurrentQuantization(dim, QuantizerConfig(**{"n_levels": 4, **settings}))
    with torch.no_grad():
        block.codebook.normal_()
        block.offset.normal_()
    return block


@pytest.mark.parametrize("assignment", ["l2", "cosine"])
@pytest.mark.parametrize("has_offset", [True, False])
@pytest.mark.parametrize("scale_rule", ["free", "power"])
def test_export_encodes_and_decodes_as_the_block(assignment, has_offset, scale_rule):
    block = random_block(assignment=assignment, has_offset=has_offset, scale_rule=scale_rule)
    x = torch.randn(300, 16)
    output, codebooks = block(x), block.export_codebooks()
    codes = codebooks.encode(x.numpy())
    np.testing.assert_array_equal(codes.planes, output.codes.numpy())
    # float32 sums of four levels and an offset of size about 1
    np.testing.assert_allclose(
        codebooks.decode(codes), output.hard[-1].detach().numpy(), rtol=1e-5, atol=1e-5
    )


def test_first_levels_are_the_shorter_code():
    block, x = random_block(), torch.randn(50, 16)
    np.testing.assert_array_equal(block(x, 2).codes.numpy(), block(x).codes[:2].numpy())


def test_power_rule_uses_one_scale():
    block = random_block(scale_rule="power", initial_scale=0.5)
    torch.testing.assert_close(block.level_scales().detach(), torch.tensor([1.0, 0.5, 0.25, 0.125]))
    assert block.scales.numel() == 1


def test_small_temperature_makes_soft_hard():
    block, x = random_block(temperature=1e-4), torch.randn(50, 16)
    output = block(x)
    torch.testing.assert_close(output.soft, output.hard, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("assignment", ["l2", "cosine"])
def test_export_encodes_as_the_block_with_negative_scales(assignment):
    block, x = random_block(assignment=assignment), torch.randn(300, 16)
    with torch.no_grad():
        block.scales.copy_(torch.tensor([-0.5, 0.25, -0.1]))
    codes = block.export_codebooks().encode(x.numpy())
    np.testing.assert_array_equal(codes.planes, block(x).codes.numpy())


def test_negative_scale_turns_the_cosine_choice_round():
    """As in the authors' code, which scales the codewords before it compares."""
    settings = {"n_levels": 2, "n_codewords": 2, "assignment": "cosine", "has_offset": False}
    block = RecurrentQuantization(2, QuantizerConfig(**settings))
    with torch.no_grad():
        block.codebook.copy_(torch.tensor([[0.5, 0], [-0.5, 0.01]]))
        block.scales.fill_(-0.5)
    assert block(torch.tensor([[1.0, 0]])).codes.flatten().tolist() == [0, 1]


@pytest.mark.parametrize("settings", [{"n_levels": 0}, {"n_levels": 1025}, {"temperature": 0.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(OptionError, match=r"must be"):
        QuantizerConfig(**settings)


@pytest.mark.parametrize("n_levels", [0, -1, 5])
def test_number_of_levels_that_the_block_has_not_is_refused(n_levels):
    with pytest.raises(OptionError, match=f"n_levels must be from 1 to 4, got {n_levels}"):
        random_block()(torch.zeros(2, 16), n_levels)


def test_power_rule_takes_powers_only():
    block = random_block(dim=3, n_levels=3, n_codewords=2, scale_rule="power")
    codebook = np.eye(2, 3, dtype=np.float32)
    block.set_codebooks(Codebooks.shared(codebook, np.float32([1, 0.6, 0.36])))
    torch.testing.assert_close(block.level_scales().detach(), torch.tensor([1, 0.6, 0.36]))
    with pytest.raises(OptionError, match=r"must be powers of one number .*0\.5"):
        block.set_codebooks(Codebooks.shared(codebook, np.float32([1, 0.6, 0.5])))


def test_drawn_scales_are_those_of_torchs_generator():
    block = random_block()
    torch.manual_seed(3)
    block.draw_scales(0.01)
    torch.manual_seed(3)
    torch.testing.assert_close(block.scales.detach(), 0.01 * torch.randn(3))
