"""Time symmetric search by tables beside reconstructed queries and asymmetric search, one thread.

Example: ``python benchmarks/symmetric.py --output symmetric.json``. All search the same items, turn
about: raw queries (aqd), codes of the queries by tables of products of codewords (sqd), and these
codes reconstructed first. Times are per query, medians; a search with few items is mostly the
making of tables. Beside them: how many of the ids agree between both symmetric ways, and how far
their scores differ, relative to the largest (the sums are added in another order).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from anybit.bench import environment, write_result
from anybit.codes import Codebooks, Codes
from anybit.search import Index


def codebooks_of(kind: str, arguments: argparse.Namespace, rng: np.random.Generator) -> Codebooks:
    """Return random codebooks of a kind."""
    dim, levels, codewords = arguments.dim, arguments.levels, arguments.codewords
    scales = 0.8 ** np.arange(levels)
    if kind == "shared":
        return Codebooks.shared(rng.normal(size=(codewords, dim)), scales)
    if kind == "stacked":
        values = scales[:, None, None] * rng.normal(size=(levels, codewords, dim))
        return Codebooks.stacked(values)
    if kind == "product":
        return Codebooks.product(rng.normal(size=(levels, codewords, dim // levels)))
    return Codebooks.signs(levels * (codewords.bit_length() - 1))


def measured(
    codebooks: Codebooks, arguments: argparse.Namespace, rng: np.random.Generator
) -> dict[str, Any]:
    """Return times and agreement of the three ways."""
    n_codewords = codebooks.n_codewords
    shape = (codebooks.n_levels, arguments.items)
    items = Codes(rng.integers(0, n_codewords, shape).astype(np.uint8), n_codewords)
    queries = rng.normal(size=(arguments.queries, codebooks.dim)).astype(np.float32)
    codes = codebooks.encode(queries)
    index = Index(codebooks, items)
    ways: dict[str, Callable[[], Any]] = {
        "aqd": lambda: index.search(queries, arguments.k, comparison="aqd"),
        "sqd by tables": lambda: index.search(codes, arguments.k),
        "sqd by reconstruction": lambda: index.search(
            codebooks.decode(codes), arguments.k, comparison="aqd"
        ),
    }
    began_s = time.perf_counter()
    index.search(codes.take(np.arange(1)), 1)
    first_s = time.perf_counter() - began_s
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = {}
    for _ in range(arguments.repeats):
        for name, run in ways.items():
            began_s = time.perf_counter()
            found[name] = run()
            seconds[name].append(time.perf_counter() - began_s)
    one, other = found["sqd by tables"], found["sqd by reconstruction"]
    largest = np.abs(one.scores).max()
    return {
        "us_per_query": {
            name: round(1e6 * float(np.median(some)) / len(queries), 2)
            for name, some in seconds.items()
        },
        "first_symmetric_search_s": round(first_s, 4),
        "share_of_ids_that_agree": float((one.ids == other.ids).mean()),
        "largest_relative_difference_of_scores": float(
            np.abs(one.scores - other.scores).max() / largest
        ),
        "has_identical_scores": bool((one.scores == other.scores).all()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--levels", type=int, default=8)
    parser.add_argument("--codewords", type=int, default=256)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    figures = {}
    for kind in ("shared", "stacked", "product", "signs"):
        figures[kind] = measured(codebooks_of(kind, arguments, rng), arguments, rng)
        print(kind, figures[kind])
    result = {
        "settings": {name: str(value) for name, value in vars(arguments).items()},
        "kinds": figures,
        **environment(),
    }
    if arguments.output:
        write_result(arguments.output, result)


if __name__ == "__main__":
    main()
