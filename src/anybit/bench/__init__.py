"""Benchmarks that anyone can run, and what every figure is written down with."""

from anybit.bench.environment import environment, write_result
from anybit.bench.search import ROWS, Row, SearchBenchOptions, bench_search

__all__ = [
    "ROWS",
    "Row",
    "SearchBenchOptions",
    "bench_search",
    "environment",
    "write_result",
]
