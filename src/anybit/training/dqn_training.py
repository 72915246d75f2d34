"""How DQN is trained: the network by back-propagation, codebooks and codes in closed form."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from anybit.errors import DataError, DependencyError
from anybit.models import DQN
from anybit.quantizers import ProductFitOptions, fit_product
from anybit.training.dqn_presets import DQNPreset, dqn_preset
from anybit.training.method import Batch
from anybit.training.options import TrainOptions
from anybit.training.pairwise_losses import pairwise_cosine_loss, pairwise_inner_product_loss
from anybit.training.plain_images import PlainImages
from anybit.training.stages import Stage, stage_at

__all__ = ["DQNTraining"]

_STAGES = (Stage("similarity", 1), Stage("similarity and codes", 2))
# Turns of both steps after the last epoch; on features of CIFAR-10 the error settles before.
_REFIT_ITERATIONS = 25
# A subspace that uses less than half of its codewords says less than its bits could.
_SMALL_USAGE = 0.5


class DQNTraining:
    """Deep Quantization Network, as the training loop sees it (`Method`).

    Minimises ``L + lambda Q`` in turns: the network by back-propagation with codebooks C and codes
    h fixed (`losses`), then, between epochs, C in closed form, and h by exact assignment
    (`begin_epoch`). The codes h of all training images are kept, as the paper writes it: a random
    view of an image is drawn to the code of the image as it is.

    Parameters
    ----------
    model : DQN
        On its device.
    options : TrainOptions
    images : PlainImages
    n_items : int
        Images in the source.

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
        self, model: DQN, options: TrainOptions, images: PlainImages, n_items: int
    ) -> None:
        # Said before hours of training, not after them.
        if options.method == "dqn2+" and find_spec("faiss") is None:
            raise DependencyError("dqn2+ needs FAISS: pip install 'anybit[faiss]'.")
        _check_enough(n_items, model)
        self.model, self.images = model, images
        self.preset: DQNPreset = dqn_preset(options)
        self.seed = options.seed
        self.objective = nn.Module()  # cosines and squared errors learn nothing of their own
        self.optimizers: tuple[Optimizer, ...] = ()
        quantizer = model.quantizer
        n_levels = quantizer.config.n_levels
        # h of every training image, (M, N)
        self.codes = torch.zeros(
            n_levels, n_items, dtype=torch.uint8, device=quantizer.codebooks.device
        )
        self.fit_report: dict[str, Any] = {}

    def stage_at(self, epoch: int) -> Stage:
        """Return the stage of an epoch counted from 0."""
        return stage_at(epoch, self.preset.epochs, _STAGES)

    def begin_epoch(self, epoch: int) -> None:
        """Update codebooks and codes, where it is their turn."""
        since = epoch - self.preset.epochs[0]
        if since >= 0 and since % self.preset.update_every == 0:
            self._update_codes(is_first=since == 0, n_iterations=1)

    def losses(self, batch: Batch, stage: Stage, step: int) -> dict[str, Tensor]:
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

    def after_step(self) -> None:
        """Nothing: codebooks and codes wait for the end of the epoch."""

    def end_epoch(self, stage: Stage, step: int) -> dict[str, Any]:
        """Return the figures of the last update."""
        return dict(self.fit_report) if stage.number == 2 else {}

    def finish(self, batch_size: int) -> None:
        """Give the finished network its codebooks: OPQ for DQN2+, one more update otherwise."""
        if self.model.config.variant == "dqn2+":
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
        _check_enough(len(vectors), self.model)
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


def _check_enough(n_images: int, model: DQN) -> None:
    """Refuse fewer images than k-means, or the principal components of OPQ, can do with."""
    n_codewords, is_opq = model.config.quantizer.n_codewords, model.config.variant == "dqn2+"
    if n_images < n_codewords:
        raise DataError(
            f"at least {n_codewords} images are needed to learn {n_codewords} codewords, got "
            f"{n_images}. Give more images, or ask for fewer codewords."
        )
    if is_opq and n_images < model.config.dim:
        raise DataError(
            f"dqn2+ needs at least as many images as the feature has dimensions, "
            f"{model.config.dim}, got {n_images}. Give more images, or train dqn."
        )
