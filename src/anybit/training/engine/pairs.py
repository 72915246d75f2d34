"""Pairs of a batch: which images share a label, and losses over all pairs."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = ["shared_labels", "squared_pair_loss"]


def shared_labels(labels: Tensor) -> Tensor:
    """Tell of each pair of images whether they share a label: (B, C) to (B, B), bool."""
    weights = labels.to(torch.float32)
    return (weights @ weights.T) > 0


def squared_pair_loss(
    similarities: Tensor,
    labels: Tensor,
    reduction: Literal["sum", "mean"] = "sum",
    is_balanced: bool = False,
) -> Tensor:
    """Compute ``(s_ij - similarity_ij)^2`` over all pairs; s is 1 where a label is shared, else -1.

    Parameters
    ----------
    similarities : Tensor of shape (B, B)
    labels : Tensor of shape (B, C), bool
    reduction : {"sum", "mean"}
        Over the B^2 ordered pairs.
    is_balanced : bool
        Weigh similar and dissimilar pairs so that each kind counts half.

    Returns
    -------
    Tensor
        Scalar.
    """
    is_similar = shared_labels(labels)  # (B, B)
    wanted = torch.where(is_similar, 1.0, -1.0)
    terms = (wanted - similarities).square()
    if is_balanced:
        share = is_similar.to(terms.dtype).mean()
        if 0 < share < 1:
            terms = terms * torch.where(is_similar, 0.5 / share, 0.5 / (1 - share))
    return terms.sum() if reduction == "sum" else terms.mean()
