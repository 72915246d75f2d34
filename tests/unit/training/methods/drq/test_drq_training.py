"""What DRQ does between the steps: starts, offset, revival, head tuning and the last fit."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from anybit.data import Labels
from anybit.errors import OptionError
from anybit.models import DRQ, BackboneConfig, DRQConfig, QuantizerConfig
from anybit.quantizers import KMeansOptions, RecurrentFitOptions, fit_kmeans, fit_recurrent
from anybit.training import BatchOutputs, resolved_preset
from anybit.training.engine.stages import Stage
from anybit.training.methods.drq.objective import ALL_LEVELS
from anybit.training.methods.drq.training import DRQTraining
from reference import losses as slow
from reference.training_run import make_options

ONE_LEVEL = Stage("one level", 2)


class Features:
    """The features of 60 images in three classes; `batches` gives images, for the head alone."""

    def __init__(self, dim):
        rng = np.random.default_rng(5)
        centres = 3 * rng.standard_normal((3, dim))
        self.x = (centres[np.arange(60) % 3] + rng.standard_normal((60, dim))).astype(np.float32)

    def vectors(self, n_images=None):
        return np.arange(60), self.x

    def batches(self, n_images=None):
        generator = torch.Generator().manual_seed(0)
        yield np.arange(60), torch.randn(60, 3, 16, 16, generator=generator)


def training(preset="anybit", head=None, quantizer=None, label_vectors=None, **overrides):
    """DRQ on features that are given, without a loop; x has 6 + 5 dimensions."""
    head = {"head_dims": (6, 5), **(head or {})}
    options = replace(
        make_options(),
        method="drq",
        preset=preset,
        label_vectors=label_vectors,
        preset_overrides={"head": head, "quantizer": quantizer or {}, **overrides},
    )
    resolved = resolved_preset(options)
    settings = {"n_levels": 3, "n_codewords": 8, **resolved.quantizer}
    torch.manual_seed(4)
    model = DRQ(
        DRQConfig(
            BackboneConfig("resnet-small", 16, {"widths": [4, 4, 8]}),
            QuantizerConfig(**settings),
            **resolved.head,
        )
    )
    labels = Labels.from_integers(np.arange(60) % 3)
    return DRQTraining(model.eval(), resolved, Features(model.head.dim), labels, options)


def step(made, stage, x=None):
    """Do the part of a step that is the method's; return x."""
    x = torch.from_numpy(made.images.x[:20]) if x is None else x
    labels = torch.eye(3, dtype=torch.bool)[torch.arange(len(x)) % 3]
    made.losses(BatchOutputs((x, x[:, -5:]), labels, torch.arange(len(x))), stage, 0)
    made.after_step()
    return x


def codebook_of(made):
    return made.model.quantizer.codebook.detach().clone()


def test_the_quantizer_starts_from_features_before_stage_2_and_not_again():
    made = training()
    seen = [codebook_of(made)]
    for epoch in range(3):  # epochs of the stages: 1, 1, 1
        made.begin_epoch(epoch)
        seen.append(codebook_of(made))
    assert [after.equal(before) for before, after in pairwise(seen)] == [
        True, False, True
    ]  # fmt: skip
    options = RecurrentFitOptions(n_levels=3, n_codewords=8, seed=made.seed)
    wanted = fit_recurrent(made.images.x, options).codebooks
    np.testing.assert_array_equal(seen[2].numpy(), wanted.codebooks)
    np.testing.assert_array_equal(made.model.quantizer.offset.numpy(), wanted.offset)


def test_paper_starts_one_level_by_kmeans_with_all_codewords():
    made = training("paper")
    made.begin_epoch(1)
    found = fit_kmeans(made.images.x, KMeansOptions(8, seed=made.seed))
    np.testing.assert_array_equal(codebook_of(made).numpy(), found.codebook)
    left = np.sqrt(found.distortion / np.square(made.images.x).sum(axis=1).mean())
    scales = made.model.quantizer.level_scales().detach().numpy()
    np.testing.assert_allclose(scales, [1, left, left**2], rtol=1e-5)  # float32 powers
    assert made.report()["last_fit"]["usage_per_level"][0] == 1


@pytest.mark.parametrize("preset", ["paper", "official"])
def test_a_random_start_keeps_the_codewords_that_were_drawn(preset):
    made = training(preset, is_started_from_data=False)
    before = codebook_of(made)
    for epoch in range(3):
        made.begin_epoch(epoch)
    assert codebook_of(made).equal(before)
    assert 0.005 < before.std() < 0.02


def test_official_draws_each_scale_by_itself_near_zero():
    made = training("official", quantizer={"n_levels": 16})
    scales = made.model.quantizer.scales.detach()
    assert len(scales) == 15
    assert 0.004 < scales.std() < 0.02
    assert (scales < 0).any()
    assert (scales > 0).any()
    again = training("official", quantizer={"n_levels": 16}).model.quantizer.scales
    torch.testing.assert_close(again.detach(), scales, rtol=0, atol=0)


def test_offset_follows_the_features_by_one_percent_a_step():
    made = training()
    made.begin_epoch(1)
    before = made.model.quantizer.offset.clone()
    x = step(made, ONE_LEVEL)
    wanted = 0.99 * before + 0.01 * x.mean(dim=0)
    torch.testing.assert_close(made.model.quantizer.offset, wanted)
    assert not wanted.equal(before)


@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        (Stage("features", 1), {}),
        (ONE_LEVEL, {"losses": {"is_end_to_end": False}}),
        (ONE_LEVEL, {"quantizer": {"has_offset": False}}),
    ],
)
def test_offset_stays_where_it_is_not_learned(stage, settings):
    made = training(**settings)
    made.begin_epoch(1)
    before = made.model.quantizer.offset.clone()
    step(made, stage)
    torch.testing.assert_close(made.model.quantizer.offset, before, rtol=0, atol=0)


def test_codewords_that_an_epoch_did_not_use_move_to_features():
    made = training()
    made.begin_epoch(1)
    with torch.no_grad():
        made.model.quantizer.codebook[[2, 5]] = 1e3
    before = codebook_of(made)
    x = step(made, ALL_LEVELS)
    used = (made.usage > 0).any(dim=0)
    assert not used[[2, 5]].any()
    values = made.end_epoch(ALL_LEVELS, step=9)
    after = codebook_of(made)
    assert values["n_revived"] == int((~used).sum())
    torch.testing.assert_close(after[used], before[used], rtol=0, atol=0)
    centred = x - made.model.quantizer.offset
    for codeword in after[~used]:
        assert (centred - codeword).abs().amax(dim=1).min() < 1e-6
    assert made.usage.sum() == 0


def test_usage_counts_each_code_of_each_level():
    made = training()
    made.begin_epoch(1)
    for stage in (ONE_LEVEL, ALL_LEVELS):
        x = step(made, stage)
    codes = made.model.quantizer(x).codes
    assert made.usage.sum(dim=1).tolist() == [40, 20, 20]
    assert made.usage[1].tolist() == torch.bincount(codes[1], minlength=8).tolist()


def test_a_random_start_revives_nothing():
    made = training("official")
    with torch.no_grad():
        made.model.quantizer.codebook[2] = 0
    before = codebook_of(made)
    step(made, ALL_LEVELS)
    assert "n_revived" not in made.end_epoch(ALL_LEVELS, step=0)
    assert codebook_of(made).equal(before)


@pytest.mark.parametrize(
    ("head_epochs", "is_refitted", "changed"),
    [
        (0, False, set()),
        (0, True, {"quantizer"}),
        (2, False, {"head", "quantizer"}),
        (2, True, {"head", "quantizer"}),
    ],
)
def test_the_end_tunes_the_head_and_refits_where_the_preset_asks(head_epochs, is_refitted, changed):
    made = training(head_epochs=head_epochs, is_refitted=is_refitted)
    made.begin_epoch(1)
    with torch.no_grad():
        made.model.quantizer.codebook.add_(0.1)
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    made.finish(20)
    after = made.model.state_dict()
    assert {n.split(".")[0] for n, value in after.items() if not value.equal(before[n])} == changed


def test_the_last_fit_is_to_the_features_of_the_tuned_head():
    made = training(head_epochs=2, is_refitted=True)
    made.finish(20)
    _, images = next(made.images.batches())
    x = made.model.plain_vectors(images).numpy()
    options = RecurrentFitOptions(n_levels=3, n_codewords=8, seed=made.seed)
    wanted = fit_recurrent(x, options).codebooks
    # float32: the head is run on the whole batch there and in pieces here
    np.testing.assert_allclose(codebook_of(made).numpy(), wanted.codebooks, atol=1e-4)


def test_a_model_without_a_head_is_refitted_and_not_tuned():
    made = training(
        head={"head_layers": "none"},
        losses={"margin_weight": 0.0},
        head_epochs=2,
        is_refitted=True,
    )
    before = codebook_of(made)
    made.finish(20)
    assert not codebook_of(made).equal(before)


@pytest.mark.parametrize("layers", ["wide", "none"])
def test_the_margin_loss_needs_the_embedding(layers):
    with pytest.raises(OptionError, match="L_A needs the embedding, got head layers"):
        training(head={"head_layers": layers})


def test_power_rule_is_kept_by_the_last_fit():
    made = training("paper", is_refitted=True)
    made.finish(20)
    scales = made.model.quantizer.level_scales().detach().numpy()
    options = RecurrentFitOptions(
        n_levels=3, n_codewords=8, has_offset=False, scale_rule="power", seed=made.seed
    )
    fitted = fit_recurrent(made.images.x, options).codebooks
    np.testing.assert_allclose(scales, fitted.level_scales, rtol=1e-5)  # float32 powers
    np.testing.assert_array_equal(codebook_of(made).numpy(), fitted.codebooks)


def test_margins_are_one_less_the_cosines_of_word_vectors(tmp_path, rng):
    words, z = rng.standard_normal((3, 5)) + 1, rng.standard_normal((6, 5))
    np.savetxt(tmp_path / "words.txt", words)
    made = training("paper", label_vectors=tmp_path / "words.txt")
    labels = np.eye(3, dtype=bool)[[0, 1, 2, 0, 1, 2]]
    x = torch.from_numpy(np.hstack([z, z])).float()
    found = made.objective.similarity(x, torch.from_numpy(z).float(), torch.from_numpy(labels))
    wanted = slow.adaptive_margin(z, words, labels, True)
    np.testing.assert_allclose(found["margin"].item(), wanted, rtol=1e-5)  # float32
