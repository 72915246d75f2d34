"""Deep Quantization Network and its two variants: losses, presets, training."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from anybit.data import Labels
from anybit.errors import DataError, DependencyError
from anybit.models import DQN, BackboneConfig, DQNConfig, DQNVariant, ProductConfig
from anybit.quantizers import ProductFitOptions, fit_product
from anybit.training.engine.definition import MethodDefinition
from anybit.training.engine.method import BaseMethod, BatchOutputs
from anybit.training.engine.pairs import squared_pair_loss
from anybit.training.engine.plain_images import PlainImages
from anybit.training.engine.presets import OptimizerOptions, Preset
from anybit.training.engine.stages import Stage
from anybit.training.engine.train_options import TrainOptions

__all__ = [
    "DQN_METHOD",
    "INNER_PRODUCT_METHOD",
    "TWO_STEP_METHOD",
    "DQNLossOptions",
    "DQNPreset",
    "DQNTraining",
    "pairwise_cosine_loss",
    "pairwise_inner_product_loss",
]

# Turns of both steps after the last epoch; on features of CIFAR-10 the error settles before.
_REFIT_ITERATIONS = 25
# A subspace that uses less than half of its codewords says less than its bits could.
_SMALL_USAGE = 0.5


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
    return squared_pair_loss(unit @ unit.T, labels, reduction, is_balanced)


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
    return squared_pair_loss(
        features @ features.T / features.shape[1], labels, reduction, is_balanced
    )


@dataclass(frozen=True)
class DQNLossOptions:
    """Weights and variants of ``L + lambda Q``.

    Parameters
    ----------
    quantization_weight : float
        lambda.
    reduction : {"sum", "mean"}
        L over the pairs, Q over the images of a batch: sums (paper) or means (authors' code). The
        same lambda weighs Q less under sums: there are B^2 pairs and B images.
    is_balanced : bool
        Similar and dissimilar pairs count half each.
    is_relative : bool
        Q in units of the mean squared length of the batch's features, so that one lambda suits
        features of every length, and shrinking them gains nothing.
    """

    quantization_weight: float = 0.1
    reduction: Literal["sum", "mean"] = "sum"
    is_balanced: bool = False
    is_relative: bool = False


@dataclass(frozen=True)
class DQNPreset(Preset[DQNLossOptions]):
    """A preset of DQN; see `Preset` for the fields that all methods have.

    Parameters
    ----------
    losses : DQNLossOptions
    quantizer, head : dict
        Overrides of `ProductConfig`, and of the head's fields in `DQNConfig`.
    epochs : tuple of int
        Of the two stages: lambda = 0; L + lambda Q. DQN2+ spends them all on the first.
    codebook_update : {"closed_form", "kmeans"}
        The means of the members, then the best codes (paper); k-means anew (authors' code, whose
        closed form is never called).
    update_every : int
        Epochs between two updates of codebooks and codes.
    is_refitted : bool
        After the last epoch take turns of both steps on the training features until they settle.
    """

    stages: ClassVar[tuple[str, ...]] = ("similarity", "similarity and codes")

    losses: DQNLossOptions = field(default_factory=DQNLossOptions)
    epochs: tuple[int, ...] = (0, 16)
    codebook_update: Literal["closed_form", "kmeans"] = "closed_form"
    update_every: int = 1
    is_refitted: bool = False


_PRESETS: dict[str, DQNPreset] = {
    "anybit": DQNPreset(
        "anybit",
        losses=DQNLossOptions(0.1, "mean", is_balanced=True, is_relative=True),
        scratch=OptimizerOptions("sgd", 0.1, weight_decay=5e-4, schedule="one_cycle"),
        fine_tune=OptimizerOptions(
            "adamw", 1e-3, 0.2, weight_decay=1e-2, schedule="one_cycle", is_batch_norm_frozen=True
        ),
        quantizer={"metric": "ip"},
        # 240 is a multiple of 1 to 6, 8, 10, 12, 15 and 16 subspaces.
        head={"dim": 240, "is_unit_length": True},
        epochs=(11, 5),
        batch_size=128,
        is_refitted=True,
        first_scale=0.625,
    ),
    "paper": DQNPreset(
        "paper",
        # Adam does not see the size of the loss; a sum over pairs grows with the batch squared.
        scratch=OptimizerOptions("adam", 1e-3),
        fine_tune=OptimizerOptions("adam", 1e-3, pretrained_factor=0.1, is_batch_norm_frozen=True),
        quantizer={"metric": "l2"},
        head={"dim": 300},
        epochs=(0, 16),
    ),
    "official": DQNPreset(
        "official",
        losses=DQNLossOptions(quantization_weight=1e-4, reduction="mean"),
        # Their multipliers: 10 for new weights, 20 for new biases, 1 for pretrained weights, 2 for
        # pretrained biases, of a base rate of 0.002.
        scratch=OptimizerOptions(
            "sgd", 0.02, bias_factor=2.0, schedule="halving", is_nesterov=False
        ),
        fine_tune=OptimizerOptions(
            "sgd",
            0.02,
            pretrained_factor=0.1,
            bias_factor=2.0,
            pretrained_bias_factor=2.0,
            schedule="halving",
            is_batch_norm_frozen=True,
            is_nesterov=False,
        ),
        quantizer={"metric": "ip"},
        head={"dim": 300},
        epochs=(1, 255),  # their 5,000 steps are 256 epochs of CIFAR-10's 5,000 training images
        batch_size=256,
        codebook_update="kmeans",
        update_every=2,
    ),
}


class DQNTraining(BaseMethod[DQN, DQNPreset]):
    """Deep Quantization Network, as the training loop sees it; see `BaseMethod`.

    Minimises ``L + lambda Q`` in turns: the network by back-propagation with codebooks C and codes
    h fixed (`losses`), then, between epochs, C in closed form, and h by exact assignment
    (`begin_epoch`). The codes h of all training images are kept, as the paper writes it: a random
    view of an image is drawn to the code of the image as it is.

    Raises
    ------
    DependencyError
        If the variant needs FAISS and it is missing.
    DataError
        If there are fewer images than codewords, or than dimensions for OPQ.

    References
    ----------
    Cao et al., "Deep Quantization Network for Efficient Image Retrieval", AAAI 2016, section 3.
    """

    def __init__(
        self,
        model: DQN,
        preset: DQNPreset,
        images: PlainImages,
        labels: Labels,
        options: TrainOptions,
    ) -> None:
        super().__init__(model, preset, images, labels, options)
        self.is_two_step = model.config.variant == "dqn2+"
        # Check this before training starts.
        if self.is_two_step and find_spec("faiss") is None:
            raise DependencyError("dqn2+ needs FAISS: pip install 'anybit[faiss]'.")
        self._check_enough(len(labels))
        quantizer = model.quantizer
        # h of every training image, (M, N)
        self.codes = torch.zeros(
            quantizer.config.n_levels,
            len(labels),
            dtype=torch.uint8,
            device=quantizer.codebooks.device,
        )
        self.fit_report: dict[str, Any] = {}

    def begin_epoch(self, epoch: int) -> None:
        """Update codebooks and codes, where it is their turn."""
        since = epoch - self.preset.epochs[0]
        if since >= 0 and since % self.preset.update_every == 0:
            self._update_codes(is_first=since == 0, n_iterations=1)

    def losses(self, batch: BatchOutputs, stage: Stage, step: int) -> dict[str, Tensor]:
        """Return L, and in the second stage lambda Q with the codes that the images have."""
        (z,) = batch.outputs
        options = self.preset.losses
        is_ip = self.model.config.variant == "dqnip"
        loss = pairwise_inner_product_loss if is_ip else pairwise_cosine_loss
        losses = {
            "similarity": loss(
                z, batch.labels, reduction=options.reduction, is_balanced=options.is_balanced
            )
        }
        if stage.number == 2:
            codes = self.codes[:, batch.positions].long()  # (M, B)
            error = self.model.quantizer.quantization_loss(z, codes)
            if options.reduction == "mean":
                error = error / len(z)
            if options.is_relative:
                error = error / z.detach().square().sum(dim=1).mean().clamp_min(1e-12)
            losses["quantization"] = options.quantization_weight * error
        return losses

    def end_epoch(self, stage: Stage, step: int) -> dict[str, Any]:
        """Return the figures of the last update."""
        return dict(self.fit_report) if stage.number == 2 else {}

    def finish(self, batch_size: int) -> None:
        """Give the finished network its codebooks: OPQ for DQN2+, one more update otherwise."""
        if self.is_two_step:
            self._fit_opq()
        else:
            n_iterations = _REFIT_ITERATIONS if self.preset.is_refitted else 1
            self._update_codes(is_first=self.preset.epochs[1] == 0, n_iterations=n_iterations)

    @torch.no_grad()
    def _update_codes(self, *, is_first: bool, n_iterations: int) -> None:
        """Take turns of both steps on the images' present features, or start them by k-means."""
        quantizer = self.model.quantizer
        rows, vectors = self.images.vectors()
        positions = torch.from_numpy(rows).to(self.codes.device)
        z = torch.from_numpy(vectors).to(self.codes.device)  # (N, D)
        if is_first or self.preset.codebook_update == "kmeans":
            codes = quantizer.start(z, seed=self.seed)
        else:
            codes = quantizer.improve(z, self.codes[:, positions].long(), n_iterations)
        self.codes[:, positions] = codes.to(torch.uint8)
        self._report(z, codes)

    @torch.no_grad()
    def _fit_opq(self) -> None:
        """Fit rotation and codebooks to the features of the training images."""
        config = self.model.config.quantizer
        _, vectors = self.images.vectors()
        self._check_enough(len(vectors))
        fitted = fit_product(
            vectors,
            ProductFitOptions(
                n_levels=config.n_levels,
                n_codewords=config.n_codewords,
                has_rotation=True,
                metric=config.metric,
                seed=self.seed,
            ),
        )
        self.model.quantizer.set_codebooks(fitted.codebooks)
        z = torch.from_numpy(vectors).to(self.codes.device)
        self._report(z, self.model.quantizer.assign(z))

    def _report(self, z: Tensor, codes: Tensor) -> None:
        """Remember how well the codes (M, N) describe the features (N, D)."""
        quantizer = self.model.quantizer
        n_codewords = quantizer.config.n_codewords
        self.fit_report = {
            "n_features": len(z),
            "distortion": float(quantizer.quantization_loss(z, codes)) / len(z),
            "mean_sq_norm": float(z.square().sum()) / len(z),
            "usage": [len(plane.unique()) / n_codewords for plane in codes],
        }

    def report(self) -> dict[str, Any]:
        """Say how well the codes describe the training images, and which subspaces say little."""
        warnings = [
            f"subspace {level} uses only {share:.0%} of its codewords: its features vary little"
            for level, share in enumerate(self.fit_report.get("usage", []))
            if share < _SMALL_USAGE
        ]
        return {"last_fit": self.fit_report, "warnings": warnings}

    def state(self) -> dict[str, Any]:
        """Return the codes of the training images."""
        return {"codes": self.codes.cpu(), "fit_report": self.fit_report}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.codes = state["codes"].to(self.codes.device)
        self.fit_report = state["fit_report"]

    def _check_enough(self, n_images: int) -> None:
        """Refuse fewer images than k-means, or the principal components of OPQ, can do with."""
        config = self.model.config
        n_codewords = config.quantizer.n_codewords
        if n_images < n_codewords:
            raise DataError(
                f"at least {n_codewords} images are needed to learn {n_codewords} codewords, got "
                f"{n_images}. Give more images, or ask for fewer codewords."
            )
        if self.is_two_step and n_images < config.dim:
            raise DataError(
                f"dqn2+ needs at least as many images as the feature has dimensions, "
                f"{config.dim}, got {n_images}. Give more images, or train dqn."
            )


def _architecture(
    backbone: BackboneConfig, preset: DQNPreset, options: TrainOptions, variant: DQNVariant
) -> DQNConfig:
    settings = {
        "n_levels": options.n_levels,
        "n_codewords": options.n_codewords,
        "has_rotation": variant == "dqn2+",
        **preset.quantizer,
    }
    if options.metric is not None:
        settings["metric"] = options.metric
    return DQNConfig(backbone, ProductConfig(**settings), variant=variant, **preset.head)


def _one_stage(preset: DQNPreset) -> DQNPreset:
    """Spend all epochs on the first stage."""
    return replace(preset, epochs=(sum(preset.epochs), 0))


# Inner products need features of free length, and with momentum 0.1 these collapse: 2,500 pictures
# of CIFAR-10, 6 epochs, mAP .116 (AdamW .182, DQN itself .253).
_INNER_PRODUCT_PRESETS = {
    name: replace(preset, head={**preset.head, "is_unit_length": False})
    for name, preset in _PRESETS.items()
}
_INNER_PRODUCT_PRESETS["anybit"] = replace(
    _INNER_PRODUCT_PRESETS["anybit"],
    scratch=OptimizerOptions("adamw", 3e-3, weight_decay=1e-2, schedule="one_cycle"),
)

DQN_METHOD = MethodDefinition(_PRESETS, DQN, partial(_architecture, variant="dqn"), DQNTraining)
TWO_STEP_METHOD = replace(
    DQN_METHOD, architecture=partial(_architecture, variant="dqn2+"), settled=_one_stage
)
INNER_PRODUCT_METHOD = replace(
    DQN_METHOD,
    presets=_INNER_PRODUCT_PRESETS,
    architecture=partial(_architecture, variant="dqnip"),
)
