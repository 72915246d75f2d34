"""A process that adds, deletes, compacts and migrates while others do so, until it is killed.

Every worker has ids of its own (``id % N_WORKERS``) and keeps a journal: a line before each
operation, a line after it. An operation that another process's migration stopped is run again.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import AddOptions, Collection
from anybit.errors import AnybitError
from crash.rows import DIM, mixed

N_WORKERS = 4
_N_IDS = 300  # of each worker
# Levels and seed of each model: A6 starts with the codewords of A4.
MODELS = {"A4": (4, 0), "A6": (6, 0), "B3": (3, 1)}
_KINDS = {"add": 6, "add_one": 5, "delete": 4, "compact": 2, "migrate": 2}


def codebooks_of(name: str) -> Codebooks:
    """Return the codebooks of a model."""
    n_levels, seed = MODELS[name]
    values = np.random.default_rng(seed).standard_normal((6, 16, DIM)).astype(np.float32)
    return Codebooks.stacked(values[:n_levels], metric="l2")


def write_models(folder: Path) -> None:
    """Write all models into a folder, one folder each."""
    content = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
    for name in MODELS:
        write_model_folder(folder / name, content, codebooks_of(name))


def vectors_of(ids, generations) -> np.ndarray:
    """Return the vectors (n, D) of items; float16, in which they are stored, holds them exactly."""
    value = mixed(ids, generations)[:, None] >> (np.arange(DIM, dtype=np.uint64) * np.uint64(8))
    return (value & np.uint64(255)).astype(np.float32) / 64 - 2


def add(collection: Collection, ids, generation: int) -> None:
    """Add items of one generation with their vectors: one commit."""
    ids = np.asarray(ids, dtype=np.int64)
    vectors = vectors_of(ids, np.full(len(ids), generation))
    columns = {
        "id": ids,
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIM),
        "generation": np.full(len(ids), generation),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "items.parquet"
        pa.parquet.write_table(pa.table(columns), file)
        collection.add(file, AddOptions(store_features=True))


def next_operation(rng: random.Random, worker: int) -> dict[str, object]:
    """Choose what to do."""
    kind = rng.choices(list(_KINDS), list(_KINDS.values()))[0]
    n_ids = 1 if kind == "add_one" else rng.randrange(1, 100)
    ids = sorted({worker + N_WORKERS * rng.randrange(_N_IDS) for _ in range(n_ids)})
    if kind in ("add", "add_one"):
        return {"kind": "add", "ids": ids, "generation": rng.randrange(1, 1 << 30)}
    if kind == "delete":
        return {"kind": kind, "ids": ids}
    if kind == "compact":
        return {"kind": kind, "kept_s": rng.choice([0.0, 0.0, 3600.0])}
    return {"kind": kind, "to": rng.choice(list(MODELS))}


def perform(collection: Collection, operation: dict, models: Path) -> None:
    """Do an operation."""
    if operation["kind"] == "add":
        add(collection, operation["ids"], operation["generation"])
    elif operation["kind"] == "delete":
        collection.delete(np.array(operation["ids"]))
    elif operation["kind"] == "compact":
        collection.compact(operation["kept_s"])
    else:
        collection.migrate(models / operation["to"])


def work(path: str, models: str, journal: str, worker: int, seed: int) -> None:
    """Write without end."""
    rng, collection = random.Random(seed), Collection.open(path, device="cpu")
    with open(journal, "w") as file:

        def note(**line: object) -> None:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

        note(ready=worker)
        while True:
            operation = next_operation(rng, worker)
            note(begun=operation)
            while True:
                try:
                    perform(collection, operation, Path(models))
                    break
                except AnybitError as cause:
                    note(error=f"{operation['kind']}: {type(cause).__name__}: {cause}")
                    collection = Collection.open(path, device="cpu")
            note(done=operation["kind"])


def applied(operation: dict, model: dict[int, int]) -> dict[int, int]:
    """Return what becomes of a worker's items, generation by id."""
    if operation["kind"] == "add":
        return {**model, **dict.fromkeys(operation["ids"], operation["generation"])}
    if operation["kind"] == "delete":
        return {one: born for one, born in model.items() if one not in operation["ids"]}
    return model
