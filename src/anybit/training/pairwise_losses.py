"""The losses of DQN: the similarity of every pair of images, from their features."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = ["pairwise_cosine_loss", "pairwise_inner_product_loss"]


def pairwise_cosine_loss(
    features: Tensor,
    labels: Tensor,
    *,
    reduction: Literal["sum", "mean"] = "sum",
    is_balanced: bool = False,
) -> Tensor:
    """Compute L of DQN: ``(s_ij - cos(z_i, z_j))^2`` over the pairs of a batch.

    ``s_ij`` is 1 where two images share a label, -1 elsewhere.

    Parameters
    ----------
    features : Tensor of shape (B, D)
        z, of any length above 0.
    labels : Tensor of shape (B, C), bool
    reduction : {"sum", "mean"}
        Over all B^2 ordered pairs, those of an image with itself included (they cost nothing):
        the sum of the paper, the mean of the authors' code.
    is_balanced : bool
        Weigh similar and dissimilar pairs so that each kind counts half; not in the paper. With C
        classes of one size similar pairs are one in C.

    Returns
    -------
    Tensor
        Scalar.

    References
    ----------
    Cao et al., "Deep Quantization Network for Efficient Image Retrieval", AAAI 2016, eq. 3.
    """
    unit = torch.nn.functional.normalize(features)
    return _pair_loss(unit @ unit.T, labels, reduction, is_balanced)


def pairwise_inner_product_loss(
    features: Tensor,
    labels: Tensor,
    *,
    reduction: Literal["sum", "mean"] = "sum",
    is_balanced: bool = False,
) -> Tensor:
    """Compute L of DQNip: ``(s_ij - <z_i, z_j> / B)^2`` over the pairs of a batch, with B = D.

    Parameters
    ----------
    features : Tensor of shape (B, D)
    labels : Tensor of shape (B, C), bool
    reduction, is_balanced
        See `pairwise_cosine_loss`. A pair of an image with itself asks for the length sqrt(D).

    Returns
    -------
    Tensor
        Scalar.

    Notes
    -----
    B is the feature dimension D. The loss comes from hashing, where z has one coordinate of -1 or
    1 a bit, and dividing by their number makes inner products fill [-1, 1]. Here coordinates are
    real and D of them are quantised together, so D takes that place; with the bits of the code
    the length of the features would depend on K and M, which change nothing in the network.

    References
    ----------
    Cao et al., AAAI 2016, section 4 (variant DQNip).
    """
    return _pair_loss(features @ features.T / features.shape[1], labels, reduction, is_balanced)


def _pair_loss(
    similarities: Tensor, labels: Tensor, reduction: Literal["sum", "mean"], is_balanced: bool
) -> Tensor:
    """Compare similarities (B, B) with s, 1 where a label is shared and -1 elsewhere."""
    weights = labels.to(similarities.dtype)
    is_similar = (weights @ weights.T) > 0  # (B, B)
    wanted = torch.where(is_similar, 1.0, -1.0)
    terms = (wanted - similarities).square()
    if is_balanced:
        share = is_similar.to(terms.dtype).mean()
        if 0 < share < 1:
            terms = terms * torch.where(is_similar, 0.5 / share, 0.5 / (1 - share))
    return terms.sum() if reduction == "sum" else terms.mean()
