import json

import numpy as np
import pytest

from anybit.errors import DataError, FormatError, OptionError
from anybit.papers.results.result import (
    ArtefactResult,
    Curve,
    Embedding,
    ResultRow,
    Seeded,
    read_result,
    table_of,
    value_text,
)

FULL = ArtefactResult(
    name="drq-table1",
    title="CIFAR-10, setting 1",
    kind="table",
    rows=(
        ResultRow(
            "DRQ",
            (Seeded.of([0.84, 0.86]), None),
            (0.942, None),
            {"epochs": [30, 1, 9]},
            {"float features": (Seeded.of([0.9]), Seeded.of([0.9]))},
        ),
        ResultRow("DQN", (None, Seeded(0.7, (0.6, 0.8), (0.7,)))),
    ),
    bits=(16, 24),
    metric="mAP@5000: found",
    seeds=(0, 1),
    protocol={"name": "cifar10-setting1", "sizes": {"train": 50000}},
    published={"PQNet": (0.947, None)},
    curves={"precision_recall": (Curve("DRQ 16 bits", (0.5, 1.0), (0.9, 0.8)),
                                 Curve("DRQ 24 bits", (1.0,), (0.8,), (0.7,), (0.9,)))},
    embeddings=(Embedding(((0.0, 1.5), (2.0, 3.0)), (1, 0), ("cat", "dog")),),
    training={"n_parameters": 5, "training_s": 1.5},
    notes=("a note",),
    command="anybit papers run drq-table1",
    commit="abc",
    machine="one",
    versions={"python": "3.11"},
    recipe={"hours": 3},
)  # fmt: skip


def test_mean_and_interval_by_hand():
    seeded = Seeded.of([1.0, 2.0, 3.0])
    # t(0.975, 2) = 4.302653, s = 1
    half = 4.3026527 / np.sqrt(3)
    np.testing.assert_allclose([seeded.mean, *seeded.interval_95], [2, 2 - half, 2 + half])
    np.testing.assert_allclose(seeded.half_width, half)
    assert seeded.values == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("n_seeds", [2, 3, 4, 5, 6, 11, 30, 101])
def test_interval_is_scipys_for_any_number_of_seeds(rng, n_seeds):
    stats = pytest.importorskip("scipy.stats")
    values = rng.normal(size=n_seeds)
    theirs = stats.t.interval(0.95, n_seeds - 1, values.mean(), stats.sem(values))
    np.testing.assert_allclose(Seeded.of(values).interval_95, theirs, rtol=1e-9)


def test_one_seed_has_no_interval_and_none_no_value():
    assert Seeded.of([0.5]) == Seeded(0.5, None, (0.5,))
    assert Seeded.of([0.5]).half_width is None
    for values in ([], [0.5, float("nan")]):
        with pytest.raises(OptionError, match="at least one finite number"):
            Seeded.of(values)


def test_result_comes_back_from_json(tmp_path):
    path = tmp_path / "drq-table1.json"
    path.write_text(json.dumps(FULL.to_dict(), allow_nan=False))
    assert read_result(path) == FULL


def test_result_of_the_required_fields_alone():
    content = {"name": "x", "title": "X", "kind": "figure", "rows": []}
    assert ArtefactResult.from_dict(content) == ArtefactResult("x", "X", "figure", ())


def test_a_value_may_come_without_its_seeds():
    assert Seeded.from_dict({"mean": 0.5}) == Seeded(0.5, None, (0.5,))


def test_table_has_ours_above_the_papers_and_what_was_not_run_last():
    header, rows = table_of(FULL)
    assert header == ("method", "source", "16 bits", "24 bits")
    assert rows == [
        ("DRQ", "ours", "0.850 ± 0.127", "-"),
        ("", "paper", "0.942", "-"),
        ("", "float features", "0.900", "0.900"),
        ("DQN", "ours", "-", "0.700 ± 0.100"),
        ("PQNet", "paper", "0.947", "-"),
    ]


def test_columns_replace_code_lengths_in_the_heading():
    row = ResultRow("DRQ", (Seeded.of([524288.0]), Seeded.of([0.94])))
    result = ArtefactResult("x", "X", "table", (row,), columns=("parameters", "mAP"))
    assert table_of(result) == (
        ("method", "source", "parameters", "mAP"),
        [("DRQ", "ours", "524,288", "0.940")],
    )


def test_value_text_of_nothing_is_a_dash():
    assert value_text(None) == "-"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": None}, "drq-table1"),
        ({"nonsense": 1}, "missing or unknown: nonsense"),
        ({"kind": "picture"}, "kind must be one of table, figure"),
        ({"format_version": 2}, "format_version must be 1, got 2"),
        ({"bits": [16]}, "ours of DRQ must have 1 entries"),
        ({"published": {"PQNet": [0.9]}}, "published values of PQNet must have 2"),
        ({"rows": [{"method": "DRQ"}]}, "missing or unknown: ours"),
        ({"rows": [{"method": "DRQ", "ours": [{"value": 1}, None]}]}, "a value must have mean"),
        ({"curves": {"precision_at": {"a": {"x": [1, 2], "y": [1]}}}}, "as many y as x"),
        ({"curves": {"precision_at": {"a": {"x": [1], "z": [1]}}}}, "drq-table1"),
        (
            {"embeddings": [{"points": [[0, 0]], "classes": [2], "class_names": ["a"]}]},
            "one class a",
        ),
        ({"embeddings": [{"points": [[0, 0]]}]}, "classes"),
        ({"embeddings": [], "embedding": {"points": [[0, 0]]}}, "classes"),
    ],
)
def test_damaged_results_are_refused(tmp_path, change, message):
    path = tmp_path / "drq-table1.json"
    path.write_text(json.dumps(FULL.to_dict() | change))
    with pytest.raises(FormatError, match=message):
        read_result(path)


def test_missing_field_and_foreign_files_are_refused(tmp_path):
    content = FULL.to_dict()
    del content["title"]
    with pytest.raises(FormatError, match="missing or unknown: title"):
        ArtefactResult.from_dict(content)
    path = tmp_path / "x.json"
    with pytest.raises(DataError, match="cannot read"):
        read_result(path)
    for text in ("{", "[]", "3"):
        path.write_text(text)
        with pytest.raises(FormatError, match=r"x\.json"):
            read_result(path)


def test_rows_that_do_not_fit_are_refused_when_made():
    with pytest.raises(DataError, match="float features of DRQ must have 1 entries"):
        ArtefactResult(
            "x", "X", "table", (ResultRow("DRQ", (None,), None, {}, {"float features": ()}),),
            bits=(16,),
        )  # fmt: skip
    with pytest.raises(DataError, match="both edges of a band or neither"):
        Curve("a", (1.0,), (1.0,), (0.5,))


def test_result_with_a_single_embedding_of_older_files_is_read():
    panel = {"points": [[0, 1]], "classes": [0], "class_names": ["a"]}
    content = {"name": "drq-fig5", "title": "T", "kind": "figure", "rows": [], "embedding": panel}
    found = ArtefactResult.from_dict(content)
    assert found.embeddings == (Embedding(((0.0, 1.0),), (0,), ("a",)),)
    assert ArtefactResult.from_dict(found.to_dict()) == found
    assert ArtefactResult.from_dict(content | {"embedding": None}).embeddings == ()
