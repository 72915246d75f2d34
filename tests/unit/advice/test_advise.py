"""The length advisor: figures against plain loops, leave-one-out, the rule for the suggestion."""

import json

import numpy as np
import pytest

from anybit.advice import AdviceInput, AdviceOptions, LengthAdvice, advise, write_advice
from anybit.advice.result import conclude, shortest_within
from anybit.codes import Codebooks, Codes
from anybit.data import Labels
from anybit.errors import DataError, OptionError, ShapeError
from anybit.evaluation import EvaluationInput, evaluate
from anybit.evaluation import nearest as nearest_module
from anybit.evaluation.nearest import nearest_by_features


def similarity(query, items, metric):
    """Return the scores (N,) of items (N, D), larger is closer, in float64."""
    query, items = query.astype(np.float64), items.astype(np.float64)
    if metric == "l2":
        return -((items - query) ** 2).sum(axis=1)
    scores = (items * query).sum(axis=1)  # a row at a time: equal items get equal scores
    return scores / np.linalg.norm(items, axis=1) if metric == "cosine" else scores


def plain_recall(data, n_levels, rank):
    """Return 1-recall@rank by a loop: sort all items, remove the query's own, look for one item."""
    metric = data.codebooks.metric
    decoded = data.codebooks.decode(data.database_codes.cut_levels(n_levels))
    n_hits = 0
    for number, query in enumerate(data.query_features):
        truth = similarity(query, data.database_features, metric)
        scores = similarity(query, decoded, metric)
        if data.query_positions is not None:
            truth[data.query_positions[number]] = -np.inf
            scores[data.query_positions[number]] = -np.inf
        order = np.argsort(-scores, kind="stable")
        n_hits += int(np.argmax(truth)) in order[:rank].tolist()
    return n_hits / len(data.query_features)


@pytest.fixture
def make_data(rng):
    """Return a maker of advisor inputs: 3 classes, 120 items, 3 levels of 4 codewords."""

    def make(metric="ip", *, own=False, n_items=120, n_queries=20):
        y = rng.integers(0, 3, n_items)
        means = rng.normal(size=(3, 6))
        items = (means[y] + rng.normal(size=(n_items, 6))).astype(np.float32)
        codebooks = Codebooks.shared(
            rng.normal(size=(4, 6)).astype(np.float32),
            np.array([1, 0.55, 0.3], dtype=np.float32),  # no sums alike, so no ties but of codes
            offset=items.mean(axis=0),
            metric=metric,
        )
        labels = Labels.from_integers(y, "abc")
        positions = np.sort(rng.choice(n_items, n_queries, replace=False))
        queries = items[positions]
        if not own:
            queries = (queries + 0.3 * rng.normal(size=queries.shape)).astype(np.float32)
        return AdviceInput(
            codebooks,
            codebooks.encode(items),
            queries,
            items,
            labels.take(positions),
            labels,
            positions if own else None,
        )

    return make


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("own", [False, True])
def test_recall_is_that_of_a_plain_loop(make_data, metric, own):
    data = make_data(metric, own=own, n_queries=70)  # more than one block
    advice = advise(data)
    assert advice.recall_at == (1, 10, 100)
    assert advice.is_leave_one_out is own
    for one in advice.lengths:
        expected = [plain_recall(data, one.n_levels, rank) for rank in advice.recall_at]
        np.testing.assert_allclose(one.recall, expected, atol=1e-6)  # shares in float32 sums
    assert advice.lengths[-1].recall[1] > advice.lengths[0].recall[0]


def test_map_with_queries_of_their_own_is_that_of_evaluate(make_data):
    data = make_data("l2")
    evaluation = evaluate(
        EvaluationInput(
            data.codebooks,
            data.database_codes,
            data.query_features,
            data.query_labels,
            data.database_labels,
        )
    )
    expected = [one.measure("map_at", at=120).value for one in evaluation.lengths]
    advice = advise(data)
    assert advice.at == 120
    np.testing.assert_allclose([one.map_at for one in advice.lengths], expected, rtol=1e-9)


def test_map_leaves_the_query_out_of_its_own_ranking(make_data):
    # Every item has a class of its own: nothing is relevant but the query itself.
    data = make_data(own=True)
    alone = Labels.from_integers(np.arange(120), [str(one) for one in range(120)])
    labelled = AdviceInput(
        data.codebooks,
        data.database_codes,
        data.query_features,
        None,
        alone.take(data.query_positions),
        alone,
        data.query_positions,
    )
    advice = advise(labelled)
    assert [one.map_at for one in advice.lengths] == [0.0, 0.0, 0.0]
    assert advice.suggested_bits == 6
    assert "0 at every length" in advice.reason


def test_labels_alone_give_map_and_no_recall(make_data):
    data = make_data()
    unlabelled = [()] * 10
    names = [(name,) for (name,) in map(data.query_labels.names_of, range(10))]
    labels = Labels.from_lists([*names, *unlabelled])
    advice = advise(
        AdviceInput(
            data.codebooks,
            data.database_codes,
            data.query_features,
            query_labels=labels,
            database_labels=data.database_labels,
        )
    )
    assert advice.by == "map"
    assert advice.recall_at == ()
    assert all(one.recall is None for one in advice.lengths)
    assert (advice.n_queries, advice.n_labelled_queries) == (20, 10)
    # Queries without a label do not pull the mean down: the other ten alone give the same.
    half = AdviceInput(
        data.codebooks,
        data.database_codes,
        data.query_features[:10],
        query_labels=labels.take(np.arange(10)),
        database_labels=data.database_labels,
    )
    expected = [one.map_at for one in advise(half).lengths]
    np.testing.assert_allclose([one.map_at for one in advice.lengths], expected, rtol=1e-12)


def test_equal_codes_rank_by_position_and_equal_items_count_as_one():
    codebooks = Codebooks.stacked(np.array([[[1, 0], [0, 1]]], dtype=np.float32), metric="l2")
    items = np.array([[0.8, 0], [1, 0], [0, 1], [1, 0]], dtype=np.float32)
    data = AdviceInput(codebooks, codebooks.encode(items), items[[1, 0]], items)
    # Items 0, 1 and 3 have one code, so 0 is found first: it is nearest to the second query only.
    (length,) = advise(data).lengths
    assert length.recall == (0.5,)
    alone = AdviceInput(codebooks, codebooks.encode(items), items[[3]], items)
    moved = AdviceInput(codebooks, codebooks.encode(items[::-1]), items[[1]], items[::-1])
    assert advise(alone).lengths[0].recall == (0.0,)
    # Turned round, the double of the query lies first and is as near as the query's own vector.
    assert advise(moved).lengths[0].recall == (1.0,)
    # The double counts, whichever of the two the float sums have preferred.
    as_near = nearest_module.are_as_near(items, items[1], "l2", np.array([0, 3, 2]), 1)
    assert as_near.tolist() == [False, True, False]


def test_the_last_goes_when_the_query_itself_ranks_lower():
    # The query's own code is the other codeword: it is not among the first.
    codebooks = Codebooks.stacked(np.array([[[1, 0], [0, 1]]], dtype=np.float32))
    codes = Codes(np.array([[1, 0, 0]], dtype=np.uint8), n_codewords=2)
    items = np.array([[1, 0], [0.9, 0], [0.5, 0]], dtype=np.float32)
    positions = np.array([0])
    (length,) = advise(
        AdviceInput(codebooks, codes, items[:1], items, None, None, positions)
    ).lengths
    assert length.recall == (1.0,)


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("own", [False, True])
def test_nearest_is_the_same_in_small_blocks(make_data, monkeypatch, metric, own):
    data = make_data(metric, own=own)
    monkeypatch.setattr(nearest_module, "_BLOCK_ITEMS", 7)
    found = nearest_by_features(
        data.database_features, data.query_features, metric, data.query_positions
    )
    for number, query in enumerate(data.query_features):
        truth = similarity(query, data.database_features, metric)
        if own:
            truth[data.query_positions[number]] = -np.inf
        assert found[number] == np.argmax(truth)


def test_nearest_names_the_row_that_is_not_finite(make_data, monkeypatch):
    data = make_data()
    data.database_features[50, 2] = np.nan
    monkeypatch.setattr(nearest_module, "_BLOCK_ITEMS", 7)
    with pytest.raises(DataError, match="row 50"):
        nearest_by_features(data.database_features, data.query_features, "ip")


def test_shortest_within_takes_the_first_that_is_good_enough():
    assert shortest_within([0.5, 0.98, 0.99, 0.97], 0.02) == 1
    assert shortest_within([0.5, 0.98, 0.99, 0.97], 0.0) == 2
    assert shortest_within([0.02871, 0.029], 0.01) == 0  # 99 %, but the product is rounded up
    assert shortest_within([0.8909, 0.9], 0.01) == 1
    assert shortest_within([0.9, 0.8], 0.5) == 0


def length(bits, recall=None, map_at=None):
    """Return the figures of a length; times and sizes do not matter."""
    return LengthAdvice(bits // 8, bits, bits // 8, 1.0, recall, map_at, 1.0)


def test_reason_names_what_decided_and_what_the_other_would():
    lengths = [
        length(8, (0.1, 0.5, 0.9), 0.895),
        length(16, (0.2, 0.70, 0.9), 0.9),
        length(24, (0.3, 0.80, 1.0), 0.9),
    ]
    bits, reason = conclude(lengths, (1, 10, 100), 50, by="map", tolerance=0.01)
    assert bits == 8
    assert reason == (
        "8 bits: the shortest length whose mAP@50 (0.8950) is at least 99 % of the best (0.9000 at "
        "16 bits); by 1-recall@10 it would be 24."
    )
    bits, reason = conclude(lengths, (1, 10, 100), 50, by="recall", tolerance=0.01)
    assert bits == 24
    assert reason == (
        "24 bits: the best 1-recall@10 (0.8000), of which 16 bits reach only 87.5 %; "
        "by mAP@50 it would be 8."
    )
    assert conclude(lengths, (1, 10, 100), 50, by="recall", tolerance=0.2)[0] == 16
    falling = [length(8, None, 0.9), length(16, None, 0.8)]
    assert conclude(falling, (), 5, by="map", tolerance=0.0) == (
        8, "8 bits: no longer code has a better mAP@5 (0.9000).",
    )  # fmt: skip


def test_labels_decide_where_half_of_the_queries_have_one(make_data):
    data = make_data()
    assert advise(data).by == "map"
    assert advise(data, AdviceOptions(by="recall")).by == "recall"
    few = Labels.from_lists([["a"]] * 9 + [[]] * 11)
    rarely = AdviceInput(
        data.codebooks, data.database_codes, data.query_features, data.database_features,
        few, data.database_labels,
    )  # fmt: skip
    assert advise(rarely).by == "recall"


def test_sizes_times_and_json(make_data, tmp_path):
    advice = advise(make_data())
    assert [one.bits for one in advice.lengths] == [2, 4, 6]
    assert [one.code_bytes for one in advice.lengths] == [1, 1, 1]
    np.testing.assert_allclose([one.total_mb for one in advice.lengths], 120e-6, rtol=1e-12)
    assert all(one.search_ms > 0 for one in advice.lengths)
    assert [row[-1] for row in advice.table_rows()].count("suggested") == 1
    assert len(advice.table_columns()) == len(advice.table_rows()[0])
    paths = write_advice(advice, tmp_path / "out")
    assert [path.name for path in paths] == ["advice.json", "advice.png"]
    stored = json.loads(paths[0].read_text())
    assert stored["suggested_bits"] == advice.suggested_bits
    assert stored["lengths"][1]["recall"] == list(advice.lengths[1].recall)
    assert paths[1].read_bytes().startswith(b"\x89PNG")


def test_product_codes_have_one_length(rng):
    x = rng.normal(size=(40, 6)).astype(np.float32)
    codebooks = Codebooks.product(rng.normal(size=(3, 4, 2)).astype(np.float32), metric="l2")
    advice = advise(AdviceInput(codebooks, codebooks.encode(x), x[:5], x))
    assert [one.bits for one in advice.lengths] == [6]


def test_progress_counts_rankings(make_data):
    calls = []
    advise(make_data(), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(20, 60), (40, 60), (60, 60)]


def test_draw_is_seeded_distinct_and_at_most_all():
    options = AdviceOptions(n_queries=5, seed=3)
    drawn = options.draw(50)
    assert len(set(drawn.tolist())) == 5
    np.testing.assert_array_equal(drawn, options.draw(50))
    assert drawn.tolist() != AdviceOptions(n_queries=5, seed=4).draw(50).tolist()
    assert options.draw(3).tolist() == [0, 1, 2]


def test_what_does_not_fit_is_refused(make_data):
    data = make_data(own=True)
    with pytest.raises(DataError, match="features of the items or class labels"):
        advise(AdviceInput(data.codebooks, data.database_codes, data.query_features))
    one, query = data.database_codes.take(np.array([0])), data.query_features[:1]
    with pytest.raises(DataError, match="at least 2 items"):
        advise(AdviceInput(data.codebooks, one, query, query, None, None, np.array([0])))
    with pytest.raises(ShapeError, match=r"\(120, 6\), got \(119, 6\)"):
        advise(
            AdviceInput(
                data.codebooks, data.database_codes, data.query_features, data.database_features[1:]
            )
        )
    with pytest.raises(ShapeError, match="from 0 to 119"):
        advise(
            AdviceInput(
                data.codebooks, data.database_codes, data.query_features[:1],
                data.database_features, None, None, np.array([120]),
            )
        )  # fmt: skip
    with pytest.raises(OptionError, match="by must be recall"):
        advise(
            AdviceInput(
                data.codebooks, data.database_codes, data.query_features, data.database_features
            ),
            AdviceOptions(by="map"),
        )
    for wrong in ({"tolerance": 1.0}, {"tolerance": -0.1}, {"by": "speed"}, {"n_queries": 0}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            AdviceOptions(**wrong)
