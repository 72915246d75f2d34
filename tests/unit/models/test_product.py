"""The product block: exact codes, codebooks in closed form, and the same codes as the export."""

import numpy as np
import pytest
import torch

from anybit.codes import Codebooks
from anybit.errors import DataError, OptionError, ShapeError
from anybit.models import ProductConfig, ProductQuantization
from reference import dqn


def made(n_levels=3, n_codewords=4, width=2, n_items=60, seed=0, **settings):
    """A block with random codebooks, and vectors."""
    generator = torch.Generator().manual_seed(seed)
    block = ProductQuantization(
        n_levels * width, ProductConfig(n_levels, n_codewords, **settings)
    ).double()
    block.codebooks.normal_(generator=generator)
    if block.rotation is not None:
        block.rotation.copy_(
            torch.linalg.qr(torch.randn(block.rotation.shape, generator=generator))[0]
        )
    x = torch.randn(n_items, n_levels * width, generator=generator, dtype=torch.float64)
    return block, x


def test_codes_are_the_nearest_codewords_of_every_subspace():
    block, x = made()
    wanted = dqn.nearest_codes(x.numpy(), block.codebooks.numpy())
    np.testing.assert_array_equal(block.assign(x).numpy(), wanted)


def test_ties_go_to_the_lower_number():
    block, x = made()
    block.codebooks[:, 1] = block.codebooks[:, 0]
    assert not (block.assign(x) == 1).any()
    assert (block.assign(x) == 0).any()


def test_many_vectors_are_assigned_like_few():
    block, x = made(n_items=4099)
    np.testing.assert_array_equal(block.assign(x)[:, -5:].numpy(), block.assign(x[-5:]).numpy())


def test_no_vector_gives_no_code():
    block, x = made()
    assert block.assign(x[:0]).shape == (3, 0)


def test_loss_is_equation_4_and_its_gradient_is_twice_the_error():
    block, x = made()
    x.requires_grad_(True)
    codes = block.assign(x)
    loss = block.quantization_loss(x, codes)
    wanted = dqn.quantization_loss(x.detach().numpy(), block.codebooks.numpy(), codes.numpy())
    np.testing.assert_allclose(
        float(loss.detach()), wanted, rtol=1e-12
    )  # float64 sums in another order
    loss.backward()
    torch.testing.assert_close(x.grad, 2 * (x.detach() - block.decode(codes)))
    assert torch.autograd.gradcheck(lambda z: block.quantization_loss(z, codes), (x,))


def test_update_gives_every_codeword_the_mean_of_its_members():
    block, x = made(n_items=200)
    codes = block.assign(x)
    assert block.update(x, codes) == 0
    for m, plane in enumerate(codes):
        for k in range(4):
            members = x[plane == k, 2 * m : 2 * m + 2]
            torch.testing.assert_close(block.codebooks[m, k], members.mean(dim=0))


@pytest.mark.parametrize("has_rotation", [False, True])
@pytest.mark.parametrize("n_items", [5, 60, 300])
def test_no_step_raises_the_error(n_items, has_rotation):
    block, x = made(n_items=n_items, n_codewords=16, has_rotation=has_rotation)
    codes = block.assign(x)
    errors = [float(block.quantization_loss(x, codes))]
    for _ in range(6):
        block.update(x, codes)
        errors.append(float(block.quantization_loss(x, codes)))
        codes = block.assign(x)
        errors.append(float(block.quantization_loss(x, codes)))
    assert (np.diff(errors) <= 1e-12 * errors[0]).all()  # float64 rounding
    assert errors[-1] < 0.7 * errors[0]


def test_update_is_the_best_that_codebooks_can_be():
    """Least squares in every subspace, without looking at means."""
    block, x = made(n_items=100)
    codes = block.assign(x)
    block.update(x, codes)
    h = dqn.indicators(codes.numpy(), 4)
    for m in range(3):
        part, own = slice(2 * m, 2 * m + 2), slice(4 * m, 4 * m + 4)
        best = np.linalg.lstsq(h[:, own], x.numpy()[:, part], rcond=None)[0]
        np.testing.assert_allclose(block.codebooks[m].numpy(), best, atol=1e-12)


def test_empty_codewords_move_to_the_worst_described_parts():
    block, _ = made(n_levels=1, n_codewords=4, width=1)
    block.codebooks.copy_(torch.tensor([[[0.0], [10.0], [50.0], [60.0]]]))
    x = torch.tensor([[0.0], [1.0], [9.0], [10.0], [14.0]], dtype=torch.float64)
    codes = block.assign(x)
    assert block.update(x, codes) == 2
    # means 0.5 and 11; the errors are .25, .25, 4, 1 and 9
    assert block.codebooks.flatten().tolist() == [0.5, 11.0, 14.0, 9.0]


def test_start_is_kmeans_and_the_seed_decides_it():
    block, x = made(n_codewords=8, n_items=300)
    codes = block.start(x, seed=3)
    first = block.codebooks.clone()
    np.testing.assert_array_equal(block.assign(x).numpy(), codes.numpy())
    block.start(x, seed=3)
    torch.testing.assert_close(block.codebooks, first, rtol=0, atol=0)
    block.start(x, seed=4)
    assert not block.codebooks.equal(first)


def test_start_finds_separate_clusters():
    corners = torch.tensor([[-9.0, -9.0], [-9.0, 9.0], [9.0, -9.0], [9.0, 9.0]])
    generator = torch.Generator().manual_seed(0)
    x = corners[torch.randint(4, (3, 100), generator=generator)].permute(1, 0, 2).reshape(100, 6)
    block = ProductQuantization(6, ProductConfig(3, 4))
    codes = block.start(x, seed=0, n_iterations=2)
    assert float(block.quantization_loss(x, codes)) == 0


def test_start_without_enough_vectors_is_refused():
    block, x = made(n_codewords=64, n_items=60)
    with pytest.raises(DataError, match="at least 64 images are needed"):
        block.start(x, seed=0)


@pytest.mark.parametrize("has_rotation", [False, True])
def test_export_encodes_and_decodes_as_the_block(has_rotation):
    block, x = made(n_codewords=16, has_rotation=has_rotation)
    block, x = block.float(), x.float()
    codebooks, output = block.export_codebooks(), block(x)
    codes = codebooks.encode(x.numpy())
    np.testing.assert_array_equal(codes.planes, output.codes.numpy())
    # float32 sums of a rotation
    np.testing.assert_allclose(codebooks.decode(codes), output.hard.numpy(), atol=1e-5)
    again = ProductQuantization(6, block.config)
    again.set_codebooks(codebooks)
    np.testing.assert_array_equal(again(x).codes.numpy(), output.codes.numpy())


def test_dimension_that_is_no_multiple_is_refused_with_the_cure():
    with pytest.raises(OptionError, match=r"multiple of the 8 subspaces, got 300\. .* 304"):
        ProductQuantization(300, ProductConfig(8, 16))


def test_codes_of_other_vectors_are_refused():
    block, x = made()
    with pytest.raises(ShapeError, match=r"\(3, 60\), got \(3, 59\)"):
        block.update(x, block.assign(x[1:]))


def test_codebooks_of_another_kind_are_refused():
    block, _ = made()
    with pytest.raises(ShapeError, match="kind product"):
        block.set_codebooks(Codebooks.stacked(np.zeros((3, 4, 6), np.float32)))


@pytest.mark.parametrize("settings", [{"n_levels": 0}, {"n_levels": 1025}, {"n_codewords": 5}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(OptionError, match="must be"):
        ProductConfig(**settings)
