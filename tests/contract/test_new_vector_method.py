"""A new method on vectors is one file and one line of the registry; the rest follows."""

from __future__ import annotations

import difflib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import anybit

SRC = Path(anybit.__file__).parent
REGISTRY = "quantizers/methods.py"
LAST_ENTRY = '    "recurrent_rotated:DRQ_ROTATED",\n'

METHOD = '''"""Class means of the first columns: an example, of no other use."""

import numpy as np

from anybit.codes import Codebooks, FeatureMap
from anybit.quantizers.fit_result import FitResult
from anybit.quantizers.method import VectorMethod


def _fit(features, labels, settings):
    dim = features.shape[1]
    feature_map = FeatureMap.linear(features.mean(axis=0), np.eye(dim, dtype=np.float32)[:, :4])
    mapped = feature_map.apply(features)
    hot = labels.multi_hot()
    classes = [mapped[hot[:, number % labels.n_classes]] for number in range(settings.n_codewords)]
    means = np.stack([one.mean(axis=0) for one in classes])
    codebooks = Codebooks.stacked(np.stack([means] * settings.n_levels), metric="l2")
    return FitResult.of(codebooks, mapped, (), feature_map=feature_map)


MEANS = VectorMethod("means", "class means", "of this test", _fit, needs_labels=True)
'''

# Reads `sys.argv`: the folder of the changed package, an empty folder.
SCRIPT = """
import sys
from pathlib import Path

# An editable installation puts its own finder before the path.
sys.meta_path = [one for one in sys.meta_path if "Editable" not in repr(type(one)) and
                 "Redirecting" not in repr(type(one))]
for name in [name for name in sys.modules if name.split(".")[0] == "anybit"]:
    del sys.modules[name]
sys.path.insert(0, sys.argv[1])
import anybit

assert Path(anybit.__file__).parents[1] == Path(sys.argv[1]), anybit.__file__
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from anybit.codes import feature_map_of, read_model_folder
from anybit.data import ArrayImages, ArrayVectors, Labels
from anybit.models import FrozenModel, ResNetSmall, load_model
from anybit.quantizers import METHODS, VectorQuantizer

assert METHODS["means"].title == "class means"
place, rng = Path(sys.argv[2]), np.random.default_rng(0)
labels = Labels.from_lists([[number % 4, (number + 1) % 4] for number in range(40)])
vectors = rng.normal(size=(40, 6)).astype(np.float32)
settings = {"method": "means", "bits": 4, "n_codewords": 4, "device": "cpu"}

model = anybit.train(ArrayVectors(vectors, labels), **settings, output=place / "vectors")
assert VectorQuantizer.from_pretrained(place / "vectors").feature_map.kind == "linear"
np.savez(place / "x.npz", x=vectors)
shop = anybit.Collection.create(place / "shop", place / "vectors")
shop.add(place / "x.npz")
expected = model.codebooks.encode(model.features(vectors)).planes
np.testing.assert_array_equal(shop.index().codes.planes, expected)
hits = shop.search(vectors[3], k=40)
assert len(hits.ids) == 40

torch.manual_seed(0)
save_file(ResNetSmall((4, 4, 8)).state_dict(), place / "weights.safetensors")
pixels = rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
images = ArrayImages(pixels, labels)
frozen = {"backbone_options": {"widths": [4, 4, 8]}, "input_px": 16}
frozen["weights"] = place / "weights.safetensors"
anybit.train(images, **settings, **frozen, output=place / "images")
assert isinstance(load_model(place / "images"), FrozenModel)
assert feature_map_of(read_model_folder(place / "images")).dim_in == 8
gallery = anybit.Collection.create(place / "gallery", place / "images")
gallery.add(images)
assert len(gallery.search(Image.fromarray(pixels[3]), k=5).ids) == 5

from typer.testing import CliRunner
from anybit.cli import app

done = CliRunner().invoke(app, ["train", str(place / "x.npz"), "-o", str(place / "m"),
                                "--method", "means", "--codewords", "4", "--bits", "4"])
assert done.exit_code == 1
assert "means needs labels of at least 2 classes" in " ".join(done.output.split()), done.output
print("learned")
"""


def test_a_new_method_is_one_file_and_one_line(tmp_path):
    copy = tmp_path / "src" / "anybit"
    shutil.copytree(SRC, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "quantizers/class_means.py").write_text(METHOD)
    registry = (copy / REGISTRY).read_text()
    assert registry.count(LAST_ENTRY) == 1
    changed = registry.replace(LAST_ENTRY, LAST_ENTRY + '    "class_means:MEANS",\n')
    (copy / REGISTRY).write_text(changed)
    lines = difflib.ndiff(registry.splitlines(), changed.splitlines())
    assert [line[0] for line in lines if line[0] != " "] == ["+"]
    place = tmp_path / "work"
    place.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "src"), str(place)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("learned")


def test_a_registry_line_that_names_nothing_fails_at_once(monkeypatch):
    from anybit.quantizers import methods

    monkeypatch.setattr(methods, "_ENTRIES", ("residual:RQ", "residual:NONE"))
    with pytest.raises(AttributeError, match="NONE"):
        list(methods._declared())
