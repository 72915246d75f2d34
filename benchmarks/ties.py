"""What the order of equal scores does to mAP: Hamming codes of 4 to 32 bits.

Example: ``python benchmarks/ties.py --output benchmarks/results/papers/ties.json``. Handwritten
digits (shipped with scikit-learn), or an ``.npz`` file with vectors ``x`` and classes ``y``, are
coded by the signs of random projections; the code of b bits is the first b of the 32. The
result has the form that `anybit papers pages` reads.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from anybit.bench import environment, write_result
from anybit.codes import Codebooks
from anybit.evaluation import map_full, map_under_ties, rank_positions
from anybit.papers.results.result import ArtefactResult, Curve, ResultRow, Seeded

BITS = (4, 8, 16, 32)
N_ORDERS = 100
ROWS = {
    "expected": "exact expected value",
    "shuffled": f"mean of {N_ORDERS} random orders",
    "by_class": "stored class by class",
    "by_class_reversed": "stored class by class (last class first)",
    "worst": "worst order",
    "best": "best order",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help=".npz with x (N, D) and y (N,); default: digits")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    vectors, classes = load(arguments.data)
    values: dict[str, list[list[float]]] = {name: [] for name in ROWS}
    for seed in arguments.seeds:
        found = measure(vectors, classes, arguments.queries, seed)
        for name in ROWS:
            values[name].append([one[name] for one in found])
    write_result(arguments.output, result(values, arguments, vectors.shape).to_dict())


def load(path: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors, centred, (N, D) and classes (N,)."""
    if path is None:
        digits = load_digits()
        vectors, classes = digits.data, digits.target
    else:
        with np.load(path) as content:
            vectors, classes = content["x"], content["y"]
    return vectors - vectors.mean(axis=0), np.asarray(classes)


def hamming_scores(vectors: np.ndarray, n_queries: int, rng: np.random.Generator) -> np.ndarray:
    """Return the scores of all prefixes of a 32-bit code, queries first; (bits, Q, N) float32.

    A Hamming code is a code of two codewords, -1 and 1, a level: the score is bits less twice the
    Hamming distance.
    """
    n_bits = max(BITS)
    signs = np.sign(vectors @ rng.normal(size=(vectors.shape[1], n_bits))).astype(np.float32)
    codebooks = Codebooks.product(np.tile(np.float32([[-1], [1]]), (n_bits, 1, 1)))
    planes = codebooks.encode(signs[n_queries:]).planes  # (M, N)
    lut = codebooks.lut(signs[:n_queries])  # (Q, M, 2)
    sums = np.cumsum([lut[:, level, plane] for level, plane in enumerate(planes)], axis=0)
    return np.stack([sums[bits - 1] for bits in BITS])


def measure(
    vectors: np.ndarray, classes: np.ndarray, n_queries: int, seed: int
) -> list[dict[str, float]]:
    """Return mAP of the whole list for each length by the rows of the table."""
    order = np.random.default_rng(0).permutation(len(vectors))  # the split of all seeds
    rng = np.random.default_rng(seed)
    vectors, classes = vectors[order], classes[order]
    asked, stored = classes[:n_queries], classes[n_queries:]
    by_class = np.argsort(stored, kind="stable")
    found = []
    for scores in hamming_scores(vectors, n_queries, rng):
        relevant = asked[:, None] == stored[None]

        def in_order(
            order: np.ndarray, scores: np.ndarray = scores, relevant: np.ndarray = relevant
        ) -> float:
            ranking = rank_positions(scores[:, order])
            return map_full(np.take_along_axis(relevant[:, order], ranking, axis=1))

        tie = map_under_ties(scores, relevant)
        orders = [rng.permutation(len(stored)) for _ in range(N_ORDERS)]
        found.append(
            {
                "expected": tie.expected,
                "worst": tie.worst,
                "best": tie.best,
                "by_class": in_order(by_class),
                "by_class_reversed": in_order(by_class[::-1]),
                "shuffled": float(np.mean([in_order(one) for one in orders])),
            }
        )
    return found


def result(
    values: dict[str, list[list[float]]], arguments: argparse.Namespace, shape: tuple[int, ...]
) -> ArtefactResult:
    """Return what was measured in the form of an artefact."""
    seeded = {
        name: tuple(Seeded.of(np.round(column, 5)) for column in zip(*runs, strict=True))
        for name, runs in values.items()
    }
    means = {name: tuple(round(one.mean, 5) for one in row) for name, row in seeded.items()}
    x = tuple(float(bits) for bits in BITS)
    curves = (
        Curve("expected value,\nworst to best order", x, means["expected"], means["worst"],
              means["best"]),
        Curve("stored class by class", x, means["by_class"]),
        Curve("last class first", x, means["by_class_reversed"]),
    )  # fmt: skip
    lengths = ", ".join(
        f"{best - worst:.3f} at {bits} bits"
        for bits, worst, best in zip(BITS, means["worst"], means["best"], strict=True)
    )
    run = environment(("numpy", "scikit-learn"))
    n_items = shape[0] - arguments.queries
    name = "handwritten digits (scikit-learn)" if arguments.data is None else arguments.data.stem
    return ArtefactResult(
        name="ties",
        title="What the order of equal scores does to mAP",
        kind="figure",
        rows=tuple(ResultRow(label, seeded[name]) for name, label in ROWS.items()),
        bits=BITS,
        metric="mAP over the whole list, every relevant item in the denominator",
        seeds=tuple(arguments.seeds),
        protocol={
            "name": f"{name}, signs of random projections",
            "sizes": {"database": n_items, "query": arguments.queries},
            "measure": "Hamming distance; relevant: same class",
        },
        curves={"orders": curves},
        notes=(
            "A b-bit Hamming code gives at most b + 1 different scores, so most items tie, and "
            "their order in storage decides. `anybit` states the expected value over all orders, "
            "exact and not sampled, with the worst and the best.",
            f"From the worst order to the best, mAP moves by {lengths}.",
            "The mean of random orders is the expected value. A database that is stored class by "
            "class, as data sets often are, gives another value.",
        ),
        command=run["command"],
        commit=run["commit"],
        machine=run["machine"],
        versions=run["versions"],
    )


if __name__ == "__main__":
    main()
