import numpy as np
import pytest

from anybit.codes import Codes
from anybit.evaluation.level_sums import LevelSums


@pytest.mark.parametrize(("n_items", "n_codewords"), [(1, 4), (7, 2), (300, 4), (50, 256)])
def test_sums_equal_the_plain_loop_to_the_bit(rng, reference, n_items, n_codewords):
    rows = rng.integers(0, n_codewords, (n_items, 5)).astype(np.uint8)
    lut = rng.normal(size=(5, n_codewords)).astype(np.float32)
    sums = LevelSums(Codes.from_rows(rows, n_codewords), 5)
    out = np.empty(n_items, dtype=np.float32)
    for n_levels in sums.sums(lut, out):
        expected = reference.level_sum_scores(lut, rows[:, :n_levels])
        np.testing.assert_array_equal(out, np.array(expected, dtype=np.float32))
        out[:] = np.nan  # the caller may change it


def n_summed(sums):
    """Entries that are summed at each level; the number of items where grouping ended."""
    return [len(level.codes) for level in sums._levels]


def test_equal_prefixes_are_summed_once():
    rows = np.repeat(np.array([[0, 1], [3, 2]], dtype=np.uint8), 50, axis=0)
    assert n_summed(LevelSums(Codes.from_rows(rows, 4), 2)) == [2, 2]


def test_grouping_ends_when_most_prefixes_differ(rng):
    rows = rng.integers(0, 256, (100, 3)).astype(np.uint8)
    assert n_summed(LevelSums(Codes.from_rows(rows), 3))[1:] == [100, 100]
