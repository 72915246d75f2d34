"""Models and checkpoints of released versions stay readable.

Made by version 0.1 on the first 96 digits of scikit-learn; never written again.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anybit.data import ArrayImages, Labels

pytest.importorskip("torch")

from anybit.errors import FormatError
from anybit.models import load_model
from anybit.training import TrainOptions, train

HERE = Path(__file__).parent
N_STEPS = 12


def digits() -> ArrayImages:
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.minimum(data.images[:96] * 16, 255).astype(np.uint8)
    return ArrayImages(pixels, Labels.from_integers(data.target[:96]))


def options(method: str, seed: int = 3) -> TrainOptions:
    is_drq = method == "drq"
    return TrainOptions(
        method=method,
        bits=8,
        n_codewords=4,
        backbone="resnet-small",
        backbone_options={"widths": [4, 4, 8]},
        input_px=16,
        epochs=(1, 1, 2) if is_drq else 4,
        preset_overrides={"head": {"head_dims": [6, 10]} if is_drq else {"dim": 8}},
        batch_size=32,
        seed=seed,
        device="cpu",
        augmentation="none",
    )


@pytest.mark.parametrize("method", ["drq", "dqn"])
def test_a_model_of_version_1_opens_with_its_fingerprint(method: str, tmp_path: Path) -> None:
    folder = HERE / "models_v1" / method
    model = load_model(folder)
    assert model.method == method
    told = json.loads((folder / "config.json").read_text("utf-8"))
    saved = model.save_pretrained(tmp_path / "again")
    assert saved == model.fingerprint
    again = json.loads((tmp_path / "again" / "config.json").read_text("utf-8"))
    for name in ("architecture", "codebooks", "method"):
        assert again[name] == told[name]


@pytest.mark.parametrize("method", ["drq", "dqn"])
def test_a_run_of_version_1_goes_on_from_its_checkpoint(method: str, tmp_path: Path) -> None:
    shutil.copytree(HERE / "runs_v1" / method, tmp_path / "model.run")
    done: list[int] = []
    model = train(
        digits(),
        options(method),
        output=tmp_path / "model",
        resume=True,
        progress=lambda step, total: done.append(step),
    )
    assert done == list(range(8, N_STEPS + 1))  # 7 steps are in the checkpoint
    expected = load_model(HERE / "models_v1" / method)
    # The same run without a break, on another processor: rounding alone may differ.
    np.testing.assert_allclose(
        model.export_codebooks().dense(), expected.export_codebooks().dense(), atol=0.05
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 4},
        {"augmentation": "flip"},
        {"preset_overrides": {"head": {"head_dims": [6, 10]}, "losses": {"mining": "all"}}},
        {"preset_overrides": {"head": {"head_dims": [6, 10]}, "is_refitted": False}},
    ],
)
def test_a_run_of_version_1_with_other_options_is_refused(
    changes: dict[str, object], tmp_path: Path
) -> None:
    shutil.copytree(HERE / "runs_v1" / "drq", tmp_path / "model.run")
    with pytest.raises(FormatError, match="other options"):
        train(digits(), replace(options("drq"), **changes), output=tmp_path / "model", resume=True)
