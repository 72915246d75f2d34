"""DQN's losses against the equations, its alternation, and whole runs, stopped and resumed."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from anybit.cli.source_flags import SourceFlags
from anybit.cli.train import TrainFlags
from anybit.codes import read_model_folder
from anybit.data import ArrayVectors, Labels
from anybit.errors import DataError, OptionError
from anybit.models import (
    DQN,
    BackboneConfig,
    DQNConfig,
    ProductConfig,
    ProductQuantization,
)
from anybit.training import (
    BatchOutputs,
    pairwise_cosine_loss,
    pairwise_inner_product_loss,
    presets_of,
    resolved_preset,
    train,
)
from anybit.training.methods.dqn import DQNTraining
from reference import dqn
from reference.training_run import make_options

LOSSES = {
    pairwise_cosine_loss: dqn.cosine_loss,
    pairwise_inner_product_loss: dqn.inner_product_loss,
}


class Stopped(Exception):
    """Ends a run from within its progress callback."""


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def options():
    return replace(make_options(), method="dqn", epochs=4, preset_overrides={"head": {"dim": 8}})


def batch_of(rng, n_items=7, dim=6, n_classes=4):
    """Features in float64, and labels of one or several classes."""
    z = torch.from_numpy(rng.standard_normal((n_items, dim)) * 2)
    labels = rng.random((n_items, n_classes)) < 0.35
    labels[:, 0] |= ~labels.any(axis=1)
    return z, torch.from_numpy(labels)


def epoch_rows(path):
    """The measurements at the ends of the epochs."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if "epoch_loss" in row]


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_those_of_the_equations(rng, loss):
    z, labels = batch_of(rng)
    wanted = LOSSES[loss](z.numpy(), labels.numpy())
    # float64 sums in another order
    np.testing.assert_allclose(float(loss(z, labels)), wanted, rtol=1e-12)
    mean = float(loss(z, labels, reduction="mean"))
    np.testing.assert_allclose(mean, wanted / 49, rtol=1e-12)


@pytest.mark.parametrize("is_balanced", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_those_of_finite_differences(rng, loss, is_balanced):
    z, labels = batch_of(rng)
    z.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, is_balanced=is_balanced), (z,))


def test_balanced_pairs_count_half_each(rng):
    z, labels = batch_of(rng, n_items=9)
    unit = torch.nn.functional.normalize(z)
    cosines = (unit @ unit.T).numpy()
    similar = (labels.numpy().astype(int) @ labels.numpy().T) > 0
    wanted = ((1 - cosines[similar]) ** 2).mean() / 2 + ((1 + cosines[~similar]) ** 2).mean() / 2
    found = float(pairwise_cosine_loss(z, labels, reduction="mean", is_balanced=True))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)  # float64 rounding


@pytest.mark.parametrize("is_balanced", [False, True])
def test_a_batch_of_one_class_has_a_finite_loss(is_balanced):
    labels = torch.ones(3, 1, dtype=torch.bool)
    z = torch.eye(3)
    loss = pairwise_cosine_loss(z, labels, reduction="mean", is_balanced=is_balanced)
    np.testing.assert_allclose(float(loss), 6 / 9, rtol=1e-6)  # float32 division


def tiny_training(rng, preset, method="dqn", **overrides):
    """A method without images: a head on features of eight dimensions, and its batch."""
    settings = replace(
        make_options(),
        method=method,
        preset=preset,
        bits=6,
        epochs=None,
        preset_overrides={"head": {"dim": 6}, **overrides},
    )
    model = DQN(
        DQNConfig(
            BackboneConfig("resnet-small", 16, {"widths": [4, 4, 8]}),
            ProductConfig(3, 4),
            6,
            variant=method,
        )
    ).double()
    z, labels = batch_of(rng, n_items=40)

    class Features:
        def vectors(self):
            return np.arange(5, 45), z.detach().numpy()

    everyone = Labels.from_lists([[0]] * 50, ["0"])
    preset = resolved_preset(settings)
    return DQNTraining(model, preset, Features(), everyone, settings), z, labels


@pytest.mark.parametrize("preset", ["paper", "official"])
def test_objective_is_l_plus_lambda_q_with_codes_fixed(rng, preset):
    training, z, labels = tiny_training(rng, preset)
    first_joint = training.preset.epochs[0]
    training.begin_epoch(first_joint)
    codes = training.codes[:, 5:45].long()
    np.testing.assert_array_equal(codes.numpy(), training.model.quantizer.assign(z).numpy())
    moved = (z + torch.from_numpy(rng.standard_normal(z.shape))).requires_grad_(True)
    batch = BatchOutputs((moved,), labels, torch.arange(5, 45))
    losses = training.losses(batch, training.stage_at(first_joint), 0)
    weight = presets_of("dqn")[preset].losses.quantization_weight
    n_pairs, n_images = (1, 1) if preset == "paper" else (1600, 40)
    codebooks, plain = training.model.quantizer.codebooks.numpy(), moved.detach().numpy()
    wanted = [
        dqn.cosine_loss(plain, labels.numpy()) / n_pairs,
        weight * dqn.quantization_loss(plain, codebooks, codes.numpy()) / n_images,
    ]
    # float64 sums in another order
    found = [float(loss.detach()) for loss in losses.values()]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    losses["quantization"].backward()
    error = moved.detach() - training.model.quantizer.decode(codes)
    torch.testing.assert_close(moved.grad, 2 * weight * error / n_images)


def test_relative_error_does_not_shrink_with_the_features():
    values = []
    for scale in (1.0, 0.1):
        training, z, labels = tiny_training(np.random.default_rng(0), "anybit")
        z.mul_(scale)
        first_joint = training.preset.epochs[0]
        training.begin_epoch(first_joint)
        batch = BatchOutputs((z,), labels, torch.arange(5, 45))
        losses = training.losses(batch, training.stage_at(first_joint), 0)
        values.append(float(losses["quantization"]))
    np.testing.assert_allclose(values[1], values[0], rtol=1e-6)  # scaling moves a k-means draw
    assert values[0] > 1e-3


def test_first_stage_has_the_similarity_alone(rng):
    training, z, labels = tiny_training(rng, "official")
    batch = BatchOutputs((z,), labels, torch.arange(5, 45))
    training.begin_epoch(0)
    assert training.codes.sum() == 0
    assert list(training.losses(batch, training.stage_at(0), 0)) == ["similarity"]


def test_paper_updates_in_closed_form_and_never_raises_the_error(rng):
    training, z, _ = tiny_training(rng, "paper")
    training.begin_epoch(0)
    for epoch in range(1, 5):
        z.add_(torch.from_numpy(0.1 * rng.standard_normal(z.shape)))
        codes, quantizer = training.codes[:, 5:45].long(), training.model.quantizer
        before = float(quantizer.quantization_loss(z, codes))
        training.begin_epoch(epoch)
        members = z[codes[0] == codes[0, 0], :2]
        torch.testing.assert_close(quantizer.codebooks[0, codes[0, 0]], members.mean(dim=0))
        assert float(quantizer.quantization_loss(z, training.codes[:, 5:45].long())) < before


def test_official_starts_again_by_kmeans_every_second_epoch(rng):
    training, z, _ = tiny_training(rng, "official")
    seen = []
    for epoch in range(5):
        training.begin_epoch(epoch)
        seen.append(training.model.quantizer.codebooks.clone())
        z.copy_(z.roll(1, dims=0))  # every image has the features of another
    assert [after.equal(before) for before, after in pairwise(seen)] == [
        False, True, False, True
    ]  # fmt: skip
    anew = ProductQuantization(6, ProductConfig(3, 4)).double()
    anew.start(z.roll(-2, dims=0), seed=0)  # as the features were when epoch 3 began
    torch.testing.assert_close(anew.codebooks, seen[3])


@pytest.mark.parametrize("method", ["dqn", "dqnip"])
@pytest.mark.parametrize("preset", ["anybit", "paper", "official"])
def test_training_lowers_the_loss(tmp_path, source, options, method, preset):
    settings = replace(options, method=method, preset=preset, epochs=8, learning_rate=0.005)
    model = train(source, settings, output=tmp_path / "model")
    rows = epoch_rows(tmp_path / "model.run" / "metrics.jsonl")
    similarity = [row["epoch_similarity"] for row in rows]
    assert len(rows) == 8
    assert min(similarity[-2:]) < 0.9 * similarity[0]
    fit = model.summary["last_fit"]
    assert fit["distortion"] < 0.2 * fit["mean_sq_norm"]
    assert fit["n_features"] == 48


@pytest.mark.parametrize(("method", "stop_at"), [("dqn", 2), ("dqn", 11), ("dqnip", 8)])
def test_stopped_and_resumed_run_gives_the_same_weights(tmp_path, source, options, method, stop_at):
    settings = replace(options, method=method)

    def stopping(done, total):
        if done == stop_at:  # of 12 steps
            raise Stopped

    train(source, settings, output=tmp_path / "whole")
    with pytest.raises(Stopped):
        train(source, settings, output=tmp_path / "parts", progress=stopping)
    train(source, settings, output=tmp_path / "parts", resume=True)
    whole, parts = (read_model_folder(tmp_path / name) for name in ("whole", "parts"))
    for name, tensor in whole.tensors.items():
        np.testing.assert_array_equal(parts.tensors[name], tensor, err_msg=name)
    assert parts.fingerprint == whole.fingerprint
    logs = [epoch_rows(tmp_path / f"{name}.run" / "metrics.jsonl") for name in ("whole", "parts")]
    assert [row["epoch_loss"] for row in logs[0]] == [row["epoch_loss"] for row in logs[1]]


def test_two_step_variant_learns_features_first_and_opq_on_them(tmp_path, source, options):
    model = train(source, replace(options, method="dqn2+"), output=tmp_path / "model")
    rows = epoch_rows(tmp_path / "model.run" / "metrics.jsonl")
    assert {row["stage"] for row in rows} == {"similarity"}
    assert model.method == "dqn2+"
    codebooks = model.export_codebooks()
    # float32 products of an orthogonal matrix
    np.testing.assert_allclose(codebooks.rotation @ codebooks.rotation.T, np.eye(8), atol=1e-5)
    assert abs(np.diag(codebooks.rotation)).max() < 0.999
    assert model.summary["last_fit"]["distortion"] < 0.1


@pytest.mark.parametrize(
    ("preset", "epochs", "stages"),
    [
        ("anybit", None, (11, 5)),
        ("anybit", 8, (6, 2)),
        ("anybit", (2, 1, 1), (3, 1)),
        ("paper", 3, (0, 3)),
        ("official", 5, (1, 4)),
        ("official", 1, (1, 0)),
    ],
)
def test_epochs_are_all_epochs(options, preset, epochs, stages):
    settings = replace(options, preset=preset, epochs=epochs)
    assert resolved_preset(settings).epochs == stages
    two_step = replace(settings, method="dqn2+")
    assert resolved_preset(two_step).epochs == (sum(stages), 0)


def test_epochs_of_drq_stay_three(options):
    with pytest.raises(OptionError, match=r"3 numbers, one for each stage \(.*\), got 4"):
        replace(options, method="drq")


def test_unknown_method_is_refused(options):
    with pytest.raises(OptionError, match="must be one of auto, drq, dqn, dqn2"):
        replace(options, method="dpq")


def test_method_of_vectors_needs_a_backbone_with_weights(source, options):
    with pytest.raises(
        OptionError, match="pq does not train the backbone, which therefore needs w"
    ):
        train(source, replace(options, method="pq"))


def test_metric_is_the_presets_unless_it_is_given(source, options):
    few = replace(options, epochs=1)
    found = [
        train(source, replace(few, **settings)).export_codebooks().metric
        for settings in ({"preset": "paper"}, {"preset": "official"}, {"metric": "cosine"})
    ]
    assert found == ["l2", "ip", "cosine"]


def test_dimension_that_is_no_multiple_is_refused_with_the_cure(source, options):
    wrong = replace(options, preset_overrides={"head": {"dim": 9}})
    with pytest.raises(OptionError, match="multiple of the 4 subspaces, got 9"):
        train(source, wrong)


def test_too_few_images_for_the_codewords_are_refused(source, options):
    with pytest.raises(DataError, match="at least 64 images are needed"):
        train(source, replace(options, n_codewords=64, bits=12))


def test_too_few_images_for_the_rotation_are_refused_before_the_work(source, options):
    seen = []
    wide = replace(options, method="dqn2+", preset_overrides={"head": {"dim": 52}})
    with pytest.raises(DataError, match="as the feature has dimensions, 52, got 48"):
        train(source, wide, progress=lambda done, total: seen.append(done))
    assert not seen


def test_vectors_are_refused(rng, options):
    vectors = ArrayVectors(rng.standard_normal((200, 6)).astype(np.float32))
    with pytest.raises(OptionError, match=r"must be one of .* for vectors, got 'dqn'"):
        train(vectors, options)


def test_command_line_takes_one_number_of_epochs_for_dqn():
    flags = TrainFlags(method="dqnip", epochs="7")
    assert flags.options(SourceFlags()).epochs == 7
    assert TrainFlags(epochs="7,1,2").options(SourceFlags()).epochs == (7, 1, 2)
