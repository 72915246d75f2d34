"""What is trained: methods, the ablations of DRQ's Table 5, and the sizes of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from anybit.errors import OptionError
from anybit.training import IMAGE_METHODS

if TYPE_CHECKING:  # the names of artefacts can be listed without torch
    from anybit.training import Augmentation

__all__ = [
    "ABLATIONS",
    "CONFIGURATIONS",
    "RECIPES",
    "Configuration",
    "Recipe",
    "configuration",
    "recipe",
    "stages_of",
]


@dataclass(frozen=True)
class Configuration:
    """A method, or a method with something taken away.

    Parameters
    ----------
    name : str
        Such as ``drq`` or ``drq-no-triplet``.
    title : str
        As it stands in a table.
    method : str
        Name in `anybit.training.IMAGE_METHODS`.
    overrides : dict
        Fields of the method's preset that are replaced.
    is_supervised : bool
        False leaves out the stage that learns from labels alone.
    preset : str or None
        The method's preset, whatever the recipe's is; None takes the recipe's.
    """

    name: str
    title: str
    method: str = "drq"
    overrides: dict[str, Any] = field(default_factory=dict)
    is_supervised: bool = True
    preset: str | None = None

    def describe(self) -> dict[str, Any]:
        """Return the fields in JSON values; a preset that is not set is left out, as in 0.1."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def is_sequential(self) -> bool:
        """Whether one model serves all code lengths."""
        return IMAGE_METHODS[self.method].is_sequential


def _ablation(
    name: str, title: str, *, is_supervised: bool = True, **overrides: Any
) -> Configuration:
    # Preset anybit fits codebook and scales anew after the last epoch, and so hides what the
    # losses of quantisation did; its cosine softmax would stand in for the losses of similarity.
    return Configuration(name, title, "drq", overrides, is_supervised, "paper")


_UNSUPERVISED = {"margin_weight": 0.0, "triplet_weight": 0.0, "is_end_to_end": False}
# Without the embedding one layer has the size of both.
_WIDE = {"head_layers": "wide", "head_dims": [2048, 300]}
_ABLATIONS = (
    _ablation(
        "drq-unsupervised",
        "Unsupervised",
        is_supervised=False,
        losses=_UNSUPERVISED,
        head={"head_layers": "none"},
    ),
    _ablation("drq-no-margin", "Remove L_A", losses={"margin_weight": 0.0}, head=_WIDE),
    _ablation(
        "drq-no-triplet",
        "Remove L_T",
        losses={"triplet_weight": 0.0},
        head={"head_layers": "embedding"},
    ),
    _ablation(
        "drq-hard-only",
        "Only the hard branch",
        losses={"soft_weight": 0.0, "central_weight": 0.0},
    ),
    _ablation("drq-no-central", "Remove L_JCL", losses={"central_weight": 0.0}),
    _ablation("drq-no-concat", "Remove concat", head={"is_concatenated": False}),
    _ablation("drq-paper", "DRQ, preset paper"),
    _ablation(
        "drq-soft-only",
        "Only the soft branch (ours)",
        losses={"hard_weight": 0.0, "central_weight": 0.0},
    ),
)
ABLATIONS: tuple[str, ...] = tuple(one.name for one in _ABLATIONS)
"""Rows of DRQ's Table 5 in its order (section 4.3, as reconstructed), all with preset paper, then
one that the paper does not have."""

_PAPERS_LOSSES = Configuration(
    "drq-paper-losses",
    "DRQ, preset anybit without the cosine softmax (ours)",
    "drq",
    {"losses": {"classification_weight": 0.0}},
    preset="anybit",
)

CONFIGURATIONS: dict[str, Configuration] = {
    one.name: one
    for one in (
        *(Configuration(name, method.title, name) for name, method in IMAGE_METHODS.items()),
        *_ABLATIONS,
        _PAPERS_LOSSES,
    )
}


def configuration(name: str) -> Configuration:
    """Return a configuration.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    if name not in CONFIGURATIONS:
        raise OptionError(f"method must be one of {', '.join(CONFIGURATIONS)}, got {name!r}.")
    return CONFIGURATIONS[name]


@dataclass(frozen=True)
class Recipe:
    """The sizes of a run: what is free in a protocol, and stated with every figure.

    Parameters
    ----------
    name : str
        ``cpu``: hours on two cores. ``full``: SqueezeNet at 224 px with preset anybit, for a GPU.
        ``modern``: a stronger network, for a GPU. ``paper``: the papers' network and image size,
        AlexNet up to fc7 at 224 px, with preset paper, for a GPU. ``quick``: a minute, to see that
        all works; its figures mean nothing.
    backbone : str
    backbone_options : dict
    input_px : int or None
        None: the network's own size.
    input_mean, input_std : float or None
        Normalisation that the weights want, where it is not the network's own.
    epochs : tuple of int
        Of the three stages of DRQ; other methods get as many in all.
    batch_size : int or None
        None: the preset's.
    augmentation : str
    preset : str
    precision : str
    needs_weights : bool
        Whether the backbone must start from a file of pretrained weights.
    """

    name: str
    backbone: str = "resnet-small"
    backbone_options: dict[str, Any] = field(default_factory=dict)
    input_px: int | None = None
    input_mean: float | None = None
    input_std: float | None = None
    epochs: tuple[int, int, int] = (10, 1, 5)
    batch_size: int | None = None
    augmentation: Augmentation = "flip_crop"
    preset: str = "anybit"
    precision: str = "32-true"
    needs_weights: bool = False


_SMALL = {"widths": [16, 32, 64]}
_MODERN_FROM_SCRATCH = Recipe(
    "modern",
    backbone_options={"widths": [128, 384, 512]},
    epochs=(60, 2, 8),
    precision="bf16-mixed",
)
_FULL = Recipe(
    "full", "squeezenet1_0", input_px=224, epochs=(30, 2, 8), augmentation="flip_shift",
    precision="bf16-mixed", needs_weights=True,
)  # fmt: skip
# The authors' code runs 32 epochs of stage 1, then 16 of each other stage.
_PAPER = Recipe(
    "paper", "alexnet", input_px=224, epochs=(32, 16, 16), preset="paper", needs_weights=True
)
_CPU = replace(_FULL, name="cpu", input_px=64, epochs=(5, 1, 1), precision="32-true")
_CPU_FROM_SCRATCH = Recipe("cpu", backbone_options=_SMALL, epochs=(3, 1, 1))
_MODERN = replace(
    _FULL,
    name="modern",
    backbone="timm:mobilenetv2_100",
    backbone_options={"pad_type": "same"},
    input_mean=0.5,
    input_std=0.5,
)
_QUICK = Recipe("quick", backbone_options={"widths": [8, 16, 32]}, input_px=32, epochs=(1, 1, 1))
# On setting 1 of CIFAR-10 some learn from scratch; all others start from pretrained weights.
RECIPES: dict[tuple[str, str], Recipe] = {
    (one.name, protocol): one
    for one in (_CPU_FROM_SCRATCH, _MODERN_FROM_SCRATCH)
    for protocol in ("cifar10-setting1", "cifar10-setting1-parts")
}
# What a network wants that its library does not say: ours learns from scratch, and the common
# weights of MobileNetV2 come from TensorFlow.
_OF_BACKBONES: dict[str, dict[str, Any]] = {
    "resnet-small": {"needs_weights": False},
    "mobilenetv2_100": {
        "backbone": "timm:mobilenetv2_100",
        "backbone_options": {"pad_type": "same"},
        "input_mean": 0.5,
        "input_std": 0.5,
    },
}
_OTHERWISE = {one.name: one for one in (_CPU, _FULL, _MODERN, _PAPER, _QUICK)}


def recipe(name: str, protocol: str, **changes: Any) -> Recipe:
    """Return the recipe of a name for a protocol, with single fields replaced.

    Parameters
    ----------
    name : {"cpu", "full", "modern", "paper", "quick"}
    protocol : str
    **changes
        Fields of `Recipe`; None leaves a field as it is.

    Raises
    ------
    OptionError
        If there is no such recipe.
    """
    if name not in _OTHERWISE:
        raise OptionError(f"recipe must be one of {', '.join(_OTHERWISE)}, got {name!r}.")
    found = RECIPES.get((name, protocol), _OTHERWISE[name])
    given = {key: value for key, value in changes.items() if value is not None}
    if "backbone" in given and given["backbone"] != found.backbone:
        given = {"backbone_options": {}} | given | _OF_BACKBONES.get(given["backbone"], {})
    return replace(found, **given)


def stages_of(n_epochs: int) -> tuple[int, int, int]:
    """Share a number of epochs among DRQ's stages as preset anybit does: 10, 1 and 5 of 16."""
    one, all_levels = max(1, round(n_epochs / 16)), max(1, round(5 * n_epochs / 16))
    return n_epochs - one - all_levels, one, all_levels
