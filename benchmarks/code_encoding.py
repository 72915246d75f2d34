"""Time greedy encoding with a shared codebook beside FAISS's residual quantiser, one thread.

Example: ``python benchmarks/code_encoding.py --output code_encoding.json``. Both encode the same
vectors with the same codewords, turn about; the ratio is of the medians.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import faiss
import numpy as np

from anybit.bench import environment, write_result
from anybit.codes import Codebooks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--levels", type=int, default=8)
    parser.add_argument("--codewords", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(arguments.seed)
    shape = (arguments.codewords, arguments.dim)
    vectors = rng.normal(size=(arguments.items, arguments.dim)).astype(np.float32)
    scales = np.power(0.8, np.arange(arguments.levels)).astype(np.float32)
    shared = Codebooks.shared(rng.normal(size=shape).astype(np.float32), scales)
    stacked = Codebooks.stacked(shared.dense())
    n_bits = arguments.codewords.bit_length() - 1
    theirs = faiss.ResidualQuantizer(arguments.dim, arguments.levels, n_bits)
    theirs.max_beam_size = 1
    faiss.copy_array_to_vector(shared.dense().ravel(), theirs.codebooks)
    theirs.is_trained = True
    theirs.compute_codebook_tables()
    ways = {
        "anybit shared": lambda: shared.encode(vectors).planes,
        "anybit stacked": lambda: stacked.encode(vectors).planes,
        "faiss residual, greedy": lambda: theirs.compute_codes(vectors),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = {}
    for _ in range(arguments.repeats):
        for name, run in ways.items():
            began_s = time.perf_counter()
            found[name] = run()
            seconds[name].append(time.perf_counter() - began_s)
    medians = {name: float(np.median(some)) for name, some in seconds.items()}
    base = medians["faiss residual, greedy"]
    differ = found["anybit shared"] != found["anybit stacked"]
    result = {
        "settings": {name: str(value) for name, value in vars(arguments).items()},
        "median_s": {name: round(value, 4) for name, value in medians.items()},
        "times_as_fast_as_faiss": {name: round(base / value, 2) for name, value in medians.items()},
        "share_of_codes_that_differ": float(differ.mean()),
        **environment(),
    }
    print(result["times_as_fast_as_faiss"], result["share_of_codes_that_differ"])
    if arguments.output:
        write_result(arguments.output, result)


if __name__ == "__main__":
    main()
