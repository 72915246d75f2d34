"""One model against several: what is counted and summed; seconds are no test's business."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from anybit.errors import OptionError
from anybit.papers import ArtefactResult
from anybit.papers.training_time import (
    ONE_MODEL,
    TrainingTimeOptions,
    _row,
    _Trained,
    training_time_result,
)

QUICK = TrainingTimeOptions(
    bits=(8, 16), seeds=(0,), n_epochs=3, n_train=5, n_query=2, widths=(4, 4, 8)
)
COSTS = ("models", "network", "codebooks", "seconds", "processor seconds", "times one model")


@pytest.fixture(scope="module")
def result():
    done = []
    found = training_time_result(QUICK, lambda *counts: done.append(counts))
    assert done == [(number, 5) for number in range(6)]  # 1 + 2 + 2 models
    return found


def row_of(result, name):
    return next(row for row in result.rows if row.method == name)


def means(values):
    return [value and value.mean for value in values]


def runs_of(result, name, seed):
    return [one for one in result.training["runs"] if (one["method"], one["seed"]) == (name, seed)]


def test_one_model_serves_all_lengths_and_the_others_one_each(result):
    assert result.headings == ("8 bits", "16 bits", "all lengths")
    counts = [means(row.companions["models"]) for row in result.rows]
    assert [row.method for row in result.rows] == [
        "DRQ, one model", "DQN, one a length", "DRQ, one a length",
    ]  # fmt: skip
    assert counts == [[None, None, 1], [1, 1, 2], [1, 1, 2]]
    assert list(runs_of(result, "DRQ, one model", 0)[0]["map_at"]) == ["8", "16"]
    assert [list(one["map_at"]) for one in runs_of(result, "DQN, one a length", 0)] == [
        ["8"], ["16"],
    ]  # fmt: skip


def test_contenders_take_turns(result):
    order = [(one["method"][:3], one["bits"]) for one in result.training["runs"]]
    assert order == [("DRQ", 16), ("DQN", 8), ("DRQ", 8), ("DQN", 16), ("DRQ", 16)]


def test_model_of_the_longest_code_is_the_one_model_again(result):
    one, alone = (
        runs_of(result, name, 0)[-1]["map_at"]["16"]
        for name in ("DRQ, one model", "DRQ, one a length")
    )
    assert one == alone


def test_totals_are_sums_over_the_models_and_ratios_are_of_the_same_seed():
    # 2 and 3 seconds of the one model; its network has 7 numbers, its codebooks have 5.
    runs = [_Trained(ONE_MODEL, 16, s, 9.0, 2.0 + s, 7, 5, {8: 0.5, 16: 0.6}, 0.9) for s in (0, 1)]
    name = "DQN, one a length"
    runs += [
        _Trained(name, bits, s, 10.0, 3.0, 7, 4, {bits: bits / 20 + s / 10}, 0.8 + bits / 100)
        for s in (1, 0)
        for bits in (8, 16)
    ]
    row = _row(name, runs, replace(QUICK, seeds=(0, 1)))
    assert [value and value.values for value in row.ours] == [(0.4, 0.5), (0.8, 0.9), None]
    cost = {label: [one.values for one in row.companions[label]] for label in COSTS}
    assert cost == {
        "models": [(1,), (1,), (2,)],
        "network": [(7,), (7,), (14,)],
        "codebooks": [(4,), (4,), (8,)],
        "seconds": [(10, 10), (10, 10), (20, 20)],
        "processor seconds": [(3, 3), (3, 3), (6, 6)],
        "times one model": [(1.5, 1), (1.5, 1), (3, 2)],
    }
    by_clock = _row(name, runs, replace(QUICK, seeds=(0, 1), device="cuda"))
    assert by_clock.companions["times one model"][-1].values == pytest.approx((20 / 9, 20 / 9))
    floats = means(row.companions["float features"])
    assert floats == [pytest.approx(0.88), pytest.approx(0.96), None]
    one = _row(ONE_MODEL, runs, replace(QUICK, seeds=(0, 1)))
    assert means(one.ours) == [0.5, 0.6, None]
    assert means(one.companions["times one model"]) == [None, None, 1]


def test_sizes_are_those_of_the_models(result):
    codebooks = row_of(result, "DQN, one a length").companions["codebooks"]
    # K D numbers of a product quantiser, D = 240, whatever the number of subspaces.
    assert means(codebooks) == [16 * 240, 16 * 240, 2 * 16 * 240]
    (one,) = runs_of(result, "DRQ, one model", 0)
    assert one["n_codebook_parameters"] == 16 * 512 + 4 + 512  # codebook, scales, offset
    network = row_of(result, "DRQ, one model").companions["network"]
    assert means(network) == [None, None, one["n_parameters"]]


def test_codes_find_the_classes_better_than_chance(result):
    for row in result.rows:
        assert all(0.13 < value <= 1 for value in means(row.ours)[:-1])


def test_result_can_be_written_and_read(result):
    assert ArtefactResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert result.protocol["sizes"] == {"train": 50, "database": 1727, "query": 20}


def test_options_that_cannot_be_are_refused():
    with pytest.raises(OptionError, match="ascending"):
        TrainingTimeOptions(bits=(16, 8))
    with pytest.raises(OptionError, match="at least 3, one for each stage"):
        TrainingTimeOptions(n_epochs=2)
    with pytest.raises(OptionError, match="at least one number"):
        TrainingTimeOptions(seeds=())
