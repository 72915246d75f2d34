"""The head: both parts of the feature as paper, authors' code and preset anybit want them."""

import pytest
import torch

from anybit.errors import OptionError
from anybit.models import ConcatHead, LinearHead


@pytest.fixture
def feature(rng):
    return torch.tensor(rng.standard_normal((5, 7)), dtype=torch.float32)


def test_paper_head_is_two_linear_layers_side_by_side(feature):
    head = ConcatHead(7, (6, 3))
    x, z = head(feature)
    wide = feature @ head.intermediate.weight.T + head.intermediate.bias
    narrow = wide @ head.embedding.weight.T + head.embedding.bias
    torch.testing.assert_close(x, torch.cat([wide, narrow], dim=1))
    torch.testing.assert_close(z, narrow)
    assert head.dim == 9


def test_nonlinear_head_rectifies_between_the_layers_and_bounds_z(feature):
    head = ConcatHead(7, (6, 3), is_nonlinear=True).eval()
    x, z = head(10 * feature)
    narrow = head.embedding(torch.relu(head.intermediate(10 * feature)))
    torch.testing.assert_close(z, torch.tanh(narrow))
    torch.testing.assert_close(x[:, 6:], narrow)


def test_parts_of_unit_length_count_alike(feature):
    head = ConcatHead(7, (6, 3), is_unit_length=True)
    x, z = head(feature)
    half = torch.full((5,), 0.5)
    torch.testing.assert_close(x[:, :6].square().sum(dim=1), half)
    torch.testing.assert_close(x[:, 6:].square().sum(dim=1), half)
    torch.testing.assert_close(z, x[:, 6:] * 2**0.5)


@pytest.mark.parametrize("is_unit_length", [False, True])
def test_without_concatenation_the_embedding_alone_is_the_feature(feature, is_unit_length):
    head = ConcatHead(7, (6, 3), is_unit_length=is_unit_length, is_concatenated=False)
    x, z = head(feature)
    assert head.dim == x.shape[1] == 3
    torch.testing.assert_close(x, z)


@pytest.mark.parametrize(
    ("activation", "function"),
    [("none", lambda x: x), ("tanh", torch.tanh), ("sigmoid", torch.sigmoid), ("relu", torch.relu)],
)
def test_linear_head_ends_with_its_activation(feature, activation, function):
    head = LinearHead(7, 3, hidden_dims=(4,), activation=activation)
    inner = torch.relu(feature @ head.hidden[0][0].weight.T + head.hidden[0][0].bias)
    wanted = function(inner @ head.linear.weight.T + head.linear.bias)
    torch.testing.assert_close(head(feature), wanted)
    assert head.dim == 3


def test_linear_head_scales_to_unit_length(feature):
    lengths = LinearHead(7, 3, is_unit_length=True)(feature).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(5))
    with pytest.raises(OptionError, match=r"activation must be one of none, tanh, .*got 'sine'"):
        LinearHead(7, 3, activation="sine")


@pytest.mark.parametrize("is_unit_length", [False, True])
@pytest.mark.parametrize(
    ("layers", "names", "dim"),
    [("wide", {"intermediate"}, 6), ("embedding", {"embedding"}, 3), ("none", set(), 7)],
)
def test_one_layer_or_none_makes_the_only_vector(feature, layers, names, dim, is_unit_length):
    head = ConcatHead(7, (6, 3), is_unit_length=is_unit_length, layers=layers)
    x, z = head(feature)
    expected = feature
    for name in names:
        layer = getattr(head, name)
        expected = feature @ layer.weight.T + layer.bias
    if is_unit_length:
        expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(x, expected)
    torch.testing.assert_close(z, x)
    assert head.dim == x.shape[1] == dim
    assert {name.split(".")[0] for name, _ in head.named_parameters()} == names


def test_a_nonlinear_embedding_alone_bounds_z(feature):
    head = ConcatHead(7, (6, 3), is_nonlinear=True, layers="embedding")
    x, z = head(10 * feature)
    torch.testing.assert_close(z, torch.tanh(x))
    assert x.abs().max() > 1


def test_reset_starts_every_layer_anew(feature):
    head = ConcatHead(7, (6, 3))
    before = {name: value.clone() for name, value in head.state_dict().items()}
    head.reset_parameters()
    assert not any(value.equal(before[name]) for name, value in head.state_dict().items())


def test_unknown_layers_are_refused():
    with pytest.raises(OptionError, match="both, wide, embedding, none, got 'narrow'"):
        ConcatHead(7, (6, 3), layers="narrow")
