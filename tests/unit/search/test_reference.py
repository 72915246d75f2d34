import numpy as np

from anybit.codes import Codebooks, Codes
from anybit.search import Index
from anybit.search._reference import best_items, best_positions, sum_levels


def test_levels_are_added_from_left_to_right_in_float32():
    rng = np.random.default_rng(0)
    table = (rng.standard_normal((6, 16)) * 10.0 ** rng.integers(-3, 4, (6, 1))).astype(np.float32)
    codes = rng.integers(0, 16, (6, 40))
    total = np.empty(40, dtype=np.float32)
    sum_levels(table, codes, total, np.empty_like(total))
    for item in range(40):
        expected = table[0, codes[0, item]]
        for level in range(1, 6):
            expected = np.float32(expected + table[level, codes[level, item]])
        np.testing.assert_array_equal(total[item], expected)


def test_best_positions_orders_equal_scores_by_position():
    scores = np.array([1, 3, 2, 3, 3, 0, 2], dtype=np.float32)
    np.testing.assert_array_equal(best_positions(scores, 2), [1, 3])
    np.testing.assert_array_equal(best_positions(scores, 4), [1, 3, 4, 2])
    np.testing.assert_array_equal(best_positions(scores, 7), [1, 3, 4, 2, 6, 0, 5])


def test_blocks_do_not_change_the_answer(monkeypatch):
    rng = np.random.default_rng(3)
    codebooks = Codebooks.stacked(rng.integers(0, 3, (2, 4, 5)).astype(np.float32))
    index = Index(codebooks, Codes(rng.integers(0, 4, (2, 101)).astype(np.uint8), 4))
    ranking = index._searcher(None).ranking
    queries = rng.integers(-1, 2, (7, 5)).astype(np.float32)
    whole = best_items(ranking, queries, 17)
    monkeypatch.setattr("anybit.search._reference.BLOCK_ITEMS", 10)
    monkeypatch.setattr("anybit.search._reference._BLOCK_QUERIES", 2)
    for n_threads in (1, 3):
        blocked = best_items(ranking, queries, 17, n_threads=n_threads)
        np.testing.assert_array_equal(whole[0], blocked[0])
        np.testing.assert_array_equal(whole[1], blocked[1])
