"""What can be chosen about the training of DQN, and its three presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from anybit.training.options import OptimizerOptions, TrainOptions, overridden

__all__ = ["DQN_PRESETS", "DQNLossOptions", "DQNPreset", "dqn_preset"]


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
class DQNPreset:
    """A named bundle of every choice in which paper and authors' code differ.

    Parameters
    ----------
    name : str
    losses : DQNLossOptions
    scratch, fine_tune : OptimizerOptions
        For a backbone from random weights, and for a pretrained one; the quantiser has none.
    quantizer, head : dict
        Overrides of `ProductConfig`, and of the head's fields in `DQNConfig`.
    epochs : tuple of int
        Of the two stages: lambda = 0; L + lambda Q. DQN2+ spends them all on the first.
    batch_size : int
    codebook_update : {"closed_form", "kmeans"}
        The means of the members, then the best codes (paper); k-means anew (authors' code, whose
        closed form is never called).
    update_every : int
        Epochs between two updates of codebooks and codes.
    is_refitted : bool
        After the last epoch take turns of both steps on the training features until they settle.
    first_scale : float
        Size of the pictures in the first epoch, relative to the input size, growing to 1 over the
        first 70 % of stage 1.
    """

    name: str
    losses: DQNLossOptions = field(default_factory=DQNLossOptions)
    scratch: OptimizerOptions = field(default_factory=OptimizerOptions)
    fine_tune: OptimizerOptions = field(default_factory=OptimizerOptions)
    quantizer: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    epochs: tuple[int, int] = (0, 16)
    batch_size: int = 64
    codebook_update: Literal["closed_form", "kmeans"] = "closed_form"
    update_every: int = 1
    is_refitted: bool = False
    first_scale: float = 1.0


DQN_PRESETS: dict[str, DQNPreset] = {
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
        # Their multipliers: 10 for new weights, 20 for new biases, of a base rate of 0.002.
        scratch=OptimizerOptions("sgd", 0.02, bias_factor=2.0, schedule="halving"),
        fine_tune=OptimizerOptions(
            "sgd",
            0.02,
            pretrained_factor=0.1,
            bias_factor=2.0,
            schedule="halving",
            is_batch_norm_frozen=True,
        ),
        quantizer={"metric": "ip"},
        head={"dim": 300},
        epochs=(1, 255),  # their 5,000 steps are 256 epochs of CIFAR-10's 5,000 training images
        batch_size=256,
        codebook_update="kmeans",
        update_every=2,
    ),
}


# What DQNip changes. Inner products need features of free length, and with momentum 0.1 these
# collapse: 2,500 pictures of CIFAR-10, 6 epochs, mAP .116 (AdamW .182, DQN itself .253).
_IP_HEAD = {"is_unit_length": False}
_IP_CHANGES: dict[str, dict[str, Any]] = {
    "anybit": {"scratch": OptimizerOptions("adamw", 3e-3, weight_decay=1e-2, schedule="one_cycle")}
}


def dqn_preset(options: TrainOptions) -> DQNPreset:
    """Return the preset of a run of DQN with the run's overrides and options put in.

    All epochs of the run, one number or a number a stage, are shared by the two stages as those
    of the preset are; the first keeps at least one where it has any. DQN2+ has no second stage.
    """
    preset = DQN_PRESETS[options.preset]
    if options.method == "dqnip":
        changes = _IP_CHANGES.get(options.preset, {})
        preset = replace(preset, head={**preset.head, **_IP_HEAD}, **changes)
    preset = overridden(preset, options)
    if options.epochs is not None:
        n_epochs = options.epochs if isinstance(options.epochs, int) else sum(options.epochs)
        first = round(n_epochs * preset.epochs[0] / max(1, sum(preset.epochs)))
        first = min(n_epochs, max(first, 1)) if preset.epochs[0] else 0
        preset = replace(preset, epochs=(first, n_epochs - first))
    if options.method == "dqn2+":
        preset = replace(preset, epochs=(sum(preset.epochs), 0))
    return preset
