"""What the training loop asks of a method: losses of a batch, and work between epochs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from anybit.data import Labels
from anybit.models import ImageModel
from anybit.training.engine.plain_images import PlainImages
from anybit.training.engine.presets import Preset
from anybit.training.engine.stages import Stage, stage_at
from anybit.training.engine.train_options import TrainOptions

__all__ = ["BaseMethod", "BatchOutputs", "Method"]

ModelT = TypeVar("ModelT", bound=ImageModel)
PresetT = TypeVar("PresetT", bound=Preset[Any])


@dataclass(frozen=True)
class BatchOutputs:
    """What the head made of the usable images of a batch, of all processes.

    Parameters
    ----------
    outputs : tuple of Tensor of shape (B, ...), float32
        What the head returns, such as x and z of DRQ.
    labels : Tensor of shape (B, C), bool
    positions : Tensor of shape (B,), int64
        Of the images in the source.
    """

    outputs: tuple[Tensor, ...]
    labels: Tensor
    positions: Tensor


class Method(Protocol):
    """One method of learning codes, as the loop sees it.

    The loop owns the data, the steps, the network's optimiser, logs and checkpoints. Everything
    else that a run must remember to be resumed is in `objective` and `state`.
    """

    @property
    def model(self) -> ImageModel:
        """The model that is trained."""

    @property
    def preset(self) -> Preset[Any]:
        """Epochs, batch size, and how the network is updated."""

    @property
    def objective(self) -> nn.Module:
        """Learned parameters of the losses, such as class proxies; updated with the network."""

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:
        """Optimisers beside the network's."""

    def stage_at(self, epoch: int) -> Stage:
        """Return the stage of an epoch counted from 0."""

    def begin_epoch(self, epoch: int) -> None:
        """Prepare an epoch; not called again where a run is resumed within it."""

    def losses(self, batch: BatchOutputs, stage: Stage, step: int) -> dict[str, Tensor]:
        """Return the weighted losses of a batch; their sum is minimised."""

    def after_step(self) -> None:
        """Follow up the last `losses`, after the parameters were updated."""

    def end_epoch(self, stage: Stage, step: int) -> dict[str, Any]:
        """Finish an epoch; return what the log shall say."""

    def finish(self, batch_size: int) -> None:
        """Do what comes after the last epoch."""

    def report(self) -> dict[str, Any]:
        """Say in JSON values how the codebooks came out, with ``warnings``."""

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold beside model, objective and network optimiser."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""


class BaseMethod(ABC, Generic[ModelT, PresetT]):
    """A method that trains by its losses alone; one that does more overrides what it needs.

    Parameters
    ----------
    model : ImageModel
        On its device.
    preset : Preset
        With the run's overrides put in.
    images : PlainImages
        Of all usable training images, without random views.
    labels : Labels
        Of all images of the source.
    options : TrainOptions
        Of the run.
    """

    def __init__(
        self,
        model: ModelT,
        preset: PresetT,
        images: PlainImages,
        labels: Labels,
        options: TrainOptions,
    ) -> None:
        self.model, self.preset, self.images, self.labels = model, preset, images, labels
        self.seed = options.seed
        self.objective = nn.Module()
        self.optimizers: tuple[Optimizer, ...] = ()

    def stage_at(self, epoch: int) -> Stage:
        """Return the stage of an epoch counted from 0."""
        return stage_at(epoch, self.preset.epochs, self.preset.stages)

    def begin_epoch(self, epoch: int) -> None:
        """Prepare an epoch: nothing to do."""

    @abstractmethod
    def losses(self, batch: BatchOutputs, stage: Stage, step: int) -> dict[str, Tensor]:
        """Return the weighted losses of a batch; their sum is minimised."""

    def after_step(self) -> None:
        """Follow up a step: nothing to do."""

    def end_epoch(self, stage: Stage, step: int) -> dict[str, Any]:
        """Finish an epoch; nothing to report."""
        return {}

    def finish(self, batch_size: int) -> None:
        """Follow up the last epoch: nothing to do."""

    def report(self) -> dict[str, Any]:
        """Return what the model folder shall say; no warnings."""
        return {"warnings": []}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold: nothing more."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
