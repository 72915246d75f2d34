"""The training loop of DRQ: three stages in one run, resumable at every step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anybit.baselines import RecurrentFitOptions, fit_recurrent
from anybit.data import Labels
from anybit.errors import DataError, DependencyError, FormatError
from anybit.models import DRQ, ResNetSmall
from anybit.training.augment import Augmenter
from anybit.training.checkpoint import latest_checkpoint, read_checkpoint, write_checkpoint
from anybit.training.growing_sizes import GrowingSizes
from anybit.training.head_tuning import HeadSchedule, tune_head
from anybit.training.images import TrainingImages
from anybit.training.logs import RunLog
from anybit.training.optimizers import (
    learning_rate_factor,
    make_optimizers,
    set_learning_rates,
)
from anybit.training.options import Preset, TrainOptions
from anybit.training.stages import Objective, Stage, stage_at
from anybit.types import BoolArray, Float32Array, Int64Array, ProgressCallback

__all__ = ["TrainingData", "TrainingRun", "make_fabric"]

_LOG_EVERY = 20
_START_IMAGES = 10_000
_REFIT_IMAGES = 100_000
_OFFSET_MOMENTUM = 0.01


def make_fabric(options: TrainOptions) -> Any:
    """Make the Lightning Fabric that places modules on devices and launches processes."""
    for package in ("lightning_fabric", "lightning.fabric"):  # the second ships inside lightning
        try:
            fabric = import_module(package).Fabric
            break
        except ImportError:
            continue
    else:
        raise DependencyError("training needs Lightning Fabric: pip install 'anybit[train]'.")
    strategy = "ddp" if options.n_devices > 1 else "auto"
    return fabric(
        accelerator=options.device,
        devices=options.n_devices,
        strategy=strategy,
        precision=options.precision,
    )


class _Network(nn.Module):
    """Backbone and head: what is run in parallel. Losses see the gathered batch."""

    def __init__(self, model: DRQ) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        out: tuple[Tensor, Tensor] = self.head(self.backbone(images))
        return out


@dataclass(frozen=True)
class TrainingData:
    """Images and labels of a run.

    Parameters
    ----------
    images : TrainingImages
    labels : Labels
    augmenter : Augmenter
        Random views for training.
    plain : Augmenter
        The same normalisation without randomness.
    """

    images: TrainingImages
    labels: Labels
    augmenter: Augmenter
    plain: Augmenter


class TrainingRun:
    """One run: model, objective, optimisers and position, all of which a checkpoint holds.

    Parameters
    ----------
    model : DRQ
    data : TrainingData
    label_vectors : ndarray of shape (C, D_z), float32
    options : TrainOptions
    fabric : Fabric
    folder : Path or None
        Where checkpoints and logs go.
    """

    def __init__(
        self,
        model: DRQ,
        data: TrainingData,
        label_vectors: Float32Array,
        options: TrainOptions,
        fabric: Any,
        folder: Path | None,
    ) -> None:
        self.options, self.fabric, self.folder, self.data = options, fabric, folder, data
        self.preset: Preset = options.resolved_preset()
        self.model = model.to(memory_format=torch.channels_last).to(fabric.device)
        self.objective = Objective(
            self.preset.losses, torch.from_numpy(label_vectors), model.head.dim
        ).to(fabric.device)
        is_pretrained = model.is_backbone_pretrained
        self.update = self.preset.fine_tune if is_pretrained else self.preset.scratch
        network_optimizer, self.quantizer_optimizer = make_optimizers(
            self.model, self.objective, self.update
        )
        self.network, self.network_optimizer = fabric.setup(_Network(self.model), network_optimizer)
        n_usable = len(data.images.positions)
        self.batch_size = min(self.preset.batch_size, n_usable)
        if self.batch_size < 2 or self.batch_size < fabric.world_size:
            raise DataError(
                f"training needs at least 2 usable images and one per device, got {n_usable}."
            )
        self.steps_per_epoch = n_usable // self.batch_size
        self.n_steps = self.steps_per_epoch * sum(self.preset.epochs)
        self.step = 0
        n_codewords = model.config.quantizer.n_codewords
        shape = (model.config.quantizer.n_levels, n_codewords)
        self.usage = torch.zeros(shape, dtype=torch.int64, device=fabric.device)
        self.sums: dict[str, float] = {}
        self.fit_report: dict[str, Any] = {}
        self.sizes = GrowingSizes(self.model, self.preset)
        self.seconds = 0.0  # of training, the time before a resumption included
        self._since = time.monotonic()

    # -- position and checkpoints -------------------------------------------------------------

    def resume(self) -> bool:
        """Go on from the newest checkpoint; return whether there was one."""
        path = latest_checkpoint(self.folder / "checkpoints") if self.folder else None
        if path is None:
            return False
        state = read_checkpoint(path)
        if state.get("identity") != self._identity():
            raise FormatError(
                f"{path} belongs to a run with other options or other data. "
                "Resume with the same ones, or start again with --overwrite."
            )
        self.model.load_state_dict(state["model"])
        self.objective.load_state_dict(state["objective"])
        self.network_optimizer.load_state_dict(state["network_optimizer"])
        self.quantizer_optimizer.load_state_dict(state["quantizer_optimizer"])
        self.usage = state["usage"].to(self.fabric.device)
        self.step, self.sums = state["step"], state["sums"]
        self.seconds = state.get("seconds", 0.0)
        torch.set_rng_state(state["rng"])
        if torch.cuda.is_available() and "cuda_rng" in state:
            torch.cuda.set_rng_state(state["cuda_rng"])
        return True

    def _identity(self) -> str:
        """Name what must not change between a run and its continuation."""
        positions = self.data.images.positions
        choices = (self.preset, self.options.bits, self.options.n_codewords, self.options.seed)
        data = (len(positions), int(positions.sum()), self.data.labels.class_names)
        return repr((choices, self.model.config, data, self.options.augmentation))

    def _checkpoint(self) -> None:
        if self.folder is None or not self.fabric.is_global_zero:
            return
        self._take_time()
        state = {
            "identity": self._identity(),
            "model": self.model.state_dict(),
            "objective": self.objective.state_dict(),
            "network_optimizer": self.network_optimizer.state_dict(),
            "quantizer_optimizer": self.quantizer_optimizer.state_dict(),
            "usage": self.usage.cpu(),
            "step": self.step,
            "sums": dict(self.sums),
            "seconds": self.seconds,
            "rng": torch.get_rng_state(),
        }
        if torch.cuda.is_available():
            state["cuda_rng"] = torch.cuda.get_rng_state()
        write_checkpoint(self.folder / "checkpoints", self.step, state)

    # -- the loop -----------------------------------------------------------------------------

    def run(self, progress: ProgressCallback | None = None) -> None:
        """Train from the present position to the end."""
        self._since = time.monotonic()
        if self.step == 0:
            torch.manual_seed(self.options.seed)
            self._whiten()
        is_logging = self.folder is not None and self.fabric.is_global_zero
        log = RunLog(self.folder, self.step) if is_logging and self.folder else None
        while self.step < self.n_steps:
            epoch = self.step // self.steps_per_epoch
            self._epoch(epoch, stage_at(epoch, self.preset.epochs), log, progress)
        if self.preset.head_epochs:
            self._tune_head()
        elif self.preset.is_refitted:
            self._fit_quantizer(self.features(_REFIT_IMAGES))
        if log is not None:
            log.close()
        self._take_time()

    def _epoch(
        self, epoch: int, stage: Stage, log: RunLog | None, progress: ProgressCallback | None
    ) -> None:
        """Train the rest of one epoch."""
        done = self.step % self.steps_per_epoch
        if done == 0 and epoch == self.preset.epochs[0] and self.preset.is_started_from_data:
            self._fit_quantizer(self.features(_START_IMAGES))
        order = self.data.images.shuffled(np.random.default_rng((self.options.seed, epoch)))
        size = self.batch_size
        starts = range(done * size, self.steps_per_epoch * size, size)
        batches = [order[at : at + size] for at in starts]
        own = [part[self._own_rows(len(part))] for part in batches]
        since, started = time.monotonic(), time.monotonic()
        self._set_training()
        for positions, (images, is_ok) in zip(batches, self.data.images.batches(own), strict=True):
            losses = self._step(images, is_ok, positions, stage, epoch)
            self.step += 1
            for name, value in losses.items():
                self.sums[name] = self.sums.get(name, 0.0) + value
            if progress is not None:
                progress(self.step, self.n_steps)
            if log is not None and self.step % _LOG_EVERY == 0:
                log.add(self.step, {"epoch": epoch, "stage": stage.name, **losses})
            if time.monotonic() - since > self.options.checkpoint_seconds:
                self._checkpoint()
                since = time.monotonic()
        self._end_epoch(epoch, stage, log, time.monotonic() - started)

    def _step(
        self, images: Tensor, is_ok: BoolArray, positions: Int64Array, stage: Stage, epoch: int
    ) -> dict[str, float]:
        """Do one step on this process's images of the batch at `positions`."""
        optimizers = (self.network_optimizer, self.quantizer_optimizer)
        factor = learning_rate_factor(self.step, self.n_steps, self.update.schedule)
        set_learning_rates(optimizers, factor)
        views = self.sizes.resized(self.data.augmenter(images, self.fabric.device), epoch)
        x, z = self.network(views)
        usable = torch.from_numpy(is_ok).to(x.device)
        if self.fabric.world_size > 1:
            x, z, usable = (
                self.fabric.all_gather(part, sync_grads=part.is_floating_point()).flatten(0, 1)
                for part in (x, z, usable)
            )
            positions = positions[: len(x)]
        labels = torch.from_numpy(self.data.labels.multi_hot(positions)).to(x.device)
        x, z, labels = x.float()[usable], z.float()[usable], labels[usable]
        losses = self.objective.similarity(x, z, labels)
        codes = None
        if stage.number > 1:
            quantization, codes = self.objective.quantization(
                x, self.model.quantizer, stage, self.step
            )
            losses |= quantization
        total = torch.stack(list(losses.values())).sum()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(total)
        for optimizer in optimizers:
            optimizer.step()
        if codes is not None:
            self._after_quantization(x.detach(), codes)
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        values["loss"] = float(total.detach())
        if not np.isfinite(values["loss"]):
            raise DataError(
                f"the loss must stay finite, got {values['loss']} at step {self.step}. "
                "Lower the learning rate, or look for broken labels."
            )
        return values

    def _after_quantization(self, x: Tensor, codes: Tensor) -> None:
        """Count the use of codewords, and let the offset follow the features."""
        for level, plane in enumerate(codes):
            self.usage[level] += torch.bincount(plane, minlength=self.usage.shape[1])
        if self.model.quantizer.config.has_offset and self.preset.losses.is_end_to_end:
            self.model.quantizer.offset.lerp_(x.mean(dim=0), _OFFSET_MOMENTUM)
        self._last = x

    def _end_epoch(self, epoch: int, stage: Stage, log: RunLog | None, seconds: float) -> None:
        """Report the epoch, revive dead codewords, write a checkpoint."""
        values: dict[str, Any] = {
            f"epoch_{name}": value / self.steps_per_epoch for name, value in self.sums.items()
        }
        if stage.number > 1:
            values["usage"] = (self.usage > 0).float().mean(dim=1).tolist()
            values["level_scales"] = self.model.quantizer.level_scales().tolist()
            if self.preset.is_started_from_data:
                values["n_revived"] = self._revive()
        if log is not None:
            rate = self.steps_per_epoch * self.batch_size / max(seconds, 1e-9)
            values |= {"epoch": epoch, "stage": stage.name, "images_per_s": rate}
            log.add(self.step, values)
            log.write_table()
        self.usage.zero_()
        self.sums = {}
        self._checkpoint()

    # -- details ------------------------------------------------------------------------------

    def _own_rows(self, n_items: int) -> slice:
        """Return the part of a batch that this process works on."""
        share = n_items // self.fabric.world_size
        return slice(self.fabric.global_rank * share, (self.fabric.global_rank + 1) * share)

    def _take_time(self) -> None:
        """Add the time since the last call to the seconds of training."""
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now

    def _set_training(self) -> None:
        self.network.train()
        if self.model.is_backbone_pretrained and self.update.is_batch_norm_frozen:
            for module in self.model.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def _whiten(self) -> None:
        if isinstance(self.model.backbone, ResNetSmall):
            positions = self.data.images.positions[:2000]
            images, _ = next(self.data.images.batches([positions]))
            self.model.backbone.whiten(self.data.plain(images, self.fabric.device))

    def _plain_batches(self, n_images: int) -> Iterator[tuple[Int64Array, Tensor]]:
        """Yield positions and normalised images (B, 3, H, W), without augmentation.

        All usable images, or `n_images` of them drawn at random.
        """
        positions = self.data.images.positions
        if len(positions) > n_images:
            rng = np.random.default_rng(self.options.seed)
            positions = np.sort(rng.choice(positions, n_images, replace=False))
        parts = [positions[at : at + 256] for at in range(0, len(positions), 256)]
        self.model.eval()
        batches = self.data.images.batches(parts)
        for part, (images, is_ok) in zip(parts, batches, strict=True):
            yield part[is_ok], self.data.plain(images, self.fabric.device)[is_ok]

    @torch.no_grad()
    def features(self, n_images: int) -> Float32Array:
        """Return x of up to `n_images` training images, without augmentation."""
        batches = self._plain_batches(n_images)
        return np.concatenate(
            [self.model.embed(images)[0].float().cpu().numpy() for _, images in batches]
        )

    def _tune_head(self) -> None:
        """Train a new head on the backbone's features of the pictures as they are."""
        rows, parts = [], []
        for positions, images in self._plain_batches(_REFIT_IMAGES):
            with torch.no_grad():
                parts.append(self.model.backbone(images).float())
            rows.append(positions)
        features = torch.cat(parts)
        labels = torch.from_numpy(self.data.labels.multi_hot(np.concatenate(rows)))
        tune_head(
            self.model,
            self.objective,
            features,
            labels.to(self.fabric.device),
            HeadSchedule(self.update, self.preset.head_epochs, self.batch_size, self.options.seed),
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
                seed=self.options.seed,
            ),
        )
        self.model.quantizer.set_codebooks(fitted.codebooks)
        self.fit_report = {
            "n_features": len(features),
            "distortion_per_level": fitted.distortion_per_level.tolist(),
            "usage_per_level": fitted.usage_per_level.tolist(),
            "perplexity_per_level": fitted.perplexity_per_level.tolist(),
        }

    @torch.no_grad()
    def _revive(self) -> int:
        """Move codewords that no level used in the epoch to features of the last batch."""
        dead = torch.nonzero(self.usage.sum(dim=0) == 0).flatten()
        if len(dead) == 0:
            return 0
        generator = torch.Generator().manual_seed(self.options.seed + self.step)
        rows = torch.randint(len(self._last), (len(dead),), generator=generator)
        quantizer = self.model.quantizer
        quantizer.codebook[dead] = self._last[rows.to(dead.device)] - quantizer.offset
        return len(dead)
