import json

import pytest

from anybit.errors import DataError, OptionError
from anybit.evaluation import DEFINITIONS, EvaluationOptions, evaluate, write_evaluation

OPTIONS = EvaluationOptions(at=20, precision_at=(5,), ndcg_at=7, n_threads=1)


@pytest.fixture
def evaluation(make_input):
    return evaluate(make_input(), OPTIONS)


def test_metrics_json_carries_every_definition(evaluation, tmp_path):
    (path,) = write_evaluation(evaluation, tmp_path / "new", plots=False)
    stored = json.loads(path.read_text())
    assert stored["format_version"] == 1
    assert stored["definitions"] == DEFINITIONS
    assert "seconds" not in stored
    needed = {"at", "denominator", "zero_hit", "tie_rule", "n_levels", "bits", "code_bytes"}
    for length in [*stored["lengths"], stored["float_features"]]:
        for measure in length["measures"]:
            assert needed <= measure.keys()
            assert measure["name"] in DEFINITIONS
    assert not list((tmp_path / "new").glob("*.part"))


def test_equal_runs_write_equal_files(make_input, tmp_path):
    data = make_input()
    first, second = (
        write_evaluation(evaluate(data, OPTIONS), tmp_path / str(run)) for run in range(2)
    )
    assert len(first) == 7
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_folder_that_cannot_be_written_is_an_error(evaluation, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OptionError, match=r"metrics\.json must be writable, got: (File exists|Not a dir)"
    ):
        write_evaluation(evaluation, tmp_path / "file", plots=False)


def test_table_rows_fit_the_columns(evaluation):
    assert evaluation.table_columns() == (
        "mAP@20",
        "under ties: expected [worst, best]",
        "mAP whole list",
        "precision@5",
        "NDCG@7",
    )
    rows = evaluation.table_rows()
    assert [(row.label, row.code_bytes) for row in rows] == [
        ("2 bits", 1),
        ("4 bits", 1),
        ("6 bits", 1),
        ("float", 24),
    ]
    assert rows[0].values[0] == f"{evaluation.length(2).measure('map_at').value:.4f}"
    assert {len(row.values) for row in rows} == {5}


def test_unknown_length_and_measure_are_refused(evaluation):
    with pytest.raises(DataError, match="lengths 2, 4, 6 bits, got 8"):
        evaluation.length(8)
    with pytest.raises(DataError, match="measure must be one of"):
        evaluation.length(2).measure("map")
