"""What can be chosen about training, and the three presets of DRQ."""

from __future__ import annotations

from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from anybit.codes import bits_per_level
from anybit.data import SourceOptions
from anybit.errors import OptionError
from anybit.quantizers import METHODS as VECTOR_METHODS

__all__ = [
    "AUGMENTATIONS",
    "IMAGE_METHODS",
    "PRESETS",
    "Augmentation",
    "LossOptions",
    "OptimizerOptions",
    "Preset",
    "TrainOptions",
    "overridden",
    "preset_named",
]

IMAGE_METHODS = ("drq", "dqn", "dqn2+", "dqnip")

Augmentation = Literal["flip_crop", "flip_shift", "flip", "crop", "shift", "none"]
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)


@dataclass(frozen=True)
class LossOptions:
    """Weights and variants of the losses.

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
        In the last stage take turns, step by step, between level 1 alone and levels 2 to M
        (authors' code); the sum over all levels at every step otherwise (paper).
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


@dataclass(frozen=True)
class Preset:
    """A named bundle of every choice in which DRQ's paper and its authors' code differ.

    Parameters
    ----------
    name : str
    losses : LossOptions
    scratch, fine_tune : OptimizerOptions
        For a backbone from random weights, and for a pretrained one.
    quantizer, head : dict
        Overrides of `QuantizerConfig`, and of the head's fields in `DRQConfig`.
    epochs : tuple of int
        Of the three stages: features; one level; everything.
    batch_size : int
    is_started_from_data : bool
        Start codebook, scales and offset from the first features.
    head_epochs : int
        Passes in which, at the end, a new head and its quantiser are trained on the finished
        backbone's features of the pictures as they are, without random views.
    is_refitted : bool
        After the last epoch fit codebook and scales once more to the training features.
    first_scale : float
        Size of the pictures in the first epoch, relative to the input size, growing to 1 over the
        first 70 % of stage 1.
    """

    name: str
    losses: LossOptions = field(default_factory=LossOptions)
    scratch: OptimizerOptions = field(default_factory=OptimizerOptions)
    fine_tune: OptimizerOptions = field(default_factory=OptimizerOptions)
    quantizer: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    epochs: tuple[int, int, int] = (8, 4, 4)
    batch_size: int = 64
    is_started_from_data: bool = True
    head_epochs: int = 0
    is_refitted: bool = False
    first_scale: float = 1.0


PRESETS: dict[str, Preset] = {
    "anybit": Preset(
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
    "paper": Preset(
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
    ),
    "official": Preset(
        "official",
        losses=LossOptions(
            triplet_margin=2.5,
            is_margin_masked=False,
            reduction="mean",
            is_first_level_separate=True,
            is_end_to_end=False,
        ),
        scratch=OptimizerOptions(
            "sgd", 0.01, bias_factor=2.0, quantizer_learning_rate=1e-4, schedule="step"
        ),
        # Their multipliers, on the sum of the losses: 5 for new weights, 10 for new biases, 1/2 for
        # pretrained weights, of a base rate of 0.01.
        fine_tune=OptimizerOptions(
            "sgd",
            0.05,
            pretrained_factor=0.1,
            bias_factor=2.0,
            quantizer_learning_rate=1e-4,
            schedule="step",
            is_batch_norm_frozen=True,
        ),
        quantizer={
            "has_offset": False,
            "assignment": "cosine",
            "initial_scale": 0.01,
            "temperature": 1.0,
        },
        head={"head_dims": (212, 300), "is_head_nonlinear": True},
        epochs=(32, 15, 15),
        batch_size=16,
        is_started_from_data=False,
    ),
}


def preset_named(name: str) -> Preset:
    """Return a preset, or raise OptionError with the names there are."""
    if name not in PRESETS:
        raise OptionError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}.")
    return PRESETS[name]


@dataclass(frozen=True)
class TrainOptions:
    """Everything a training run can be told.

    Parameters
    ----------
    method : str
        ``auto`` takes ``drq`` for images and ``rq`` for vectors. Else ``drq``, ``dqn``, ``dqn2+``
        or ``dqnip`` for images; for vectors one of `anybit.quantizers.METHODS`.
    bits : int
        Length of the full code: levels times log2 of the codewords.
    n_codewords : int
        Codewords K per level, a power of two up to 256.
    backbone : str
        Name of the network; ``none`` is taken for vectors.
    backbone_options : dict
        For its constructor.
    weights : Path or None
        Local file of pretrained weights.
    is_pretrained : bool
        Fetch pretrained weights (needs network access).
    preset : str
        ``anybit``, ``paper`` or ``official``.
    preset_overrides : dict
        Fields of the preset to replace: ``{"losses": {"mining": "all"}, "epochs": (1, 1, 1)}``.
    label_vectors : Path or None
        Text or .npy file, one row per class in the order of the class names.
    input_px : int or None
        Side of the square input.
    input_mean, input_std : float or None
        Normalisation of RGB in [0, 1], where the weights want another one than the network's own.
    epochs : tuple of int, int or None
        Of the three stages of DRQ; of DQN all its epochs, one number or a tuple to be summed.
        None: the preset's.
    batch_size : int or None
    learning_rate : float or None
        Of new layers.
    seed : int
    device : str
        ``auto``, ``cpu``, ``cuda``, ``mps``.
    n_devices : int
        Processes of distributed data parallel training.
    precision : str
        Lightning Fabric's name, such as ``32-true`` or ``bf16-mixed``.
    augmentation : {"flip_crop", "flip_shift", "flip", "crop", "shift", "none"}
        See `Augmenter`. ``shift`` suits thumbnails; leave the flip out for writing and other
        pictures with a reading direction.
    metric : {"ip", "l2", "cosine"} or None
        How queries are compared with reconstructions; None: the preset's, ``ip`` where it says
        nothing.
    source : SourceOptions or None
        Column names and the like, where `train` is given a path.
    checkpoint_seconds : float
        Write a checkpoint at the first step after this time, and after every epoch.
    """

    method: str = "auto"
    bits: int = 32
    n_codewords: int = 256
    backbone: str = "resnet-small"
    backbone_options: dict[str, Any] = field(default_factory=dict)
    weights: Path | None = None
    is_pretrained: bool = False
    preset: str = "anybit"
    preset_overrides: dict[str, Any] = field(default_factory=dict)
    label_vectors: Path | None = None
    input_px: int | None = None
    input_mean: float | None = None
    input_std: float | None = None
    epochs: tuple[int, int, int] | int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    device: str = "auto"
    n_devices: int = 1
    precision: str = "32-true"
    augmentation: Augmentation = "flip_crop"
    metric: Literal["ip", "l2", "cosine"] | None = None
    source: SourceOptions | None = None
    checkpoint_seconds: float = 120.0

    def __post_init__(self) -> None:
        known = dict.fromkeys(("auto", *IMAGE_METHODS, *VECTOR_METHODS))
        if self.method not in known:
            raise OptionError(f"method must be one of {', '.join(known)}, got {self.method!r}.")
        step = bits_per_level(self.n_codewords)
        if self.bits <= 0 or self.bits % step or not 1 <= self.bits // step <= 16:
            raise OptionError(
                f"bits must be 1 to 16 levels of {step} bits ({step} to {16 * step}) for "
                f"{self.n_codewords} codewords, got {self.bits}."
            )
        preset_named(self.preset)
        if self.augmentation not in AUGMENTATIONS:
            raise OptionError(
                f"augmentation must be one of {', '.join(AUGMENTATIONS)}, "
                f"got {self.augmentation!r}."
            )
        self._check_epochs()
        for name in ("batch_size", "learning_rate", "input_px"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise OptionError(f"{name} must be above 0, got {value}.")

    def _check_epochs(self) -> None:
        if self.epochs is None:
            return
        if self.method in ("auto", "drq") and (
            isinstance(self.epochs, int) or len(self.epochs) != 3
        ):
            raise OptionError(
                f"epochs of drq must be three numbers, one for each stage, got {self.epochs}."
            )
        stages = (self.epochs,) if isinstance(self.epochs, int) else self.epochs
        if min(stages) < 0:
            raise OptionError(f"epochs must be 0 or more, got {self.epochs}.")

    def for_kind(self, kind: str) -> TrainOptions:
        """Return the options with the method for images or vectors put in.

        Raises
        ------
        OptionError
            If the method does not take such items.
        """
        if self.method == "auto":
            return replace(self, method="drq" if kind == "images" else "rq")
        methods = IMAGE_METHODS if kind == "images" else VECTOR_METHODS
        if self.method not in methods:
            raise OptionError(
                f"method must be one of {', '.join(methods)} for {kind}, got {self.method!r}."
            )
        return self

    @property
    def n_levels(self) -> int:
        """Levels M of the full code."""
        return self.bits // bits_per_level(self.n_codewords)

    def resolved_preset(self) -> Preset:
        """Return DRQ's preset with the overrides and options of this run put in."""
        preset = overridden(preset_named(self.preset), self)
        if isinstance(self.epochs, tuple):
            preset = replace(preset, epochs=self.epochs)
        return preset


P = TypeVar("P")


def _replaced(part: Any, fields: dict[str, Any]) -> Any:
    """Return a preset, or a part of one, with some fields replaced; dicts go into what is there."""
    for name, value in fields.items():
        if name not in vars(part):
            raise OptionError(
                f"preset_overrides must name fields of {type(part).__name__} "
                f"({', '.join(vars(part))}), got {name!r}."
            )
        current = getattr(part, name)
        if isinstance(current, tuple) and isinstance(value, list):
            value = tuple(value)  # JSON has no tuples
        if not _suits(value, current):
            raise OptionError(
                f"preset_overrides must give {name} a value like {current!r}, got {value!r}."
            )
        if is_dataclass(current) and isinstance(value, dict):
            value = _replaced(current, value)
        elif isinstance(current, dict):
            value = {**current, **value}
        part = replace(part, **{name: value})
    return part


def _suits(value: Any, current: Any) -> bool:
    """Tell whether a value may stand in the place of a preset's own."""
    if is_dataclass(current):
        return isinstance(value, dict | type(current))
    if isinstance(current, int | float) and not isinstance(current, bool):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, type(current))


def overridden(preset: P, options: TrainOptions) -> P:
    """Return a method's preset with the overrides, batch size and learning rate of a run put in.

    Raises
    ------
    OptionError
        If an override names no field of the preset, or of a part of it.
    """
    changed = _replaced(preset, options.preset_overrides)
    if options.batch_size is not None:
        changed = replace(changed, batch_size=options.batch_size)
    if options.learning_rate is not None:
        rate = options.learning_rate
        changed = replace(
            changed,
            scratch=replace(changed.scratch, learning_rate=rate),
            fine_tune=replace(changed.fine_tune, learning_rate=rate),
        )
    result: P = changed
    return result
