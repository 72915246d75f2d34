"""Models exported to ONNX: the same codes without torch, and nothing else taken for them."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from anybit.cli import app
from anybit.codes import ModelFolder, read_model_folder, write_model_folder
from anybit.collection import Collection, EncoderOptions, Engine, export_model, load_encoder
from anybit.collection.onnx_engine import OnnxFacts, OnnxSession, onnx_files, read_onnx
from anybit.collection.onnx_export import _check_same
from anybit.collection.replacement import Target, _switch_to_equal
from anybit.collection.replacement_lock import replacement_lock
from anybit.data import Preprocessor
from anybit.errors import DependencyError, FormatError, OptionError, ShapeError
from anybit.models import (
    DQN,
    DRQ,
    BackboneConfig,
    DQNConfig,
    DRQConfig,
    ProductConfig,
    QuantizerConfig,
    onnx_graph,
)

PX = 16
BACKBONE = BackboneConfig("resnet-small", PX, {"widths": [8, 8, 8]})
ONNX = EncoderOptions("cpu", "onnx", 1)


def drq(seed=0):
    torch.manual_seed(seed)
    made = DRQ(DRQConfig(BACKBONE, QuantizerConfig(4, 16), (12, 6), is_unit_length=True))
    made.train()
    for _ in range(3):  # batch normalisation with statistics of its own
        made.vectors(torch.randn(8, 3, PX, PX) * 2 + 1)
    made.preprocessor = Preprocessor(PX).to_dict()
    return made.eval()


def pictures(n_images, seed=0):
    return np.random.default_rng(seed).standard_normal((n_images, 3, PX, PX)).astype(np.float32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model, and its export."""
    place = tmp_path_factory.mktemp("models")
    drq().save_pretrained(place / "model")
    export_model(place / "model", place / "exported", to="onnx")
    return place


@pytest.fixture
def model(folders):
    return folders / "model"


@pytest.fixture
def exported(folders, tmp_path):
    """A copy of the export that a test may damage."""
    return shutil.copytree(folders / "exported", tmp_path / "exported")


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(5)
    for number in range(12):
        pixels = rng.integers(0, 256, (PX, PX, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photos/{number:02}.png")
    return tmp_path / "photos"


def test_both_engines_give_the_same_codes(model, exported):
    ours, theirs = load_encoder(exported, "cpu"), load_encoder(exported, ONNX)
    assert (ours.engine.name, theirs.engine.name) == ("torch", "onnxruntime")
    assert ours.engine.version == torch.__version__
    assert theirs.fingerprint == ours.fingerprint == load_encoder(model, "cpu").fingerprint
    x = pictures(256)
    expected, made = ours.features(x), theirs.features(x)
    # The same sums in another order; values are below 1.
    np.testing.assert_allclose(made, expected, atol=2e-6)
    same = ours.codebooks.encode(expected).planes == theirs.codebooks.encode(made).planes
    assert same.mean() >= 0.999


def test_graph_of_dqn_gives_its_features():
    torch.manual_seed(2)
    made = DQN(DQNConfig(BACKBONE, ProductConfig(4, 16), 12)).eval()
    session = OnnxSession(onnx_graph(made, PX), OnnxFacts("", "", PX, 12), 1)
    x = pictures(3)
    np.testing.assert_allclose(session.features(x), made.features(x), atol=2e-6)


@pytest.mark.parametrize("n_images", [0, 1, 2, 5])
def test_batches_may_have_any_size(exported, n_images):
    encoder, x = load_encoder(exported, ONNX), pictures(7)
    whole = encoder.features(x)
    part = encoder.features(x[:n_images])
    assert part.shape == (n_images, 18)
    np.testing.assert_allclose(part, whole[:n_images], atol=1e-6)


def test_images_of_another_size_are_refused(exported):
    encoder = load_encoder(exported, ONNX)
    with pytest.raises(ShapeError, match=r"\(B, 3, 16, 16\), got \(1, 3, 8, 8\)"):
        encoder.features(np.zeros((1, 3, 8, 8), np.float32))


def test_graph_has_no_word_of_this_machine(exported):
    import onnx

    graph = onnx.load(exported / "model.onnx")
    parts = [graph, graph.graph, *graph.graph.node, *graph.graph.value_info]
    assert [part for part in parts if part.metadata_props or part.doc_string] == []
    assert b".py" not in (exported / "model.onnx").read_bytes()


def test_graph_of_another_model_is_refused(exported, tmp_path):
    drq(seed=1).save_pretrained(tmp_path / "other")
    for name in ("model.onnx", "onnx.json"):
        shutil.copy(exported / name, tmp_path / "other")
    with pytest.raises(FormatError, match=r"which makes other codes\. Export the model again"):
        load_encoder(tmp_path / "other", ONNX)
    with pytest.raises(FormatError, match="which makes other codes"):
        Collection.create(tmp_path / "shop", tmp_path / "other")
    assert not (tmp_path / "shop").exists()


def test_collection_of_another_model_is_refused(exported, tmp_path):
    drq(seed=1).save_pretrained(tmp_path / "other")
    Collection.create(tmp_path / "shop", tmp_path / "other")
    shutil.rmtree(tmp_path / "shop/model")
    shutil.copytree(exported, tmp_path / "shop/model")
    with pytest.raises(FormatError, match="must hold the model"):
        Collection.open(tmp_path / "shop")


def replaced(path, content):
    path.write_bytes(content)


DAMAGES = {
    "a flipped bit": (
        lambda at: replaced(at / "model.onnx", bytes([1]) + (at / "model.onnx").read_bytes()[1:]),
        "is damaged: it does not have the checksum",
    ),
    "a cut graph": (
        lambda at: replaced(at / "model.onnx", (at / "model.onnx").read_bytes()[:-9]),
        "is damaged",
    ),
    "no graph": (lambda at: (at / "model.onnx").unlink(), "model.onnx must be a file"),
    "no facts": (lambda at: (at / "onnx.json").unlink(), "must describe model.onnx"),
    "no JSON": (lambda at: replaced(at / "onnx.json", b"{"), "must describe model.onnx"),
    "a list": (lambda at: replaced(at / "onnx.json", b"[]"), "must describe model.onnx"),
    "facts left out": (lambda at: replaced(at / "onnx.json", b"{}"), "must describe model.onnx"),
    "no UTF-8": (lambda at: replaced(at / "onnx.json", b"\xff"), "must describe model.onnx"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_format_errors(exported, damage):
    make, message = DAMAGES[damage]
    make(exported)
    with pytest.raises(FormatError, match=message):
        load_encoder(exported, ONNX)


def with_facts(folder, **changes):
    facts = json.loads((folder / "onnx.json").read_text())
    (folder / "onnx.json").write_text(json.dumps({**facts, **changes}))


def test_facts_of_a_newer_version_are_refused(exported):
    with_facts(exported, format_version=2)
    with pytest.raises(FormatError, match=r"format version 1, got 2\. Update anybit"):
        load_encoder(exported, ONNX)


@pytest.mark.parametrize(("fact", "value"), [("dim", 17), ("size_px", 32)])
def test_graph_must_map_what_its_facts_say(exported, fact, value):
    with_facts(exported, **{fact: value})
    with pytest.raises(FormatError, match="must map"):
        load_encoder(exported, ONNX)


def test_bytes_that_are_no_graph_are_a_format_error(exported):
    fingerprint = read_model_folder(exported).fingerprint
    for name, content in onnx_files(b"no graph", fingerprint, PX, 18).items():
        (exported / name).write_bytes(content)
    with pytest.raises(FormatError, match=r"must be a graph that ONNX Runtime .* runs"):
        load_encoder(exported, ONNX)


def test_missing_onnxruntime_is_named(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DependencyError, match=r"pip install 'anybit\[serve\]'"):
        load_encoder(exported, ONNX)


def test_missing_exporter_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(DependencyError, match=r"pip install 'anybit\[onnx\]'"):
        export_model(model, tmp_path / "to", to="onnx")
    assert list(tmp_path.iterdir()) == []


def test_model_without_graph_cannot_be_run_by_onnx(model):
    with pytest.raises(OptionError, match=r"needs a model with model\.onnx"):
        load_encoder(model, ONNX)


def test_onnx_runs_on_the_cpu(exported):
    with pytest.raises(OptionError, match="device must be cpu for ONNX Runtime, got 'cuda'"):
        load_encoder(exported, EncoderOptions("cuda", "onnx"))


@pytest.mark.parametrize("options", [{"engine": "onxx"}, {"n_threads": 0}])
def test_options_are_checked_at_once(options):
    with pytest.raises(OptionError, match=f"{next(iter(options))} must be"):
        EncoderOptions(**options)


def test_vectors_have_no_engine(tmp_path):
    codebooks = drq().export_codebooks()
    folder = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
    write_model_folder(tmp_path / "vectors", folder, codebooks)
    assert load_encoder(tmp_path / "vectors").engine == Engine("none")
    with pytest.raises(OptionError, match="whose items are vectors"):
        export_model(tmp_path / "vectors", tmp_path / "to", to="onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]


def test_export_is_a_whole_model_folder_and_replaces_nothing_unasked(model, exported, tmp_path):
    names = {"config.json", "model.safetensors", "preprocessor.json", "training.json"}
    assert {path.name for path in exported.iterdir()} == names | {"model.onnx", "onnx.json"}
    assert read_model_folder(exported).fingerprint == read_model_folder(model).fingerprint
    facts = (exported / "onnx.json").stat().st_ino
    with pytest.raises(OptionError, match=r"must not exist yet.*--overwrite"):
        export_model(model, exported, to="onnx")
    assert (exported / "onnx.json").stat().st_ino == facts
    shop = Collection.create(tmp_path / "shop", model)
    shop.export(exported, to="onnx", overwrite=True)
    assert (exported / "onnx.json").stat().st_ino != facts
    read_onnx(exported, shop.model_fingerprint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exported", "shop"]


def test_overwriting_takes_only_model_folders(model, exported, tmp_path):
    (exported / "notes.txt").write_text("mine")
    with pytest.raises(OptionError, match=r"to be replaced, got also notes\.txt in it"):
        export_model(model, exported, to="onnx", overwrite=True)
    (tmp_path / "mine").mkdir()
    with pytest.raises(OptionError, match="to be replaced, got something else"):
        export_model(model, tmp_path / "mine", to="onnx", overwrite=True)
    with pytest.raises(OptionError, match="is for onnx, got npy"):
        export_model(model, tmp_path / "arrays", to="npy", overwrite=True)


def test_failed_export_leaves_nothing(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="must be writable"):
        export_model(model, tmp_path / "file/exported", to="onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class DataDependent(torch.nn.Module):
    """A network whose way depends on the picture: no graph can hold it."""

    def forward(self, images):
        return images.mean(dim=(2, 3)) if images.sum().item() > 0 else images.amax(dim=(2, 3))


def test_network_that_no_graph_can_hold_is_refused():
    made = drq()
    made.backbone = DataDependent()
    with pytest.raises(OptionError, match=r"one that ONNX can express .* got 'resnet-small'"):
        onnx_graph(made, PX)


@pytest.mark.parametrize("wrong", [0.01, np.nan])
def test_export_refuses_a_graph_that_computes_something_else(wrong):
    features = np.ones((2, 3), np.float32)
    _check_same(features, features * np.float32(1 + 1e-5))
    made = features.copy()
    made[1, 2] += wrong
    with pytest.raises(OptionError, match="must compute the features that torch computes"):
        _check_same(features, made)


def test_export_compares_before_it_writes(exported, tmp_path, monkeypatch):
    drq(seed=1).save_pretrained(tmp_path / "other")
    graph = (exported / "model.onnx").read_bytes()
    monkeypatch.setattr("anybit.models.onnx_graph", lambda model, size_px: graph)
    with pytest.raises(OptionError, match="must compute the features that torch computes"):
        export_model(tmp_path / "other", tmp_path / "to", to="onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exported", "other"]


def test_session_serves_several_threads(exported):
    from concurrent.futures import ThreadPoolExecutor

    graph, facts = read_onnx(exported, read_model_folder(exported).fingerprint)
    session, batches = OnnxSession(graph, facts, 1), [pictures(3, seed) for seed in range(8)]
    assert isinstance(facts, OnnxFacts)
    expected = [session.features(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(session.features, batches * 4))
    np.testing.assert_array_equal(found, expected * 4)


def test_importing_the_rooms_brings_no_engine():
    code = (
        "import sys, anybit.collection, anybit.search, anybit.store;"
        "raise SystemExit(bool({'torch', 'onnxruntime', 'onnx'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # what an environment without it raises: ImportError
from anybit.collection import Collection
shop = Collection.open(sys.argv[1])
hits = shop.search(sys.argv[2], k=3)
from PIL import Image
hits = shop.search(Image.open(sys.argv[2]), k=3)
print(shop.encoder.engine.name, *hits.ids)
"""


def test_collection_is_searched_by_picture_without_torch(exported, photos, tmp_path):
    shop = Collection.create(tmp_path / "shop", exported, device="cpu")
    shop.add(photos)
    query = photos / "03.png"
    ours = shop.search(query, k=3)
    assert shop.encoder.engine.name == "torch"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, tmp_path / "shop", query],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["onnxruntime", *map(str, ours.ids)]


def test_without_torch_or_graph_the_cure_is_said(model, tmp_path, monkeypatch):
    Collection.create(tmp_path / "shop", model)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(DependencyError, match="anybit export MODEL --to onnx"):
        Collection.open(tmp_path / "shop").encoder  # noqa: B018 - loading is the test


def test_collection_gets_a_graph_and_open_ones_follow(model, photos, tmp_path):
    shop = Collection.create(tmp_path / "shop", model, device="cpu")
    shop.add(photos)
    before = shop.search(photos / "03.png", k=5)
    by_onnx = Collection.open(tmp_path / "shop", ONNX)
    with pytest.raises(OptionError, match=r"needs a model with model\.onnx"):
        by_onnx.search(photos / "03.png")
    made = CliRunner().invoke(app, ["export", str(tmp_path / "shop"), "--to", "onnx", "--json"])
    assert made.exit_code == 0, made.output
    found = by_onnx.search(photos / "03.png", k=5)
    assert by_onnx.encoder.engine.name == "onnxruntime"
    np.testing.assert_array_equal(found.ids, before.ids)
    np.testing.assert_allclose(found.scores, before.scores, atol=1e-5)  # sums in another order
    assert shop.model_fingerprint == read_model_folder(model).fingerprint
    assert len(shop) == 12
    with pytest.raises(OptionError, match=r"got one with it\. Pass overwrite"):
        shop.add_onnx()
    shop.compact(kept_s=0)
    kept = [path.name for path in (tmp_path / "shop").iterdir() if path.name.startswith("model")]
    assert len(kept) == 1
    assert (tmp_path / "shop" / kept[0] / "model.onnx").is_file()


def test_a_model_that_was_replaced_meanwhile_stays(model, tmp_path):
    drq(seed=1).save_pretrained(tmp_path / "other")
    shop = Collection.create(tmp_path / "shop", model)
    before = shop._manifest
    shop.migrate(tmp_path / "other")
    with replacement_lock(shop._folder) as hold:
        target = Target(shop._folder, before, shop._store, hold)
        with pytest.raises(OptionError, match="must keep its model meanwhile"):
            _switch_to_equal(target, "model-x")
    assert Collection.open(tmp_path / "shop").model_fingerprint == shop.model_fingerprint


@pytest.mark.parametrize("is_remote", [False, True], ids=["folder", "object store"])
def test_migrating_to_the_export_of_the_same_model_adds_its_graph(
    model, exported, tmp_path, bucket, is_remote
):
    place = f"{bucket}/shop" if is_remote else tmp_path / "shop"
    shop = Collection.create(place, model)
    report = shop.migrate(exported)
    assert report.old_fingerprint == report.new_fingerprint
    assert Collection.open(place, ONNX).encoder.engine.name == "onnxruntime"
    shop.migrate(model)  # takes nothing away
    assert Collection.open(place, ONNX).encoder.engine.name == "onnxruntime"
