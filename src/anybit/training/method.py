"""What the training loop asks of a method: losses of a batch, and work between epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from anybit.models import DQN, DRQ
from anybit.training.dqn_presets import DQNPreset
from anybit.training.options import Preset
from anybit.training.stages import Stage

__all__ = ["Batch", "Method"]


@dataclass(frozen=True)
class Batch:
    """What the head made of the usable images of a batch, of all processes.

    Parameters
    ----------
    outputs : tuple of Tensor of shape (B, ...), float32
        x and z of DRQ; z of DQN.
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
    def model(self) -> DRQ | DQN:
        """The model that is trained."""

    @property
    def preset(self) -> Preset | DQNPreset:
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

    def losses(self, batch: Batch, stage: Stage, step: int) -> dict[str, Tensor]:
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
