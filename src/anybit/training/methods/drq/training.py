"""Training of DRQ: losses of the three stages, and the codebook between the epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from anybit.codes import Codebooks
from anybit.data import Labels
from anybit.errors import OptionError
from anybit.models import DRQ
from anybit.quantizers import (
    FitResult,
    KMeansOptions,
    RecurrentFitOptions,
    fit_kmeans,
    fit_recurrent,
)
from anybit.training.engine.method import BaseMethod, BatchOutputs
from anybit.training.engine.optimizers import make_quantizer_optimizer
from anybit.training.engine.plain_images import PlainImages
from anybit.training.engine.stages import Stage
from anybit.training.engine.train_options import TrainOptions
from anybit.training.methods.drq.head_tuning import HeadSchedule, tune_head
from anybit.training.methods.drq.label_vectors import load_label_vectors, orthogonal_label_vectors
from anybit.training.methods.drq.objective import Objective
from anybit.training.methods.drq.presets import DRQPreset
from anybit.types import Float32Array

__all__ = ["DRQTraining"]

_START_IMAGES = 10_000
_REFIT_IMAGES = 100_000
_OFFSET_MOMENTUM = 0.01
# A level whose scale is below 2 % of the first level's has collapsed.
_SMALL_SCALE = 0.02
# Of level 2 where level 1 alone is fitted: no level starts without effect or as large as the first.
_START_SCALES = (0.1, 0.9)


class DRQTraining(BaseMethod[DRQ, DRQPreset]):
    """Deep Recurrent Quantization, as the training loop sees it; see `BaseMethod`.

    References
    ----------
    Song et al., IJCAI 2019, section 3 (as reconstructed).
    """

    def __init__(
        self,
        model: DRQ,
        preset: DRQPreset,
        images: PlainImages,
        labels: Labels,
        options: TrainOptions,
    ) -> None:
        super().__init__(model, preset, images, labels, options)
        if preset.losses.margin_weight > 0 and model.head.layers in ("wide", "none"):
            raise OptionError(
                f"L_A needs the embedding, got head layers {model.head.layers!r}. Take the layers "
                "both or embedding, or set margin_weight to 0."
            )
        if preset.scale_deviation > 0 and not preset.is_started_from_data:
            model.quantizer.draw_scales(preset.scale_deviation)
        dim = model.config.head_dims[1]
        if options.label_vectors is None:
            vectors = orthogonal_label_vectors(labels.n_classes, dim, options.seed)
        else:
            vectors = load_label_vectors(options.label_vectors, labels.n_classes, dim)
        self.device = model.quantizer.codebook.device
        self.objective: Objective = Objective(
            preset.losses, torch.from_numpy(vectors), model.head.dim
        ).to(self.device)
        self.update = preset.fine_tune if model.is_backbone_pretrained else preset.scratch
        self.optimizers = (make_quantizer_optimizer(model, self.update),)
        shape = (model.config.quantizer.n_levels, model.config.quantizer.n_codewords)
        self.usage = torch.zeros(shape, dtype=torch.int64, device=self.device)
        self.fit_report: dict[str, Any] = {}
        self._last: tuple[Tensor, Tensor] | None = None  # x and codes of the last step

    def begin_epoch(self, epoch: int) -> None:
        """Start the quantiser from features before the first epoch that quantises."""
        if epoch == self.preset.epochs[0] and self.preset.is_started_from_data:
            features = self.images.vectors(_START_IMAGES)[1]
            if self.preset.is_start_of_one_level:
                self._start_first_level(features)
            else:
                self._fit_quantizer(features)

    def losses(self, batch: BatchOutputs, stage: Stage, step: int) -> dict[str, Tensor]:
        """Return the weighted losses of a stage; see `Objective`."""
        x, z = batch.outputs
        losses = self.objective.similarity(x, z, batch.labels)
        self._last = None
        if stage.number > 1:
            quantization, codes = self.objective.quantization(x, self.model.quantizer, stage, step)
            losses |= quantization
            self._last = (x.detach(), codes)
        return losses

    def after_step(self) -> None:
        """Count the use of codewords, and let the offset follow the features."""
        if self._last is None:
            return
        x, codes = self._last
        for level, plane in enumerate(codes):
            self.usage[level] += torch.bincount(plane, minlength=self.usage.shape[1])
        if self.model.quantizer.config.has_offset and self.preset.losses.is_end_to_end:
            self.model.quantizer.offset.lerp_(x.mean(dim=0), _OFFSET_MOMENTUM)

    def end_epoch(self, stage: Stage, step: int) -> dict[str, Any]:
        """Report the epoch and revive dead codewords."""
        values: dict[str, Any] = {}
        if stage.number > 1:
            values["usage"] = (self.usage > 0).float().mean(dim=1).tolist()
            values["level_scales"] = self.model.quantizer.level_scales().tolist()
            if self.preset.is_started_from_data:
                values["n_revived"] = self._revive(step)
        self.usage.zero_()
        return values

    @torch.no_grad()
    def _revive(self, step: int) -> int:
        """Move codewords that no level used in the epoch to features of the last batch."""
        dead = torch.nonzero(self.usage.sum(dim=0) == 0).flatten()
        if len(dead) == 0 or self._last is None:
            return 0
        x, _ = self._last
        generator = torch.Generator().manual_seed(self.seed + step)
        rows = torch.randint(len(x), (len(dead),), generator=generator)
        quantizer = self.model.quantizer
        quantizer.codebook[dead] = x[rows.to(dead.device)] - quantizer.offset
        return len(dead)

    def finish(self, batch_size: int) -> None:
        """Train a new head, or fit the quantiser once more, where the preset asks for it."""
        if self.preset.head_epochs and self.model.head.layers != "none":
            self._tune_head(batch_size)
        elif self.preset.is_refitted:
            self._fit_quantizer(self.images.vectors(_REFIT_IMAGES)[1])

    def _tune_head(self, batch_size: int) -> None:
        """Train a new head on the backbone's features of the pictures as they are."""
        rows, parts = [], []
        for positions, images in self.images.batches(_REFIT_IMAGES):
            with torch.no_grad():
                parts.append(self.model.backbone(images).float())
            rows.append(positions)
        features = torch.cat(parts)
        labels = torch.from_numpy(self.labels.multi_hot(np.concatenate(rows)))
        tune_head(
            self.model,
            self.objective,
            features,
            labels.to(self.device),
            HeadSchedule(self.update, self.preset.head_epochs, batch_size, self.seed),
            lambda x: self._fit_quantizer(x.cpu().numpy()),
        )
        if self.preset.is_refitted:
            with torch.no_grad():
                self._fit_quantizer(self.model.head(features)[0].cpu().numpy())

    def _fit_quantizer(self, features: Float32Array) -> None:
        """Fit codebook, scales and offset to features x (N, D)."""
        config = self.model.config.quantizer
        fitted = fit_recurrent(
            features,
            RecurrentFitOptions(
                n_levels=config.n_levels,
                n_codewords=config.n_codewords,
                has_offset=config.has_offset,
                scale_rule=config.scale_rule,
                seed=self.seed,
            ),
        )
        self._take_over(fitted, len(features))

    def _start_first_level(self, features: Float32Array) -> None:
        """Start an initial codebook for one level from features x (N, D), by k-means.

        Levels to come have powers of the share of a feature's length that level 1 leaves over.
        """
        config = self.model.config.quantizer
        offset = features.mean(axis=0) if config.has_offset else None
        centred = features if offset is None else features - offset
        found = fit_kmeans(centred, KMeansOptions(config.n_codewords, seed=self.seed))
        left = found.distortion / max(float(np.square(centred).sum(axis=1).mean()), 1e-30)
        scale = float(np.clip(np.sqrt(left), *_START_SCALES))
        scales = np.power(scale, np.arange(config.n_levels)).astype(np.float32)
        codebooks = Codebooks.shared(found.codebook, scales, offset=offset)
        self._take_over(FitResult.of(codebooks, features, ()), len(features))

    def _take_over(self, fitted: FitResult, n_features: int) -> None:
        """Let the quantiser have what was fitted to so many features."""
        self.model.quantizer.set_codebooks(fitted.codebooks)
        self.fit_report = {
            "n_features": n_features,
            "distortion_per_level": fitted.distortion_per_level.tolist(),
            "usage_per_level": fitted.usage_per_level.tolist(),
            "perplexity_per_level": fitted.perplexity_per_level.tolist(),
        }

    def report(self) -> dict[str, Any]:
        """Say which scales came out, and which levels collapsed."""
        scales: list[float] = self.model.quantizer.level_scales().tolist()
        warnings = [
            f"level {level} has the scale {scale:.4f}: it adds nothing or turns the codewords round"
            for level, scale in enumerate(scales)
            if scale < _SMALL_SCALE
        ]
        return {"level_scales": scales, "last_fit": self.fit_report, "warnings": warnings}

    def state(self) -> dict[str, Any]:
        """Return the quantiser's optimiser and the codewords used in this epoch."""
        return {
            "quantizer_optimizer": self.optimizers[0].state_dict(),
            "usage": self.usage.cpu(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.optimizers[0].load_state_dict(state["quantizer_optimizer"])
        self.usage = state["usage"].to(self.device)
