"""A backbone that is not trained, with the codebooks of a method on vectors."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from anybit.cli import app
from anybit.codes import FeatureMap, codebooks_of, read_model_folder
from anybit.collection import (
    AddOptions,
    Collection,
    EncoderOptions,
    export_model,
    load_encoder,
)
from anybit.data import ArrayImages, Labels, Preprocessor, SourceOptions
from anybit.errors import DataError, FormatError, NotTrainedError, OptionError
from anybit.models import BackboneConfig, FrozenConfig, FrozenModel, ResNetSmall, load_model
from anybit.quantizers import fit_vectors
from anybit.training import TrainOptions, train

PX, WIDTHS, N, K = 16, [8, 8, 12], 60, 4


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights; batch normalisation has seen pictures."""
    torch.manual_seed(1)
    network = ResNetSmall(tuple(WIDTHS)).train()
    network(torch.randn(32, 3, PX, PX) * 2)
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    return path


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (N, PX, PX, 3), dtype=np.uint8)


@pytest.fixture
def settings(weights):
    return {
        "method": "rq",
        "bits": 6,
        "n_codewords": K,
        "backbone": "resnet-small",
        "backbone_options": {"widths": WIDTHS},
        "input_px": PX,
        "weights": weights,
        "device": "cpu",
    }


def expected_features(weights, pixels):
    """Features by a plain call of the network."""
    network = ResNetSmall(tuple(WIDTHS)).eval()
    built = FrozenModel(FrozenConfig(BackboneConfig("resnet-small", PX, {"widths": WIDTHS})))
    from safetensors.torch import load_file

    network.load_state_dict(load_file(weights))
    mean, std = (np.array(v, np.float32) for v in (built.mean, built.std))
    images = ((pixels / np.float32(255) - mean) / std).transpose(0, 3, 1, 2)
    with torch.no_grad():
        return network(torch.from_numpy(np.ascontiguousarray(images))).numpy()


def test_codebooks_are_those_of_the_backbones_features(settings, weights, pixels, tmp_path):
    calls = []
    model = train(
        ArrayImages(pixels),
        **settings,
        output=tmp_path / "model",
        progress=lambda done, total: calls.append((done, total)),
    )
    features = expected_features(weights, pixels)
    fitted = fit_vectors(features, "rq", n_levels=3, n_codewords=K, metric="cosine")
    # Convolutions of other batch sizes round differently.
    np.testing.assert_allclose(
        model.export_codebooks().codebooks, fitted.codebooks.codebooks, rtol=1e-3, atol=1e-4
    )
    assert model.export_codebooks().metric == "cosine"
    assert (model.method, model.class_names, calls) == ("rq", None, [(N, N)])
    assert (model.summary["n_images"], model.summary["n_bad"]) == (N, 0)
    assert model.summary["is_backbone_pretrained"]
    assert not any(p.requires_grad for p in model.parameters())
    assert not model.train().training

    again = load_model(tmp_path / "model")
    assert isinstance(again, FrozenModel)
    assert (again.method, again.fingerprint) == ("rq", model.fingerprint)
    preprocessor = Preprocessor.from_dict(again.preprocessor)
    found = again.features(preprocessor.normalise(pixels))
    np.testing.assert_allclose(found, features, rtol=1e-4, atol=1e-5)
    assert again.save_pretrained(tmp_path / "copy") == model.fingerprint


def test_labels_do_not_matter_to_a_method_without(settings, pixels, tmp_path):
    fingerprints = set()
    for number, labels in enumerate((None, Labels.from_integers(np.arange(N) % 3))):
        output = tmp_path / str(number)
        fingerprints.add(train(ArrayImages(pixels, labels), **settings, output=output).fingerprint)
    assert len(fingerprints) == 1


def test_a_metric_that_is_given_counts(settings, pixels):
    model = train(ArrayImages(pixels), **settings, metric="l2")
    assert model.export_codebooks().metric == "l2"


def test_a_random_backbone_is_refused(settings, pixels):
    settings.pop("weights")
    message = "rq does not train the backbone, which therefore needs weights, got none for resnet-s"
    with pytest.raises(OptionError, match=message):
        train(ArrayImages(pixels), **settings)


def test_several_processes_are_refused(settings, pixels):
    with pytest.raises(OptionError, match=r"n_devices must be 1 .* got 2"):
        train(ArrayImages(pixels), **settings, n_devices=2)


def test_a_model_without_codebooks_says_so():
    config = FrozenConfig(BackboneConfig("resnet-small", PX, {"widths": WIDTHS}))
    with pytest.raises(NotTrainedError, match="must have codebooks, got none"):
        FrozenModel(config).export_codebooks()


def folder_of_pictures(path, pixels, n_bad=0):
    path.mkdir()
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(path / f"{number:03}.png")
    for number in range(n_bad):
        (path / f"bad{number}.png").write_bytes(b"no picture")
    return path


def test_bad_pictures_are_left_out_up_to_a_share(settings, pixels, tmp_path):
    place = folder_of_pictures(tmp_path / "photos", pixels, n_bad=3)
    few, more = (
        TrainOptions(**settings, source=SourceOptions(max_bad=share)) for share in (0.01, 0.1)
    )
    with pytest.raises(DataError, match="bad"):
        train(place, few)
    model = train(place, more, output=tmp_path / "m")
    assert (model.summary["n_images"], model.summary["n_bad"]) == (N, 3)
    listed = (tmp_path / "m.run/bad_items.csv").read_text()
    assert listed.count("bad") >= 3
    whole = train(ArrayImages(pixels), **settings)
    np.testing.assert_array_equal(
        model.export_codebooks().codebooks, whole.export_codebooks().codebooks
    )


def test_labels_are_those_of_the_usable_pictures(settings, pixels, tmp_path, monkeypatch):
    from dataclasses import replace

    from anybit.quantizers import METHODS

    found = []

    def fit(features, labels, wanted):
        found.append(labels)
        return METHODS["rq"].fit(features, labels, wanted)

    with_it = {**METHODS, "rq": replace(METHODS["rq"], fit=fit, needs_labels=True)}
    for place in ("quantizers.methods", "training.frozen"):
        monkeypatch.setattr(f"anybit.{place}.METHODS", with_it)
    place = tmp_path / "photos"
    place.mkdir()
    folder_of_pictures(place / "a", pixels[:20], n_bad=2)
    folder_of_pictures(place / "b", pixels[20:])
    train(place, TrainOptions(**settings, source=SourceOptions(max_bad=0.1)))
    assert [found[0].names_of(row)[0] for row in range(N)] == ["a"] * 20 + ["b"] * 40


def test_of_very_many_images_some_are_drawn(settings, pixels, monkeypatch):
    monkeypatch.setattr("anybit.training.frozen._MOST_IMAGES", 20)
    model = train(ArrayImages(pixels), **settings, seed=4)
    assert model.summary["n_images"] == 20
    other = train(ArrayImages(pixels), **settings, seed=5)
    first, second = (one.export_codebooks().codebooks.tolist() for one in (model, other))
    assert first != second


def test_a_picture_finds_itself_in_a_collection(settings, pixels, tmp_path):
    """From the command line: train, info, create, add; then search."""
    photos = folder_of_pictures(tmp_path / "photos", pixels)

    def run(*args):
        done = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    flags = ["--backbone-options", '{"widths": [8, 8, 12]}', "--input-px", PX, "--codewords", 16]
    run("train", photos, "-o", tmp_path / "model", "--method", "rq", "--bits", 16, *flags,
        "--weights", settings["weights"])  # fmt: skip
    assert '"model": "frozen_model"' in (tmp_path / "model/config.json").read_text()
    assert "resnet-small" in run("info", tmp_path / "model")
    run("create", tmp_path / "shop", "--model", tmp_path / "model")
    run("add", tmp_path / "shop", photos)
    shop = Collection.open(tmp_path / "shop")
    hits = [shop.search(photos / f"{n:03}.png", k=3) for n in (5, 17, 41)]
    keys = [[str(key) for key in one.rows["key"].to_pylist()] for one in hits]
    assert [f"{n:03}.png" in found for n, found in zip((5, 17, 41), keys, strict=True)] == [
        True
    ] * 3


@pytest.fixture
def mapped(settings, pixels, tmp_path, monkeypatch):
    """A frozen model with a feature map, and its folder."""
    from dataclasses import replace

    from anybit.quantizers import METHODS, FitResult

    rng = np.random.default_rng(3)
    found = FeatureMap.linear(rng.normal(size=12), rng.normal(size=(12, 5)))

    def fit(features, labels, wanted):
        assert len(labels) == len(features)
        made = METHODS["rq"].learn(found.apply(features), None, wanted)
        return FitResult.of(made.codebooks, found.apply(features), (), feature_map=found)

    method = replace(METHODS["rq"], fit=fit, needs_labels=True)
    with_map = {**METHODS, "rq-greedy": method}
    for place in ("quantizers.methods", "training.frozen"):
        monkeypatch.setattr(f"anybit.{place}.METHODS", with_map)
    labels = Labels.from_integers(np.arange(N) % 3)
    settings["method"] = "rq-greedy"
    with pytest.raises(DataError, match="needs labels of at least 2 classes"):
        train(ArrayImages(pixels), **settings)
    return train(ArrayImages(pixels, labels), **settings, output=tmp_path / "mapped"), found


def test_a_map_lies_between_backbone_and_codebooks(mapped, weights, pixels, tmp_path):
    model, found = mapped
    assert model.class_names == ("0", "1", "2")
    raw = expected_features(weights, pixels)
    images = Preprocessor.from_dict(model.preprocessor).normalise(pixels)
    for one in (model, load_model(tmp_path / "mapped"), load_encoder(tmp_path / "mapped", "cpu")):
        np.testing.assert_allclose(one.features(images), found.apply(raw), rtol=1e-3, atol=1e-4)
    assert codebooks_of(read_model_folder(tmp_path / "mapped")).dim == 5


def test_onnx_serves_a_map_without_torch(mapped, pixels, tmp_path):
    model, _ = mapped
    fingerprint = model.fingerprint
    assert export_model(tmp_path / "mapped", tmp_path / "served", to="onnx") is None
    images = Preprocessor.from_dict(model.preprocessor).normalise(pixels)
    served = load_encoder(tmp_path / "served", EncoderOptions("cpu", "onnx", 1))
    assert (served.engine.name, served.fingerprint) == ("onnxruntime", fingerprint)
    np.testing.assert_allclose(
        served.features(images), model.features(images), rtol=1e-3, atol=1e-4
    )
    np.save(tmp_path / "images.npy", images)
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from anybit.collection import load_encoder\n"
        f"encoder = load_encoder({str(tmp_path / 'served')!r})\n"
        f"features = encoder.features(np.load({str(tmp_path / 'images.npy')!r}))\n"
        "print(features.shape, encoder.engine.name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "(60, 5) onnxruntime"


def test_a_longer_model_of_the_same_backbone_extends_a_collection(settings, pixels, tmp_path):
    """Only greedy codes of levels that stay: a beam decides about all levels together."""
    settings["method"] = "rq-greedy"
    short = train(ArrayImages(pixels), **settings, output=tmp_path / "short")
    longer = {**settings, "bits": 10}
    train(ArrayImages(pixels), **longer, output=tmp_path / "long")
    shop = Collection.create(tmp_path / "shop", tmp_path / "short")
    photos = folder_of_pictures(tmp_path / "photos", pixels)
    shop.add(photos, AddOptions(thumbnails_px=0))
    before = shop.index().codes.planes.copy()
    assert shop.model_fingerprint == short.fingerprint
    report = shop.migrate(tmp_path / "long")
    assert report.is_extended
    np.testing.assert_array_equal(shop.index().codes.planes[:3], before)


def test_a_folder_of_another_kind_is_refused(settings, pixels, tmp_path):
    train(ArrayImages(pixels), **settings, output=tmp_path / "model")
    folder = read_model_folder(tmp_path / "model")
    config = {**folder.config, "model": "code_model"}
    with pytest.raises(FormatError, match="must hold a model with a frozen backbone, got 'rq'"):
        FrozenModel.of_folder(type(folder)(config, folder.tensors), tmp_path / "model")
    wrong = {**folder.config, "architecture": {}}
    with pytest.raises(FormatError, match="must describe a frozen model"):
        FrozenModel.of_folder(type(folder)(wrong, folder.tensors), tmp_path / "model")
