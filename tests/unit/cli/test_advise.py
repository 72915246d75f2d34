"""``anybit advise`` and ``train --advise`` on small collections of vectors: no network."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from anybit.advice import AdviceOptions
from anybit.cli import app
from anybit.collection import AdviceSources, Collection, length_advice


def run(*arguments):
    return CliRunner().invoke(app, [str(part) for part in arguments])


def advice_of(*arguments):
    """Run the command with --json and return its answer."""
    result = run("advise", *arguments, "--json", "-q")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Vectors of four classes; collections with and without features and labels."""
    from anybit.codes import Codebooks, ModelFolder, write_model_folder

    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(5)
    means = 4 * rng.standard_normal((4, 8), dtype=np.float32)
    y = np.arange(60) % 4
    x = means[y] + rng.standard_normal((60, 8), dtype=np.float32)
    np.savez(folder / "items.npz", x=x, y=y)
    np.save(folder / "bare.npy", x)
    np.savez(folder / "queries.npz", x=x[:10] + np.float32(0.1), y=y[:10])
    np.save(folder / "queries.npy", x[:10] + np.float32(0.1))
    # The first level knows little more than the class, the second one what is left over.
    coarse = np.repeat(means, 4, axis=0) + rng.normal(size=(16, 8)).astype(np.float32) / 10
    codebooks = Codebooks.stacked(np.stack([coarse, x[:16] - means[y[:16]]]), metric="l2")
    model = ModelFolder({"method": "drq", "backbone": {"name": "none"}, "class_names": None}, {})
    write_model_folder(folder / "model", model, codebooks)
    for name, source, flags in (
        ("both", "items.npz", ["--store-features"]),
        ("features", "bare.npy", ["--store-features"]),
        ("labels", "items.npz", []),
        ("neither", "bare.npy", []),
    ):
        made = run("create", folder / name, "--model", folder / "model", "-q")
        assert made.exit_code == 0, made.output
        added = run("add", folder / name, folder / source, *flags, "-q")
        assert added.exit_code == 0, added.output
    return folder


def test_table_has_one_line_a_length_and_the_suggestion(shop):
    result = run("advise", shop / "both", "-q")
    assert result.exit_code == 0, result.output
    for word in ("1-recall@1", "1-recall@10", "mAP@59", "ms a query", "4 bits", "8 bits"):
        assert word in result.stdout
    assert result.stdout.count("suggested") == 1
    assert "60 items, 60 queries, drawn from the items" in result.stdout
    assert "1-recall@100" not in result.stdout  # there are no 100 items to find


def test_stored_features_give_recall_and_labels_map(shop):
    both = advice_of(shop / "both")
    assert (both["by"], both["at"], both["recall_at"]) == ("map", 59, [1, 10])
    assert both["is_leave_one_out"]
    features = advice_of(shop / "features", "--n-queries", 25)
    assert (features["by"], features["at"], features["n_queries"]) == ("recall", None, 25)
    assert [one["map_at"] for one in features["lengths"]] == [None, None]
    assert [one["bits"] for one in features["lengths"]] == [4, 8]


def test_tolerance_and_criterion_choose_the_length(shop):
    lengths = advice_of(shop / "both", "--by", "recall", "--tolerance", 0)["lengths"]
    recalls = [one["recall"][1] for one in lengths]
    assert recalls[0] < recalls[1]  # else the case shows nothing
    for tolerance, bits in ((0, 8), (0.99, 4)):
        advice = advice_of(shop / "both", "--by", "recall", "--tolerance", tolerance)
        assert advice["suggested_bits"] == bits
        assert advice["reason"].startswith(f"{bits} bits: ")


def test_source_of_queries_is_used_whole(shop):
    advice = advice_of(shop / "both", "--queries", shop / "queries.npz")
    assert (advice["n_queries"], advice["n_labelled_queries"], advice["at"]) == (10, 10, 60)
    assert not advice["is_leave_one_out"]


def test_items_stand_in_for_features_that_are_not_stored(shop):
    stored = advice_of(shop / "features")
    given = advice_of(shop / "neither", "--items", shop / "bare.npy")
    # Stored features are float16: that may turn a near tie round, once in a while.
    for one, other in zip(stored["lengths"], given["lengths"], strict=True):
        np.testing.assert_allclose(one["recall"], other["recall"], atol=2 / 60)


def test_items_are_found_by_their_contents_in_another_file(shop, tmp_path):
    np.save(tmp_path / "other.npy", np.roll(np.load(shop / "bare.npy"), 1, axis=0))
    given = advice_of(shop / "neither", "--items", shop / "bare.npy")
    moved = advice_of(shop / "neither", "--items", tmp_path / "other.npy")
    recalls = [[one["recall"] for one in advice["lengths"]] for advice in (given, moved)]
    assert recalls[0] == recalls[1]


def test_items_must_be_those_of_the_codes(shop, tmp_path):
    rows = np.load(shop / "bare.npy")
    np.save(tmp_path / "changed.npy", rows + 1)
    result = run("advise", shop / "neither", "--items", tmp_path / "changed.npy")
    assert result.exit_code == 1
    assert "the source must hold every item" in result.stderr
    # Of codes that were made elsewhere the contents are not known.
    made = Collection.create(tmp_path / "codes", shop / "neither/model")
    codes = made.codebooks.encode(rows)
    made.add_codes(codes, np.arange(len(rows)), made.model_fingerprint)
    np.save(tmp_path / "other.npy", np.roll(rows, 1, axis=0))
    result = run("advise", tmp_path / "codes", "--items", tmp_path / "other.npy")
    assert result.exit_code == 1
    assert "must be the source that was added" in result.stderr


def test_labels_alone_give_map_and_say_what_the_queries_are(shop):
    advice = advice_of(shop / "labels")
    assert (advice["by"], advice["recall_at"], advice["n_queries"]) == ("map", [], 60)
    assert "decoded at full length" in advice["notes"][0]
    queries = advice_of(shop / "labels", "--queries", shop / "queries.npz")
    assert queries["notes"] == []


def test_nothing_that_is_true_is_an_error_with_the_cure(shop):
    result = run("advise", shop / "neither")
    assert result.exit_code == 1
    assert "--items" in result.stderr
    assert "--store-features" in result.stderr
    unlabelled = run("advise", shop / "labels", "--queries", shop / "queries.npy")
    assert unlabelled.exit_code == 1
    assert "labelled queries" in unlabelled.stderr


def test_empty_collection_and_wrong_options_are_refused(shop, tmp_path):
    assert run("create", tmp_path / "empty", "--model", shop / "model").exit_code == 0
    empty = run("advise", tmp_path / "empty")
    assert empty.exit_code == 1
    assert "must hold items" in empty.stderr
    assert run("advise", shop / "both", "--tolerance", 1).exit_code == 2
    assert run("advise", shop / "features", "--by", "map").exit_code == 2


def test_output_holds_figures_and_plot(shop, tmp_path):
    advice = advice_of(shop / "both", "-o", tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "advice.json").read_text())
    assert stored["lengths"] == advice["lengths"]
    assert (tmp_path / "out" / "advice.png").read_bytes().startswith(b"\x89PNG")
    assert advice["files"] == [str(tmp_path / "out" / f"advice.{kind}") for kind in ("json", "png")]


def test_same_seed_same_queries(shop):
    def recalls(seed):
        options = AdviceOptions(n_queries=20, seed=seed)
        return [one.recall for one in Collection.open(shop / "both").advise(None, options).lengths]

    assert recalls(1) == recalls(1)
    assert recalls(1) != recalls(2)


def test_paths_are_sources_in_python(shop):
    sources = AdviceSources(queries=shop / "queries.npz", items=str(shop / "bare.npy"))
    advice = Collection.open(shop / "neither").advise(sources)
    assert (advice.n_queries, advice.by) == (10, "recall")


def test_train_advises_on_its_source_and_calls_it_optimistic(shop, tmp_path):
    result = run(
        "train", shop / "items.npz", "-o", tmp_path / "model", "--codewords", 4, "--bits", 4,
        "--advise", "-q",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "1-recall@10" in result.stdout
    assert "note: the model was trained on these items" in result.stdout
    assert "a model of 4 bits" in result.stdout


def test_many_training_images_are_sampled(tmp_path, monkeypatch):
    from PIL import Image

    from anybit.collection import load_encoder
    from anybit.data import open_source

    rng = np.random.default_rng(0)
    for number in range(12):
        place = tmp_path / "photos" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    trained = run(
        "train", tmp_path / "photos", "-o", tmp_path / "model", "--bits", 4, "--codewords", 4,
        "--epochs", "1,0,0", "--input-px", 16, "--batch-size", 4, "--device", "cpu",
        "--backbone-options", '{"widths": [4, 4, 4]}', "--advise", "--json", "-q",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    advice = json.loads(trained.stdout)["advice"]
    assert (advice["n_items"], advice["by"], len(advice["notes"])) == (12, "map", 1)
    monkeypatch.setattr(length_advice, "_MOST_IMAGES", 8)
    encoder = load_encoder(tmp_path / "model", "cpu")
    fewer = length_advice.advise_source(open_source(tmp_path / "photos"), encoder)
    assert (fewer.n_items, fewer.n_queries, fewer.is_leave_one_out) == (8, 8, True)
    assert "8 of 12 images" in fewer.notes[1]
