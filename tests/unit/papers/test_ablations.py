"""The ablations of DRQ's Table 5, trained on digits: each switch changes what is learned."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from anybit.data import ArrayImages, Labels
from anybit.papers import DataSet, Prepared, Protocol, SplitRule, recipe, split
from anybit.papers.runs.configurations import ABLATIONS, Configuration, configuration
from anybit.papers.runs.run import Run, perform
from anybit.training import train
from anybit.training.methods.drq.training import DRQTraining

RULE = Protocol(
    name="digits", title="Digits", dataset="cifar10", source="none",
    split=SplitRule("per_class", 8, 4, "test", "train"), sizes={}, n_classes=10,
    is_multi_label=False, at=20, denominator="found", zero_hit="zero", metric="ip",
    bits=(3, 6, 9), n_codewords=8,
)  # fmt: skip
TINY = replace(
    recipe("quick", "digits"),
    input_px=16,
    backbone_options={"widths": [4, 4, 8]},
    epochs=(1, 1, 2),
    batch_size=32,
    augmentation="none",
)


def digits(part):
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.minimum(data.images[part] * 16, 255).astype(np.uint8)
    return ArrayImages(pixels, Labels.from_integers(data.target[part]))


def switch(name, **overrides):
    """One switch of an ablation that has several."""
    return Configuration(name, name, "drq", overrides, preset="paper")


CONFIGURATIONS = (
    *map(configuration, ABLATIONS),
    switch("margin", losses={"margin_weight": 0.0}),
    switch("triplet", losses={"triplet_weight": 0.0}),
    switch("soft", losses={"soft_weight": 0.0}),
    switch("hard", losses={"hard_weight": 0.0}),
    switch("network", losses={"is_end_to_end": False}),
)


def state_of(quantizer):
    return {name: value.detach().clone() for name, value in quantizer.state_dict().items()}


@pytest.fixture(scope="module")
def trained():
    """Train every configuration; return the quantiser before `finish`, given noise, and after."""
    found = {}
    finish = DRQTraining.finish

    def noisy_finish(training, batch_size):
        quantizer = training.model.quantizer
        states.append(state_of(quantizer))
        with torch.no_grad():
            for value in quantizer.state_dict().values():
                value.uniform_(0.2, 0.9)
        states.append(state_of(quantizer))
        finish(training, batch_size)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DRQTraining, "finish", noisy_finish)
        for one in CONFIGURATIONS:
            states = []
            options = Run(RULE, one, TINY, RULE.bits, 0).train_options("cpu")
            model = train(digits(slice(96)), options)
            found[one.name] = (*states, state_of(model.quantizer))
    torch.set_num_threads(threads)
    return found


@pytest.mark.parametrize(
    "names", list(combinations([one.name for one in CONFIGURATIONS], 2)), ids="-or-".join
)
def test_two_configurations_learn_other_codebooks(trained, names):
    first, second = (trained[name][0]["codebook"] for name in names)
    assert first.shape != second.shape or (first - second).abs().max() > 1e-3 * first.std()


@pytest.mark.parametrize("name", [one.name for one in CONFIGURATIONS])
def test_the_end_of_a_run_leaves_the_quantizer_as_it_was_trained(trained, name):
    _, noise, after = trained[name]
    for key, value in noise.items():
        torch.testing.assert_close(after[key], value, rtol=0, atol=0, msg=key)


@pytest.mark.parametrize(
    ("name", "has_margin"),
    [("drq-paper", True), ("drq-no-triplet", True), ("drq-no-margin", False)],
)
def test_word_vectors_change_what_l_a_teaches(trained, tmp_path, name, has_margin):
    words = np.random.default_rng(0).standard_normal((10, 300)) + 1
    np.savetxt(tmp_path / "words.txt", words)
    run = Run(RULE, configuration(name), TINY, RULE.bits, 0, label_vectors=tmp_path / "words.txt")
    model = train(digits(slice(96)), run.train_options("cpu"))
    moved = (model.quantizer.codebook.detach() - trained[name][0]["codebook"]).abs().max()
    assert (moved > 1e-4) == has_margin


@pytest.mark.slow
def test_every_row_of_a_small_table_5_has_its_own_figures(tmp_path):
    """Trained on 300 digits and evaluated as `anybit papers run` does it."""
    dataset = DataSet(
        "cifar10", "arrays", {"train": digits(slice(1000)), "test": digits(slice(1000, None))}
    )
    rule = replace(RULE, split=SplitRule("per_class", 15, 30, "test", "train"), bits=(4, 8, 12))
    rule = replace(rule, n_codewords=16, at=100)
    manifest = split(rule, dataset)
    prepared = Prepared(dataset, manifest, manifest.sources(dataset), ())
    sizes = replace(TINY, backbone_options={"widths": [8, 16, 32]}, epochs=(6, 2, 4))
    figures = {}
    for name in ABLATIONS:
        run = Run(rule, configuration(name), sizes, rule.bits, 0)
        result = perform(run, prepared, tmp_path / name, device="cpu")
        figures[name] = tuple(
            next(one["value"] for one in length["measures"] if one["name"] == "map_at")
            for length in result["evaluation"]["lengths"]
        )
    assert len(set(figures.values())) == len(ABLATIONS)
    for values in figures.values():
        assert min(values) > 0.12  # chance is 0.10
    assert max(figures["drq-paper"]) > max(figures["drq-unsupervised"])
