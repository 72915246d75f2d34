"""Time and peak memory of an evaluation on made-up classes: python benchmarks/evaluation.py."""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

from anybit.bench import environment, write_result
from anybit.codes import Codebooks
from anybit.data import Labels
from anybit.evaluation import EvaluationInput, EvaluationOptions, evaluate
from anybit.search import simd_level


def made_up_input(args: argparse.Namespace) -> EvaluationInput:
    """Return overlapping Gaussian classes and their codes by a shared codebook."""
    rng = np.random.default_rng(args.seed)
    means = rng.normal(size=(args.classes, args.dim)).astype(np.float32)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        classes = rng.integers(0, args.classes, count)
        noise = rng.standard_normal((count, args.dim), dtype=np.float32)
        return means[classes] + args.noise * noise, classes

    items, item_classes = draw(args.items)
    queries, query_classes = draw(args.queries)
    scales = (0.8 ** np.arange(args.levels)).astype(np.float32)
    codebooks = Codebooks.shared(0.7 * items[: args.codewords], scales, offset=items.mean(axis=0))
    names = [str(number) for number in range(args.classes)]
    return EvaluationInput(
        codebooks,
        codebooks.encode(items),
        queries,
        Labels.from_integers(query_classes, names),
        Labels.from_integers(item_classes, names),
        items,
    )


def main() -> None:
    """Run once, print a line a length, and write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("queries", 10_000), ("items", 50_000), ("dim", 128), ("classes", 10), ("codewords", 16),
        ("levels", 12), ("at", 5000), ("threads", os.cpu_count() or 1), ("seed", 0),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--noise", type=float, default=2.0, help="larger: fewer items tie")
    parser.add_argument("--bits", default="16,24,36,48")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    machine = environment(("numpy",))
    data = made_up_input(args)
    started_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bits = tuple(int(length) for length in args.bits.split(","))
    options = EvaluationOptions(bits=bits, at=args.at, n_threads=args.threads)
    cpu_started, started = time.process_time(), time.perf_counter()
    result = evaluate(data, options)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for row in result.table_rows():
        sys.stdout.write(f"{row.label:>8}  {'  '.join(row.values)}\n")
    sys.stdout.write(
        f"{seconds:.1f} s ({cpu_seconds:.1f} s of CPU), "
        f"peak {peak_kib / 1024:.0f} MiB ({started_kib / 1024:.0f} MiB before), "
        f"{args.threads} threads\n"
    )
    if args.output is not None:
        settings = {key: value for key, value in vars(args).items() if key != "output"}
        figures = {
            "seed": args.seed,
            "simd": simd_level(),
            "seconds": round(seconds, 2),
            "cpu_seconds": round(cpu_seconds, 2),
            "peak_mib": round(peak_kib / 1024),
            "peak_before_mib": round(started_kib / 1024),
            "map_at": {row.label: float(row.values[0]) for row in result.table_rows()},
            "mean_tied_share": {x.label: round(x.tied_share, 4) for x in result.all_results()},
            "settings": settings,
        }
        write_result(args.output, {**machine, **figures})


if __name__ == "__main__":
    main()
