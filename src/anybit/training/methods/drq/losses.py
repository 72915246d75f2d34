"""The losses of DRQ, each a plain function of tensors."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from anybit.errors import OptionError
from anybit.models import RecurrentOutput
from anybit.training.engine.pairs import shared_labels

__all__ = [
    "adaptive_margin_loss",
    "cosine_softmax_loss",
    "distortion_losses",
    "joint_central_loss",
    "triplet_loss",
]


def adaptive_margin_loss(
    embeddings: Tensor, label_vectors: Tensor, labels: Tensor, *, is_masked: bool = True
) -> Tensor:
    """Compute L_A: an image is closer to its labels' vectors than to others', by their distance.

    The sum over positive labels i and negative labels j of
    ``max(0, 1 - cos(v_i, v_j) - cos(v_i, z) + cos(v_j, z))``, mean over images.

    Parameters
    ----------
    embeddings : Tensor of shape (B, D_z)
        The semantic part z.
    label_vectors : Tensor of shape (C, D_z)
        One vector v per class, of any length above 0.
    labels : Tensor of shape (B, C), bool
    is_masked : bool
        Negatives are the labels that the image does not have (paper); otherwise all labels (the
        authors' code, where co-positive labels act as negatives).

    Returns
    -------
    Tensor
        Scalar. The sum is divided by (positive labels of the batch) times C.

    References
    ----------
    Song et al., IJCAI 2019, section 3.1 (as reconstructed); Cao et al., "Deep Visual-Semantic
    Quantization", CVPR 2017.

    Notes
    -----
    The paper sums; the division (authors' code) keeps the size of the loss independent of the
    batch and of the number of classes.
    """
    vectors = torch.nn.functional.normalize(label_vectors)
    closeness = torch.nn.functional.normalize(embeddings) @ vectors.T  # (B, C)
    margins = 1 - vectors @ vectors.T  # (C, C)
    terms = torch.relu(margins - closeness[:, :, None] + closeness[:, None, :])  # (B, C, C)
    is_pair = labels[:, :, None].expand_as(terms)
    if is_masked:
        is_pair = is_pair & ~labels[:, None, :]
    n_positives = labels.sum().clamp_min(1)
    return (terms * is_pair).sum() / (n_positives * labels.shape[1])


def triplet_loss(
    features: Tensor,
    labels: Tensor,
    margin: float,
    mining: Literal["semi_hard", "batch_hard", "all"] = "semi_hard",
) -> Tensor:
    """Compute L_T: ``max(0, |a - p|^2 - |a - n|^2 + margin)`` over triplets found in the batch.

    Parameters
    ----------
    features : Tensor of shape (B, D)
    labels : Tensor of shape (B, C), bool
        A positive shares a label with the anchor, a negative shares none.
    margin : float
        In squared distance.
    mining : {"semi_hard", "batch_hard", "all"}
        For each anchor and positive, the nearest negative farther than the positive, or the
        farthest negative where there is none (authors' code); for each anchor the farthest
        positive and nearest negative; or every triplet.

    Returns
    -------
    Tensor
        Scalar, mean over the triplets; 0 when the batch has none.

    References
    ----------
    Song et al., IJCAI 2019, section 3.1; Schroff et al., "FaceNet", CVPR 2015 (semi-hard).
    """
    sq_norms = features.square().sum(dim=1)
    cross = features @ features.T
    distances = (sq_norms[:, None] + sq_norms[None, :] - 2 * cross).clamp_min(0)  # (B, B)
    shares = shared_labels(labels)  # (B, B)
    itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
    positive, negative = shares & ~itself, ~shares
    if mining == "batch_hard":
        farthest = distances.masked_fill(~positive, -torch.inf).amax(dim=1)
        nearest = distances.masked_fill(~negative, torch.inf).amin(dim=1)
        active = positive.any(dim=1) & negative.any(dim=1)
        terms = torch.relu(farthest[active] - nearest[active] + margin)
        return terms.mean() if len(terms) else features.sum() * 0
    gap = distances[:, :, None] - distances[:, None, :]  # (B anchor, B positive, B negative)
    triplets = positive[:, :, None] & negative[:, None, :]
    if mining == "all":
        terms = torch.relu(gap + margin)[triplets]
        return terms.mean() if len(terms) else features.sum() * 0
    if mining != "semi_hard":
        raise OptionError(f"mining must be semi_hard, batch_hard or all, got {mining!r}.")
    beyond = triplets & (gap < 0)
    nearest_beyond = gap.masked_fill(~beyond, -torch.inf).amax(dim=2)  # (B, B)
    farthest_within = gap.masked_fill(~triplets, torch.inf).amin(dim=2)
    chosen = torch.where(beyond.any(dim=2), nearest_beyond, farthest_within)
    terms = torch.relu(chosen + margin)[triplets.any(dim=2)]
    return terms.mean() if len(terms) else features.sum() * 0


def cosine_softmax_loss(
    features: Tensor, proxies: Tensor, labels: Tensor, *, sharpness: float = 16.0
) -> Tensor:
    """Compute the cross entropy of a softmax over cosines with one proxy per class.

    Parameters
    ----------
    features : Tensor of shape (B, D)
    proxies : Tensor of shape (C, D)
        Learned; only their directions count.
    labels : Tensor of shape (B, C), bool
        The target is uniform over an image's labels; images without a label are left out.
    sharpness : float
        Factor on the cosines.

    Returns
    -------
    Tensor
        Scalar, mean over the images with labels.

    Notes
    -----
    Not in the papers. Preset ``anybit`` adds it: adaptive margin and triplets, trained briefly,
    know the class and still rank badly.

    References
    ----------
    Wang et al., "NormFace", ACM Multimedia 2017.
    """
    unit = torch.nn.functional.normalize
    logits = sharpness * unit(features) @ unit(proxies).T  # (B, C)
    target = labels.to(logits.dtype)
    n_labels = target.sum(dim=1)
    labelled = n_labels > 0
    if not labelled.any():
        return logits.sum() * 0
    log_p = torch.log_softmax(logits[labelled], dim=1)
    return -(target[labelled] * log_p).sum(dim=1).div(n_labels[labelled]).mean()


def distortion_losses(
    x: Tensor, output: RecurrentOutput, reduction: Literal["sum", "mean"] = "sum"
) -> tuple[Tensor, Tensor]:
    """Compute E_S and E_H of every prefix: ``|x - sum of the levels up to t|^2``.

    Parameters
    ----------
    x : Tensor of shape (B, D)
    output : RecurrentOutput
    reduction : {"sum", "mean"}
        Over the dimensions: sum (paper) or mean (authors' code). Always the mean over images.

    Returns
    -------
    soft, hard : Tensor of shape (L,)

    References
    ----------
    Song et al., IJCAI 2019, section 3.3 (as reconstructed).
    """
    soft = (x - output.soft).square().sum(dim=2).mean(dim=1)  # (L,)
    hard = (x - output.hard).square().sum(dim=2).mean(dim=1)  # (L,)
    if reduction == "mean":
        return soft / x.shape[1], hard / x.shape[1]
    return soft, hard


def joint_central_loss(
    output: RecurrentOutput, reduction: Literal["sum", "mean"] = "sum"
) -> Tensor:
    """Compute ``|Q_S(x) - Q_H(x)|^2`` at the last level, mean over images.

    References
    ----------
    Song et al., IJCAI 2019, section 3.3 (as reconstructed); the last level alone as in the
    authors' code.
    """
    gap = (output.soft[-1] - output.hard[-1]).square()
    return gap.sum(dim=1).mean() if reduction == "sum" else gap.mean()
