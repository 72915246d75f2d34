"""The sign block of hash methods: one bit for each dimension."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from anybit.codes import MOST_LEVELS, Codebooks
from anybit.errors import OptionError, ShapeError
from anybit.models.quantizer_block import QuantizerBlock
from anybit.types import Comparison, Metric

__all__ = ["SignConfig", "SignOutput", "SignQuantization"]


@dataclass(frozen=True)
class SignConfig:
    """Settings of the sign block.

    Parameters
    ----------
    n_levels : int
        Bits of a code, as many as the feature has dimensions.
    metric : {"ip", "l2", "cosine"}
        How queries are compared with the signs.
    comparison : {"sqd", "aqd"}
        By the signs of the query, the order of Hamming distances, or by the query as it is.
    """

    n_levels: int = 32
    metric: Metric = "ip"
    comparison: Comparison = "sqd"

    def __post_init__(self) -> None:
        if not 1 <= self.n_levels <= MOST_LEVELS:
            raise OptionError(f"n_levels must be from 1 to {MOST_LEVELS}, got {self.n_levels}.")


@dataclass(frozen=True)
class SignOutput:
    """What the block makes of a batch.

    Parameters
    ----------
    hard : Tensor of shape (B, D)
        Signs: -1 or +1.
    codes : Tensor of shape (D, B), int64
        0 for -1, 1 for +1.
    """

    hard: Tensor
    codes: Tensor


class SignQuantization(QuantizerBlock):
    """Quantise each dimension to its sign; 0 counts as +1. There is nothing to learn.

    Parameters
    ----------
    dim : int
        Dimension D of the feature.
    config : SignConfig

    Raises
    ------
    OptionError
        If D is not the number of bits.
    """

    def __init__(self, dim: int, config: SignConfig) -> None:
        super().__init__()
        if dim != config.n_levels:
            raise OptionError(
                f"the feature dimension must be the {config.n_levels} bits of the code, got {dim}."
            )
        self.config = config

    def forward(self, x: Tensor) -> SignOutput:
        """Quantise features (B, D)."""
        is_positive = x >= 0
        hard = torch.where(is_positive, 1.0, -1.0).to(x.dtype)  # (B, D)
        return SignOutput(hard, is_positive.T.long())

    def set_codebooks(self, codebooks: Codebooks) -> None:
        """Check that codebooks are those of this block.

        Raises
        ------
        ShapeError
            If they are others.
        """
        if codebooks.kind != "signs" or codebooks.n_levels != self.config.n_levels:
            raise ShapeError(
                f"codebooks must be of kind signs with {self.config.n_levels} bits, got "
                f"{codebooks.kind} with {codebooks.bits}."
            )

    def export_codebooks(self) -> Codebooks:
        """Return the codebooks -1 and +1 of each bit."""
        config = self.config
        return Codebooks.signs(config.n_levels, metric=config.metric, comparison=config.comparison)
