"""A checkpoint says which run it belongs to; one of 0.1 says it as the repr of Python values."""

import json
from dataclasses import dataclass, field, replace

import pytest

from anybit.models import BackboneConfig, DRQConfig, QuantizerConfig
from anybit.training import presets_of
from anybit.training.engine.identity import RunIdentity

# The text of a run of 0.1, with every field that it had.
VERSION_1 = (
    "((Preset(name='anybit', losses=LossOptions(margin_weight=1.0, triplet_weight=0.1, "
    "classification_weight=1.0, quantization_weight=0.1, hard_weight=1.0, central_weight=0.1, "
    "soft_weight=1.0, triplet_margin=0.5, mining='batch_hard', is_margin_masked=True, "
    "reduction='sum', is_first_level_separate=False, is_end_to_end=True, sharpness=16.0), "
    "scratch=OptimizerOptions(kind='sgd', learning_rate=0.1, pretrained_factor=1.0, "
    "bias_factor=1.0, quantizer_learning_rate=0.001, weight_decay=0.0005, schedule='one_cycle', "
    "is_batch_norm_frozen=False), fine_tune=OptimizerOptions(kind='adamw', learning_rate=0.001, "
    "pretrained_factor=0.2, bias_factor=1.0, quantizer_learning_rate=0.001, weight_decay=0.01, "
    "schedule='one_cycle', is_batch_norm_frozen=True), quantizer={'has_offset': True, "
    "'temperature': 0.1, 'is_temperature_relative': True}, head={'head_dims': (212, 300), "
    "'is_unit_length': True}, epochs=(10, 1, 5), batch_size=128, is_started_from_data=True, "
    "head_epochs=4, is_refitted=True, first_scale=0.625), 8, 4, 3), "
    "DRQConfig(backbone=BackboneConfig(name='resnet-small', input_px=16, "
    "options={'widths': [4, 4, 8]}, mean=None, std=None), quantizer=QuantizerConfig(n_levels=4, "
    "n_codewords=4, assignment='l2', temperature=0.1, is_temperature_relative=True, "
    "has_offset=True, scale_rule='free', initial_scale=0.5, metric='ip'), head_dims=(212, 300), "
    "is_head_nonlinear=False, is_unit_length=True, is_concatenated=True), "
    "(96, 4560, ('0', '1')), 'none')"
)


def identity(**changes):
    fields = {
        "preset": presets_of("drq")["anybit"],
        "bits": 8,
        "n_codewords": 4,
        "seed": 3,
        "model": DRQConfig(
            BackboneConfig("resnet-small", 16, {"widths": [4, 4, 8]}),
            QuantizerConfig(4, 4, temperature=0.1, is_temperature_relative=True),
            (212, 300),
            is_unit_length=True,
        ),
        "n_images": 96,
        "sum_of_positions": 4560,
        "class_names": ("0", "1"),
        "augmentation": "none",
    }
    return RunIdentity(**{**fields, **changes})


def others():
    """Identities that differ in one place each."""
    own = identity()
    preset, model = own.preset, own.model
    yield from (
        identity(seed=4),
        identity(bits=12),
        identity(n_images=95),
        identity(sum_of_positions=4561),
        identity(class_names=("0", "2")),
        identity(class_names=("0", "1", "2")),
        identity(augmentation="flip"),
        identity(preset=replace(preset, epochs=(10, 1, 6))),
        identity(preset=replace(preset, losses=replace(preset.losses, mining="all"))),
        identity(preset=replace(preset, head={**preset.head, "is_concatenated": False})),
        identity(preset=presets_of("dqn")["anybit"]),
        identity(model=replace(model, head_dims=(212, 301))),
        identity(model=replace(model, backbone=BackboneConfig("alexnet"))),
    )


@pytest.mark.parametrize("text", [identity().to_json(), VERSION_1], ids=["json", "0.1"])
def test_text_is_that_of_its_run_and_of_no_other(text):
    assert identity().is_that_of(text)
    assert [one for one in others() if one.is_that_of(text)] == []


@pytest.mark.parametrize(
    "text", ["", "None", "{}", "{", "(1, 2)", "open('x')", "((1, 2, 3), 4, 5, 6)", "[[[["]
)
def test_text_of_something_else_is_refused(text):
    assert not identity().is_that_of(text)


def test_text_of_version_1_is_read_and_not_run():
    assert not identity().is_that_of(
        "((__import__('os').getcwd(), 8, 4, 3), 1, (2, 3, ()), 'none')"
    )


@dataclass(frozen=True)
class Older:
    rate: float = 0.1


@dataclass(frozen=True)
class Newer:
    rate: float = 0.1
    is_bright: bool = False
    sizes: dict = field(default_factory=dict)


def test_a_field_that_came_later_must_have_its_default():
    text = identity(preset=Older()).to_json()
    assert identity(preset=Newer()).is_that_of(text)
    assert not identity(preset=Newer(is_bright=True)).is_that_of(text)
    assert not identity(preset=Newer(sizes={"a": 1})).is_that_of(text)


def test_a_field_that_is_gone_is_refused():
    assert not identity(preset=Older()).is_that_of(identity(preset=Newer()).to_json())


def test_json_holds_plain_values():
    assert json.loads(identity().to_json())["preset"]["epochs"] == [10, 1, 5]
