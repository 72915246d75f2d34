"""The compiled evaluation gives the figures of its NumPy twin."""

from dataclasses import replace

import numpy as np
import pytest

from anybit.codes import Codes
from anybit.data import Labels
from anybit.evaluation import EvaluationOptions, evaluate
from anybit.search import simd_levels

needs_kernel = pytest.mark.skipif(simd_levels() == ["numpy"], reason="built without a compiler")


def both(monkeypatch, data, options, level=None):
    """Evaluate with the kernel, its fastest level if none is named, and without."""
    monkeypatch.setenv("ANYBIT_SIMD", level or simd_levels()[0])
    compiled = evaluate(data, options)
    monkeypatch.setenv("ANYBIT_SIMD", "numpy")
    twin = evaluate(data, options)
    monkeypatch.delenv("ANYBIT_SIMD")
    return compiled, twin


def assert_same(compiled, twin):
    for one, other in zip(compiled.all_results(), twin.all_results(), strict=True):
        assert one.tied_share == pytest.approx(other.tied_share, abs=1e-12)
        for got, expected in zip(one.measures, other.measures, strict=True):
            assert got.name == expected.name
            assert got.value == pytest.approx(expected.value, abs=1e-11), got.name
            if got.interval is not None:
                ends = (expected.interval.worst, expected.interval.best)
                assert (got.interval.worst, got.interval.best) == pytest.approx(ends, abs=1e-11)
        for name in ("precision", "relevant_recall"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-12)


@needs_kernel
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("denominator", ["found", "reachable", "database"])
@pytest.mark.parametrize("at", [1, 40, 10_000])
def test_the_kernel_measures_like_numpy(make_input, monkeypatch, metric, denominator, at):
    """Two bits a level on 150 items: nearly all tie, and cut-offs fall into groups."""
    data = make_input(20, metric=metric)
    options = EvaluationOptions(at=at, denominator=denominator, ndcg_at=30, precision_at=(3, 70))
    assert_same(*both(monkeypatch, data, options))


@needs_kernel
def test_the_kernel_measures_like_numpy_with_many_labels(make_input, monkeypatch, rng):
    """Several labels an item, some with none, more classes than fit into one word."""
    names = [str(number) for number in range(100)]
    chosen = [rng.random((n, 100)) < 0.03 for n in (9, 150)]
    chosen[0][0] = False
    chosen[1][3] = True
    labels = tuple(Labels.from_multi_hot(rows, names) for rows in chosen)
    data = make_input(labels=labels)
    assert_same(*both(monkeypatch, data, EvaluationOptions(at=50, ndcg_at=20, precision_at=(5,))))


@needs_kernel
def test_the_kernel_measures_like_numpy_on_lengths_without_a_step(make_input, monkeypatch):
    """Some lengths only, no float features, and 16 codewords, two to a byte."""
    data = make_input(70, 300)
    values = np.random.default_rng(1).standard_normal((5, 16, 6)).astype(np.float32)
    codebooks = type(data.codebooks).stacked(values)
    planes = np.random.default_rng(2).integers(0, 16, (5, 300)).astype(np.uint8)
    codes = Codes(planes, 16)
    data = replace(data, codebooks=codebooks, database_codes=codes, database_features=None)
    options = EvaluationOptions(bits=(8, 20), at=50, precision_at=(5,), ndcg_at=20)
    assert_same(*both(monkeypatch, data, options))
    assert_same(*both(monkeypatch, replace(data, metric="cosine"), options))


@needs_kernel
@pytest.mark.parametrize("level", simd_levels()[:-1])
@pytest.mark.parametrize("n_items", [1, 7, 8, 9, 16, 17, 300])
def test_every_instruction_set_adds_levels_like_numpy(make_input, monkeypatch, level, n_items):
    """Registers of eight items, and what is left over; levels in pairs, and one alone."""
    data = make_input(3, n_items)
    values = np.random.default_rng(1).standard_normal((5, 16, 6)).astype(np.float32)
    planes = np.random.default_rng(2).integers(0, 16, (5, n_items)).astype(np.uint8)
    codebooks = type(data.codebooks).stacked(values)
    data = replace(data, codebooks=codebooks, database_codes=Codes(planes, 16))
    options = EvaluationOptions(bits=(4, 8, 12, 20), at=5, precision_at=(), ndcg_at=5)
    assert_same(*both(monkeypatch, data, options, level))


@needs_kernel
@pytest.mark.parametrize("place", range(36))
def test_the_kernel_sees_a_tie_at_every_place(make_input, monkeypatch, place):
    """Rankings are read in blocks of 16: two equal scores, one relevant, may lie in two of them."""
    data = make_input(1, 37)
    values = np.linspace(2, 1, 37, dtype=np.float32)
    places = [tied for tied in (place, place + 17) if tied < 36]
    for tied in places:
        values[tied + 1] = values[tied]
    features = np.zeros((37, 6), dtype=np.float32)
    features[:, 0] = values
    labels = (
        Labels.from_integers(np.array([0]), "ab"),
        Labels.from_integers(np.arange(37) % 2, "ab"),
    )
    data = replace(
        data,
        database_features=features,
        query_features=np.eye(1, 6, dtype=np.float32),
        query_labels=labels[0],
        database_labels=labels[1],
    )
    compiled, twin = both(
        monkeypatch, data, EvaluationOptions(at=37, ndcg_at=9, precision_at=(place + 1,))
    )
    assert_same(compiled, twin)
    assert compiled.float_features.tied_share == pytest.approx(2 * len(places) / 37)
    interval = compiled.float_features.measure("map_at", ties=True).interval
    assert interval.worst < interval.best
