from dataclasses import replace

import numpy as np
import pytest

from anybit.codes import Codes
from anybit.data import Labels
from anybit.errors import DataError, OptionError, ShapeError
from anybit.evaluation import (
    EvaluationOptions,
    evaluate,
    map_at,
    map_at_query_relevant,
    map_full,
    map_under_ties,
    ndcg_at,
    precision_at,
    precision_recall_curve,
    rank_positions,
    relevant_recall_at,
)
from anybit.evaluation.curves import RECALL_GRID
from anybit.search import Index, simd_levels

OPTIONS = EvaluationOptions(at=20, precision_at=(5, 1), ndcg_at=7, n_threads=1)


def plain_scores(data, n_levels, metric):
    """Scores of all queries at one length as one matrix, up to terms equal for all items."""
    if n_levels is None:
        products, items = data.query_features @ data.database_features.T, data.database_features
    else:
        codes = data.database_codes.cut_levels(n_levels)
        lut = data.codebooks.lut(data.query_features, n_levels)
        products = lut[:, 0, codes.planes[0]]
        for level in range(1, n_levels):
            products = products + lut[:, level, codes.planes[level]]
        items = data.codebooks.decode(codes)
    sq_norms = np.einsum("nd,nd->n", items, items)
    if metric == "l2":
        return products - sq_norms / np.float32(2)
    if metric == "cosine":
        if n_levels is not None and data.codebooks.offset is not None:
            products = products + (data.query_features @ data.codebooks.offset)[:, None]
        return products / np.sqrt(sq_norms)
    return products


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("offset", [True, False])
def test_every_figure_equals_that_of_the_whole_matrix(make_input, metric, offset):
    data = make_input(metric=metric, offset=offset)
    shared = data.query_labels.multi_hot().astype(int) @ data.database_labels.multi_hot().T
    result = evaluate(data, OPTIONS)
    assert [length.bits for length in result.lengths] == [2, 4, 6]
    for length in result.all_results():
        scores = plain_scores(data, length.n_levels, metric)
        gains = np.take_along_axis(shared, rank_positions(scores), axis=1)
        ranked = gains > 0
        for name in ("found", "reachable", "database"):
            got = length.measure("map_at", denominator=name).value
            np.testing.assert_allclose(got, map_at(ranked, 20, denominator=name))
        np.testing.assert_allclose(length.measure("map_full").value, map_full(ranked))
        np.testing.assert_allclose(
            length.measure("map_at_query_relevant").value, map_at_query_relevant(ranked)
        )
        for rank, precision, recall in zip(
            (5, 1), precision_at(ranked, (5, 1)), relevant_recall_at(ranked, (5, 1)), strict=True
        ):
            np.testing.assert_allclose(length.measure("precision_at", at=rank).value, precision)
            np.testing.assert_allclose(length.measure("relevant_recall_at", at=rank).value, recall)
        np.testing.assert_allclose(length.measure("ndcg_at").value, ndcg_at(gains, 7))
        curve = precision_recall_curve(ranked, RECALL_GRID)
        np.testing.assert_allclose(length.curve.precision, curve.precision)
        np.testing.assert_allclose(length.precision, precision_at(ranked, length.ranks))
        for name, at in (("map_at", 20), ("map_full", None)):
            tie = length.measure(name, ties=True).interval
            expected = map_under_ties(scores, shared > 0, at=at)
            np.testing.assert_allclose(
                [tie.expected, tie.worst, tie.best],
                [expected.expected, expected.worst, expected.best],
            )


def test_short_codes_tie_and_the_value_lies_in_the_interval(make_input):
    result = evaluate(make_input(), OPTIONS)
    first = result.length(2)
    tie = first.measure("map_full", ties=True).interval
    assert first.tied_share > 0.9
    assert tie.worst < first.measure("map_full").value < tie.best


def test_multi_label_relevance_and_gain(rng, make_input):
    labels = tuple(Labels.from_multi_hot(rng.random((n, 70)) < 0.03) for n in (9, 150))
    data = make_input(labels=labels)
    shared = labels[0].multi_hot().astype(int) @ labels[1].multi_hot().T
    result = evaluate(data, OPTIONS)
    gains = np.take_along_axis(shared, rank_positions(plain_scores(data, 3, "ip")), axis=1)
    assert shared.max() > 1
    assert result.is_multi_label
    assert result.n_queries_without_relevant == int((shared.sum(axis=1) == 0).sum())
    np.testing.assert_allclose(result.length(6).measure("ndcg_at").value, ndcg_at(gains, 7))
    np.testing.assert_allclose(result.length(6).measure("map_at").value, map_at(gains > 0, 20))


def test_result_does_not_depend_on_threads_and_all_queries_are_counted(make_input):
    data = make_input(n_queries=200)
    calls = []
    one = evaluate(data, OPTIONS, progress=lambda done, total: calls.append((done, total)))
    three = evaluate(data, replace(OPTIONS, n_threads=3))
    assert one.to_dict() == three.to_dict()
    assert calls == [(64, 200), (128, 200), (192, 200), (200, 200)]
    assert one.length(6).measure("map_at").n_queries == 200


def test_chosen_lengths_and_cut_codes(make_input):
    data = make_input()
    assert [x.n_levels for x in evaluate(data, replace(OPTIONS, bits=(6, 2))).lengths] == [1, 3]
    cut = evaluate(replace(data, database_codes=data.database_codes.cut(4)), OPTIONS)
    assert [x.bits for x in cut.lengths] == [2, 4]
    whole = evaluate(data, OPTIONS)
    assert cut.lengths == whole.lengths[:2]
    with pytest.raises(OptionError, match="bits must be one of 2, 4, 6, got 3"):
        evaluate(data, replace(OPTIONS, bits=(3,)))


def test_cut_offs_above_the_database_are_lowered_and_say_so(make_input):
    result = evaluate(make_input(), EvaluationOptions(at=5000, precision_at=(1000, 3)))
    entry = result.length(2).measure("map_at")
    assert (result.at, entry.at, entry.denominator, entry.zero_hit) == (150, 150, "found", "zero")
    assert (entry.n_levels, entry.bits, entry.code_bytes) == (1, 2, 1)
    assert result.precision_at == (3,)


def test_zero_hit_skip_leaves_the_query_out(make_input):
    data = make_input()
    labels = Labels.from_integers(np.array([-1, *data.query_labels.integers()[1:]]), "abc")
    data = replace(data, query_labels=labels)
    zero = evaluate(data, OPTIONS).length(6)
    skip = evaluate(data, replace(OPTIONS, zero_hit="skip")).length(6)
    for name in ("map_at", "map_full", "map_at_query_relevant"):
        np.testing.assert_allclose(skip.measure(name).value * 8, zero.measure(name).value * 9)
        assert skip.measure(name).n_queries == 8
    assert skip.measure("map_at", ties=True).zero_hit == "zero"


def test_classes_are_matched_by_name(make_input):
    data = make_input()
    turned = data.query_labels.aligned_to(("x", "c", "b", "a"))
    assert (
        evaluate(replace(data, query_labels=turned), OPTIONS).lengths
        == evaluate(data, OPTIONS).lengths
    )


def test_float_features_are_optional(make_input):
    result = evaluate(replace(make_input(), database_features=None), OPTIONS)
    assert result.float_features is None
    assert [row.label for row in result.table_rows()] == ["2 bits", "4 bits", "6 bits"]


def test_one_item_and_one_query(make_input):
    data = make_input(n_queries=1, n_items=1)
    value = evaluate(data, OPTIONS).length(6).measure("map_at").value
    assert value == float(data.query_labels.integers()[0] == data.database_labels.integers()[0])


def test_zero_reconstruction_scores_zero_under_cosine(make_input):
    data = make_input(metric="cosine", offset=False)
    features = data.database_features.copy()
    features[3] = 0
    result = evaluate(replace(data, database_features=features), OPTIONS)
    assert 0 < result.float_features.measure("map_full").value <= 1


def test_parts_that_do_not_fit_are_refused(make_input):
    data = make_input()
    bad = data.query_features.copy()
    bad[4, 2] = np.nan
    cases = [
        ({"query_features": data.query_features[:, :5]}, ShapeError, r"\(Q, 6\), got \(9, 5\)"),
        ({"query_features": data.query_features[:0]}, DataError, "needs queries and items"),
        ({"query_features": bad}, DataError, "query features must be finite.*row 4"),
        ({"query_labels": data.database_labels}, ShapeError, "as many as the query items, 9"),
        ({"database_labels": data.query_labels}, ShapeError, "as many as the database items, 150"),
        ({"database_features": bad}, ShapeError, r"\(150, 6\), got \(9, 6\)"),
        ({"database_codes": Codes(np.zeros((3, 150), np.uint8), 16)}, ShapeError, "levels of 4"),
        ({"metric": "dot"}, OptionError, "metric must be one of"),
    ]
    for change, error, message in cases:
        with pytest.raises(error, match=message):
            evaluate(replace(data, **change), OPTIONS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": 0}, "at must be at least 1"),
        ({"ndcg_at": 0}, "ndcg_at must be at least 1"),
        ({"precision_at": (0,)}, "precision_at must be at least 1"),
        ({"n_threads": 0}, "n_threads must be at least 1"),
        ({"bits": ()}, "at least one code length"),
        ({"denominator": "all"}, "denominator must be one of"),
    ],
)
def test_options_out_of_range_are_refused(change, message):
    with pytest.raises(OptionError, match=message):
        EvaluationOptions(**change)


@pytest.mark.parametrize("simd", ["numpy", simd_levels()[0]])
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_symmetric_comparison_cuts_both_sides_at_every_length(
    make_input, metric, simd, monkeypatch
):
    monkeypatch.setenv("ANYBIT_SIMD", simd)
    data = make_input(metric=metric)
    # No two different codes have one reconstruction, as with scales of which two sum to the third.
    scales = np.array([1, 0.7, 0.45], dtype=np.float32)
    codebooks = replace(data.codebooks, level_scales=scales)
    codes = codebooks.encode(data.database_features)
    data = replace(data, codebooks=codebooks, database_codes=codes, comparison="sqd")
    shared = data.query_labels.multi_hot().astype(int) @ data.database_labels.multi_hot().T
    result = evaluate(data, OPTIONS)
    assert result.comparison == "sqd"
    assert result.to_dict()["comparison"] == "sqd"
    index = Index(data.codebooks, data.database_codes)
    for length in result.lengths:
        found = index.search(data.query_features, 150, length.bits, comparison="sqd").ids
        ranked = np.take_along_axis(shared, found, axis=1) > 0
        got = length.measure("map_at", denominator="found").value
        np.testing.assert_allclose(got, map_at(ranked, 20, denominator="found"))
        np.testing.assert_allclose(length.measure("map_full").value, map_full(ranked))
    raw = evaluate(replace(data, comparison=None), OPTIONS)
    assert raw.comparison == "aqd"
    np.testing.assert_equal(
        result.float_features.measure("map_full").value,
        raw.float_features.measure("map_full").value,
    )
    assert [one.measure("map_full").value for one in result.lengths] != (
        [one.measure("map_full").value for one in raw.lengths]
    )
    own = evaluate(replace(data, comparison=None, codebooks=data.codebooks.compared_by("sqd")))
    assert own.comparison == "sqd"
