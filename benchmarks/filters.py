"""Filters over a million rows: python benchmarks/filters.py."""

from __future__ import annotations

import argparse
import functools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from anybit.bench import environment, write_result
from anybit.codes import Codebooks, Codes, ModelFolder, write_model_folder
from anybit.collection import Collection

DIM, N_LEVELS = 16, 4
WORDS = "red blue abc shoe leather summer winter box blank cotton x1 boots".split()
PATTERNS = ("%abc%", "red%", "%boots", "%a%b%c%", "_x%", "%a%a%a%a%b", "red%summer%shoe%x1",
            "%_e_t_e%", "%a" + "_" * 25)  # fmt: skip
OTHERS = (
    "price < 1", "price BETWEEN 10 AND 20", "price < 1 OR price > 99", "id IN (1, 2, 3)",
    "labels = 'shoe'", "labels IN ('shoe', 'box', 'red')", "text = 'red'", "day >= '2024-06-01'",
    "text IS NULL", "price < 50 AND labels = 'shoe' AND text LIKE '%abc%'",
)  # fmt: skip


def main() -> None:
    """Run once in a temporary folder, print a line a filter, and write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--words", type=int, default=11, help="in each text")
    parser.add_argument("--rows-per-commit", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the collection is made")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    machine = environment(("numpy", "pyarrow", "pylance"))
    place = Path(tempfile.mkdtemp(prefix="anybit-filters-", dir=args.folder))
    try:
        figures = measure(place, args)
    finally:
        shutil.rmtree(place)
    settings = {key: value for key, value in vars(args).items() if key not in ("output", "folder")}
    if args.output is not None:
        write_result(args.output, {**machine, "seed": args.seed, "settings": settings, **figures})


def measure(place: Path, args: argparse.Namespace) -> dict[str, object]:
    """Return the figures; wall times are the best of some rounds, CPU times those of one."""
    rng = np.random.default_rng(args.seed)
    shop = make(place, rng, args)
    texts = shop.get(shop.ids()[:10_000], ["text"])["text"]
    n_characters = np.mean([len(one) for one in texts.to_pylist() if one is not None])
    print(f"{args.items:,} items, {n_characters:.1f} characters of text each")
    filters = [f"text LIKE '{one}'" for one in PATTERNS]
    filters += ["text ILIKE '%ABC%'", "same LIKE '%a%a%a%a%b'", *OTHERS]
    found: dict[str, dict[str, float]] = {}
    for one in filters:
        started_s = time.process_time()
        n_selected = shop.count(one)
        cpu_s = time.process_time() - started_s
        count_s = timed(functools.partial(shop.count, one), 2)
        found[one] = {"wall_s": count_s, "cpu_s": cpu_s, "n_selected": n_selected}
        print(f"{one:64} {count_s:8.3f} s {cpu_s:8.3f} s of CPU {n_selected:>10,} selected")
    query = rng.standard_normal(DIM).astype(np.float32)
    shop.search(query)
    searches: dict[str, float] = {"without a filter: ms": 1000 * timed(lambda: shop.search(query))}
    for number in range(3):  # a new filter each time, else its rows are known
        where = f"price < {number + 1} AND id >= 0"
        first_s = timed(functools.partial(shop.search, query, 10, None, where), 1)
        name = "a new filter, 1 to 3 % selected: ms"
        searches[name] = min(searches.get(name, np.inf), 1000 * first_s)
        again_s = timed(functools.partial(shop.search, query, 10, None, where))
        searches["the same filter again: ms"] = 1000 * again_s
    for name, value in searches.items():
        print(f"search, {name:56} {value:8.3f}")
    return {"characters": float(n_characters), "filters": found, "search": searches}


def make(place: Path, rng: np.random.Generator, args: argparse.Namespace) -> Collection:
    """Make a collection of random codes with text, numbers, dates and labels."""
    values = rng.standard_normal((N_LEVELS, 256, DIM)).astype(np.float32)
    folder = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
    write_model_folder(place / "model", folder, Codebooks.stacked(values))
    shop = Collection.create(place / "shop", place / "model")
    words = np.array(WORDS)
    for start in range(0, args.items, args.rows_per_commit):
        ids = np.arange(start, min(start + args.rows_per_commit, args.items))
        n_items = len(ids)
        drawn = words[rng.integers(0, len(words), (n_items, args.words))]
        days = rng.integers(19_000, 20_000, n_items).astype("datetime64[D]")
        columns = pa.table(
            {
                "key": pa.array([f"{one:07}" for one in ids]),
                "labels": pa.array([row[:2].tolist() for row in drawn], pa.list_(pa.string())),
                "text": pa.array([" ".join(row) for row in drawn]),
                "same": pa.array(["a" * 60] * n_items),
                "price": pa.array(rng.random(n_items) * 100),
                "day": pa.array(days),
            }
        )
        planes = rng.integers(0, 256, (N_LEVELS, n_items), dtype=np.uint8)
        shop.add_codes(Codes(planes, 256), ids, shop.model_fingerprint, columns)
    return shop


def timed(work: Callable[[], object], rounds: int = 3) -> float:
    """Return the seconds of the quickest round."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


if __name__ == "__main__":
    sys.exit(main())
