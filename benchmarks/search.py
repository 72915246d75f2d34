"""Search against FAISS in one process: speed, share of the memory bandwidth, equal answers.

    python benchmarks/search.py [--rounds 15] [--rows 1,2] [--large-items 33554432] [--output FILE]

Contenders are asked in turns, A B C A B C, one thread each; what counts is the least time of all
rounds, and ratios of those. Codes are trained by FAISS on synthetic features in tight clusters, so
that both sides search the same ones where they can. Run it once for every FAISS_SIMD_LEVEL that
the processor has and compare with the best; the level is written into the result.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from environment import environment, write_result

from anybit.codes import Codebooks, Codes
from anybit.search import Index, simd_level

DIM = 128
TOP_K = 10
SMALL, MIDDLE = 2**16, 10**6


@dataclass(frozen=True)
class Contest:
    """One row of the table: ours against theirs, by the time for one query."""

    row: str
    what: str
    target: float
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    n_queries: int


def features(n_items: int, seed: int) -> np.ndarray:
    """Unit vectors (N, 128) around 1,000 centres, float32."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((1000, DIM))
    x = centres[rng.integers(1000, size=n_items)] + 0.7 * rng.standard_normal((n_items, DIM))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


class World:
    """Features, and the indexes over them, each made when it is first needed."""

    def __init__(self) -> None:
        self.train, self.queries = features(20_000, 1), features(64, 2)
        self._kept: dict[tuple, Any] = {}

    def kept(self, *key: Any) -> Any:
        """Make or return ``self._<key[0]>(*key[1:])``."""
        if key not in self._kept:
            self._kept[key] = getattr(self, f"_{key[0]}")(*key[1:])
        return self._kept[key]

    def _items(self, n_items: int) -> np.ndarray:
        return features(n_items, 3)

    def _residual(self, n_levels: int, n_bits: int) -> tuple[faiss.ResidualQuantizer, Codebooks]:
        quantizer = faiss.ResidualQuantizer(DIM, n_levels, n_bits)
        quantizer.train_type = faiss.ResidualQuantizer.Train_default
        quantizer.max_beam_size = 1
        quantizer.train(self.train)
        values = faiss.vector_to_array(quantizer.codebooks).reshape(n_levels, -1, DIM)
        return quantizer, Codebooks.stacked(values)

    def _product(self, n_levels: int) -> tuple[faiss.ProductQuantizer, Codebooks]:
        quantizer = faiss.ProductQuantizer(DIM, n_levels, 8)
        quantizer.train(self.train)
        values = faiss.vector_to_array(quantizer.centroids).reshape(n_levels, 256, -1)
        return quantizer, Codebooks.product(values)

    def _residual_codes(self, n_levels: int, n_bits: int, n_items: int) -> Codes:
        quantizer, _ = self.kept("residual", n_levels, n_bits)
        packed = quantizer.compute_codes(self.kept("items", n_items))
        return Codes.unpack(packed, n_levels, 2**n_bits)

    def _ours(self, n_levels: int, n_bits: int, n_items: int) -> Index:
        _, codebooks = self.kept("residual", n_levels, n_bits)
        return Index(codebooks, self.kept("residual_codes", n_levels, n_bits, n_items))

    def _ours_product(self, n_levels: int, n_items: int) -> Index:
        quantizer, codebooks = self.kept("product", n_levels)
        codes = quantizer.compute_codes(self.kept("items", n_items))
        return Index(codebooks, Codes.unpack(codes, n_levels))

    def _fast_scan(self, n_levels: int, n_items: int) -> faiss.Index:
        index = faiss.IndexPQFastScan(DIM, n_levels, 4, faiss.METRIC_INNER_PRODUCT)
        index.train(self.train)
        index.add(self.kept("items", n_items))
        return index

    def _pq(self, n_levels: int, n_items: int) -> faiss.Index:
        index = faiss.IndexPQ(DIM, n_levels, 8, faiss.METRIC_INNER_PRODUCT)
        index.train(self.train)
        index.add(self.kept("items", n_items))
        return index

    def _rq(self, n_levels: int, n_bits: int, n_items: int) -> faiss.Index:
        index = faiss.IndexResidualQuantizer(
            DIM, n_levels, n_bits, faiss.METRIC_INNER_PRODUCT,
            faiss.AdditiveQuantizer.ST_LUT_nonorm,
        )  # fmt: skip
        _, codebooks = self.kept("residual", n_levels, n_bits)
        faiss.copy_array_to_vector(codebooks.codebooks.ravel(), index.rq.codebooks)
        index.rq.is_trained = index.is_trained = True
        index.rq.compute_codebook_tables()
        codes = self.kept("residual_codes", n_levels, n_bits, n_items)
        index.add_sa_codes(np.ascontiguousarray(codes.pack()))
        return index

    def _rq_fast_scan(self, n_levels: int, n_items: int) -> faiss.Index:
        return faiss.IndexAdditiveQuantizerFastScan(self.kept("rq", n_levels, 4, n_items), 32)

    def _binary(self, bits: int, n_items: int) -> faiss.IndexBinary:
        index = faiss.IndexBinaryFlat(bits)
        index.add(np.random.default_rng(4).integers(0, 256, (n_items, bits // 8)).astype(np.uint8))
        return index


def contests(world: World) -> list[Contest]:
    """Return the rows that compare two searches."""
    queries = world.queries
    ones = [queries[number : number + 1] for number in range(8)]

    def ask(index: Any, batch_size: int) -> Callable[[], Any]:
        if batch_size == 1:
            return lambda: [index.search(query, TOP_K) for query in ones]
        return lambda: index.search(queries[:batch_size], TOP_K)

    def ask_binary(index: Any, batch_size: int) -> Callable[[], Any]:
        bits = np.random.default_rng(5).integers(0, 256, (batch_size, index.code_size))
        bits = bits.astype(np.uint8)
        if batch_size == 1:
            return lambda: [index.search(bits, TOP_K) for _ in ones]
        return lambda: index.search(bits, TOP_K)

    ours = world.kept("ours", 8, 8, SMALL)
    rows: list[tuple[str, str, float, Any, Any, int]] = [
        ("1", "64 bit, 2^16 items, 1 query, IndexPQFastScan 16x4", 2.0, ours,
         world.kept("fast_scan", 16, SMALL), 1),
        ("2", "the same, 32 queries", 1.8, ours, world.kept("fast_scan", 16, SMALL), 32),
        ("3", "64 bit, 2^16 items, 1 query, IndexPQ 8x8", 9.0, ours,
         world.kept("pq", 8, SMALL), 1),
        ("4", "the same codes, IndexResidualQuantizer 8x8", 60.0, ours,
         world.kept("rq", 8, 8, SMALL), 1),
        ("5", "K = 16, 64 bit, the same codes, IndexAdditiveQuantizerFastScan", 2.5,
         world.kept("ours", 16, 4, SMALL), world.kept("rq_fast_scan", 16, SMALL), 32),
        ("6", "32 bit, 10^6 items, 32 queries, IndexPQFastScan 8x4", 2.5,
         world.kept("ours", 4, 8, MIDDLE), world.kept("fast_scan", 8, MIDDLE), 32),
        ("14a", "product codes, 64 bit, IndexPQ 8x8", 8.0,
         world.kept("ours_product", 8, SMALL), world.kept("pq", 8, SMALL), 1),
        ("14b", "product codes, 64 bit, IndexPQFastScan 16x4", 1.6,
         world.kept("ours_product", 8, SMALL), world.kept("fast_scan", 16, SMALL), 1),
    ]  # fmt: skip
    found = [
        Contest(row, what, target, ask(own, size), ask(peer, size), 8 if size == 1 else size)
        for row, what, target, own, peer, size in rows
    ]
    own = world.kept("ours", 4, 8, MIDDLE)
    for name, size in (("13a", 1), ("13b", 32)):
        what = f"32 bit, 10^6 items, {size} queries, IndexBinaryFlat"
        peer = ask_binary(world.kept("binary", 32, MIDDLE), size)
        found.append(Contest(name, what, 2.0, ask(own, size), peer, 8 if size == 1 else size))
    return found


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def least(works: dict[str, Callable[[], Any]], n_rounds: int) -> dict[str, tuple[float, float]]:
    """Run all in turns; return the least time of each, and the median."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(n_rounds):
        for name, work in works.items():
            times[name].append(seconds(work))
    return {name: (min(values), float(np.median(values))) for name, values in times.items()}


def compared(contest: Contest, n_rounds: int) -> dict[str, Any]:
    """Run one contest."""
    found = least({"ours": contest.ours, "theirs": contest.theirs}, n_rounds)
    ratio = found["theirs"][0] / found["ours"][0]
    return {
        "row": contest.row,
        "against": contest.what,
        "ours_ms_per_query": round(1e3 * found["ours"][0] / contest.n_queries, 4),
        "theirs_ms_per_query": round(1e3 * found["theirs"][0] / contest.n_queries, 4),
        "ratio_of_medians": round(found["theirs"][1] / found["ours"][1], 2),
        "ratio": round(ratio, 2),
        "target": contest.target,
        "is_reached": bool(ratio >= contest.target),
    }


def bandwidth(n_items: int, n_rounds: int) -> list[dict[str, Any]]:
    """Rows 7 and 8: one query as a share of a plain read, and four queries against one."""
    rng = np.random.default_rng(6)
    codebooks = Codebooks.stacked(rng.standard_normal((4, 256, DIM)).astype(np.float32))
    planes = rng.integers(0, 256, (4, n_items), dtype=np.uint8)
    index = Index(codebooks, Codes(planes))
    queries = rng.standard_normal((4, DIM)).astype(np.float32)
    words = planes.reshape(-1).view(np.int64)
    found = least(
        {
            "read": lambda: np.bitwise_or.reduce(words),
            "one": lambda: index.search(queries[:1], TOP_K),
            "four": lambda: index.search(queries, TOP_K),
        },
        n_rounds,
    )
    share = found["read"][0] / found["one"][0]
    gain = 4 * found["one"][0] / found["four"][0]
    n_bytes = planes.nbytes
    return [
        {
            "row": "7",
            "against": f"a plain read, {n_items:,} items of 32 bit",
            "read_gb_per_s": round(n_bytes / found["read"][0] / 1e9, 2),
            "ours_gb_per_s": round(n_bytes / found["one"][0] / 1e9, 2),
            "ours_ms_per_query": round(1e3 * found["one"][0], 3),
            "ratio": round(share, 2),
            "target": 0.85,
            "is_reached": bool(share >= 0.85),
        },
        {
            "row": "8",
            "against": f"our own single query, batches of 4, {n_items:,} items",
            "ratio": round(gain, 2),
            "target": 2.5,
            "is_reached": bool(gain >= 2.5),
        },
    ]


def overhead(n_rounds: int) -> dict[str, Any]:
    """Row 16: table building and the call, D = 128, 8 levels of 256, hardly any items."""
    rng = np.random.default_rng(7)
    scales = (0.7 ** np.arange(8)).astype(np.float32)
    codebooks = Codebooks.shared(rng.standard_normal((256, DIM)).astype(np.float32), scales)
    index = Index(codebooks, Codes(rng.integers(0, 256, (8, 16), dtype=np.uint8)))
    query = rng.standard_normal((1, DIM)).astype(np.float32)
    found = least({"call": lambda: [index.search(query, TOP_K) for _ in range(100)]}, n_rounds)
    micro = 1e6 * found["call"][0] / 100
    return {
        "row": "16",
        "against": "table and call, microseconds",
        "ratio": round(micro, 1),
        "target": 10.0,
        "is_reached": bool(micro <= 10),
    }


def identity(world: World) -> dict[str, Any]:
    """Row 15 for the indexes above: the NumPy twin's ids and scores, to the bit."""
    n_same = n_all = 0
    for key in (("ours", 8, 8, SMALL), ("ours", 16, 4, SMALL), ("ours", 4, 8, MIDDLE)):
        index = world.kept(*key)
        for bits in index.codebooks.lengths():
            own = index.search(world.queries, TOP_K, bits=bits)
            os.environ["ANYBIT_SIMD"] = "numpy"
            twin = index.search(world.queries, TOP_K, bits=bits)
            del os.environ["ANYBIT_SIMD"]
            n_same += int((own.ids == twin.ids).all() and (own.scores == twin.scores).all())
            n_all += 1
    return {
        "row": "15",
        "against": f"the NumPy twin, {n_all} indexes and lengths, 64 queries each",
        "ratio": n_same / n_all,
        "target": 1.0,
        "is_reached": n_same == n_all,
    }


def main() -> None:
    arguments = parsed()
    started = environment(("numpy", "faiss-cpu"))
    faiss.omp_set_num_threads(1)
    wanted = set(arguments.rows.split(",")) if arguments.rows else None
    world, rows = World(), []

    def keep(row: dict[str, Any]) -> None:
        rows.append(row)
        mark = "reached" if row["is_reached"] else "missed"
        print(
            f"{row['row']:>4} {row['ratio']:>8} (target {row['target']}) {mark}: {row['against']}"
        )

    for contest in contests(world):
        if wanted is None or contest.row in wanted:
            keep(compared(contest, arguments.rounds))
    if wanted is None or wanted & {"7", "8"}:
        for n_items in (MIDDLE, arguments.large_items):
            for row in bandwidth(n_items, arguments.rounds):
                keep(row)
    if wanted is None or "15" in wanted:
        keep(identity(world))
    if wanted is None or "16" in wanted:
        keep(overhead(arguments.rounds))
    if arguments.output is not None:
        level = os.environ.get("FAISS_SIMD_LEVEL", "the processor's best")
        simd = {
            "anybit": simd_level(),
            "faiss": level,
            "faiss_options": faiss.get_compile_options(),
        }
        write_result(arguments.output, {**started, "seed": 0, "simd": simd, "rows": rows})


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", help="such as 1,2,13a; all when left out")
    parser.add_argument("--large-items", type=int, default=2**25)
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
