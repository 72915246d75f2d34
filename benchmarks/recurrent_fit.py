"""Compare the ways to fit a shared codebook: least squares or Adam, split or k-means start.

Example: ``python benchmarks/recurrent_fit.py --data vectors.npy --output recurrent_fit.json``.
The first rows of the file are queries, the others train the codebooks and are the database. A
second, synthetic data set has the tight classes of features that were trained with labels.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from anybit.bench import environment, write_result
from anybit.codes import Codebooks
from anybit.quantizers import (
    AdamOptions,
    RecurrentFitOptions,
    ResidualFitOptions,
    fit_recurrent,
    fit_residual,
)

RECALL_AT = (1, 10, 100)


def clustered(n_items: int, seed: int) -> np.ndarray:
    """Unit vectors in 10 tight classes around a large common part, (N, 128)."""
    rng = np.random.default_rng(seed)
    dim = 128
    common = rng.normal(size=dim) / np.sqrt(dim)
    classes = rng.normal(size=(10, dim)) / np.sqrt(dim) + common
    spread = 0.5 * np.linspace(1, 0.1, dim) / np.sqrt(dim)
    vectors = classes[rng.integers(10, size=n_items)] + spread * rng.normal(size=(n_items, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def nearest(queries: np.ndarray, database: np.ndarray) -> np.ndarray:
    """Largest inner product of each query, (Q,)."""
    return np.concatenate([np.argmax(part @ database.T, axis=1) for part in blocks(queries)])


def blocks(queries: np.ndarray) -> list[np.ndarray]:
    return [queries[start : start + 250] for start in range(0, len(queries), 250)]


def recalls(codebooks: Codebooks, queries: np.ndarray, database: np.ndarray, true: np.ndarray):
    """recall@R of the true nearest item per code length, by inner-product AQD."""
    codes = codebooks.encode(database)
    lengths = codebooks.lengths()
    found: dict[str, dict[str, float]] = {}
    for bits in sorted({lengths[0], lengths[len(lengths) // 2 - 1], lengths[-1]}):
        rebuilt = codebooks.cut(bits).decode(codes.cut(bits))
        ranks = []
        for number, part in enumerate(blocks(queries)):
            scores = part @ rebuilt.T
            wanted = true[number * 250 : number * 250 + len(part)]
            own = scores[np.arange(len(part)), wanted][:, None]
            # Items with the same code tie; half of them are expected before the true one.
            ties = (scores == own).sum(axis=1) - 1
            ranks.append((scores > own).sum(axis=1) + 0.5 * ties)
        rank = np.concatenate(ranks)
        found[str(bits)] = {f"recall@{r}": round(float((rank < r).mean()), 4) for r in RECALL_AT}
    return found


def held_out(codebooks: Codebooks, queries: np.ndarray) -> list[float]:
    """Distortion of vectors that did not train the codebooks, per length."""
    codes = codebooks.encode(queries)
    return [
        round(float(np.square(queries - codebooks.decode(codes.cut(bits))).sum(axis=1).mean()), 5)
        for bits in codebooks.lengths()
    ]


def variants(n_levels: int, n_codewords: int, seed: int, adam_epochs: int) -> dict[str, Any]:
    """Name and options of everything that is compared."""
    common: dict[str, Any] = {"n_levels": n_levels, "n_codewords": n_codewords, "seed": seed}
    found: dict[str, Any] = {}
    for start in ("split", "kmeans"):
        found[f"als, {start} start"] = RecurrentFitOptions(start=start, **common)
        for rate in (0.06, 0.2, 0.4):
            found[f"adam {rate}, {start} start"] = RecurrentFitOptions(
                optimizer="adam",
                start=start,
                n_iterations=adam_epochs,
                adam=AdamOptions(rate),
                **common,
            )
    found["als, split start, no offset"] = RecurrentFitOptions(has_offset=False, **common)
    found["independent codebooks (residual)"] = ResidualFitOptions(beam_size=1, **common)
    return found


def compare(
    name: str, vectors: np.ndarray, n_queries: int, options: dict[str, Any]
) -> list[dict[str, Any]]:
    """Fit every variant on one data set."""
    queries, database = vectors[:n_queries], vectors[n_queries:]
    true = nearest(queries, database)
    rows = []
    for label, chosen in options.items():
        is_residual = isinstance(chosen, ResidualFitOptions)
        wall, cpu = time.perf_counter(), time.process_time()
        fit = fit_residual(database, chosen) if is_residual else fit_recurrent(database, chosen)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        scales = fit.codebooks.level_scales
        row = {
            "data": name,
            "variant": label,
            "options": asdict(chosen),
            "n_train": len(database),
            "dim": database.shape[1],
            "wall_s": round(wall, 2),
            "cpu_s": round(cpu, 2),
            "bits": fit.codebooks.lengths(),
            "train_distortion": [round(float(d), 5) for d in fit.distortion_per_level],
            "train_distortion_sum": round(float(fit.distortion_per_level.sum()), 5),
            "held_out_distortion": held_out(fit.codebooks, queries),
            "level_scales": None if scales is None else [round(float(s), 4) for s in scales],
            "usage": [round(float(u), 4) for u in fit.usage_per_level],
            "recall": recalls(fit.codebooks, queries, database, true),
            "warnings": list(fit.warnings),
        }
        rows.append(row)
        print(
            f"{name:>24} | {label:34} | sum {row['train_distortion_sum']:.4f} | held out at full "
            f"length {row['held_out_distortion'][-1]:.4f} | {wall:.1f} s ({cpu:.1f} CPU s)",
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help=".npy of vectors (N, D)")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--adam-epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timing-rows", type=int, default=100_000, help="0 to leave out")
    parser.add_argument("--max-rows", type=int, help="use only the first rows of the file")
    parser.add_argument("--timing-only", action="store_true", help="add it to an earlier result")
    args = parser.parse_args()
    if args.timing_only:
        report = json.loads(args.output.read_text()) if args.output.exists() else {}
        vectors = np.load(args.data).astype(np.float32)
        found = timing(vectors, args.timing_rows, args.seed)
        write_result(args.output, report | {"timing": {**environment(("numpy",)), **found}})
        return
    report = {**environment(("numpy",)), "seed": args.seed, "results": []}
    vectors = np.load(args.data)[: args.max_rows].astype(np.float32)
    settings = (args.seed, args.adam_epochs)
    sets = (
        (args.data.stem, vectors, variants(8, 256, *settings)),
        ("10 classes, K=16", clustered(22_000, args.seed), variants(8, 16, *settings)),
        ("10 classes, K=256", clustered(22_000, args.seed), variants(4, 256, *settings)),
    )
    if args.timing_rows:
        report["timing"] = timing(vectors, args.timing_rows, args.seed)
    for name, data, options in sets:
        report["results"] += compare(name, data, args.queries, options)
        write_result(args.output, report)


def timing(vectors: np.ndarray, n_rows: int, seed: int) -> dict[str, Any]:
    """Time the default fit, 8 levels of 256, on `n_rows` vectors (repeated with noise)."""
    rng = np.random.default_rng(seed)
    rows = vectors[np.arange(n_rows) % len(vectors)]
    rows += 0.02 * rng.standard_normal(rows.shape, dtype=np.float32)
    wall, cpu = time.perf_counter(), time.process_time()
    fit = fit_recurrent(rows, RecurrentFitOptions(seed=seed))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{n_rows} x {rows.shape[1]}, 8 x 256: {wall:.1f} s, {cpu:.1f} CPU s", flush=True)
    return {
        "shape": list(rows.shape),
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "n_passes": len(fit.history) - 1,
        "train_distortion": [round(float(d), 5) for d in fit.distortion_per_level],
    }


if __name__ == "__main__":
    main()
