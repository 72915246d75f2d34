"""The compiled kernel gives the NumPy twin's answer to the bit, whatever runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from anybit.codes import MOST_LEVELS, BytePlanes, Codebooks, Codes
from anybit.errors import DataError, OptionError
from anybit.search import Index, _levels, _reference
from anybit.search._dispatch import Searcher
from anybit.search._levels import NUMPY, simd_level, simd_levels
from anybit.search._ranking import Ranking
from anybit.search._tables import TableMaker
from anybit.search._terms import NormMaker, norm_bins

COMPILED = [level for level in simd_levels() if level != NUMPY]
needs_kernel = pytest.mark.skipif(not COMPILED, reason="built without a compiler")


def ranking_of(tables, planes, *, metric="ip", constants=None, ids=None):
    """Return a ranking, and queries, whose look-up tables are `tables` (Q, L, K).

    Codewords hold a table entry for every query, and each query picks its own: products with 0
    and 1 change no bit but the sign of a zero.
    """
    n_queries, n_levels, n_codewords = tables.shape
    values = np.ascontiguousarray(tables.transpose(1, 2, 0))
    queries = np.tile(np.eye(n_queries, dtype=np.float32), n_levels)  # (Q, L * Q)
    offset = None
    if constants is not None:
        offset = np.zeros(n_levels * n_queries, dtype=np.float32)
        offset[:n_queries] = constants
    codebooks = Codebooks.product(values, offset=offset)
    packed, norms = BytePlanes.of(Codes(planes, n_codewords)), NormMaker(codebooks)
    bins = norm_bins(metric, norms.sq_norms(packed))
    return Ranking(TableMaker.of(codebooks), metric, packed, norms, bins, ids), queries


def assert_same(ranking, queries, k, allowed=None):
    """Compare every compiled path, on one thread and on three, with the twin; return its answer."""
    expected = _reference.best_items(ranking, queries, k, allowed)
    searcher = Searcher(ranking)
    for level in COMPILED:
        for n_threads in (1, 3):
            os.environ["ANYBIT_SIMD"] = level
            try:
                found = searcher.best(queries, k, allowed, n_threads)
            finally:
                del os.environ["ANYBIT_SIMD"]
            np.testing.assert_array_equal(found[0], expected[0], err_msg=level)
            np.testing.assert_array_equal(
                found[1].view(np.int32), expected[1].view(np.int32), err_msg=level
            )
    return expected


def random_tables(rng, n_queries, n_levels, n_codewords):
    """Tables (Q, L, K): of many magnitudes, with ties, all alike, or falling from level to level.

    The last two are adversarial: entries a rounding error apart, where a bound that is not strict
    would drop an item, and one level so large that all others are below a step of the filter.
    """
    shape = (n_queries, n_levels, n_codewords)
    kind = rng.integers(6)
    tables = rng.standard_normal(shape)
    if kind == 0:
        tables *= 10.0 ** rng.integers(-3, 4)
    elif kind == 1:
        tables = np.round(tables * 2) / 2
    elif kind == 2:
        tables[:] = tables[:, :1, :1]
    elif kind == 3:
        tables *= 0.5 ** np.arange(n_levels)[:, None]
    elif kind == 4:
        tables = 1 + rng.integers(0, 4, shape) * 2.0**-23
    else:
        tables[:, 0] *= 1e6
    return np.ascontiguousarray(tables, dtype=np.float32)


@needs_kernel
@pytest.mark.parametrize("seed", range(8))
def test_every_path_equals_the_twin_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    for _ in range(25):
        n_codewords = int(rng.choice([2, 4, 8, 16, 32, 256]))
        n_levels = int(rng.integers(1, 17 if n_codewords > 2 else 70))
        n_queries, n_items = int(rng.integers(1, 20)), int(rng.choice([1, 2, 31, 100, 1000, 5000]))
        metric = ("ip", "l2", "cosine")[rng.integers(3)]
        allowed, n_allowed = None, n_items
        if rng.integers(3) == 0:
            allowed = rng.random(n_items) < rng.choice([0.02, 0.5, 0.99])
            allowed[rng.integers(n_items)] = True
            n_allowed = int(allowed.sum())
        ranking, queries = ranking_of(
            random_tables(rng, n_queries, n_levels, n_codewords),
            rng.integers(0, n_codewords, (n_levels, n_items)).astype(np.uint8),
            metric=metric,
            constants=rng.standard_normal(n_queries).astype(np.float32),
            ids=np.sort(rng.choice(10 * n_items, n_items, replace=False)),
        )
        assert_same(ranking, queries, int(rng.integers(1, min(n_allowed, 300) + 1)), allowed)


@needs_kernel
@pytest.mark.parametrize("n_codewords", [2, 4, 16, 256])
@pytest.mark.parametrize("n_levels", [1, 16, 17, 64, 256])
def test_every_path_equals_the_twin_at_many_levels(rng, n_levels, n_codewords):
    for metric in ("ip", "l2", "cosine"):
        ranking, queries = ranking_of(
            random_tables(rng, 3, n_levels, n_codewords),
            rng.integers(0, n_codewords, (n_levels, 2000)).astype(np.uint8),
            metric=metric,
            constants=rng.standard_normal(3).astype(np.float32),
        )
        assert_same(ranking, queries, 20)


@needs_kernel
def test_longest_codes_equal_the_twin(rng):
    planes = rng.integers(0, 2, (MOST_LEVELS, 300)).astype(np.uint8)
    ranking, queries = ranking_of(random_tables(rng, 2, MOST_LEVELS, 2), planes, metric="cosine")
    assert_same(ranking, queries, 300)


def codebooks_of(rng, kind, n_levels, n_codewords, *, metric, has_offset):
    """Return codebooks of 12 dimensions a level (product) or 12 in all."""
    dim = 12 * n_levels if kind in ("product", "rotated") else 12
    offset = rng.standard_normal(dim).astype(np.float32) if has_offset else None
    if kind == "shared":
        scales = rng.standard_normal(n_levels)
        values = rng.standard_normal((n_codewords, 12))
        return Codebooks.shared(values, scales, offset=offset, metric=metric)
    values = rng.standard_normal((n_levels, n_codewords, 12))
    if kind == "stacked":
        return Codebooks.stacked(values, offset=offset, metric=metric)
    rotation = np.linalg.qr(rng.normal(size=(dim, dim)))[0] if kind == "rotated" else None
    return Codebooks.product(values, rotation=rotation, offset=offset, metric=metric)


@needs_kernel
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("has_offset", [False, True])
@pytest.mark.parametrize("kind", ["shared", "stacked", "product", "rotated"])
def test_symmetric_search_equals_the_twin_to_the_bit(rng, kind, has_offset, metric):
    for n_levels, n_codewords in ((1, 2), (17, 4), (4, 16), (3, 256)):
        codebooks = codebooks_of(
            rng, kind, n_levels, n_codewords, metric=metric, has_offset=has_offset
        )
        shape = (n_levels, 2000)
        codes = Codes(rng.integers(0, n_codewords, shape).astype(np.uint8), n_codewords)
        for length in codebooks.prefix_levels():
            if length not in (1, 2, n_levels):
                continue
            packed, norms = BytePlanes.of(codes.cut_levels(length)), NormMaker(codebooks)
            bins = norm_bins(metric, norms.sq_norms(packed))
            ranking = Ranking(TableMaker.of(codebooks), metric, packed, norms, bins)
            asked = codes.take(rng.integers(0, 2000, 70)).cut_levels(length)
            assert_same(ranking, asked, 30)


@needs_kernel
@pytest.mark.parametrize("kind", ["shared", "stacked", "product", "rotated"])
def test_products_of_codewords_are_the_same_without_the_kernel(rng, kind, monkeypatch):
    codebooks = codebooks_of(rng, kind, 3, 16, metric="ip", has_offset=True)
    found = []
    for level in simd_levels():
        monkeypatch.setenv("ANYBIT_SIMD", level)
        found.append(TableMaker.of(replace(codebooks)).pairs)  # of its own, not that of before
    for pairs in found:
        np.testing.assert_array_equal(pairs.products, found[-1].products)
        np.testing.assert_array_equal(pairs.offset_products, found[-1].offset_products)


@needs_kernel
@pytest.mark.parametrize("kind", ["shared", "stacked", "product", "rotated"])
def test_tables_of_raw_queries_equal_the_twin_to_the_bit(kind):
    rng = np.random.default_rng(9)
    for dim, n_codewords in ((1, 2), (37, 16), (128, 64), (300, 256)):
        values = rng.standard_normal((3, n_codewords, dim)).astype(np.float32)
        if kind == "shared":
            codebooks = Codebooks.shared(values[0], rng.random(3).astype(np.float32))
        elif kind == "stacked":
            codebooks = Codebooks.stacked(values, offset=values[0, 0])
        else:
            rotation = rng.standard_normal((3 * dim, 3 * dim))
            rotation = np.linalg.qr(rotation)[0].astype(np.float32) if kind == "rotated" else None
            offset = rng.standard_normal(3 * dim).astype(np.float32)
            codebooks = Codebooks.product(values, rotation=rotation, offset=offset)
        planes = rng.integers(0, n_codewords, (3, 200)).astype(np.uint8)
        for metric in ("ip", "l2", "cosine"):
            index = Index(codebooks, Codes(planes, n_codewords), metric=metric)
            ranking = index._searcher(None).ranking
            lengths = codebooks.sq_norms(index.codes)  # in another order of additions
            made = ranking.norms.sq_norms(ranking.planes)
            np.testing.assert_allclose(made, lengths, rtol=1e-4)
            queries = rng.standard_normal((130, codebooks.dim)).astype(np.float32)
            assert_same(ranking, queries, 7)


@needs_kernel
def test_an_item_at_the_edge_of_the_bound_is_kept():
    """The best item is better by one unit in the last place, after all others have come."""
    n_levels, n_items = 8, 4096
    tables = np.full((1, n_levels, 256), np.float32(1) / 3, dtype=np.float32)
    tables[0, :, 255] = np.nextafter(np.float32(1) / 3, np.float32(1))
    tables[0, 0, 7] = -1000.0  # a wide range: one step of the filter is larger than the difference
    planes = np.zeros((n_levels, n_items), dtype=np.uint8)
    planes[:, -1] = 255
    planes[0, 5] = 7
    assert assert_same(*ranking_of(tables, planes), 1)[0][0, 0] == n_items - 1


@needs_kernel
@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("kind", ["all alike", "one of length 0", "nearly alike", "far apart"])
def test_lengths_at_the_edge_of_their_bins(metric, kind):
    rng = np.random.default_rng(11)
    values = rng.standard_normal((3, 16, 20)).astype(np.float32)
    if kind == "all alike":
        values[:] = np.sign(values)
    elif kind == "one of length 0":
        values[:, 3] = 0
    elif kind == "nearly alike":
        values[1:] *= 1e-6
    else:
        values[:, 7] *= 1e4
    planes = rng.integers(0, 16, (3, 4000)).astype(np.uint8)
    planes[:, 100] = 3
    for offset in (None, values[0, 5]):
        codebooks = Codebooks.stacked(values, offset=offset)
        ranking = Index(codebooks, Codes(planes, 16), metric=metric)._searcher(None).ranking
        queries = rng.standard_normal((30, 20)).astype(np.float32)
        queries[0] = 0
        for k in (1, 10, 200):
            assert_same(ranking, queries, k)


@needs_kernel
def test_large_k_and_many_ties():
    rng = np.random.default_rng(5)
    tables = rng.integers(0, 3, (2, 4, 16)).astype(np.float32)
    planes = rng.integers(0, 16, (4, 30_000)).astype(np.uint8)
    for k in (10_000, 30_000):
        assert_same(*ranking_of(tables, planes), k)


@needs_kernel
def test_nothing_can_beat_the_first_items():
    """All entries alike: once there are k items the bound leaves nothing to look at."""
    tables = np.full((1, 3, 4), 0.1, dtype=np.float32)
    planes = np.random.default_rng(4).integers(0, 4, (3, 9000)).astype(np.uint8)
    found, _ = assert_same(*ranking_of(tables, planes), 5)
    np.testing.assert_array_equal(found, [[0, 1, 2, 3, 4]])


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("kind", ["shared", "stacked", "product"])
def test_a_query_is_answered_the_same_alone_and_in_company(kind, metric, level, monkeypatch):
    monkeypatch.setenv("ANYBIT_SIMD", level)
    rng = np.random.default_rng(6)
    values = rng.standard_normal((4, 16, 24)).astype(np.float32)
    if kind == "shared":
        codebooks = Codebooks.shared(values[0], np.array([1, 0.6, 0.3, 0.1], dtype=np.float32))
    elif kind == "stacked":
        codebooks = Codebooks.stacked(values, offset=values[0, 0])
    else:
        rotation = np.linalg.qr(rng.standard_normal((96, 96)))[0].astype(np.float32)
        codebooks = Codebooks.product(values, rotation=rotation)
    codes = Codes(rng.integers(0, 16, (4, 700)).astype(np.uint8), 16)
    queries = rng.standard_normal((70, codebooks.dim)).astype(np.float32)
    index = Index(codebooks, codes, metric=metric)
    tables = codebooks.lut(queries)  # in another order of additions
    made = TableMaker.of(codebooks).of_vectors(queries, 4).tables
    np.testing.assert_allclose(made, tables, rtol=1e-4, atol=1e-4)
    together = index.search(queries, k=9)
    for row in (0, 1, 33, 69):
        alone = index.search(queries[row : row + 1], k=9)
        np.testing.assert_array_equal(alone.ids[0], together.ids[row])
        np.testing.assert_array_equal(alone.scores[0], together.scores[row])


def test_the_twin_serves_where_the_kernel_is_missing():
    code = """
import sys
sys.modules["anybit.search._kernel"] = None  # what an import finds that was not built
import numpy as np
from anybit.codes import Codebooks, Codes
from anybit.search import Index
from anybit.search import simd_levels
assert simd_levels() == ["numpy"], simd_levels()
codes = Codes(np.array([[0, 1, 0]], dtype=np.uint8), 2)
index = Index(Codebooks.stacked(np.eye(2, dtype=np.float32)[None]), codes)
assert index.search(np.array([[1, 2]], dtype=np.float32), k=2).ids.tolist() == [[1, 0]]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the compiled search kernel is missing") == 1


def test_the_environment_chooses_what_scans(monkeypatch):
    monkeypatch.delenv("ANYBIT_SIMD", raising=False)
    assert simd_level() == simd_levels()[0]
    monkeypatch.setenv("ANYBIT_SIMD", NUMPY)
    assert simd_level() == NUMPY
    monkeypatch.setenv("ANYBIT_SIMD", "mmx")
    with pytest.raises(OptionError, match=r"ANYBIT_SIMD must be one of .*numpy here, got mmx"):
        simd_level()


@needs_kernel
def test_several_threads_of_python_may_search_at_once():
    rng = np.random.default_rng(8)
    planes = rng.integers(0, 256, (4, 50_000)).astype(np.uint8)
    planes.setflags(write=False)
    tables = rng.standard_normal((4, 4, 256)).astype(np.float32)
    ranking, queries = ranking_of(tables, planes)
    searcher = Searcher(ranking)
    expected = searcher.best(queries, 10)
    answers = [None] * 4

    def search(number):
        answers[number] = searcher.best(queries, 10)

    threads = [threading.Thread(target=search, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in answers:
        np.testing.assert_array_equal(answer[0], expected[0])


@needs_kernel
def test_ctrl_c_ends_a_long_call():
    """Uninterrupted the call would take many minutes, on two threads as on one."""
    code = """
import os, signal, threading
import numpy as np
from anybit.codes import Codebooks, Codes
from anybit.search import Index
signal.signal(signal.SIGINT, signal.default_int_handler)
rng = np.random.default_rng(0)
planes = rng.integers(0, 256, (8, 2**20), dtype=np.uint8)
index = Index(Codebooks.stacked(rng.standard_normal((8, 256, 4), dtype=np.float32)), Codes(planes))
queries = rng.standard_normal((300_000, 4), dtype=np.float32)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    index.search(queries, n_threads=2)
except KeyboardInterrupt:
    print("stopped")
"""
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "stopped\n", done.stderr


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("kind", ["shared", "stacked"])
def test_queries_whose_scores_overflow_are_refused(kind, level, monkeypatch):
    monkeypatch.setenv("ANYBIT_SIMD", level)
    values = np.full((1, 2, 3), 1e30, dtype=np.float32)
    codebooks = Codebooks.stacked(values)
    if kind == "shared":
        codebooks = Codebooks.shared(values[0], np.ones(1, dtype=np.float32))
    index = Index(codebooks, Codes(np.zeros((1, 4), dtype=np.uint8), 2))
    with pytest.raises(DataError, match=r"must stay below 1e\+37, got inf in query 1"):
        index.search(np.array([[1, 1, 1], [1e30, 1, 1]], dtype=np.float32))


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("place", [0, 3, 40, 63])
def test_a_table_with_one_entry_that_is_no_number_is_refused(level, place, monkeypatch):
    """Infinite products of both signs in the middle of a table whose other entries are small."""
    monkeypatch.setenv("ANYBIT_SIMD", level)
    values = np.ones((1, 64, 2), dtype=np.float32)
    values[0, place] = [1e30, -1e30]
    index = Index(Codebooks.stacked(values), Codes(np.zeros((1, 4), dtype=np.uint8), 64))
    with pytest.raises(DataError, match=r"must stay below 1e\+37, got nan in query 0"):
        index.search(np.full((1, 2), 1e10, dtype=np.float32), k=1)


def ranking_arguments():
    """Arguments of a compiled ranking that is right: 2 levels of 4 codewords, 9 items, D = 3."""
    return {
        "blocks": np.zeros((2, 3, 4), dtype=np.float32),
        "level_scales": None,
        "rotation": None,
        "offset": None,
        "is_product": False,
        "planes": np.zeros((1, 9), dtype=np.uint8),
        "n_levels": 2,
        "n_codewords": 4,
        "metric": "ip",
    }


BAD_RANKINGS = {
    "blocks of float64": {"blocks": np.zeros((2, 3, 4))},
    "blocks of rank 2": {"blocks": np.zeros((2, 4), dtype=np.float32)},
    "blocks in another order": {"blocks": np.zeros((4, 3, 2), dtype=np.float32).T},
    "too few blocks": {"blocks": np.zeros((1, 3, 4), dtype=np.float32)},
    "blocks of no dimension": {"blocks": np.zeros((2, 0, 4), dtype=np.float32)},
    "blocks of other codewords": {"blocks": np.zeros((2, 3, 5), dtype=np.float32)},
    "scales beside several blocks": {"level_scales": np.ones(2, dtype=np.float32)},
    "too few scales": {
        "blocks": np.zeros((1, 3, 4), dtype=np.float32),
        "level_scales": np.ones(1, dtype=np.float32),
    },
    "a rotation that is no square": {"rotation": np.zeros((3, 4), dtype=np.float32)},
    "an offset of another length": {
        "rotation": np.zeros((3, 3), dtype=np.float32),
        "offset": np.zeros(4, dtype=np.float32),
    },
    "too few planes": {"planes": np.zeros((0, 9), dtype=np.uint8)},
    "planes of int64": {"planes": np.zeros((1, 9), dtype=np.int64)},
    "planes with gaps": {"planes": np.zeros((1, 18), dtype=np.uint8)[:, ::2]},
    "no levels": {"n_levels": 0},
    "too many levels": {"n_levels": 257},
    "codewords that are no power of two": {"n_codewords": 3},
    "too many codewords": {"n_codewords": 512},
    "an unknown metric": {"metric": "hamming"},
    "ids of another length": {"ids": np.zeros(8, dtype=np.int64)},
    "ids of float": {"ids": np.zeros(9)},
    "l2 without norms": {"metric": "l2"},
    "bins for the inner product": {"bins": np.zeros(9, dtype=np.uint8)},
    "a product of too many blocks": {
        "is_product": True,
        "blocks": np.zeros((3, 3, 4), dtype=np.float32),
    },
    "too few floors": {
        "metric": "cosine",
        "codewords": np.zeros((2, 4, 3), dtype=np.float32),
        "bins": np.zeros(9, dtype=np.uint8),
        "bin_floors": np.zeros(255, dtype=np.float32),
    },
    "codewords in another shape": {
        "metric": "l2",
        "codewords": np.zeros((2, 3, 4), dtype=np.float32),
        "bins": np.zeros(9, dtype=np.uint8),
        "bin_floors": np.zeros(256, dtype=np.float32),
    },
    "an offset of norms of another length": {
        "metric": "l2",
        "codewords": np.zeros((2, 4, 3), dtype=np.float32),
        "norm_offset": np.zeros(2, dtype=np.float32),
        "bins": np.zeros(9, dtype=np.uint8),
        "bin_floors": np.zeros(256, dtype=np.float32),
    },
}


@needs_kernel
@pytest.mark.parametrize("name", BAD_RANKINGS)
def test_the_binding_refuses_a_ranking(name):
    arguments = ranking_arguments()
    _levels.COMPILED.Ranking(**arguments)
    with pytest.raises((TypeError, ValueError)):
        _levels.COMPILED.Ranking(**(arguments | BAD_RANKINGS[name]))


BAD_QUERIES = {
    "queries of float64": {"queries": np.zeros((2, 3))},
    "queries of another dimension": {"queries": np.zeros((2, 4), dtype=np.float32)},
    "one query without its axis": {"queries": np.zeros(3, dtype=np.float32)},
    "queries with gaps": {"queries": np.zeros((2, 6), dtype=np.float32)[:, ::2]},
    "more than there are items": {
        "ids": np.empty((2, 10), dtype=np.int64),
        "scores": np.empty((2, 10), dtype=np.float32),
    },
    "ids and scores of two shapes": {"ids": np.empty((2, 3), dtype=np.int64)},
    "too few rows of ids": {"ids": np.empty((1, 4), dtype=np.int64)},
    "ids of int32": {"ids": np.empty((2, 4), dtype=np.int32)},
    "scores that cannot be written": {"scores": np.broadcast_to(np.float32(0), (2, 4))},
    "a short mask": {"allowed": np.ones(8, dtype=np.bool_)},
    "a mask of bytes": {"allowed": np.ones(9, dtype=np.uint8)},
    "no thread": {"n_threads": 0},
    "an unknown instruction set": {"simd": "mmx"},
    "NaN": {"queries": np.full((2, 3), np.nan, dtype=np.float32)},
    "infinity": {"queries": np.full((2, 3), -np.inf, dtype=np.float32)},
}


@needs_kernel
@pytest.mark.parametrize("name", BAD_QUERIES)
def test_the_binding_refuses_queries(name):
    ranking = _levels.COMPILED.Ranking(**ranking_arguments())
    arguments = {
        "queries": np.zeros((2, 3), dtype=np.float32),
        "allowed": None,
        "n_threads": 1,
        "simd": "portable",
        "ids": np.empty((2, 4), dtype=np.int64),
        "scores": np.empty((2, 4), dtype=np.float32),
    }
    ranking.best(**arguments)
    with pytest.raises((TypeError, ValueError)):
        ranking.best(**(arguments | BAD_QUERIES[name]))


@needs_kernel
def test_arguments_of_any_shape_and_type_are_answered_or_refused():
    """Random wrong arguments: an exception or an answer, never a crash."""
    rng = np.random.default_rng(12)
    dtypes = [np.float32, np.float64, np.uint8, np.int64, np.bool_, np.complex64]

    def mangled(value):
        kind = rng.integers(8)
        if kind == 0:
            return None
        if isinstance(value, np.ndarray):
            if kind == 1:
                return value.astype(dtypes[rng.integers(len(dtypes))])
            if kind == 2:
                return value[..., : rng.integers(value.shape[-1] + 1)]
            if kind == 3:
                return np.repeat(value, 2, axis=-1)[..., ::2]
            if kind == 4:
                return value[0] if len(value) else value
            return np.concatenate([value, value]) if kind == 5 else value.copy()
        if isinstance(value, int):
            return int(rng.integers(-2, 20)) if kind < 6 else 2**40
        return value if kind < 6 else "what"

    n_right = 0
    for _ in range(3000):
        arguments = ranking_arguments()
        names = rng.choice(sorted(arguments), rng.integers(3), replace=False)
        arguments |= {name: mangled(arguments[name]) for name in names}
        call = {
            "queries": np.ones((2, 3), dtype=np.float32),
            "allowed": np.ones(9, dtype=np.bool_),
            "n_threads": 1,
            "simd": COMPILED[rng.integers(len(COMPILED))],
            "ids": np.full((2, 3), -1, dtype=np.int64),
            "scores": np.empty((2, 3), dtype=np.float32),
        }
        names = rng.choice(["queries", "allowed", "ids", "scores"], rng.integers(3), replace=False)
        call |= {name: mangled(call[name]) for name in names}
        try:
            _levels.COMPILED.Ranking(**arguments).best(**call)
        except (TypeError, ValueError, OverflowError):
            continue
        assert call["ids"].shape == call["scores"].shape
        assert ((call["ids"] >= 0) & (call["ids"] < 18)).all()
        n_right += 1
    assert 300 < n_right < 2700
