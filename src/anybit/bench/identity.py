"""Every compiled path against the NumPy twin, to the bit, on random and adversarial cases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from anybit.codes import Codebooks, Codes
from anybit.search import Index, simd_levels
from anybit.types import METRICS, Float32Array

__all__ = ["IdentityCounts", "compare_paths"]


@dataclass(frozen=True)
class IdentityCounts:
    """How many cases were searched, and in how many all paths agreed."""

    n_cases: int
    n_same: int
    paths: tuple[str, ...]


@dataclass(frozen=True)
class _Case:
    index: Index
    queries: Float32Array
    k: int


def compare_paths(n_random: int = 1000, n_adversarial: int = 100, seed: int = 0) -> IdentityCounts:
    """Search random and adversarial cases by every path, on one thread and on two.

    Parameters
    ----------
    n_random, n_adversarial : int
        Cases: K of 2, 16 and 256, 1 to 16 levels, every kind of codebook and metric, with ties.
    seed : int

    Returns
    -------
    IdentityCounts
    """
    levels = simd_levels()
    n_same = 0
    for case in _cases(n_random, n_adversarial, np.random.default_rng(seed)):
        answers = []
        for level in levels:
            for n_threads in (1, 2):
                answers.append(_answer(case, level, n_threads))
        n_same += all(answer == answers[-1] for answer in answers)
    return IdentityCounts(n_random + n_adversarial, n_same, tuple(levels))


def _answer(case: _Case, level: str, n_threads: int) -> tuple[bytes, bytes]:
    """Return ids and scores as bytes."""
    before = os.environ.get("ANYBIT_SIMD")
    os.environ["ANYBIT_SIMD"] = level
    try:
        found = case.index.search(case.queries, case.k, n_threads=n_threads)
    finally:
        if before is None:
            del os.environ["ANYBIT_SIMD"]
        else:
            os.environ["ANYBIT_SIMD"] = before
    return found.ids.tobytes(), found.scores.tobytes()


def _cases(n_random: int, n_adversarial: int, rng: np.random.Generator) -> Iterator[_Case]:
    for number in range(n_random + n_adversarial):
        n_codewords = (2, 16, 256)[number % 3]
        n_levels = 1 + number // 3 % 16
        n_items = int(rng.choice([1, 33, 500, 3000]))
        planes = rng.integers(0, n_codewords, (n_levels, n_items)).astype(np.uint8)
        metric = METRICS[int(rng.integers(3))]
        queries: Float32Array
        if number < n_random:
            codebooks = _random_codebooks(rng, n_levels, n_codewords)
            queries = rng.standard_normal((3, codebooks.dim)).astype(np.float32)
        else:
            values = _adversarial_entries(rng, n_levels, n_codewords)
            codebooks = Codebooks.product(values)  # of one dimension: entries are the codewords
            queries = np.ones((2, n_levels), dtype=np.float32)
        index = Index(codebooks, Codes(planes, n_codewords), metric=metric)
        yield _Case(index, queries, int(rng.integers(1, min(n_items, 50) + 1)))


def _random_codebooks(rng: np.random.Generator, n_levels: int, n_codewords: int) -> Codebooks:
    """Return codebooks of a random kind; every second time of whole numbers, for ties."""
    numbers = rng.standard_normal((n_levels, n_codewords, 8))
    if rng.integers(2):
        numbers = np.round(numbers)
    values: Float32Array = numbers.astype(np.float32)
    offset = values[0, 0] if rng.integers(2) else None
    kind = rng.integers(3)
    if kind == 0:
        scales = (0.7 ** np.arange(n_levels)).astype(np.float32)
        return Codebooks.shared(values[0], scales, offset=offset)
    return Codebooks.stacked(values, offset=offset) if kind == 1 else Codebooks.product(values)


def _adversarial_entries(rng: np.random.Generator, n_levels: int, n_codewords: int) -> Float32Array:
    """Return table entries (L, K, 1) at the edge of what a bound with rounding can tell apart."""
    shape = (n_levels, n_codewords, 1)
    kind = rng.integers(5)
    if kind == 0:  # a rounding error apart
        values = 1 + rng.integers(0, 4, shape) * 2.0**-23
    elif kind == 1:  # one level hides all others below a step of the filter
        values = rng.standard_normal(shape)
        values[int(rng.integers(n_levels))] *= 1e7
    elif kind == 2:  # all alike
        values = np.full(shape, 0.1)
    elif kind == 3:  # falling by orders of magnitude, below zero
        values = -np.abs(rng.standard_normal(shape)) * 10.0 ** -np.arange(n_levels)[:, None, None]
    else:  # two values: nearly everything ties
        values = rng.integers(0, 2, shape) / 3
    return values.astype(np.float32)
