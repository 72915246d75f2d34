"""What the presets of all methods have in common: losses, optimisers, stages and sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

__all__ = ["OptimizerOptions", "Preset"]

LossOptions = TypeVar("LossOptions", covariant=True)


@dataclass(frozen=True)
class OptimizerOptions:
    """How parameters are updated.

    Parameters
    ----------
    kind : {"adam", "adamw", "sgd"}
        For the network; the quantiser always uses Adam.
    learning_rate : float
        Of new layers (head, proxies, a backbone from scratch).
    pretrained_factor : float
        Learning rate of pretrained layers, relative to it.
    bias_factor : float
        Learning rate of new biases, relative to that of new weights.
    pretrained_bias_factor : float
        Learning rate of pretrained biases, relative to that of pretrained weights.
    is_nesterov : bool
        Nesterov's momentum for ``sgd``; plain momentum otherwise (both papers' code).
    quantizer_learning_rate : float
    weight_decay : float
    schedule : {"constant", "step", "halving", "one_cycle"}
        ``step``: times 0.9 every 10,000 steps (DRQ's authors' code); ``halving``: times 0.5 every
        500 steps (DQN's).
    is_batch_norm_frozen : bool
        Keep the statistics of a pretrained backbone's batch normalisation. True in all presets: the
        paper's AlexNet has none, and weights whose normalisation is folded lose what they learned.
    """

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    pretrained_factor: float = 1.0
    bias_factor: float = 1.0
    quantizer_learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "step", "halving", "one_cycle"] = "constant"
    is_batch_norm_frozen: bool = False
    pretrained_bias_factor: float = 1.0
    is_nesterov: bool = True


@dataclass(frozen=True)
class Preset(Generic[LossOptions]):
    """A named bundle of every choice in which a paper and its authors' code differ.

    A method that has more to choose than this adds fields in a subclass.

    Parameters
    ----------
    name : str
    losses : dataclass
        Weights and variants of the method's losses.
    scratch, fine_tune : OptimizerOptions
        For a backbone from random weights, and for a pretrained one.
    quantizer, head : dict
        Overrides of the settings of the model's quantiser and head.
    epochs : tuple of int
        Of each stage.
    batch_size : int
    first_scale : float
        Size of the pictures in the first epoch, relative to the input size, growing to 1 over the
        first 70 % of stage 1.

    Attributes
    ----------
    stages : tuple of str
        Names of the stages, as many as `epochs`; the same for all presets of a method.
    """

    stages: ClassVar[tuple[str, ...]] = ("training",)

    name: str
    losses: LossOptions
    scratch: OptimizerOptions = field(default_factory=OptimizerOptions)
    fine_tune: OptimizerOptions = field(default_factory=OptimizerOptions)
    quantizer: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    epochs: tuple[int, ...] = (16,)
    batch_size: int = 64
    first_scale: float = 1.0
