"""Training options of DRQ and its three presets.

Notes
-----
The base rate of preset ``official`` is 0.001: the README of DPQ, by the same authors, states it for
the same network. The default of DRQ's code is 0.01, at which the features of SqueezeNet 1.0 grew
without bound: mAP .102 at every length and .109 as floats, where 0.001 gave .321 to .324 and .345
(1,000 images of CIFAR-10 at 64 px, 12 epochs, chance .100; ``benchmarks/results/official.json``).
MobileNetV2 ended near chance at 0.001, too. Their two optimisers of the codebook, one for each
turn of the last stage, are one here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from anybit.training.engine.presets import OptimizerOptions, Preset

__all__ = ["PRESETS", "DRQPreset", "LossOptions"]


@dataclass(frozen=True)
class LossOptions:
    """Weights and variants of DRQ's losses.

    Parameters
    ----------
    margin_weight, triplet_weight, classification_weight : float
        Of L_A, of L_T, and of the cosine softmax that only preset ``anybit`` uses.
    quantization_weight, hard_weight, central_weight : float
        tau, mu and nu of ``tau (E_S + mu E_H + nu L_JCL)``.
    soft_weight : float
        Of E_S in it; 0 leaves the hard branch alone (an ablation of the paper).
    triplet_margin : float
        In squared distance.
    mining : {"semi_hard", "batch_hard", "all"}
    is_margin_masked : bool
        Negatives of L_A are the labels an image does not have (paper); all labels (authors' code).
    reduction : {"sum", "mean"}
        Of the distortions over dimensions.
    is_first_level_separate : bool
        In the last stage take turns, step by step, between level 1 alone, as in stage 2, and
        levels 2 to M (authors' code); the sum over all levels at every step otherwise (paper).
    is_end_to_end : bool
        Let the quantisation losses reach the network (paper); the authors' code stops them.
    sharpness : float
        Factor on the cosines of the softmax.
    """

    margin_weight: float = 1.0
    triplet_weight: float = 1.0
    classification_weight: float = 0.0
    quantization_weight: float = 1.0
    hard_weight: float = 1.0
    central_weight: float = 0.1
    soft_weight: float = 1.0
    triplet_margin: float = 0.5
    mining: Literal["semi_hard", "batch_hard", "all"] = "semi_hard"
    is_margin_masked: bool = True
    reduction: Literal["sum", "mean"] = "sum"
    is_first_level_separate: bool = False
    is_end_to_end: bool = True
    sharpness: float = 16.0


@dataclass(frozen=True)
class DRQPreset(Preset[LossOptions]):
    """A preset of DRQ; see `Preset` for the fields that all methods have.

    Parameters
    ----------
    losses : LossOptions
    quantizer, head : dict
        Overrides of `QuantizerConfig`, and of the head's fields in `DRQConfig`.
    epochs : tuple of int
        Of the three stages.
    is_started_from_data : bool
        Start codebook, scales and offset from the features at the end of stage 1. At random
        otherwise: codewords of N(0, 0.01^2), scales by `scale_deviation`.
    is_start_of_one_level : bool
        Start the codebook by k-means, all codewords for level 1 (paper); fit it to all levels
        jointly otherwise.
    scale_deviation : float
        In a random start scales are drawn from N(0, deviation^2) (authors' code); with 0 they are
        powers of `QuantizerConfig.initial_scale`.
    head_epochs : int
        Passes in which, at the end, a new head and its quantiser are trained on the finished
        backbone's features of the pictures as they are, without random views.
    is_refitted : bool
        After the last epoch fit codebook and scales once more to the training features.
    """

    stages: ClassVar[tuple[str, ...]] = ("features", "one level", "all levels")

    losses: LossOptions = field(default_factory=LossOptions)
    epochs: tuple[int, ...] = (8, 4, 4)
    is_started_from_data: bool = True
    is_start_of_one_level: bool = False
    scale_deviation: float = 0.0
    head_epochs: int = 0
    is_refitted: bool = False


PRESETS: dict[str, DRQPreset] = {
    "anybit": DRQPreset(
        "anybit",
        # Distortions of full weight pull the classes together: unit features that all agree cost
        # no distortion. On the demo digits 0.1 gave .976 and .988 (two seeds), 1.0 .945 to .986.
        losses=LossOptions(
            classification_weight=1.0,
            mining="batch_hard",
            triplet_weight=0.1,
            quantization_weight=0.1,
        ),
        scratch=OptimizerOptions("sgd", 0.1, weight_decay=5e-4, schedule="one_cycle"),
        fine_tune=OptimizerOptions(
            "adamw", 1e-3, 0.2, weight_decay=1e-2, schedule="one_cycle", is_batch_norm_frozen=True
        ),
        quantizer={
            "has_offset": True,
            "temperature": 0.1,
            "is_temperature_relative": True,
        },
        head={"head_dims": (212, 300), "is_unit_length": True},
        epochs=(10, 1, 5),
        batch_size=128,
        head_epochs=4,
        is_refitted=True,
        first_scale=0.625,
    ),
    "paper": DRQPreset(
        "paper",
        scratch=OptimizerOptions("adam", 1e-3),
        fine_tune=OptimizerOptions("adam", 1e-3, pretrained_factor=0.1, is_batch_norm_frozen=True),
        quantizer={"has_offset": False, "scale_rule": "power", "temperature": 1.0},
        # Lengths are free in the paper: with a norm of hundreds the summed distortions of stage 2
        # outweigh all other losses, and pull every feature to one point.
        head={"head_dims": (1748, 300), "is_unit_length": True},
        # With a margin of 1 all features soon agree, and the loss stays at the margin; with
        # distortions of full weight they do in stage 3 (benchmarks/results/presets.json).
        losses=LossOptions(triplet_margin=0.2, quantization_weight=0.1),
        epochs=(8, 4, 4),
        batch_size=64,
        is_start_of_one_level=True,
    ),
    "official": DRQPreset(
        "official",
        losses=LossOptions(
            triplet_margin=2.5,
            is_margin_masked=False,
            reduction="mean",
            is_first_level_separate=True,
            is_end_to_end=False,
        ),
        scratch=OptimizerOptions(
            "sgd",
            0.01,
            bias_factor=2.0,
            quantizer_learning_rate=1e-4,
            schedule="step",
            is_nesterov=False,
        ),
        # Their multipliers, on the sum of the losses: 5 for new weights, 10 for new biases, 1/2 for
        # pretrained weights, 1 for pretrained biases, of a base rate of 0.001.
        fine_tune=OptimizerOptions(
            "sgd",
            0.005,
            pretrained_factor=0.1,
            bias_factor=2.0,
            pretrained_bias_factor=2.0,
            quantizer_learning_rate=1e-4,
            schedule="step",
            is_batch_norm_frozen=True,
            is_nesterov=False,
        ),
        quantizer={"has_offset": False, "assignment": "cosine", "temperature": 1.0},
        head={"head_dims": (212, 300), "is_head_nonlinear": True},
        epochs=(32, 15, 15),
        batch_size=16,
        is_started_from_data=False,
        scale_deviation=0.01,
    ),
}
