"""Each loss against its formula in a plain loop, and its gradient against finite differences."""

import numpy as np
import pytest
import torch

from anybit.errors import OptionError
from anybit.models import QuantizerConfig, RecurrentQuantization
from anybit.training import (
    adaptive_margin_loss,
    cosine_softmax_loss,
    distortion_losses,
    joint_central_loss,
    triplet_loss,
)
from reference import losses as slow
from reference.recurrent import quantise

# float64 throughout: what is left is the rounding of sums of at most a few thousand terms.
TOLERANCE = {"rtol": 1e-9, "atol": 1e-10}


@pytest.fixture
def batch(rng):
    """Features x (9, 5), class vectors (4, 5), and labels (9, 4), some images with two or none."""
    x, v = rng.standard_normal((9, 5)), rng.standard_normal((4, 5))
    labels = np.eye(4, dtype=bool)[rng.integers(4, size=9)]
    labels[0, :2] = True
    labels[1] = False
    return torch.tensor(x), torch.tensor(v), torch.tensor(labels)


@pytest.mark.parametrize("is_masked", [True, False])
def test_adaptive_margin_equals_formula(batch, is_masked):
    x, v, labels = batch
    expected = slow.adaptive_margin(x.numpy(), v.numpy(), labels.numpy(), is_masked)
    actual = adaptive_margin_loss(x, v, labels, is_masked=is_masked)
    np.testing.assert_allclose(actual.item(), expected, **TOLERANCE)


def test_mask_of_adaptive_margin_matters_for_two_labels(batch):
    x, v, labels = batch
    masked = adaptive_margin_loss(x, v, labels).item()
    assert adaptive_margin_loss(x, v, labels, is_masked=False).item() > masked


@pytest.mark.parametrize("mining", ["semi_hard", "batch_hard", "all"])
@pytest.mark.parametrize("margin", [0.5, 2.5])
def test_triplet_equals_formula(batch, mining, margin):
    x, _, labels = batch
    expected = slow.triplets(x.numpy(), labels.numpy(), margin, mining)
    np.testing.assert_allclose(
        triplet_loss(x, labels, margin, mining).item(), expected, **TOLERANCE
    )


@pytest.mark.parametrize(
    ("mining", "expected"),
    [
        # (2 + 0 + 7 + 0 + 10 + 15 + 0 + 0) / 8: anchors 0, 1, 2, 3 with both negatives each
        ("all", 4.25),
        # (2 + 7 + 15 + 0) / 4: the nearest negative
        ("batch_hard", 6.0),
        # (2 + 7 + 10 + 0) / 4: of anchor 2 none is farther than the positive, so the farthest
        ("semi_hard", 4.75),
    ],
)
def test_mined_triplets_of_four_points_on_a_line(mining, expected):
    x = torch.tensor([[0.0], [1.0], [3.0], [6.0]], dtype=torch.float64)
    labels = torch.eye(2, dtype=torch.bool)[[0, 0, 1, 1]]
    assert triplet_loss(x, labels, 10.0, mining).item() == pytest.approx(expected, rel=1e-12)


def test_a_negative_as_far_as_the_positive_is_not_semi_hard():
    x = torch.tensor([[-1.0], [0.0], [3.0], [6.0]], dtype=torch.float64)
    labels = torch.eye(2, dtype=torch.bool)[[0, 0, 1, 1]]
    # (0 + 2 + 3 + 0) / 4: the point 3 has the positive 6, and the negatives 0, as far, and -1
    assert triplet_loss(x, labels, 10.0, "semi_hard").item() == pytest.approx(1.25, rel=1e-12)


@pytest.mark.parametrize("mining", ["semi_hard", "batch_hard", "all"])
def test_triplet_of_one_class_is_zero_and_differentiable(mining):
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    loss = triplet_loss(x, torch.ones(4, 1, dtype=torch.bool), 1.0, mining)
    loss.backward()
    assert loss.item() == 0
    torch.testing.assert_close(x.grad, torch.zeros_like(x))


def test_unknown_mining_is_refused(batch):
    x, _, labels = batch
    with pytest.raises(OptionError, match="mining must be"):
        triplet_loss(x, labels, 1.0, "easy")


def test_cosine_softmax_equals_formula(batch):
    x, v, labels = batch
    expected = slow.cosine_softmax(x.numpy(), v.numpy(), labels.numpy(), 7.0)
    actual = cosine_softmax_loss(x, v, labels, sharpness=7.0)
    np.testing.assert_allclose(actual.item(), expected, **TOLERANCE)


def make_quantizer(dim, has_offset=True, temperature=0.7):
    torch.manual_seed(0)
    config = QuantizerConfig(3, 8, has_offset=has_offset, temperature=temperature)
    block = RecurrentQuantization(dim, config).double()
    with torch.no_grad():
        block.codebook.normal_()
        block.offset.normal_()
    return block


def test_recurrence_and_distortions_equal_formula(batch):
    x, _, _ = batch
    block = make_quantizer(5)
    soft, hard, codes = quantise(
        x.numpy(),
        block.codebook.detach().numpy(),
        block.level_scales().detach().numpy(),
        block.offset.numpy(),
        0.7,
    )
    output = block(x)
    np.testing.assert_array_equal(output.codes.numpy(), codes)
    np.testing.assert_allclose(output.soft.detach().numpy(), soft, **TOLERANCE)
    np.testing.assert_allclose(output.hard.detach().numpy(), hard, **TOLERANCE)
    e_soft, e_hard = distortion_losses(x, output)
    squares = ((x.numpy() - hard) ** 2).sum(axis=2).mean(axis=1)
    np.testing.assert_allclose(e_hard.detach().numpy(), squares, **TOLERANCE)
    squares = ((x.numpy() - soft) ** 2).sum(axis=2).mean(axis=1)
    np.testing.assert_allclose(e_soft.detach().numpy(), squares, **TOLERANCE)
    central = ((soft[-1] - hard[-1]) ** 2).sum(axis=1).mean()
    np.testing.assert_allclose(joint_central_loss(output).item(), central, **TOLERANCE)
    means = distortion_losses(x, output, "mean")
    torch.testing.assert_close(means[1] * 5, e_hard)


@pytest.mark.parametrize("mining", ["semi_hard", "batch_hard", "all"])
def test_gradient_of_triplet(batch, mining):
    x, _, labels = batch
    # 5.03: no term sits on the hinge, where a finite difference would straddle the kink.
    assert torch.autograd.gradcheck(
        lambda features: triplet_loss(features, labels, 5.03, mining), x.requires_grad_()
    )


def test_gradient_of_margin_and_softmax(batch):
    x, v, labels = batch
    x, v = x.requires_grad_(), v.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: adaptive_margin_loss(z, v.detach(), labels), x)
    assert torch.autograd.gradcheck(lambda f, w: cosine_softmax_loss(f, w, labels), (x, v))


def test_gradient_of_quantisation_losses(batch):
    x, _, _ = batch
    block = make_quantizer(5)

    def total(features, codebook, scales):
        output = torch.func.functional_call(
            block, {"codebook": codebook, "scales": scales}, features
        )
        soft, hard = distortion_losses(features, output)
        return soft.sum() + hard.sum() + 0.1 * joint_central_loss(output)

    codebook = block.codebook.detach().requires_grad_()
    scales = block.scales.detach().requires_grad_()
    assert torch.autograd.gradcheck(total, (x.requires_grad_(), codebook, scales))


def test_soft_path_carries_gradient_to_features(batch):
    x, _, _ = batch
    x = x.requires_grad_()
    output = make_quantizer(5)(x)
    (gradient,) = torch.autograd.grad(output.soft[-1].sum(), x)
    assert gradient.abs().max() > 1e-4
