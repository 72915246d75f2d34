"""Thousands of additions of one row: what the next costs: python benchmarks/small_additions.py."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from anybit.bench import environment, write_result
from anybit.codes import Codebooks, Codes, ModelFolder, write_model_folder
from anybit.collection import Collection

DIM, N_LEVELS, N_CODEWORDS = 64, 8, 16
_LAST = 10  # additions whose median is reported


def main() -> None:
    """Run once in a temporary folder, print a line a figure, and write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--marks", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the collection is made")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    machine = environment(("numpy", "pyarrow", "pylance"))
    place = Path(tempfile.mkdtemp(prefix="anybit-small-", dir=args.folder))
    try:
        figures = measure(place, args.marks, args.seed)
    finally:
        shutil.rmtree(place)
    settings = {"marks": args.marks, "n_levels": N_LEVELS, "n_codewords": N_CODEWORDS}
    if args.output is not None:
        write_result(args.output, {**machine, "seed": args.seed, "settings": settings, **figures})


def measure(place: Path, marks: list[int], seed: int) -> dict[str, dict[str, float]]:
    """Return the figures at each mark, and those of the last collection when compacted."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((N_LEVELS, N_CODEWORDS, DIM)).astype(np.float32)
    folder = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
    write_model_folder(place / "model", folder, Codebooks.stacked(values))
    shop = Collection.create(place / "shop", place / "model")
    times_ms: list[float] = []
    figures: dict[str, dict[str, float]] = {}
    for mark in sorted(marks):
        n_before = len(times_ms)
        while len(times_ms) < mark:
            codes = Codes(rng.integers(0, N_CODEWORDS, (N_LEVELS, 1), dtype=np.uint8), N_CODEWORDS)
            start_s = time.process_time()
            shop.add_codes(codes, np.array([len(times_ms)]), shop.model_fingerprint)
            times_ms.append(1000 * (time.process_time() - start_s))
        adding = {
            "addition, median of the last ten: CPU ms": float(np.median(times_ms[-_LAST:])),
            "addition, mean since the mark before: CPU ms": float(np.mean(times_ms[n_before:])),
        }
        show(f"{mark}", figures, {**adding, **read(place / "shop")})
    shop.compact(0.0)
    show(f"{max(marks)}, compacted", figures, read(place / "shop"))
    return figures


def read(path: Path) -> dict[str, float]:
    """Return what opening and searching cost, and what lies on the disk."""
    opening, first, later = [], [], []
    query = np.ones((1, DIM), dtype=np.float32)
    for _ in range(25):
        start_s = time.process_time()
        shop = Collection.open(path)
        opened_s = time.process_time()
        shop.search_features(query, 10)
        searched_s = time.process_time()
        shop.search_features(query, 10)
        opening.append(opened_s - start_s)
        first.append(searched_s - opened_s)
        later.append(time.process_time() - searched_s)
    store = path / "items.lance"
    manifests = [one.stat().st_size for one in (store / "_versions").iterdir()]
    files = [one for one in path.rglob("*") if one.is_file()]
    return {
        "opening: CPU ms": 1000 * min(opening),
        "first search: CPU ms": 1000 * min(first),
        "next search: CPU ms": 1000 * min(later),
        "files": len(files),
        "versions": len(manifests),
        "manifests: bytes": sum(manifests),
        "all files: bytes": sum(one.stat().st_size for one in files),
    }


def show(name: str, figures: dict[str, dict[str, float]], found: dict[str, float]) -> None:
    """Keep figures under a name and print them."""
    figures[name] = found
    print(f"after {name} additions", flush=True)
    for what, value in found.items():
        print(f"  {what:46} {value:14,.4g}", flush=True)


if __name__ == "__main__":
    main()
