import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from anybit.data import ArrayImages, ArrayVectors, Labels, open_source, split_positions
from anybit.errors import DataError, FormatError
from anybit.papers import (
    DataSet,
    Protocol,
    SplitManifest,
    SplitRule,
    check_split,
    prepare,
    protocol,
    split,
)
from anybit.papers.datasets import join_sources

CLASSES = ("ant", "bee", "cat")


def make_protocol(rule, sizes, **changes):
    """A small protocol on three classes."""
    fields = {
        "name": "small", "title": "Small", "dataset": "cifar10", "source": "none", "split": rule,
        "sizes": sizes, "n_classes": 3, "is_multi_label": False, "at": 0, "denominator": "found",
        "zero_hit": "zero", "metric": "ip", "bits": (8,), "n_codewords": 256,
    }  # fmt: skip
    return Protocol(**(fields | changes))


def make_dataset(rng, n_items=30, **changes):
    """Random pictures of three classes: part train of n_items, part test of half as many."""
    parts = {}
    for part, count in (("train", n_items), ("test", n_items // 2)):
        pixels = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
        parts[part] = ArrayImages(pixels, Labels.from_integers(np.arange(count) % 3, CLASSES))
    return DataSet(**({"name": "cifar10", "form": "python", "parts": parts} | changes))


def make_multi(rng, n_items=200, n_missing=0):
    """Vectors with several labels, of classes of different sizes; some have none."""
    hot = rng.random((n_items, 3)) < (0.1, 0.3, 0.6)
    labels = Labels.from_multi_hot(hot, CLASSES)
    rows = rng.normal(size=(n_items, 2)).astype(np.float32)
    parts = {"all": ArrayVectors(rows, labels)}
    return DataSet("cifar10", "original", parts, n_missing=n_missing)


PARTS = SplitRule("parts", query_part="test", train_part="train", is_train_in_database=True)
PER_CLASS = SplitRule("per_class", 3, 2, "test", "train")
POOLED = SplitRule("per_class", 4, 2)


def part_keys(manifest, role):
    """Number of items by part."""
    return {items.part: len(items.keys) for items in manifest.of(role)}


def test_whole_parts_are_taken_and_nothing_is_drawn(rng):
    dataset = make_dataset(rng)
    manifest = split(make_protocol(PARTS, {"train": 30}), dataset, seed=1)
    assert part_keys(manifest, "train") == part_keys(manifest, "database") == {"train": 30}
    assert part_keys(manifest, "query") == {"test": 15}
    assert manifest.checksum == split(make_protocol(PARTS, {"train": 30}), dataset, 2).checksum


def test_per_class_of_parts_draws_as_the_benchmark_does(rng):
    dataset = make_dataset(rng)
    manifest = split(make_protocol(PER_CLASS, {}), dataset, seed=5)
    train = split_positions(dataset.labels("train"), query=0, train=3, seed=5)
    query = split_positions(dataset.labels("test"), query=2, seed=5)
    np.testing.assert_array_equal(manifest.train[0].positions, train.train)
    np.testing.assert_array_equal(manifest.database[0].positions, train.database)
    np.testing.assert_array_equal(manifest.database[1].positions, query.database)
    np.testing.assert_array_equal(manifest.query[0].positions, query.query)
    assert part_keys(manifest, "database") == {"train": 21, "test": 9}


def test_whole_query_part_and_training_items_that_are_searched(rng):
    rule = SplitRule("per_class", 3, 0, "test", "train", True)
    manifest = split(make_protocol(rule, {}), make_dataset(rng))
    assert manifest.sizes == {"train": 9, "database": 30, "query": 15}


def test_pooled_draw_takes_from_all_parts(rng):
    dataset = make_dataset(rng)
    manifest = split(make_protocol(POOLED, {}), dataset)
    assert manifest.sizes == {"train": 12, "database": 27, "query": 6}
    assert set(part_keys(manifest, "train")) == {"train", "test"}
    sources = manifest.sources(dataset)
    assert sources.train.labels.counts().tolist() == [4, 4, 4]
    assert [len(part) for part in sources.database] == list(
        part_keys(manifest, "database").values()
    )
    assert len(sources.query) == 6
    # The joined source reads the pictures of both parts.
    n_first = len(manifest.train[0].keys)
    for row, (part, at) in {0: (0, 0), n_first: (1, 0), 11: (1, 11 - n_first)}.items():
        items = manifest.train[part]
        expected = dataset.parts[items.part].read_image(int(items.positions[at]))
        assert sources.train.read_image(row).tobytes() == expected.tobytes()


def test_pooled_draw_without_a_training_size_trains_on_all_but_the_queries(rng):
    dataset = make_dataset(rng)
    rule = SplitRule("per_class", 0, 4, is_train_in_database=True)
    manifest = split(make_protocol(rule, {}), dataset, seed=1)
    assert manifest.sizes == {"train": 33, "database": 33, "query": 12}
    assert manifest.keys("train") == manifest.keys("database")
    assert set(part_keys(manifest, "query")) == {"train", "test"}
    assert manifest.sources(dataset).query.labels.counts().tolist() == [4, 4, 4]
    assert split(make_protocol(rule, {}), dataset, seed=2).keys("query") != manifest.keys("query")


def test_item_drawn_for_one_class_does_not_count_for_another(rng):
    dataset = make_multi(rng)
    rule = SplitRule("per_class", 5, 4)
    manifest = split(make_protocol(rule, {}, is_multi_label=True), dataset)
    assert manifest.sizes == {"train": 15, "database": 200 - 12 - 15, "query": 12}
    assert dataset.labels("all").is_multi


def test_rarest_class_draws_first(rng):
    # Were it the other way round, ant would take items of cat, which has no others.
    hot = [[1, 0, 1]] * 4 + [[1, 0, 0]] * 26 + [[0, 1, 0]] * 40
    labels = Labels.from_multi_hot(np.array(hot, dtype=np.bool_), CLASSES)
    rows = rng.normal(size=(70, 2)).astype(np.float32)
    dataset = DataSet("cifar10", "original", {"all": ArrayVectors(rows, labels)})
    rule = SplitRule("per_class", 2, 26)
    manifest = split(make_protocol(rule, {}, is_multi_label=True), dataset)
    assert manifest.sources(dataset).query.labels.counts().tolist() == [30, 26, 4]


def test_class_with_too_few_items_gives_all_of_them(rng):
    hot = np.array([[1, 0, 0]] * 3 + [[0, 1, 0]] * 9 + [[0, 1, 1]] * 20, dtype=np.bool_)
    rows = rng.normal(size=(32, 2)).astype(np.float32)
    labels = Labels.from_multi_hot(hot, CLASSES)
    dataset = DataSet("cifar10", "original", {"all": ArrayVectors(rows, labels)})
    manifest = split(make_protocol(SplitRule("per_class", 6, 2), {}, is_multi_label=True), dataset)
    assert manifest.sizes == {"train": 1 + 6 + 6, "database": 32 - 13 - 6, "query": 6}


def test_random_draw_leaves_unlabelled_items_to_the_database(rng):
    dataset = make_multi(rng)
    labels = dataset.labels("all")
    n_labelled = len(labels) - labels.n_unlabelled
    rule = SplitRule("random", n_labelled - 20, 20)
    manifest = split(make_protocol(rule, {}, is_multi_label=True), dataset)
    assert manifest.sizes == {
        "train": n_labelled - 20,
        "database": labels.n_unlabelled,
        "query": 20,
    }
    sources = manifest.sources(dataset)
    assert sources.train.labels.n_unlabelled == sources.query.labels.n_unlabelled == 0
    in_database = replace(rule, is_train_in_database=True)
    manifest = split(make_protocol(in_database, {}, is_multi_label=True), dataset)
    assert manifest.sizes["database"] == 180


def test_seed_and_labels_change_the_checksum_and_the_same_gives_the_same(rng):
    dataset, rule = make_dataset(rng), make_protocol(PER_CLASS, {})
    first = split(rule, dataset, 3)
    assert first.checksum == split(rule, dataset, 3).checksum
    assert first.checksum != split(rule, dataset, 4).checksum
    assert first.checksum != split(replace(rule, at=7), dataset, 3).checksum
    train = dataset.parts["train"]
    other = np.arange(30) % 3
    other[:2] = (1, 0)
    relabelled = train.with_labels(Labels.from_integers(other, CLASSES))
    changed = replace(dataset, parts=dataset.parts | {"train": relabelled})
    assert changed.fingerprint != dataset.fingerprint
    with pytest.raises(DataError, match="its items or labels differ"):
        first.sources(changed)


def test_manifest_is_read_back(rng, tmp_path):
    dataset = make_dataset(rng)
    manifest = split(make_protocol(POOLED, {}), dataset)
    manifest.save(tmp_path / "split.json")
    again = SplitManifest.load(tmp_path / "split.json")
    assert again.checksum == manifest.checksum
    assert again.sizes == manifest.sizes
    for role in ("train", "database", "query"):
        for one, two in zip(manifest.of(role), again.of(role), strict=True):
            np.testing.assert_array_equal(one.positions, two.positions)
    again.sources(dataset)


def test_changed_manifest_is_refused(rng, tmp_path):
    path = tmp_path / "split.json"
    split(make_protocol(PER_CLASS, {}), make_dataset(rng)).save(path)
    fields = json.loads(path.read_text())
    for change in ("key", "position", "cut", "version", "field"):
        bad = json.loads(json.dumps(fields))
        if change == "key":
            bad["query"][0]["keys"][0] = "test/99"
        elif change == "position":
            bad["query"][0]["positions"].pop()
        elif change == "version":
            bad["format_version"] = 9
        elif change == "field":
            del bad["fingerprint"]
        text = json.dumps(bad)
        path.write_text(text[:-40] if change == "cut" else text)
        with pytest.raises(FormatError, match=r"split\.json must"):
            SplitManifest.load(path)
    with pytest.raises(DataError, match="does not exist"):
        SplitManifest.load(tmp_path / "none.json")


def write_lists(folder, lists, n_classes=3):
    """Write lists of (path, class number, colour) and their pictures."""
    for part, rows in lists.items():
        lines = []
        for path, number, colour in rows:
            Image.new("RGB", (4, 4), (colour, 0, 0)).save(folder / path)
            hot = ["1" if other == number else "0" for other in range(n_classes)]
            lines.append(f"{path} {' '.join(hot)}\n")
        (folder / f"{part}.txt").write_text("".join(lines))


LISTS = {
    "train": [(f"a{row}.png", row, row) for row in range(3)],
    "test": [(f"b{row}.png", row, 10 + row) for row in range(3)],
    "database": [(f"c{row}.png", row % 3, 20 + row) for row in range(6)],
}


def test_lists_are_taken_as_they_are(tmp_path):
    write_lists(tmp_path, LISTS)
    rule = make_protocol(SplitRule("lists"), {"all": 12, "train": 3, "database": 6, "query": 3})
    prepared = prepare(rule, tmp_path)
    assert prepared.manifest.keys("query") == ["b0.png", "b1.png", "b2.png"]
    assert prepared.findings == ()
    assert prepared.dataset.class_names == ("0", "1", "2")
    assert "divided by the lists" in prepared.manifest.notes[0]


def test_protocol_by_lists_needs_them(rng):
    with pytest.raises(DataError, match="is defined by lists"):
        split(make_protocol(SplitRule("lists"), {}), make_dataset(rng))


def test_lists_without_database_are_refused(tmp_path):
    write_lists(tmp_path, {part: LISTS[part] for part in ("train", "test")})
    with pytest.raises(DataError, match="none for database"):
        prepare(make_protocol(SplitRule("lists"), {}), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"database": [*LISTS["database"], LISTS["test"][1]]}, "in query and database: b1.png"),
        ({"train": [*LISTS["train"], LISTS["test"][2]]}, "in query and train: b2.png"),
        ({"train": LISTS["database"][:3]}, "3 items are in train and database: c0.png"),
        ({"train": LISTS["train"][1:]}, "train has no item of 0"),
        ({"database": LISTS["database"][:2]}, "database has no item of 2"),
    ],
)
def test_faulty_lists_are_refused(tmp_path, change, message):
    rows = LISTS | change
    write_lists(tmp_path, rows)
    sizes = {part: len(rows[part]) for part in ("train", "database")}
    rule = SplitRule("per_class", 1, 1)
    if "no item of 0" in message:
        prepared = prepare(make_protocol(rule, sizes), tmp_path)
        assert [finding.text for finding in prepared.findings] == [message]
        return
    with pytest.raises(DataError, match=message):
        prepare(make_protocol(rule, sizes), tmp_path)


def test_training_items_outside_of_the_database_are_told(tmp_path):
    write_lists(tmp_path, LISTS)
    rule = make_protocol(SplitRule("lists", is_train_in_database=True), {})
    (finding,) = prepare(rule, tmp_path).findings
    assert finding.text == "3 training items are not in the database: a0.png, a1.png, a2.png"


def test_equal_pictures_under_different_names_are_told(tmp_path):
    rows = LISTS | {"database": [*LISTS["database"], ("d.png", 1, 11)]}
    write_lists(tmp_path, rows)
    (tmp_path / "c0.png").write_bytes(b"no picture")
    rule = make_protocol(SplitRule("lists"), {})
    prepared = prepare(rule, tmp_path)
    assert prepared.findings == ()
    seen = []
    findings = check_split(
        rule,
        prepared.dataset,
        prepared.manifest,
        reads_images=True,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [(finding.severity, finding.text) for finding in findings] == [
        ("warning", "1 pictures are unreadable: c0.png"),
        ("warning", "1 pictures of database are queries under another name: b1.png = d.png"),
    ]
    assert seen[-1] == (13, 13)


def test_wrong_counts_are_all_named(rng):
    dataset = make_dataset(rng)
    rule = make_protocol(PER_CLASS, {"all": 45, "train": 10, "database": 31, "query": 6})
    manifest = split(rule, dataset)
    with pytest.raises(DataError, match="train must have 10 items, got 9; database must have 31"):
        check_split(rule, dataset, manifest)
    right = replace(rule, sizes={"all": 45, "train": 9, "database": 30, "query": 6})
    assert check_split(right, dataset, split(right, dataset)) == []


def test_counts_that_missing_pictures_explain_are_a_warning(rng):
    rule = make_protocol(SplitRule("random", 10, 20), {"all": 203}, is_multi_label=True)
    explained, other = make_multi(rng, n_missing=3), make_multi(rng, n_missing=2)
    texts = [finding.text for finding in check_split(rule, explained, split(rule, explained))]
    assert "all must have 203 items, got 200; 3 pictures are missing on disk" in texts
    with pytest.raises(DataError, match="all must have 203 items, got 200"):
        check_split(rule, other, split(rule, other))


def test_missing_class_and_several_labels_are_errors(rng):
    dataset = make_dataset(rng)
    rule = make_protocol(PARTS, {}, n_classes=4)
    with pytest.raises(DataError, match="there must be 4 classes, got 3"):
        check_split(rule, dataset, split(rule, dataset))
    two = Labels.from_integers(np.arange(15) % 2, CLASSES)
    parts = dataset.parts | {"test": dataset.parts["test"].with_labels(two)}
    lacking = replace(dataset, parts=parts)
    rule = make_protocol(PARTS, {})
    with pytest.raises(DataError, match="query has no item of cat"):
        check_split(rule, lacking, split(rule, lacking))
    several = make_multi(rng)
    rule = make_protocol(SplitRule("random", 10, 20), {})
    with pytest.raises(DataError, match="every item must have one class, some have several"):
        check_split(rule, several, split(rule, several))


def test_queries_without_relevant_items_are_told(tmp_path):
    write_lists(tmp_path, LISTS | {"test": [*LISTS["test"], ("b3.png", 99, 13)]})
    (finding,) = prepare(make_protocol(SplitRule("lists"), {}), tmp_path).findings
    assert (finding.severity, finding.text) == (
        "warning",
        "1 queries have no relevant item: b3.png",
    )


def test_class_that_is_not_searched_is_an_error(rng):
    labels = Labels.from_integers([0] * 38 + [1] * 2, CLASSES)
    parts = {
        "train": ArrayVectors(np.zeros((38, 2), np.float32), labels.take(np.arange(38))),
        "test": ArrayVectors(np.zeros((2, 2), np.float32), labels.take(np.arange(38, 40))),
    }
    dataset, rule = DataSet("cifar10", "original", parts), make_protocol(PARTS, {})
    with pytest.raises(DataError, match="database has no item of bee, cat"):
        check_split(rule, dataset, split(rule, dataset))


def test_other_data_set_or_lacking_part_is_refused(rng):
    dataset = make_dataset(rng)
    with pytest.raises(DataError, match="divides the data set nuswide21, got cifar10"):
        split(protocol("nuswide21-dqn"), dataset)
    rule = make_protocol(replace(PER_CLASS, query_part="val"), {})
    with pytest.raises(DataError, match="needs the parts train and val"):
        split(rule, dataset)


def test_parts_must_have_labels_of_the_same_classes(rng):
    parts = make_dataset(rng).parts
    other = parts["test"].with_labels(Labels.from_integers(np.zeros(15, int), ("x",)))
    with pytest.raises(DataError, match="same classes in the same order, got 3 in train, 1 in"):
        DataSet("cifar10", "python", parts | {"test": other})
    bare = ArrayVectors(np.zeros((3, 2), np.float32))
    with pytest.raises(DataError, match="part test has none"):
        DataSet("cifar10", "python", {"test": bare})


def test_training_without_classes_and_search_of_unseen_classes(tmp_path):
    write_lists(tmp_path, LISTS)
    prepared = prepare(make_protocol(SplitRule("lists"), {}), tmp_path)
    seen = prepared.without_classes(["1"])
    assert seen.train.labels.integers().tolist() == [0, 2]
    assert len(seen.query) == 3
    unseen = prepared.only_classes(["1", "2"])
    assert unseen.train.labels.integers().tolist() == [0]
    assert unseen.query.labels.integers().tolist() == [1, 2]
    assert [part.labels.integers().tolist() for part in unseen.database] == [[1, 2, 1, 2]]
    with pytest.raises(DataError, match="got also: 9"):
        prepared.without_classes(["9"])
    with pytest.raises(DataError, match="training needs items"):
        prepared.without_classes(["0", "1", "2"])


def test_item_with_a_seen_class_is_not_searched_as_unseen(rng):
    dataset = make_multi(rng)
    rule = make_protocol(SplitRule("random", 60, 60), {}, is_multi_label=True)
    sources = split(rule, dataset).sources(dataset)
    from anybit.papers.protocols.splits import only_classes

    unseen = only_classes(sources, ["bee"])
    assert set(unseen.query.labels.lists()) == {(1,)}
    assert set(unseen.database[0].labels.lists()) == {(1,)}
    assert all(1 not in row for row in unseen.train.labels.lists())


def test_sources_of_different_kinds_are_not_joined(rng):
    images, vectors = make_dataset(rng).parts["train"], make_multi(rng).parts["all"]
    with pytest.raises(DataError, match="all of one kind, got images, vectors"):
        join_sources([images, vectors])
    joined = join_sources([vectors, vectors])
    np.testing.assert_array_equal(joined.vectors()[200:], vectors.vectors())


def test_joined_pictures_tell_what_was_unusable_in_each_source(tmp_path):
    parts = []
    for name in ("one", "two"):
        for label in ("cat", "dog"):
            folder = tmp_path / name / label
            folder.mkdir(parents=True)
            Image.new("RGB", (4, 4)).save(folder / f"{name}.png")
        (folder / "broken.png").symlink_to("nowhere")
        parts.append(open_source(tmp_path / name))
    joined = join_sources(parts)
    assert len(joined) == 4
    assert len(joined.unusable) == 2
    assert joined.unusable == parts[0].unusable + parts[1].unusable
