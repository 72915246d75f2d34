"""The training loop: every stage of a method in one run, resumable at every step."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anybit.data import Labels
from anybit.errors import DataError, DependencyError, FormatError
from anybit.models import ImageModel, StartsFromImages
from anybit.training.engine.augment import Augmenter
from anybit.training.engine.checkpoint import latest_checkpoint, read_checkpoint, write_checkpoint
from anybit.training.engine.growing_sizes import GrowingSizes
from anybit.training.engine.identity import RunIdentity
from anybit.training.engine.images import TrainingImages
from anybit.training.engine.logs import RunLog
from anybit.training.engine.method import BatchOutputs, Method
from anybit.training.engine.optimizers import (
    learning_rate_factor,
    make_network_optimizer,
    set_learning_rates,
)
from anybit.training.engine.stages import Stage
from anybit.training.engine.train_options import TrainOptions
from anybit.types import BoolArray, Int64Array, ProgressCallback

__all__ = ["TrainingData", "TrainingRun", "make_fabric"]

_LOG_EVERY = 20


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

    def __init__(self, model: ImageModel) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        out: Tensor | tuple[Tensor, ...] = self.head(self.backbone(images))
        return (out,) if isinstance(out, Tensor) else out


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
    """One run: method, network optimiser and position, all of which a checkpoint holds.

    Parameters
    ----------
    method : Method
        Its model is on the device already.
    data : TrainingData
    options : TrainOptions
    fabric : Fabric
    folder : Path or None
        Where checkpoints and logs go.
    """

    def __init__(
        self,
        method: Method,
        data: TrainingData,
        options: TrainOptions,
        fabric: Any,
        folder: Path | None,
    ) -> None:
        self.options, self.fabric, self.folder, self.data = options, fabric, folder, data
        self.method, self.model, self.preset = method, method.model, method.preset
        is_pretrained = self.model.is_backbone_pretrained
        self.update = self.preset.fine_tune if is_pretrained else self.preset.scratch
        optimizer = make_network_optimizer(self.model, method.objective, self.update)
        self.network, self.network_optimizer = fabric.setup(_Network(self.model), optimizer)
        n_usable = len(data.images.positions)
        self.batch_size = min(self.preset.batch_size, n_usable)
        if self.batch_size < 2 or self.batch_size < fabric.world_size:
            raise DataError(
                f"training needs at least 2 usable images and one per device, got {n_usable}."
            )
        self.steps_per_epoch = n_usable // self.batch_size
        self.n_steps = self.steps_per_epoch * sum(self.preset.epochs)
        self.step = 0
        self.sums: dict[str, float] = {}
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
        if not self._identity().is_that_of(str(state.get("identity"))):
            raise FormatError(
                f"{path} belongs to a run with other options or other data. "
                "Resume with the same ones, or start again with --overwrite."
            )
        self.model.load_state_dict(state["model"])
        self.method.objective.load_state_dict(state["objective"])
        self.network_optimizer.load_state_dict(state["network_optimizer"])
        self.method.load_state(state)
        self.step, self.sums = state["step"], state["sums"]
        self.seconds = state.get("seconds", 0.0)
        torch.set_rng_state(state["rng"])
        if torch.cuda.is_available() and "cuda_rng" in state:
            torch.cuda.set_rng_state(state["cuda_rng"])
        return True

    def _identity(self) -> RunIdentity:
        """Name what must not change between a run and its continuation."""
        positions = self.data.images.positions
        return RunIdentity(
            preset=self.preset,
            bits=self.options.bits,
            n_codewords=self.options.n_codewords,
            seed=self.options.seed,
            model=self.model.config,
            n_images=len(positions),
            sum_of_positions=int(positions.sum()),
            class_names=tuple(self.data.labels.class_names),
            augmentation=self.options.augmentation,
        )

    def _checkpoint(self) -> None:
        if self.folder is None or not self.fabric.is_global_zero:
            return
        self._take_time()
        state = {
            "identity": self._identity().to_json(),
            "model": self.model.state_dict(),
            "objective": self.method.objective.state_dict(),
            "network_optimizer": self.network_optimizer.state_dict(),
            **self.method.state(),
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
            self._start_backbone()
        is_logging = self.folder is not None and self.fabric.is_global_zero
        log = RunLog(self.folder, self.step) if is_logging and self.folder else None
        while self.step < self.n_steps:
            epoch = self.step // self.steps_per_epoch
            self._epoch(epoch, self.method.stage_at(epoch), log, progress)
        self.method.finish(self.batch_size)
        if log is not None:
            log.close()
        self._take_time()

    def _epoch(
        self, epoch: int, stage: Stage, log: RunLog | None, progress: ProgressCallback | None
    ) -> None:
        """Train the rest of one epoch."""
        done = self.step % self.steps_per_epoch
        if done == 0:
            self.method.begin_epoch(epoch)
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
        optimizers = (self.network_optimizer, *self.method.optimizers)
        factor = learning_rate_factor(self.step, self.n_steps, self.update.schedule)
        set_learning_rates(optimizers, factor)
        views = self.sizes.resized(self.data.augmenter(images, self.fabric.device), epoch)
        outputs: tuple[Tensor, ...] = self.network(views)
        usable = torch.from_numpy(is_ok).to(self.fabric.device)
        if self.fabric.world_size > 1:
            *gathered, usable = (
                self.fabric.all_gather(part, sync_grads=part.is_floating_point()).flatten(0, 1)
                for part in (*outputs, usable)
            )
            outputs = tuple(gathered)
            positions = positions[: len(usable)]
        labels = torch.from_numpy(self.data.labels.multi_hot(positions)).to(usable.device)
        batch = BatchOutputs(
            tuple(part.float()[usable] for part in outputs),
            labels[usable],
            torch.from_numpy(positions).to(usable.device)[usable],
        )
        losses = self.method.losses(batch, stage, self.step)
        total = torch.stack(list(losses.values())).sum()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(total)
        for optimizer in optimizers:
            optimizer.step()
        self.method.after_step()
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        values["loss"] = float(total.detach())
        if not np.isfinite(values["loss"]):
            raise DataError(
                f"the loss must stay finite, got {values['loss']} at step {self.step}. "
                "Lower the learning rate, or look for broken labels."
            )
        return values

    def _end_epoch(self, epoch: int, stage: Stage, log: RunLog | None, seconds: float) -> None:
        """Let the method finish the epoch, report it, write a checkpoint."""
        values: dict[str, Any] = {
            f"epoch_{name}": value / self.steps_per_epoch for name, value in self.sums.items()
        }
        values |= self.method.end_epoch(stage, self.step)
        if log is not None:
            rate = self.steps_per_epoch * self.batch_size / max(seconds, 1e-9)
            values |= {"epoch": epoch, "stage": stage.name, "images_per_s": rate}
            log.add(self.step, values)
            log.write_table()
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

    def _start_backbone(self) -> None:
        """Show the first images to a backbone that starts from them."""
        if isinstance(self.model.backbone, StartsFromImages):
            positions = self.data.images.positions[:2000]
            images, _ = next(self.data.images.batches([positions]))
            self.model.backbone.start_from(self.data.plain(images, self.fabric.device))
