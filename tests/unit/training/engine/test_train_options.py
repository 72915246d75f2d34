"""Fields of a preset that a run replaces."""

from dataclasses import replace

import pytest

from anybit.cli.source_flags import SourceFlags
from anybit.cli.train import TrainFlags
from anybit.errors import OptionError
from anybit.training import TrainOptions, presets_of, resolved_preset


def resolved(**overrides):
    return resolved_preset(TrainOptions(method="drq", preset_overrides=overrides))


def test_overrides_replace_what_they_name_and_nothing_else():
    whole = presets_of("drq")["anybit"]
    found = resolved(losses={"mining": "all"}, epochs=[2, 1, 1], head={"is_concatenated": False})
    assert found.epochs == (2, 1, 1)
    assert found.head == {**whole.head, "is_concatenated": False}
    losses = replace(whole.losses, mining="all")
    assert found == replace(whole, losses=losses, epochs=(2, 1, 1), head=found.head)
    assert resolved(losses=losses).losses is losses


def test_the_command_line_takes_overrides_as_json():
    flags = TrainFlags(preset_overrides='{"losses": {"classification_weight": 0}}')
    options = replace(flags.options(SourceFlags()), method="drq")
    losses = replace(presets_of("drq")["anybit"].losses, classification_weight=0)
    assert resolved_preset(options).losses == losses


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"loss": {}}, r"fields of DRQPreset \(name, losses, .*got 'loss'"),
        ({"losses": {"margin": 1}}, r"fields of LossOptions \(margin_weight, .*got 'margin'"),
        ({"losses": 0}, "give losses a value like LossOptions"),
        ({"losses": {"mining": 3}}, "give mining a value like 'batch_hard', got 3"),
        ({"losses": {"triplet_weight": "1"}}, "give triplet_weight a value like 0.1, got '1'"),
        ({"losses": {"triplet_weight": True}}, "give triplet_weight a value like 0.1, got True"),
        ({"head": 1}, "give head a value like"),
        ({"epochs": 3}, r"give epochs a value like \(10, 1, 5\), got 3"),
    ],
)
def test_overrides_that_fit_no_field_are_refused(overrides, told):
    with pytest.raises(OptionError, match=told):
        resolved(**overrides)
