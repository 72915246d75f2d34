"""Everything that a training run can be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from anybit.codes import MOST_LEVELS, bits_per_level
from anybit.data import SourceOptions
from anybit.errors import OptionError
from anybit.quantizers import METHODS as VECTOR_METHODS
from anybit.training.registry import AUTO_IMAGE_METHOD, IMAGE_METHODS, image_method

__all__ = ["AUGMENTATIONS", "Augmentation", "TrainOptions"]

Augmentation = Literal["flip_crop", "flip_shift", "flip", "crop", "shift", "none"]
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)


@dataclass(frozen=True)
class TrainOptions:
    """Everything a training run can be told.

    Parameters
    ----------
    method : str
        ``auto`` takes ``drq`` for images and ``rq`` for vectors. Else one of
        `anybit.training.IMAGE_METHODS` for images, of `anybit.quantizers.METHODS` for vectors,
        and for images whose backbone has weights and stays as it is. ``drq`` of images is the
        network.
    bits : int
        Length of the full code: levels times log2 of the codewords.
    n_codewords : int
        Codewords K per level, a power of two up to 256. A method that fixes them takes its own in
        the place of the default.
    backbone : str
        Name of the network; ``none`` is taken for vectors.
    backbone_options : dict
        For its constructor.
    weights : Path or None
        Local file of pretrained weights.
    is_pretrained : bool
        Fetch pretrained weights (needs network access).
    preset : str
        One of the method's, such as ``anybit``, ``paper`` or ``official``.
    preset_overrides : dict
        Fields of the preset to replace: ``{"losses": {"mining": "all"}, "epochs": (1, 1, 1)}``.
    label_vectors : Path or None
        Text or .npy file, one row per class in the order of the class names.
    input_px : int or None
        Side of the square input.
    input_mean, input_std : float or None
        Normalisation of RGB in [0, 1], where the weights want another one than the network's own.
    epochs : tuple of int, int or None
        A number for each stage where the method asks for that (`ImageMethod.stages`); of other
        methods all epochs, one number or a tuple to be summed. None: the preset's.
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
        nothing, ``cosine`` for features of a frozen backbone.
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
    epochs: tuple[int, ...] | int | None = None
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
        self._fix_codewords()
        step = bits_per_level(self.n_codewords)
        if self.bits % step or not 1 <= self.bits // step <= MOST_LEVELS:
            raise OptionError(
                f"bits must be 1 to {MOST_LEVELS} levels of {step} bits ({step} to "
                f"{MOST_LEVELS * step}) for {self.n_codewords} codewords, got {self.bits}."
            )
        if self.augmentation not in AUGMENTATIONS:
            raise OptionError(
                f"augmentation must be one of {', '.join(AUGMENTATIONS)}, "
                f"got {self.augmentation!r}."
            )
        self._check_preset()
        self._check_epochs()
        for name in ("batch_size", "learning_rate", "input_px"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise OptionError(f"{name} must be above 0, got {value}.")

    def _fix_codewords(self) -> None:
        """Put in the codewords of a method that fixes them."""
        method = IMAGE_METHODS.get(self.method)
        if method is None or method.n_codewords in (None, self.n_codewords):
            return
        if self.n_codewords != TrainOptions.n_codewords:
            raise OptionError(
                f"{self.method} has {method.n_codewords} codewords a level, got "
                f"{self.n_codewords}. Leave n_codewords out."
            )
        object.__setattr__(self, "n_codewords", method.n_codewords)

    def _check_preset(self) -> None:
        if self.preset == TrainOptions.preset:  # every method has it; no need to load one
            return
        if self.method != "auto" and self.method not in IMAGE_METHODS:
            return  # vectors are learned from without one
        presets = image_method(self.method).load().presets
        if self.preset not in presets:
            raise OptionError(f"preset must be one of {', '.join(presets)}, got {self.preset!r}.")

    def _check_epochs(self) -> None:
        if self.epochs is None:
            return
        is_of_images = self.method == "auto" or self.method in IMAGE_METHODS
        stages = image_method(self.method).stages if is_of_images else ()
        if stages and (isinstance(self.epochs, int) or len(self.epochs) != len(stages)):
            name = AUTO_IMAGE_METHOD if self.method == "auto" else self.method
            raise OptionError(
                f"epochs of {name} must be {len(stages)} numbers, one for each stage "
                f"({', '.join(stages)}), got {self.epochs}."
            )
        if min((self.epochs,) if isinstance(self.epochs, int) else self.epochs) < 0:
            raise OptionError(f"epochs must be 0 or more, got {self.epochs}.")

    def for_kind(self, kind: str) -> TrainOptions:
        """Return the options with the method for images or vectors put in.

        Raises
        ------
        OptionError
            If the method does not take such items.
        """
        if self.method == "auto":
            return replace(self, method=AUTO_IMAGE_METHOD if kind == "images" else "rq")
        # A method on vectors takes images through a backbone that stays as it is.
        methods = {**(IMAGE_METHODS if kind == "images" else {}), **VECTOR_METHODS}
        if self.method not in methods:
            raise OptionError(
                f"method must be one of {', '.join(methods)} for {kind}, got {self.method!r}."
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return all but those of the source as JSON values."""
        fields = {k: v for k, v in asdict(self).items() if k != "source"}
        return {k: str(v) if isinstance(v, Path) else v for k, v in fields.items()}

    @property
    def n_levels(self) -> int:
        """Levels M of the full code."""
        return self.bits // bits_per_level(self.n_codewords)
