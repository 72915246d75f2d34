"""Heads between backbone and quantiser: linear layers, and the two side by side of DRQ."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from anybit.errors import OptionError

__all__ = ["Activation", "ConcatHead", "HeadLayers", "LinearHead"]

Activation: TypeAlias = Literal["none", "tanh", "sigmoid", "relu"]
HeadLayers: TypeAlias = Literal["both", "wide", "embedding", "none"]
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
}


class LinearHead(nn.Module):
    """Map a backbone's feature to the vector that is quantised, by a linear layer at the end.

    Parameters
    ----------
    dim_in, dim : int
    hidden_dims : tuple of int
        Sizes of layers before it, each followed by a rectifier.
    activation : {"none", "tanh", "sigmoid", "relu"}
        After the last layer.
    is_unit_length : bool
        Scale the result to length 1.
    """

    def __init__(
        self,
        dim_in: int,
        dim: int,
        *,
        hidden_dims: tuple[int, ...] = (),
        activation: Activation = "none",
        is_unit_length: bool = False,
    ) -> None:
        super().__init__()
        if activation not in get_args(Activation):
            raise OptionError(
                f"activation must be one of {', '.join(get_args(Activation))}, got {activation!r}."
            )
        sizes = (dim_in, *hidden_dims)
        layers = [nn.Sequential(nn.Linear(*pair), nn.ReLU()) for pair in pairwise(sizes)]
        self.hidden = nn.Sequential(*layers)
        self.linear = nn.Linear(sizes[-1], dim)
        self.dim = dim
        self.activation = activation
        self.is_unit_length = is_unit_length

    def forward(self, feature: Tensor) -> Tensor:
        """Map (B, dim_in) to (B, dim)."""
        x: Tensor = self.linear(self.hidden(feature))
        if self.activation != "none":
            x = _ACTIVATIONS[self.activation](x)
        return nn.functional.normalize(x) if self.is_unit_length else x


class ConcatHead(nn.Module):
    """Map a backbone's feature to DRQ's feature x and its semantic part z.

    Parameters
    ----------
    dim_in : int
        Dimension of the backbone's feature (4096 for fc7).
    dims : tuple of int
        Sizes of the intermediate layer and of the embedding: (1748, 300) in the paper, (212, 300)
        in the authors' code.
    is_nonlinear : bool
        Rectifier and dropout between the two layers, and tanh on z (authors' code); linear
        otherwise (paper).
    is_unit_length : bool
        Scale each part of x to the same length, so that x, and z, have length 1. Of a whole that
        is only scaled the intermediate layer takes nearly all, and z, which knows the classes
        best, hardly counts in the ranking.
    is_concatenated : bool
        x is both layers side by side; the embedding alone otherwise (an ablation of the paper).
    layers : {"both", "wide", "embedding", "none"}
        Layers that there are. The other three are ablations of the paper: one layer of size
        ``dims[0]``, one of size ``dims[1]``, each on the backbone's feature, or that feature as it
        is. x is then the only vector there is, and z the same, but for tanh on an embedding.

    Raises
    ------
    OptionError
        If `layers` is none of these.

    References
    ----------
    Song et al., IJCAI 2019, section 3.1 (as reconstructed); section 4.3 (ablations).
    """

    def __init__(
        self,
        dim_in: int,
        dims: tuple[int, int] = (1748, 300),
        *,
        is_nonlinear: bool = False,
        is_unit_length: bool = False,
        is_concatenated: bool = True,
        layers: HeadLayers = "both",
    ) -> None:
        super().__init__()
        if layers not in get_args(HeadLayers):
            raise OptionError(
                f"head layers must be one of {', '.join(get_args(HeadLayers))}, got {layers!r}."
            )
        self.dim = dim_in
        if layers in ("both", "wide"):
            self.intermediate = nn.Linear(dim_in, dims[0])
            self.dim = dims[0]
        if layers in ("both", "embedding"):
            self.embedding = nn.Linear(dims[0] if layers == "both" else dim_in, dims[1])
            self.dim = dims[0] + dims[1] if layers == "both" and is_concatenated else dims[1]
        self.layers = layers
        self.is_nonlinear = is_nonlinear
        self.is_unit_length = is_unit_length
        self.is_concatenated = is_concatenated
        self.dropout = nn.Dropout(0.5)

    def reset_parameters(self) -> None:
        """Start the layers anew."""
        for layer in self.children():
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, dim_in) to x (B, dim) and z (B, dims[1])."""
        if self.layers != "both":
            return self._one_layer(feature)
        wide = self.intermediate(feature)  # (B, 1748)
        entry = self.dropout(torch.relu(wide)) if self.is_nonlinear else wide
        narrow = self.embedding(entry)  # (B, 300)
        z = torch.tanh(narrow) if self.is_nonlinear else narrow
        if self.is_unit_length:
            wide, narrow, z = map(nn.functional.normalize, (wide, narrow, z))
        if not self.is_concatenated:
            return narrow, z
        if self.is_unit_length:
            return torch.cat([wide, narrow], dim=1) / 2**0.5, z
        return torch.cat([wide, narrow], dim=1), z  # (B, 2048), (B, 300)

    def _one_layer(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, dim_in) to x and z by the layer that there is, if any."""
        x = feature
        if self.layers == "wide":
            x = self.intermediate(feature)
        elif self.layers == "embedding":
            x = self.embedding(feature)
        z = torch.tanh(x) if self.is_nonlinear and self.layers == "embedding" else x
        if self.is_unit_length:
            x, z = map(nn.functional.normalize, (x, z))
        return x, z
