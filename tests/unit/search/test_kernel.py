"""The compiled kernel gives the NumPy twin's answer to the bit, whatever runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from anybit.codes import Codebooks, Codes
from anybit.errors import DataError, OptionError
from anybit.search import Index, _reference, _scan
from anybit.search._scan import NUMPY, scan, simd_level, simd_levels
from anybit.search._terms import ItemTerms, terms_of

COMPILED = [level for level in simd_levels() if level != NUMPY]
needs_kernel = pytest.mark.skipif(not COMPILED, reason="built without a compiler")


def assert_same(tables, planes, k, **options):
    """Compare every compiled path, on one thread and on three, with the twin."""
    expected = _reference.scan(tables, planes, k, **options)
    for level in COMPILED:
        for n_threads in (1, 3):
            os.environ["ANYBIT_SIMD"] = level
            try:
                found = scan(tables, planes, k, n_threads=n_threads, **options)
            finally:
                del os.environ["ANYBIT_SIMD"]
            np.testing.assert_array_equal(found[0], expected[0], err_msg=level)
            np.testing.assert_array_equal(
                found[1].view(np.int32), expected[1].view(np.int32), err_msg=level
            )


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


def random_terms(rng, n_items):
    """Terms of a random metric, sometimes with a mask."""
    sq_norms = np.abs(rng.standard_normal(n_items)).astype(np.float32)
    kind = rng.integers(4)
    if kind == 1:
        sq_norms[:] = sq_norms[0]
    elif kind == 2:
        sq_norms[rng.integers(n_items)] = 0
    elif kind == 3:
        sq_norms = (sq_norms * 1e-6 + 1).astype(np.float32)
    terms = terms_of(("ip", "l2", "cosine")[rng.integers(3)], sq_norms)
    if rng.integers(3) == 0:
        allowed = rng.random(n_items) < rng.choice([0.02, 0.5, 0.99])
        allowed[rng.integers(n_items)] = True
        terms = ItemTerms(allowed, terms.shift, terms.factor, terms.bins)
    return terms


@needs_kernel
@pytest.mark.parametrize("seed", range(8))
def test_every_path_equals_the_twin_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    for _ in range(25):
        n_codewords = int(rng.choice([2, 4, 16, 32, 256]))
        n_levels, n_queries = int(rng.integers(1, 17)), int(rng.integers(1, 20))
        n_items = int(rng.choice([1, 2, 31, 32, 33, 100, 1000, 5000]))
        terms = random_terms(rng, n_items)
        n_allowed = n_items if terms.allowed is None else int(terms.allowed.sum())
        k = int(rng.integers(1, min(n_allowed, 300) + 1))
        tables = random_tables(rng, n_queries, n_levels, n_codewords)
        planes = rng.integers(0, n_codewords, (n_levels, n_items)).astype(np.uint8)
        constants = rng.standard_normal(n_queries).astype(np.float32)
        assert_same(tables, planes, k, items=terms, constants=constants)


@needs_kernel
@pytest.mark.parametrize("n_parts", [1, 3])
def test_tables_equal_the_twin_to_the_bit(n_parts, monkeypatch):
    rng = np.random.default_rng(9)
    for dim, width in ((1, 2), (37, 16), (128, 100), (300, 256)):
        parts = rng.standard_normal((5, n_parts, dim)).astype(np.float32)
        blocks = rng.standard_normal((3, dim, width)).astype(np.float32)
        expected = _reference.inner_products(parts, blocks)
        for level in COMPILED:
            monkeypatch.setenv("ANYBIT_SIMD", level)
            np.testing.assert_array_equal(_scan.inner_products(parts, blocks), expected)


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
    assert_same(tables, planes, 1)
    assert _reference.scan(tables, planes, 1)[0][0, 0] == n_items - 1


@needs_kernel
def test_large_k_and_many_ties():
    rng = np.random.default_rng(5)
    tables = rng.integers(0, 3, (2, 4, 16)).astype(np.float32)
    planes = rng.integers(0, 16, (4, 30_000)).astype(np.uint8)
    assert_same(tables, planes, 10_000)
    assert_same(tables, planes, 30_000)


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
    np.testing.assert_allclose(index._maker.tables(queries, 4), tables, rtol=1e-4, atol=1e-4)
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
from anybit.search._scan import simd_levels
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
    tables = rng.standard_normal((4, 4, 256)).astype(np.float32)
    planes = rng.integers(0, 256, (4, 50_000)).astype(np.uint8)
    planes.setflags(write=False)
    expected = scan(tables, planes, 10)
    answers = [None] * 4

    def search(number):
        answers[number] = scan(tables, planes, 10)

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
from anybit.search._scan import scan
signal.signal(signal.SIGINT, signal.default_int_handler)
tables = np.random.default_rng(0).random((200_000, 16, 2), dtype=np.float32)
planes = np.broadcast_to(np.zeros(2**22, dtype=np.uint8), (16, 2**22))
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    scan(tables, planes, 10, n_threads=2)
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


BAD_ARGUMENTS = {
    "a table of float64": {"tables": np.zeros((1, 2, 4))},
    "a table of rank 2": {"tables": np.zeros((2, 4), dtype=np.float32)},
    "a table in another order": {"tables": np.zeros((4, 2, 1), dtype=np.float32).T},
    "too few planes": {"planes": np.zeros((1, 9), dtype=np.uint8)},
    "planes of int64": {"planes": np.zeros((2, 9), dtype=np.int64)},
    "planes with gaps": {"planes": np.zeros((2, 18), dtype=np.uint8)[:, ::2]},
    "k above the items": {"k": 10},
    "k below 0": {"k": -1},
    "no thread": {"n_threads": 0},
    "a short mask": {"allowed": np.ones(8, dtype=np.bool_)},
    "a mask of bytes": {"allowed": np.ones(9, dtype=np.uint8)},
    "constants of another length": {"constants": np.zeros(2, dtype=np.float32)},
    "a shift without bins": {"shift": np.zeros(9, dtype=np.float32)},
    "bins without a shift": {"bins": np.zeros(9, dtype=np.uint8)},
    "no levels": {
        "tables": np.zeros((1, 0, 4), dtype=np.float32),
        "planes": np.zeros((0, 9), dtype=np.uint8),
    },
    "too many levels": {
        "tables": np.zeros((1, 17, 4), dtype=np.float32),
        "planes": np.zeros((17, 9), dtype=np.uint8),
    },
    "too many codewords": {"tables": np.zeros((1, 2, 257), dtype=np.float32)},
    "an unknown instruction set": {"simd": "mmx"},
}


@needs_kernel
@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_the_binding_refuses(name):
    arguments = {
        "tables": np.zeros((1, 2, 4), dtype=np.float32),
        "planes": np.zeros((2, 9), dtype=np.uint8),
        "k": 3,
    }
    _scan._kernel.scan(**arguments)
    with pytest.raises((TypeError, ValueError)):
        _scan._kernel.scan(**(arguments | BAD_ARGUMENTS[name]))
