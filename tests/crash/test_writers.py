"""Four writers and two readers on one collection: nothing is lost, doubled, or seen by halves."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
import pytest

from anybit.collection import Collection
from crash.rows import check_untorn, codes_of, columns_of, new_collection, spawn
from crash.writer_worker import OWN, Reader, ids_of, put

SECONDS = float(os.environ.get("ANYBIT_WRITERS_S", "4"))
_N_WRITERS, _N_READERS = 4, 2


def work_together(path, folder) -> dict[str, list[dict]]:
    """Start all processes, let them go at the same time, and return what each has to tell."""
    roles = [("write", number) for number in range(_N_WRITERS)]
    roles += [("read", number) for number in range(_N_READERS)]
    summaries: dict[str, list[dict]] = {"write": [], "read": []}
    with ExitStack() as stack:
        workers = []
        for role, number in roles:
            errors = folder / f"errors-{role}-{number}.txt"
            worker = spawn("writer_worker", role, path, number, SECONDS, errors=errors)
            stack.enter_context(worker)
            stack.callback(worker.kill)
            workers.append((role, worker, errors))
        for _, worker, errors in workers:
            assert worker.stdout.readline() == "ready\n", errors.read_text()
        for _, worker, _ in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        for role, worker, errors in workers:
            answer, _ = worker.communicate(timeout=SECONDS + 60)
            assert worker.returncode == 0, f"{role}: {errors.read_text()}"
            summaries[role].append(json.loads(answer))
    return summaries


def check_contents(collection: Collection, writers: list[dict]) -> None:
    """Check that the collection holds exactly what the writers say."""
    own = {batch: generation for one in writers for batch, generation in one["own"]}
    shared: dict[int, list[tuple[int, int]]] = {}
    for batch, generation, n_added in (line for one in writers for line in one["shared"]):
        shared.setdefault(batch, []).append((generation, n_added))
    # The same new ids came from several writers: one of them added all, the others replaced all.
    for batch, puts in shared.items():
        added = sorted(n_added for _, n_added in puts)
        assert added == [*[0] * (len(puts) - 1), len(ids_of(batch))], f"batch {batch}"
    expected = np.sort(np.concatenate([ids_of(batch) for batch in [*own, *shared]]))
    ids = collection.index().ids
    np.testing.assert_array_equal(ids, expected)
    assert len(collection) == len(expected)
    levels = [f"level_{level:02d}" for level in range(3)]
    rows = collection.get(ids, [*columns_of([], []).column_names, "batch", *levels])
    check_untorn(ids, rows)
    batches, generations = rows["batch"].to_numpy(), rows["generation"].to_numpy()
    for batch in np.unique(batches).tolist():
        (generation,) = set(generations[batches == batch].tolist())
        possible = {own[batch]} if batch >= OWN else {one for one, _ in shared[batch]}
        assert generation in possible, f"batch {batch} has a generation that nobody wrote last"
    assert collection.verify().damages == ()


@pytest.mark.parametrize("is_local", [True, False], ids=["disk", "object store"])
def test_four_writers_and_two_readers_agree(tmp_path, is_local, bucket):
    collection = new_collection(tmp_path / "one", None if is_local else f"{bucket}/shop")
    put(collection, 0, 0)  # so that conditions on its columns are possible from the start
    summaries = work_together(collection.path, tmp_path)
    first = {"own": [], "shared": [[0, 0, len(ids_of(0))]]}
    check_contents(collection, [first, *summaries["write"]])
    reads: dict[str, int] = {}
    for one in summaries["read"]:
        for name, n_times in one["n_reads"].items():
            reads[name] = reads.get(name, 0) + n_times
    steps = [one["n_steps"] for one in summaries["write"]]
    sys.stdout.write(
        f"\n{_N_WRITERS} writers: {steps} operations in {SECONDS:g} s; {_N_READERS} readers: "
        f"{reads}; {len(collection)} items in version {collection.versions()[-1].version}\n"
    )
    assert min(steps) > 0
    assert sum(reads.values()) > 0


def _half_an_addition(collection):
    collection.delete(ids_of(7)[:1])


def _mixed_generations(collection):
    ids, generations = ids_of(7)[:1], np.array([5])
    columns = columns_of(ids, generations)
    columns = columns.append_column("batch", pa.array([7]))
    columns = columns.append_column("n_in_batch", pa.array([len(ids_of(7))]))
    codes = codes_of(ids, generations)
    collection.add_codes(codes, ids, collection.model_fingerprint, columns)


def _lost_batch(collection):
    collection.delete(where="batch = 7")


def _older_batch(collection):
    put(collection, OWN, 1)


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (_half_an_addition, "half of 7"),
        (_mixed_generations, "generations of 7 are mixed"),
        (_lost_batch, r"shared batches \[7\] are lost"),
        (_older_batch, f"batch {OWN} went back to generation 1"),
    ],
)
def test_a_reader_notices(tmp_path, tamper, message):
    collection = new_collection(tmp_path / "one")
    put(collection, 7, 1)
    put(collection, OWN, 2)
    reader = Reader(Collection.open(collection.path, device="cpu"), 0)
    for read in (reader._everything, reader._one_batch, reader._count, reader._get, reader._verify):
        read()
    tamper(collection)
    with pytest.raises(AssertionError, match=message):
        reader._everything()


@pytest.mark.parametrize(
    ("writers", "message"),
    [
        ([{"own": [[OWN, 3]], "shared": [[7, 1, 1000]]}], "batch 7"),
        ([{"own": [[OWN, 3]], "shared": []}], "mismatch|shapes"),
        ([{"own": [[OWN, 3]], "shared": [[7, 1, -1], [8, 1, -1]]}], "mismatch|shapes"),
        ([{"own": [[OWN, 3]], "shared": [[7, 2, -1]]}], "batch 7 has a generation that nobody"),
        ([{"own": [[OWN, 2]], "shared": [[7, 1, -1]]}], f"batch {OWN} has a generation that"),
    ],
)
def test_the_last_check_notices(tmp_path, writers, message):
    collection = new_collection(tmp_path / "one")
    put(collection, 7, 1)
    put(collection, OWN, 3)
    right = {"own": [[OWN, 3]], "shared": [[7, 1, len(ids_of(7))]]}
    check_contents(collection, [right])
    for one in writers:  # -1 stands for all rows of the batch
        one["shared"] = [[b, g, len(ids_of(b)) if n < 0 else n] for b, g, n in one["shared"]]
    with pytest.raises(AssertionError, match=message):
        check_contents(collection, writers)
