"""A new method on images is one source file and one entry of the registry, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from anybit.data import ArrayImages, Labels
from anybit.errors import OptionError
from anybit.models import load_model
from anybit.training import IMAGE_METHODS, ImageMethod, TrainOptions, train

# The whole method. It names no room but models and training, and no file of either names it.
SOURCE = '''
from dataclasses import dataclass

import torch

from anybit.models import CodeModel, CodeModelConfig
from anybit.training import BaseMethod, MethodDefinition, OptimizerOptions, Preset


@dataclass(frozen=True)
class Losses:
    sign_weight: float = 0.1


class Training(BaseMethod):
    """Inner products of tanh outputs tell whether a label is shared; outputs near -1 and 1."""

    def losses(self, batch, stage, step):
        (u,) = batch.outputs
        hot = batch.labels.float()
        wanted = 2 * ((hot @ hot.T) > 0).float() - 1
        return {
            "pairs": (wanted - u @ u.T / u.shape[1]).square().mean(),
            "signs": self.preset.losses.sign_weight * (1 - u.abs()).mean(),
        }


def architecture(backbone, preset, options):
    return CodeModelConfig.of_signs("toy-hash", options.bits, backbone, activation="tanh")


PRESETS = {"anybit": Preset("anybit", Losses(), OptimizerOptions("adam", 0.01), epochs=(4,))}
METHOD = MethodDefinition(PRESETS, CodeModel, architecture, Training)
'''

# The entry of the registry.
ENTRY = ImageMethod(
    "toy-hash", "Toy", "pairs and signs", "None", "toy_methods.toy_hash:METHOD", "sign",
    n_codewords=2,
)  # fmt: skip


@pytest.fixture
def toy_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    package = tmp_path / "toy_methods"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "toy_hash.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(IMAGE_METHODS, ENTRY.name, ENTRY)
    yield ENTRY.name
    for name in ("toy_methods.toy_hash", "toy_methods"):
        sys.modules.pop(name, None)


def digits(n_items: int = 120) -> ArrayImages:
    from sklearn.datasets import load_digits

    data = load_digits(n_class=4)
    pixels = np.minimum(data.images[:n_items] * 16, 255).astype(np.uint8)
    return ArrayImages(pixels, Labels.from_integers(data.target[:n_items]))


def toy_options(**changes: object) -> TrainOptions:
    settings = {
        "method": "toy-hash",
        "bits": 24,
        "backbone": "resnet-small",
        "backbone_options": {"widths": [4, 8, 16]},
        "input_px": 16,
        "augmentation": "none",
        "device": "cpu",
        "batch_size": 40,
    }
    return TrainOptions(**{**settings, **changes})


def test_a_method_of_one_file_trains_saves_loads_and_encodes(
    toy_method: str, tmp_path: Path
) -> None:
    model = train(digits(), toy_options(), output=tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.method == toy_method
    assert again.fingerprint == model.fingerprint != ""
    images = np.random.default_rng(0).standard_normal((20, 3, 16, 16)).astype(np.float32)
    np.testing.assert_array_equal(again.features(images), model.features(images))
    codebooks = again.export_codebooks()
    assert (codebooks.n_levels, codebooks.n_codewords, codebooks.bits) == (24, 2, 24)
    features = again.features(images)
    codes = codebooks.encode(features)
    np.testing.assert_array_equal(codes.planes, (features >= 0).T)
    lines = (tmp_path / "model.run" / "metrics.csv").read_text()
    assert "epoch_pairs" in lines
    assert "training" in lines  # the name of its only stage


def test_its_options_reach_it(toy_method: str) -> None:
    options = toy_options(epochs=3, preset_overrides={"losses": {"sign_weight": 0.5}})
    preset = ENTRY.load().resolved(options)
    assert (preset.epochs, preset.losses.sign_weight) == ((3,), 0.5)
    assert options.n_codewords == 2
    with pytest.raises(OptionError, match="toy-hash has 2 codewords a level, got 16"):
        toy_options(n_codewords=16)
    with pytest.raises(OptionError, match="preset must be one of anybit, got 'paper'"):
        toy_options(preset="paper")


def test_a_run_of_it_goes_on_from_its_checkpoint(toy_method: str, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 7:
            raise Stopped

    options = toy_options(epochs=3, checkpoint_seconds=0.0)
    whole = train(digits(), options)
    with pytest.raises(Stopped):
        train(digits(), options, output=tmp_path / "model", progress=stop)
    parts = train(digits(), options, output=tmp_path / "model", resume=True)
    images = np.random.default_rng(0).standard_normal((9, 3, 16, 16)).astype(np.float32)
    # The same steps on the same thread count: nothing but the break differs.
    np.testing.assert_allclose(parts.features(images), whole.features(images), atol=1e-5)


def test_the_registry_says_what_the_methods_are() -> None:
    for name, method in IMAGE_METHODS.items():
        definition = method.load()
        assert method.name == name
        assert TrainOptions.preset in definition.presets, name
        for preset in definition.presets.values():
            assert len(preset.stages) == len(preset.epochs), name
            if method.stages:
                assert preset.stages == method.stages, name
