"""Which stage an epoch belongs to, alone and in a run."""

import json
from dataclasses import replace

import pytest

from anybit.errors import OptionError
from anybit.training import train
from anybit.training.engine.stages import Stage, stage_at

NAMES = ("features", "one level", "all levels")


@pytest.mark.parametrize(
    ("epochs", "numbers"),
    [((2, 1, 3), [1, 1, 2, 3, 3, 3]), ((0, 2, 1), [2, 2, 3]), ((1, 0, 1), [1, 3])],
)
def test_stages_follow_each_other_for_their_epochs(epochs, numbers):
    found = [stage_at(epoch, epochs, NAMES) for epoch in range(sum(epochs))]
    assert found == [Stage(NAMES[number - 1], number) for number in numbers]


def test_there_is_no_stage_after_the_last_epoch():
    with pytest.raises(OptionError, match="epoch must be below 3, got 3"):
        stage_at(3, (1, 1, 1), NAMES)


def test_a_run_of_drq_adds_one_level_and_then_all(tmp_path, source, options):
    train(source, replace(options, epochs=(2, 1, 1)), output=tmp_path / "model")
    lines = (tmp_path / "model.run" / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if "epoch_loss" in row]
    assert [row["stage"] for row in rows] == [NAMES[0], NAMES[0], NAMES[1], NAMES[2]]
    assert ["epoch_hard_distortion" in row for row in rows] == [False, False, True, True]
    used = [[share > 0 for share in row.get("usage", ())] for row in rows]
    assert used == [[], [], [True, False, False, False], [True] * 4]
