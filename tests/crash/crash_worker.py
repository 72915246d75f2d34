"""A process that writes to a collection until it is killed, and keeps a log of what it did.

``operate PATH LOG SEED FIRST_NUMBER LAST_STEP`` performs random operations without end: a line of
intent before each, a line of acknowledgement after it. It kills itself at the given step (see
`die_at`), or waits to be killed where that is 0. ``add PATH SOURCE ROWS_PER_COMMIT`` adds a file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass

import numpy as np

from anybit.collection import AddOptions, Collection
from anybit.store.folders import lease
from crash.rows import N_BUCKETS, codes_of, columns_of, rows_in, say

_MOST_ROWS = 400
_MANY = 3_000  # from here on operations delete more than they add
# Share of each kind of operation: below `_MANY` rows, and above it.
_KINDS = ("add", "update", "upsert", "delete", "delete_where", "compact")
_SHARES = ((0.40, 0.18, 0.12, 0.14, 0.11, 0.05), (0.10, 0.15, 0.10, 0.30, 0.30, 0.05))


@dataclass(frozen=True)
class Operation:
    """One call that writes.

    Parameters
    ----------
    number : int
        Ascending over all lives of a collection; the generation of the rows that it writes.
    kind : str
    ids : tuple of int
        Of rows to write, or to delete.
    bucket : int
        Value of that column in rows to delete.
    kept_s : float
        How old the versions may be that a compaction keeps.
    """

    number: int
    kind: str
    ids: tuple[int, ...] = ()
    bucket: int = -1
    kept_s: float = 3600.0

    def applied(self, model: dict[int, int]) -> dict[int, int]:
        """Return what becomes of a model, generation by id."""
        if self.kind in ("add", "update", "upsert"):
            return {**model, **dict.fromkeys(self.ids, self.number)}
        gone = rows_in(model, self.bucket) if self.kind == "delete_where" else set(self.ids)
        return {one: born for one, born in model.items() if one not in gone}

    def counts(self, model: dict[int, int]) -> tuple[int, ...]:
        """Return what the call must answer: (added, updated) rows, or (deleted,)."""
        if self.kind in ("add", "update", "upsert"):
            n_updated = len(model.keys() & set(self.ids))
            return len(self.ids) - n_updated, n_updated
        return () if self.kind == "compact" else (len(model) - len(self.applied(model)),)


def next_operation(rng, number: int, model: dict[int, int]) -> Operation:
    """Choose what to do to a collection that holds `model`."""
    kind = str(rng.choice(_KINDS, p=_SHARES[len(model) > _MANY]))
    n_rows = int(rng.integers(1, _MOST_ROWS + 1))
    known = np.array(sorted(model), dtype=np.int64)
    fresh = number * 1_000 + rng.permutation(_MOST_ROWS)[:n_rows]  # ids never used before
    some = rng.permutation(known)[: min(n_rows, len(known))]
    if kind == "compact":
        return Operation(number, kind, kept_s=float(rng.choice([0.0, 3600.0])))
    if kind == "delete_where":
        return Operation(number, kind, bucket=int(rng.integers(N_BUCKETS)))
    if kind == "delete":
        chosen = np.concatenate([some, fresh[:2]])  # two that are not there: no error
    elif kind == "add" or len(known) == 0:
        chosen = fresh
    else:
        chosen = some if kind == "update" else np.concatenate([some[: n_rows // 2], fresh[:50]])
    return Operation(number, kind, tuple(chosen.tolist()))


def perform(collection: Collection, operation: Operation) -> tuple[int, ...]:
    """Do an operation and return what the collection answered."""
    if operation.kind == "compact":
        collection.compact(operation.kept_s)
        return ()
    if operation.kind == "delete_where":
        return (collection.delete(where=f"bucket = {operation.bucket}"),)
    ids = np.array(operation.ids, dtype=np.int64)
    if operation.kind == "delete":
        return (collection.delete(ids),)
    generations = np.full(len(ids), operation.number)
    report = collection.add_codes(
        codes_of(ids, generations), ids, collection.model_fingerprint, columns_of(ids, generations)
    )
    return report.n_added, report.n_updated


def model_in(collection: Collection) -> dict[int, int]:
    """Return the generation of every row, by id."""
    ids = collection.index().ids
    if len(ids) == 0:  # a collection that never held rows has no column of generations
        return {}
    generations = collection.get(ids, ["generation"])["generation"].to_pylist()
    return dict(zip(ids.tolist(), generations, strict=True))


def die_at(last_step: int) -> None:
    """Kill this process when Python is about to touch a file for the n-th time from now on.

    A commit has about 40 such steps, a compaction 74. Random moments seldom hit the short ones.
    """
    n_steps, fsync = 0, os.fsync

    def count(event: str, _arguments: object = None) -> None:
        nonlocal n_steps
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "fcntl.flock", "fsync"):
            n_steps += 1
            if n_steps == last_step:
                os.kill(os.getpid(), signal.SIGKILL)

    def counted_fsync(descriptor: int) -> None:  # the one step that Python has no event for
        count("fsync")
        fsync(descriptor)

    os.fsync = counted_fsync
    sys.addaudithook(count)


def operate(path: str, log: str, seed: str, first_number: str, last_step: str) -> None:
    """Write without end. A condition on a column needs that column: no earlier `delete_where`."""
    collection = Collection.open(path, device="cpu")
    rng = np.random.default_rng(int(seed))
    model = model_in(collection)
    has_columns = "bucket" in collection.info()["metadata_columns"]
    with open(log, "w") as file:

        def note(**line) -> None:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

        say(f"ready {len(model)}")
        if int(last_step):
            die_at(int(last_step))
        number = int(first_number)
        while True:
            number += 1
            operation = next_operation(rng, number, model)
            if operation.kind == "delete_where" and not has_columns:
                continue
            note(intent=asdict(operation))
            counts = perform(collection, operation)
            note(done=operation.number, counts=counts)
            model = operation.applied(model)
            has_columns = has_columns or operation.kind in ("add", "update", "upsert")


def add(path: str, source: str, rows_per_commit: str) -> None:
    """Add a file, and tell how far it is."""
    collection = Collection.open(path, device="cpu")
    say("ready")
    options = AddOptions(rows_per_commit=int(rows_per_commit))
    collection.add(source, options, lambda n_done, n_total: say(f"{n_done} of {n_total}"))


if __name__ == "__main__":
    lease.LEASE_S = float(os.environ.get("CRASH_LEASE_S", lease.LEASE_S))
    {"operate": operate, "add": add}[sys.argv[1]](*sys.argv[2:])
