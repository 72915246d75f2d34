"""Whole runs: killed and resumed, in several processes, and with bad input."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import reference.training_run
from anybit.codes import read_model_folder
from anybit.data import ArrayImages, ArrayVectors, Labels
from anybit.errors import DataError, FormatError, OptionError
from anybit.models import DRQ
from anybit.training import train
from anybit.training.engine.checkpoint import latest_checkpoint
from reference.training_run import make_options

SCRIPT = reference.training_run.__file__


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run_script(output, n_devices=1, kill_at=0, backbone="resnet-small"):
    command = [sys.executable, SCRIPT, str(output), str(n_devices), str(kill_at), backbone]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_killed_and_resumed_run_gives_the_same_weights(tmp_path, rng, source, options):
    train(source, options, output=tmp_path / "whole")
    kill_at = int(rng.integers(1, 9))  # of 9 steps
    killed = run_script(tmp_path / "parts", kill_at=kill_at)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "parts").exists()
    train(source, options, output=tmp_path / "parts", resume=True)
    whole, parts = (read_model_folder(tmp_path / name) for name in ("whole", "parts"))
    assert whole.tensors.keys() == parts.tensors.keys()
    for name, tensor in whole.tensors.items():
        np.testing.assert_array_equal(parts.tensors[name], tensor, err_msg=name)
    logs = [
        (tmp_path / f"{name}.run" / "metrics.jsonl").read_text().count("\n")
        for name in ("whole", "parts")
    ]
    assert logs[0] == logs[1]


def test_two_processes_give_the_loss_curve_of_one(tmp_path):
    losses = {}
    for n_devices in (1, 2):
        output = tmp_path / str(n_devices)
        done = run_script(output, n_devices, backbone="torchvision:squeezenet1_1")
        assert done.returncode == 0, done.stderr[-3000:]
        lines = (tmp_path / f"{n_devices}.run/metrics.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        losses[n_devices] = [row["epoch_loss"] for row in rows if "epoch_loss" in row]
    assert len(losses[1]) == 3
    # the two halves of a batch are summed in another order; nine steps amplify float32 rounding
    np.testing.assert_allclose(losses[2], losses[1], rtol=1e-3)


def test_same_seed_gives_the_same_codes(tmp_path, source, options):
    models = [train(source, options) for _ in range(2)]
    first, second = (model.export_codebooks().codebooks for model in models)
    np.testing.assert_array_equal(first, second)


def test_saved_model_gives_the_same_features_and_codes(tmp_path, source, options, rng):
    model = train(source, options, output=tmp_path / "model")
    again = DRQ.from_pretrained(tmp_path / "model")
    images = rng.standard_normal((5, 3, 28, 28)).astype(np.float32)
    np.testing.assert_array_equal(again.features(images), model.features(images))
    assert again.class_names == ("0", "1", "2")
    usage = again.summary["last_fit"]["usage_per_level"]
    assert len(usage) == 4
    assert 0 < min(usage) <= max(usage) <= 1
    assert again.fingerprint == model.fingerprint != ""


@pytest.mark.parametrize("preset", ["paper", "official"])
def test_other_presets_train(source, options, preset):
    model = train(source, replace(options, preset=preset))
    assert len(model.summary["level_scales"]) == 4


def test_vectors_need_no_network(tmp_path, rng):
    vectors = rng.standard_normal((200, 6)).astype(np.float32)
    model = train(ArrayVectors(vectors), bits=8, n_codewords=4, output=tmp_path / "model")
    assert model.export_codebooks().n_levels == 4
    assert (tmp_path / "model" / "config.json").is_file()


def test_images_without_labels_are_refused(options):
    pixels = np.zeros((20, 28, 28, 3), dtype=np.uint8)
    with pytest.raises(DataError, match="needs labels of at least 2 classes, got none"):
        train(ArrayImages(pixels), options)


def test_label_vectors_of_another_class_count_are_refused(tmp_path, source, options):
    np.savetxt(tmp_path / "vectors.txt", np.ones((5, 6)))
    with pytest.raises(DataError, match=r"must be 3 finite rows .* got \(5, 6\)"):
        train(source, replace(options, label_vectors=tmp_path / "vectors.txt"))


def test_existing_output_is_kept(tmp_path, source, options):
    (tmp_path / "model").mkdir()
    with pytest.raises(OptionError, match="must not exist yet"):
        train(source, options, output=tmp_path / "model")


def test_unfinished_run_is_not_overwritten_unasked(tmp_path, source, options):
    (tmp_path / "model.run").mkdir()
    with pytest.raises(OptionError, match="unfinished run"):
        train(source, options, output=tmp_path / "model")


def test_resume_with_other_options_is_refused(tmp_path, source, options):
    train(source, options, output=tmp_path / "model")
    with pytest.raises(FormatError, match="other options or other data"):
        train(source, replace(options, seed=5), output=tmp_path / "model", resume=True)


def test_damaged_checkpoint_is_refused(tmp_path, source, options):
    train(source, options, output=tmp_path / "model")
    path = latest_checkpoint(tmp_path / "model.run" / "checkpoints")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FormatError, match="must be a checkpoint"):
        train(source, options, output=tmp_path / "model", resume=True)


def test_unwritable_output_is_refused_before_the_work(tmp_path, rng, source, options):
    (tmp_path / "file").write_text("in the way")
    output, seen = tmp_path / "file" / "model", []
    vectors = ArrayVectors(rng.standard_normal((50, 4)).astype(np.float32))

    def progress(done, total):
        seen.append(done)

    with pytest.raises(OptionError, match="must be writable"):
        train(vectors, bits=4, n_codewords=4, output=output, progress=progress)
    with pytest.raises(OptionError, match="must be writable"):
        train(source, options, output=output, progress=progress)
    assert not seen


@pytest.mark.parametrize(
    "settings",
    [
        {"bits": 7},
        {"bits": 0},
        {"bits": -8},
        {"bits": 8200},
        {"preset": "other"},
        {"batch_size": 0},
    ],
)
def test_options_out_of_range_are_refused(settings):
    with pytest.raises(OptionError, match="must be"):
        replace(make_options(), **{"n_codewords": 256, "bits": 32, **settings})


def test_labels_of_another_length_are_refused():
    with pytest.raises(DataError, match="labels"):
        ArrayImages(np.zeros((4, 8, 8, 3), np.uint8), labels=Labels.from_integers([0, 1]))


def test_vectors_are_trained_without_torch(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((64, 4), dtype=np.float32))
    code = (
        "import sys\n"
        "sys.modules.update(torch=None, torchvision=None, lightning_fabric=None)\n"
        "import anybit\n"
        "anybit.train(sys.argv[1], bits=8, n_codewords=16, output=sys.argv[2])\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "x.npy", tmp_path / "model"], check=True)
    assert read_model_folder(tmp_path / "model").config["method"] == "rq"
