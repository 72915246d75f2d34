"""A run from pictures to figures: what it trains, measures and remembers, and the table of it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from anybit.data import ArrayImages, Labels
from anybit.errors import OptionError
from anybit.models import load_model
from anybit.papers import DataSet, Prepared, Protocol, SplitRule, configuration, recipe, split
from anybit.papers.artefact import Artefact, Runner
from anybit.papers.assembly import Assembly, Found, assembled
from anybit.papers.datasets import join_sources
from anybit.papers.runs.companions import unseen_classes
from anybit.papers.runs.item_sample import item_sample
from anybit.papers.runs.run import Run, features_of, perform

NO_RUNS = Runner(lambda *_: [], lambda *_: None)  # only the assembly is tested
NAMES = ("red", "green", "blue", "grey")
RULE = Protocol(
    name="small", title="Small", dataset="cifar10", source="none",
    split=SplitRule("per_class", 8, 4, "test", "train"), sizes={}, n_classes=4,
    is_multi_label=False, at=20, denominator="found", zero_hit="zero", metric="ip",
    bits=(2, 4, 6), n_codewords=4,
)  # fmt: skip
TINY = replace(
    recipe("quick", "small"), input_px=16, backbone_options={"widths": [4, 4, 8]}, batch_size=8
)


def pictures(n_items, seed):
    rng = np.random.default_rng(seed)
    classes = np.arange(n_items) % 4
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [120, 120, 120]])
    noise = rng.integers(-35, 35, (n_items, 16, 16, 3))
    pixels = (colours[classes][:, None, None] + noise).astype(np.uint8)
    return ArrayImages(pixels, Labels.from_integers(classes, NAMES))


@pytest.fixture(scope="module")
def prepared():
    dataset = DataSet("cifar10", "arrays", {"train": pictures(48, 0), "test": pictures(40, 1)})
    manifest = split(RULE, dataset)
    return Prepared(dataset, manifest, manifest.sources(dataset), ())


def run_of(name="drq", bits=RULE.bits, **changes):
    return Run(RULE, configuration(name), TINY, bits, 0, **changes)


@pytest.fixture(scope="module")
def results(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for one in (
        run_of(),
        run_of(has_unseen=True),
        *(run_of("dqn", (bits,)) for bits in RULE.bits),
    ):
        own = folder / one.folder_name(prepared.manifest.checksum)
        found[one.name] = Found(one, perform(one, prepared, own), own)
    return found


def test_a_run_measures_every_length_the_float_features_and_the_classifier(results):
    found = results[run_of().name].result
    assert [one["bits"] for one in found["evaluation"]["lengths"]] == [2, 4, 6]
    assert found["evaluation"]["at"] == 20
    assert found["evaluation"]["float_features"]["bits"] > 32
    assert found["sizes"] == {"train": 32, "database": 40, "query": 16}
    assert found["classifier"]["bits_used"] == {"2": 2, "4": 2, "6": 2}
    assert 0 < found["classifier"]["map_at"]["2"] <= 1
    assert found["n_parameters"]["codebooks"] > 0
    assert found["run"]["configuration"]["method"] == "drq"


def test_a_product_code_has_a_model_of_its_own_length(results):
    for bits in RULE.bits:
        found = results[run_of("dqn", (bits,)).name].result
        assert [one["bits"] for one in found["evaluation"]["lengths"]] == [bits]
        # 240 is a multiple of 1, 2 and 3 subspaces; the codebooks of all lengths are as large.
        assert found["n_parameters"]["codebooks"] == 4 * 240


def test_unseen_classes_are_neither_trained_on_nor_searched_with_others(results):
    found = results[run_of(has_unseen=True).name].result
    unseen = unseen_classes(NAMES)
    assert found["unseen_classes"] == list(unseen)
    assert found["sizes"] == {"train": 24, "database": 10, "query": 4}
    assert "classifier" not in found
    counts = dict(zip(NAMES, found["training"]["class_counts"], strict=False))
    assert sum(counts.values()) == 24
    assert all(counts.get(name, 0) == 0 for name in unseen)


def test_what_is_done_is_not_done_again(prepared, results):
    one = run_of()
    folder = results[one.name].folder
    stored = json.loads((folder / "result.json").read_text())
    stored["mark"] = 1
    (folder / "result.json").write_text(json.dumps(stored))
    assert perform(one, prepared, folder)["mark"] == 1


def test_the_folder_of_a_run_changes_with_all_it_depends_on(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    base = run_of(weights=first)
    others = [
        run_of(weights=second),
        run_of(weights=first, has_unseen=True),
        run_of(weights=first, label_vectors=second),
        replace(base, seed=1),
        replace(base, recipe=replace(TINY, input_px=20)),
        replace(base, protocol=replace(RULE, at=19)),
        replace(base, configuration=configuration("drq-no-triplet")),
    ]
    names = {one.folder_name("split") for one in [base, *others]} | {base.folder_name("other")}
    assert len(names) == 9
    second.rename(tmp_path / "c")
    assert run_of(weights=tmp_path / "c").folder_name("s") == others[0].folder_name("s")


def test_a_recipe_that_starts_from_weights_does_not_start_without():
    with pytest.raises(OptionError, match="name their file"):
        Run(RULE, configuration("drq"), replace(TINY, needs_weights=True), (8,), 0)


def test_recipe_paper_trains_alexnet_with_preset_paper_from_the_weights(tmp_path):
    run = Run(RULE, configuration("drq"), recipe("paper", "small"), (6,), 0, tmp_path / "w")
    options = run.train_options("cpu")
    assert (options.backbone, options.preset, options.input_px) == ("alexnet", "paper", 224)
    assert options.weights == tmp_path / "w"
    assert options.epochs == (32, 16, 16)


def test_the_page_says_which_vectors_stand_for_the_classes(results):
    table = Artefact("t", "table", "T", NO_RUNS, ("small",), ("drq", "dqn"))
    methods = (configuration("drq"), configuration("dqn"))
    every = tuple(results.values())

    def notes(found):
        parts = Assembly(table, RULE, methods, (0,), "sum", found)
        return [note for note in assembled(parts).notes if note.startswith("Class vectors")]

    assert notes(every) == [
        "Class vectors in L_A of DRQ: orthogonal, no word vectors were given; the paper takes "
        "word2vec."
    ]
    first = results[run_of().name]
    changed = json.loads(json.dumps(first.result))
    changed["run"]["label_vectors_sha256"] = "ab" * 32
    others = [one for one in every if one is not first]
    (note,) = notes((replace(first, result=changed), *others))
    assert f"SHA-256 {'ab' * 32}" in note
    dqn = replace(table, methods=("dqn",))
    only = Assembly(dqn, RULE, methods[1:], (0,), "sum", tuple(others))
    assert not any(note.startswith("Class vectors") for note in assembled(only).notes)


def test_a_table_has_a_column_a_length_and_every_companion(results):
    table = Artefact("t", "table", "T", NO_RUNS, ("small",), ("drq", "dqn"))
    methods = (configuration("drq"), configuration("dqn"))
    found = assembled(Assembly(table, RULE, methods, (0,), "sum", tuple(results.values())))
    assert found.bits == (2, 4, 6)
    drq, dqn = found.rows
    lengths = results[run_of().name].result["evaluation"]["lengths"]
    assert [value.mean for value in drq.ours] == [
        next(m["value"] for m in one["measures"] if m["name"] == "map_at") for one in lengths
    ]
    assert set(drq.companions) == {
        "float features", "trivial classifier", "unseen classes", "unseen classes, float",
    }  # fmt: skip
    assert all(None not in values for values in drq.companions.values())
    # Each of DQN's models has float features of its own.
    assert [value.mean for value in dqn.ours] != [value.mean for value in drq.ours]
    assert set(dqn.companions) == {"float features", "trivial classifier"}
    assert found.training["DQN"]["models"] == 3
    assert found.training["DRQ"]["models"] == 1
    assert "mAP@20" in found.metric


def test_training_items_held_back_stand_beside_no_figure_of_a_paper(prepared, tmp_path):
    own = prepared.held_back()
    rule = replace(RULE, bits=(2, 4, 6, 8))  # as many lengths as the paper's table
    one = replace(run_of(bits=rule.bits), protocol=rule)
    assert one.folder_name(own.manifest.checksum) != one.folder_name(prepared.manifest.checksum)
    found = Found(one, perform(one, own, tmp_path), tmp_path)
    assert found.result["sizes"] == {"train": 23, "database": 6, "query": 3}
    table = Artefact("t", "table", "T", NO_RUNS, ("small",), ("drq",), ("drq-table1",))
    methods = (configuration("drq"),)
    parts = Assembly(table, rule, methods, (0,), own.manifest.checksum, (found,))
    asked, held = assembled(parts), assembled(replace(parts, is_held_back=True))
    assert asked.rows[0].paper is not None
    assert asked.published
    assert held.rows[0].paper is None
    assert not held.published
    assert held.title == "T, training images held back"
    assert held.metric.startswith("mAP@6:")
    assert any("not comparable" in note for note in held.notes)


def test_a_figure_has_the_mean_curve_of_its_lengths_and_the_embedding(prepared, results):
    figure = Artefact(
        "f", "figure", "F", NO_RUNS, ("small",), ("drq",),
        curves=("precision_recall", "precision_at"), curve_bits=(4,), has_embedding=True,
        absent_methods=("DTQ",),
    )  # fmt: skip
    items = item_sample(results[run_of().name].folder, prepared, 30)
    every = tuple(replace(one, sample=items) for one in results.values())
    found = assembled(Assembly(figure, RULE, (configuration("drq"),), (0,), "sum", every))
    (curve,) = found.curves["precision_recall"]
    (precision,) = found.curves["precision_at"]
    assert curve.label == precision.label == "DRQ 4 bits"
    assert (precision.x[0], precision.x[-1]) == (1.0, 20.0)
    assert list(curve.x) == sorted(curve.x)
    assert 0 <= min(curve.y) <= max(curve.y) <= 1
    (panel,) = found.embeddings
    assert len(panel.points) == len(panel.classes) == 30
    assert (panel.class_names, panel.title) == (NAMES, "DRQ, 6 bits")
    assert any("not available here: DTQ" in note for note in found.notes)


def test_sampled_items_are_those_of_the_database_and_the_same_for_every_model(prepared, results):
    folders = [results[one.name].folder for one in (run_of(), run_of("dqn", (6,)))]
    samples = [item_sample(folder, prepared, 30) for folder in folders]
    database = join_sources(list(prepared.sources.database))
    rows = np.random.default_rng(0).permutation(40)[:30]
    for folder, found in zip(folders, samples, strict=True):
        model = load_model(folder / "model")
        codebooks = model.export_codebooks()
        x = features_of(model, database.take(rows))
        np.testing.assert_array_equal(found.vectors, codebooks.decode(codebooks.encode(x)))
        np.testing.assert_array_equal(
            found.classes, database.labels.take(rows).multi_hot().argmax(axis=1)
        )
    # More items than there are: all of them, and not the codes kept for the smaller sample.
    assert item_sample(folders[0], prepared).vectors.shape[0] == 40


def test_seeds_give_a_mean_and_an_interval(results):
    one = run_of()
    other = replace(one, seed=1)
    first = results[one.name]
    changed = json.loads(json.dumps(first.result))
    for row in changed["evaluation"]["lengths"]:
        row["measures"][0]["value"] /= 2
        row["curve"]["precision"] = [value / 2 for value in row["curve"]["precision"]]
    figure = Artefact(
        "f", "figure", "F", NO_RUNS, ("small",), ("drq",), curves=("precision_recall",)
    )
    both = (first, Found(other, changed, first.folder))
    found = assembled(Assembly(figure, RULE, (configuration("drq"),), (0, 1), "s", both))
    value = found.rows[0].ours[0]
    assert value.mean == pytest.approx(0.75 * value.values[0])
    assert value.interval_95[0] < value.mean < value.interval_95[1]
    curve = found.curves["precision_recall"][0]
    np.testing.assert_allclose(curve.lower, np.array(curve.upper) / 2, atol=2e-5)
