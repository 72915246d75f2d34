"""An option is chosen by held-back mAP: which runs are made, and what their scores are."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from anybit.data import ArrayImages, Labels
from anybit.errors import OptionError
from anybit.papers import (
    CrossValidation,
    DataSet,
    Prepared,
    Protocol,
    RunOptions,
    SplitRule,
    configuration,
    recipe,
    split,
)
from anybit.papers.cross_validation import option_scores
from anybit.papers.runs.run import Run

LAMBDA = "losses.quantization_weight"
RULE = Protocol(
    name="digits", title="Digits", dataset="cifar10", source="none",
    split=SplitRule("per_class", 15, 5), sizes={}, n_classes=10, is_multi_label=False, at=50,
    denominator="found", zero_hit="zero", metric="l2", bits=(4, 8), n_codewords=16,
)  # fmt: skip
TINY = replace(
    recipe("quick", "digits"),
    input_px=16,
    backbone_options={"widths": [8, 8, 16]},
    epochs=(2, 1, 1),
    batch_size=25,
)


@pytest.fixture(scope="module")
def prepared():
    data = load_digits()
    pixels = np.minimum(data.images * 16, 255).astype(np.uint8)
    images = ArrayImages(pixels, Labels.from_integers(data.target))
    dataset = DataSet("cifar10", "arrays", {"all": images})
    manifest = split(RULE, dataset)
    return Prepared(dataset, manifest, manifest.sources(dataset))


def run_of(name="dqn", bits=8):
    return Run(RULE, configuration(name), TINY, (bits,), 0)


def test_lambda_of_dqn_is_scored_on_items_that_were_not_trained_on(prepared, tmp_path):
    choice = CrossValidation(LAMBDA, (0.1, 1e6), n_folds=3)
    announced = []
    options = RunOptions(cache=tmp_path, device="cpu")
    scores = option_scores(
        run_of(), prepared, choice, options, lambda *told: announced.append(told)
    )
    assert [one.value for one in scores] == [0.1, 1e6]
    # A weight of a million leaves the network nothing but short features: the codes know less.
    assert scores[0].score.mean > scores[1].score.mean
    assert [number for _, number, _ in announced] == list(range(6))
    assert announced[4][0].name.endswith(f"{LAMBDA} 1e+06, fold 2")
    for number, (planned, _, n_runs) in enumerate(announced):
        result = json.loads((planned.folder / "result.json").read_text())
        assert n_runs == 6
        assert result["sizes"] == {"train": 100, "database": 33, "query": 17}
        losses = result["run"]["configuration"]["overrides"]["losses"]
        assert losses == {"quantization_weight": choice.values[number // 3]}
        (length,) = result["evaluation"]["lengths"]
        value = next(m["value"] for m in length["measures"] if m["name"] == "map_at")
        assert scores[number // 3].score.values[number % 3] == value
    # What is done is kept: nothing is trained again.
    again = option_scores(run_of(), prepared, choice, options)
    assert again == scores


@pytest.mark.parametrize(
    ("option", "values", "message"),
    [
        ("losses.lambda", (1, 2), "lambda is none of quantization_weight"),
        ("losses", (1, 2), "must name one number"),
        ("losses.is_balanced", (0, 1), "must name one number"),
        ("batch_size", (16, 16.5), "takes whole numbers"),
    ],
)
def test_an_option_that_is_no_number_of_the_preset_is_refused(
    prepared, tmp_path, option, values, message
):
    choice = CrossValidation(option, values)
    with pytest.raises(OptionError, match=message):
        option_scores(run_of(), prepared, choice, RunOptions(cache=tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"values": (0.1,)}, "at least two different numbers"),
        ({"values": (0.1, 0.1)}, "at least two different numbers"),
        ({"values": (0.1, 1), "n_folds": 1}, "n_folds must be at least 2"),
    ],
)
def test_a_choice_of_one_is_none(fields, message):
    with pytest.raises(OptionError, match=message):
        CrossValidation(LAMBDA, **fields)
