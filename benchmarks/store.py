"""A collection of a million rows: speed, size and memory: python benchmarks/store.py."""

from __future__ import annotations

import argparse
import functools
import resource
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

DIM = 64


def main() -> None:
    """Run once in a temporary folder, print a line a figure, and write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--levels", type=int, default=8)
    parser.add_argument("--rows-per-commit", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the collection is made")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    machine = environment(("numpy", "pyarrow", "pylance"))
    place = Path(tempfile.mkdtemp(prefix="anybit-store-", dir=args.folder))
    try:
        figures = measure(place, args)
    finally:
        shutil.rmtree(place)
    for name, value in figures.items():
        print(f"{name:42} {value:14,.4g}")
    settings = {key: value for key, value in vars(args).items() if key not in ("output", "folder")}
    if args.output is not None:
        write_result(args.output, {**machine, "seed": args.seed, "settings": settings, **figures})


def measure(place: Path, args: argparse.Namespace) -> dict[str, float]:
    """Return the figures by name; times are the best of a few where nothing changes."""
    rng = np.random.default_rng(args.seed)
    values = rng.standard_normal((args.levels, 256, DIM)).astype(np.float32)
    folder = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
    write_model_folder(place / "model", folder, Codebooks.stacked(values))
    shop = Collection.create(place / "shop", place / "model")
    figures: dict[str, float] = {}

    def rows(ids: np.ndarray) -> tuple[Codes, np.ndarray, str, pa.Table]:
        planes = rng.integers(0, 256, (args.levels, len(ids)), dtype=np.uint8)
        columns = pa.table(
            {
                "key": pa.array([f"photos/{one:07}.jpg" for one in ids]),
                "price": pa.array((ids * 7919 % 10_000).astype(np.float32) / 100),
                "category": pa.array([("shoes", "hats", "bags")[one % 3] for one in ids]),
            }
        )
        return Codes(planes, 256), ids, shop.model_fingerprint, columns

    blocks = np.split(
        np.arange(args.items), range(args.rows_per_commit, args.items, args.rows_per_commit)
    )
    add_s = sum(timed(functools.partial(shop.add_codes, *rows(block))) for block in blocks)
    figures["add: rows/s"] = args.items / add_s
    figures["disk: bytes a row"] = size_of(place / "shop") / args.items
    figures["disk: bytes a row of codes"] = args.levels
    queries = rng.standard_normal((1, DIM)).astype(np.float32)

    opened: list[Collection] = []

    def open_and_load() -> None:
        opened[:] = [Collection.open(place / "shop")]
        opened[0].search_features(queries, 10)

    figures["open, load, first search: s"] = timed(open_and_load, 3)
    figures["load: GB of codes/s"] = (
        args.items * args.levels / figures["open, load, first search: s"] / 1e9
    )
    figures["read-only open: s"] = timed(lambda: Collection.open(place / "shop"), 3)
    other, again = opened[0], 20
    ms = 1000.0
    figures["search: ms"] = ms * timed(lambda: other.search_features(queries, 10), again)
    for share, limit in ((1, 1), (50, 50)):
        select = functools.partial(other.search_features, queries, 10, where=f"price < {limit}")
        figures[f"search, {share} % selected: ms"] = ms * timed(select, 5)
    figures["search, hits with keys and columns: ms"] = ms * timed(
        lambda: other.search(queries[0], 10), 5
    )
    shop.search_features(queries, 10)
    changed = rows(np.sort(rng.permutation(args.items)[:1000]))
    figures["update of 1,000 rows: ms"] = ms * timed(lambda: shop.add_codes(*changed), 5)
    figures["first search after it, another handle: ms"] = ms * timed(
        lambda: other.search_features(queries, 10)
    )
    fresh = rows(np.arange(args.items, args.items + 1000))
    figures["append of 1,000 rows: ms"] = ms * timed(lambda: shop.add_codes(*fresh))
    figures["first search after it, same handle: ms"] = ms * timed(
        lambda: shop.search_features(queries, 10)
    )
    figures["first search after it, another handle (append): ms"] = ms * timed(
        lambda: other.search_features(queries, 10)
    )
    gone = rng.permutation(args.items)[:1000]
    figures["delete of 1,000 rows: ms"] = ms * timed(lambda: shop.delete(ids=gone))
    figures["verify: s"] = timed(lambda: shop.verify())
    figures["compact: s"] = timed(lambda: shop.compact(0))
    figures["peak memory: MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def timed(work: Callable[[], object], rounds: int = 1) -> float:
    """Return the seconds of the quickest round."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
