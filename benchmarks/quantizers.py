"""Compare all quantisers of plain vectors, ours and FAISS's own, at 1 to 16 bytes.

Example: ``python benchmarks/quantizers.py vectors.npy --output quantizers.json``.

The first rows are queries; a part of the others trains; all others are the database. Methods whose
codes can be cut are trained once, for the longest code; product and local search quantisers once a
length. Everything runs on one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from anybit.bench import environment, write_result
from anybit.codes import Codebooks, Codes
from anybit.quantizers import fit_vectors
from anybit.search import Index

N_BYTES = (1, 2, 4, 8, 16)
RECALL_AT = (1, 10, 100)
SEQUENTIAL = ("rq", "rq-greedy", "sq", "drq", "drq-beam", "drq-rotated")
BY_LENGTH = ("pq", "opq", "lsq")
FAISS_BY_LENGTH = ("faiss pq", "faiss opq", "faiss lsq", "faiss rq of each length")

Fitted = tuple[Codebooks, Callable[[np.ndarray], Codes], float]


def fit_ours(method: str, train: np.ndarray, n_levels: int, seed: int) -> Fitted:
    if method == "lsq":
        codebooks, train_s = lsq_codebooks(train, n_levels, seed)
        return codebooks, codebooks.encode, train_s
    began_s = time.perf_counter()
    codebooks = fit_vectors(train, method, n_levels=n_levels, metric="l2", seed=seed).codebooks
    return codebooks, codebooks.encode, time.perf_counter() - began_s


_LSQ: dict[int, tuple[Codebooks, float]] = {}


def lsq_codebooks(train: np.ndarray, n_levels: int, seed: int) -> tuple[Codebooks, float]:
    """Train LSQ once a length, by FAISS: it is an hour for 16 levels, and only encoding differs."""
    if n_levels not in _LSQ:
        began_s = time.perf_counter()
        name = "lsq" if n_levels > 1 else "vq"
        found = fit_vectors(train, name, n_levels=n_levels, metric="l2", seed=seed).codebooks
        _LSQ[n_levels] = (found, time.perf_counter() - began_s)
    return _LSQ[n_levels]


def fit_faiss_lsq(train: np.ndarray, n_levels: int, seed: int) -> Fitted:
    """Return the codebooks of `lsq_codebooks`, with FAISS's own encoder."""
    codebooks, train_s = lsq_codebooks(train, n_levels, seed)
    if n_levels == 1:
        return codebooks, codebooks.encode, train_s
    quantizer = faiss.LocalSearchQuantizer(train.shape[1], n_levels, 8)
    values = codebooks.to_tensors()[0]["codebooks"]
    faiss.copy_array_to_vector(np.ascontiguousarray(values).ravel(), quantizer.codebooks)
    quantizer.nperts = min(quantizer.nperts, n_levels)
    quantizer.is_trained = True
    offset = codebooks.offset if codebooks.offset is not None else np.float32(0)

    def encode(vectors: np.ndarray) -> Codes:
        return Codes(quantizer.compute_codes(vectors - offset).T.copy(), 256)

    return codebooks, encode, train_s


def fit_faiss(method: str, train: np.ndarray, n_levels: int, seed: int) -> Fitted:
    """Train FAISS's own quantiser; its codes, in our containers."""
    dim, began_s = train.shape[1], time.perf_counter()
    if method in ("faiss pq", "faiss opq"):
        rotation = None
        if method == "faiss opq":
            matrix = faiss.OPQMatrix(dim, n_levels)
            matrix.train(train)
            rotation = faiss.vector_to_array(matrix.A).reshape(dim, dim).T.copy()
        turned = train if rotation is None else train @ rotation
        pq = faiss.ProductQuantizer(dim, n_levels, 8)
        pq.cp.seed = seed + 1
        pq.train(np.ascontiguousarray(turned))
        values = faiss.vector_to_array(pq.centroids).reshape(n_levels, 256, dim // n_levels)
        codebooks = Codebooks.product(values, rotation=rotation, metric="l2")
        train_s = time.perf_counter() - began_s

        def encode(vectors: np.ndarray) -> Codes:
            turned = vectors if rotation is None else vectors @ rotation
            return Codes(pq.compute_codes(np.ascontiguousarray(turned)).T.copy(), 256)

        return codebooks, encode, train_s
    if method == "faiss lsq":
        return fit_faiss_lsq(train, n_levels, seed)
    quantizer = faiss.ResidualQuantizer(dim, n_levels, 8)
    quantizer.train(train)
    train_s = time.perf_counter() - began_s
    values = faiss.vector_to_array(quantizer.codebooks).reshape(n_levels, 256, dim)

    def encoded(vectors: np.ndarray) -> Codes:
        return Codes(quantizer.compute_codes(np.ascontiguousarray(vectors)).T.copy(), 256)

    return Codebooks.stacked(values, metric="l2"), encoded, train_s


def true_nearest(queries: np.ndarray, database: np.ndarray) -> np.ndarray:
    """Row of the nearest vector of each query, (Q,)."""
    norms = 0.5 * np.einsum("nd,nd->n", database, database)
    parts = np.array_split(queries, max(1, len(queries) // 250))
    return np.concatenate([np.argmax(part @ database.T - norms, axis=1) for part in parts])


def quality(
    codebooks: Codebooks, codes: Codes, queries: np.ndarray, database: np.ndarray, true: np.ndarray
) -> dict[str, float]:
    """Squared error of the database, and how often the true nearest is among the first R."""
    errors = []
    for start in range(0, len(database), 8192):
        part = database[start : start + 8192]
        planes = codes.planes[:, start : start + 8192]
        left = part - codebooks.decode(Codes(np.ascontiguousarray(planes), codes.n_codewords))
        errors.append(np.einsum("nd,nd->n", left, left))
    found = {"distortion": round(float(np.concatenate(errors).mean(dtype=np.float64)), 7)}
    ids = Index(codebooks, codes).search(queries, max(RECALL_AT)).ids
    for at in RECALL_AT:
        found[f"recall@{at}"] = round(float((ids[:, :at] == true[:, None]).any(axis=1).mean()), 4)
    return found


def measured(
    fitted: Fitted, lengths: tuple[int, ...], data: tuple[np.ndarray, ...]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Encode the database, and yield each length that the codes are cut to."""
    (codebooks, encode, train_s), (queries, database, true) = fitted, data
    began_s = time.perf_counter()
    codes = encode(database)
    times = {
        "train_s": round(train_s, 1),
        "encode_s": round(time.perf_counter() - began_s, 2),
        "trained_for_bytes": max(lengths),
    }
    for n_bytes in lengths:
        cut = codebooks if n_bytes == codebooks.n_levels else codebooks.cut(8 * n_bytes)
        yield n_bytes, quality(cut, codes.cut(8 * n_bytes), queries, database, true) | times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="Array (N, D) in a .npy file.")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--train", type=int, default=20_000)
    parser.add_argument("--bytes", type=int, nargs="+", default=list(N_BYTES))
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    vectors = np.load(arguments.data).astype(np.float32)
    queries, database = vectors[: arguments.queries], vectors[arguments.queries :]
    train = np.ascontiguousarray(database[: arguments.train])
    data = (queries, database, true_nearest(queries, database))
    lengths = tuple(arguments.bytes)
    chosen = arguments.methods or [*SEQUENTIAL, *BY_LENGTH, "faiss rq", *FAISS_BY_LENGTH]
    results: dict[str, dict[str, Any]] = {}
    if arguments.output and arguments.output.exists():
        results = json.loads(arguments.output.read_text()).get("methods", {})
    for method in chosen:
        if method in results:
            continue
        fit_method = fit_faiss if method.startswith("faiss") else fit_ours
        is_cut = method in SEQUENTIAL or method == "faiss rq"
        plans = [lengths] if is_cut else [(one,) for one in lengths if vectors.shape[1] % one == 0]
        results[method] = {}
        for plan in plans:
            fitted = fit_method(method, train, max(plan), arguments.seed)
            for n_bytes, found in measured(fitted, plan, data):
                results[method][str(n_bytes)] = found
                print(f"{method:26} {n_bytes:2} bytes  {found}", flush=True)
        if arguments.output:
            settings = {
                "data": arguments.data.name,
                "shape": list(vectors.shape),
                "n_queries": len(queries),
                "n_train": len(train),
                "n_database": len(database),
                "seed": arguments.seed,
            }
            write_result(arguments.output, {**settings, "methods": results, **environment()})


if __name__ == "__main__":
    main()
