"""A method put together: its presets, its model and its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from anybit.data import Labels
from anybit.models import BackboneConfig, ImageModel, ModelConfig
from anybit.training.engine.method import Method
from anybit.training.engine.overriding import overridden, shared_epochs
from anybit.training.engine.plain_images import PlainImages
from anybit.training.engine.presets import Preset
from anybit.training.engine.train_options import TrainOptions
from anybit.training.registry import image_method

__all__ = ["MethodDefinition", "backbone_of", "definition_of", "presets_of", "resolved_preset"]

ModelT = TypeVar("ModelT", bound=ImageModel)
PresetT = TypeVar("PresetT", bound=Preset[Any])


@dataclass(frozen=True)
class MethodDefinition(Generic[ModelT, PresetT]):
    """What a method's file offers to the engine.

    Parameters
    ----------
    presets : mapping of str to Preset
        By name; ``anybit``, the default of `TrainOptions`, among them.
    model : type
        Class of the model; called with a configuration, ``weights`` and ``is_pretrained``.
    architecture : callable
        Takes the backbone, the preset and the options of a run; returns the model's configuration.
    training : callable
        Takes model, preset, plain images, labels and options; returns the `Method`.
    settled : callable, optional
        Has the last word on a preset into which the overrides of a run were put.
    """

    presets: Mapping[str, PresetT]
    model: type[ModelT]
    architecture: Callable[[BackboneConfig, PresetT, TrainOptions], ModelConfig]
    training: Callable[[ModelT, PresetT, PlainImages, Labels, TrainOptions], Method]
    settled: Callable[[PresetT], PresetT] | None = None

    def resolved(self, options: TrainOptions) -> PresetT:
        """Return the preset of a run with its overrides and options put in.

        Raises
        ------
        OptionError
            If an override names no field of the preset, or of a part of it.
        """
        preset = overridden(self.presets[options.preset], options)
        if options.epochs is not None:
            preset = replace(preset, epochs=_epochs(preset, options))
        return preset if self.settled is None else self.settled(preset)

    def new_model(self, preset: PresetT, options: TrainOptions) -> ModelT:
        """Return an untrained model."""
        return self.model(
            self.architecture(backbone_of(options), preset, options),
            weights=options.weights,
            is_pretrained=options.is_pretrained,
        )


def backbone_of(options: TrainOptions) -> BackboneConfig:
    """Return the backbone that a run asks for."""
    return BackboneConfig(
        options.backbone,
        options.input_px,
        options.backbone_options,
        options.input_mean,
        options.input_std,
    )


def _epochs(preset: Preset[Any], options: TrainOptions) -> tuple[int, ...]:
    """Return the epochs of each stage that the options ask for."""
    epochs = options.epochs
    if isinstance(epochs, tuple) and image_method(options.method).stages:
        return epochs
    n_epochs = epochs if isinstance(epochs, int) else sum(epochs or ())
    return shared_epochs(n_epochs, preset.epochs)


def definition_of(name: str) -> MethodDefinition[Any, Any]:
    """Load a method of `anybit.training.IMAGE_METHODS`.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    found: MethodDefinition[Any, Any] = image_method(name).load()
    return found


def presets_of(name: str) -> Mapping[str, Preset[Any]]:
    """Return the presets of a method by their names.

    Raises
    ------
    OptionError
        If there is no such method.
    """
    presets: Mapping[str, Preset[Any]] = definition_of(name).presets
    return presets


def resolved_preset(options: TrainOptions) -> Preset[Any]:
    """Return the preset of a run on images with its overrides and options put in.

    Raises
    ------
    OptionError
        If the method is not one on images, or an override does not fit.
    """
    preset: Preset[Any] = definition_of(options.method).resolved(options)
    return preset
