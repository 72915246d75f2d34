"""What was acknowledged survives SIGKILL; what was in flight is there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from anybit.collection import AddOptions, Collection
from crash.crash_worker import Operation
from crash.rows import (
    DIM,
    N_BUCKETS,
    check_untorn,
    codes_of,
    columns_of,
    new_collection,
    ranked,
    rows_in,
    spawn,
)  # fmt: skip

N_KILLS = int(os.environ.get("ANYBIT_KILLS", "8"))
_LANES = 2  # collections whose workers run at the same time
_LIVES = 25  # kills before a fresh collection
_LONGEST_LIFE_S = 1.2
LEASE_S = 3.0  # on an object store: how long the lock of a killed worker holds the next one up
_LAST_STEPS = 300  # of a worker that kills itself: about six operations
_LEVELS = ["level_00", "level_01", "level_02"]


@dataclass
class Tally:
    """What happened to the workers."""

    n_kills: int = 0
    n_acknowledged: int = 0
    n_in_flight: int = 0
    n_found: int = 0  # of those in flight: committed, and not acknowledged any more
    kinds: dict[str, int] = field(default_factory=dict)  # of those found

    def __add__(self, other: Tally) -> Tally:
        kinds = {
            one: self.kinds.get(one, 0) + other.kinds.get(one, 0)
            for one in sorted({*self.kinds, *other.kinds})
        }
        return Tally(
            self.n_kills + other.n_kills,
            self.n_acknowledged + other.n_acknowledged,
            self.n_in_flight + other.n_in_flight,
            self.n_found + other.n_found,
            kinds,
        )


@dataclass(frozen=True)
class Life:
    """What the log of a killed worker says.

    Parameters
    ----------
    n_acknowledged : int
    model : dict
        Generation by id, after all that was acknowledged.
    in_flight : Operation or None
        The one that was begun and not acknowledged.
    """

    n_acknowledged: int
    model: dict[int, int]
    in_flight: Operation | None

    @classmethod
    def read(cls, log: Path, model: dict[int, int]) -> Life:
        """Play a log to the model that the worker found; a last line without its end is none."""
        n_acknowledged, in_flight = 0, None
        *whole, _cut = (log.read_text() if log.exists() else "").split("\n")
        for line in map(json.loads, whole):
            if "intent" in line:
                in_flight = Operation(**{**line["intent"], "ids": tuple(line["intent"]["ids"])})
                continue
            assert line["done"] == in_flight.number
            assert tuple(line["counts"]) == in_flight.counts(model), in_flight
            model, in_flight, n_acknowledged = in_flight.applied(model), None, n_acknowledged + 1
        return cls(n_acknowledged, model, in_flight)


def check_collection(path: Path | str, life: Life, rng) -> tuple[dict[int, int], bool]:
    """Check a collection after a kill; return what it holds, and if that in flight is there."""
    collection = Collection.open(path, device="cpu")
    assert collection.verify().damages == ()
    ids = collection.index().ids
    assert len(np.unique(ids)) == len(ids) == len(collection), "an id is there twice"
    found = {}
    if len(ids):
        names = [*columns_of([], []).column_names, *_LEVELS]
        rows = collection.get(ids, names)
        check_untorn(ids, rows)
        found = dict(zip(ids.tolist(), rows["generation"].to_pylist(), strict=True))
    acknowledged = life.model
    whole = acknowledged if life.in_flight is None else life.in_flight.applied(acknowledged)
    assert found in (acknowledged, whole), (
        f"{difference(found, acknowledged)}; with that in flight "
        f"({life.in_flight and life.in_flight.kind}): {difference(found, whole)}"
    )
    check_search(collection, found, rng)
    return found, found != acknowledged


def difference(found: dict[int, int], wanted: dict[int, int]) -> str:
    """Say which ids (the first ten) are lost, were never asked for, or are of another time."""
    lost = sorted(wanted.keys() - found.keys())[:10]
    ghosts = sorted(found.keys() - wanted.keys())[:10]
    common = sorted(found.keys() & wanted.keys())
    others = [one for one in common if found[one] != wanted[one]][:10]
    return f"lost {lost}, not asked for {ghosts}, of another generation {others}"


def check_search(collection: Collection, model: dict[int, int], rng) -> None:
    """Compare searches with a ranking of the model by plain arithmetic."""
    queries = rng.integers(-8, 8, (3, DIM)).astype(np.float32)
    bucket = int(rng.integers(N_BUCKETS))
    chosen = rows_in(model, bucket)
    cases = [(bits, None, model) for bits in (4, 8, 12)]
    if model:  # else there may be no such column yet
        where = f"bucket = {bucket}"
        assert collection.count(where) == len(chosen)
        cases.append((12, where, chosen))
    for bits, where, expected in cases:
        k = int(rng.choice([1, 10, 5_000]))
        result = collection.search_features(queries, k, bits, where)
        for row, query in enumerate(queries):
            ids, scores = ranked(list(expected), list(expected.values()), query, bits // 4)
            np.testing.assert_array_equal(result.ids[row], ids[:k])
            np.testing.assert_array_equal(result.scores[row], scores[:k])


def killed(worker, errors: Path) -> None:
    """Kill a worker that still runs; one that ended before has failed."""
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    assert worker.returncode == -signal.SIGKILL, errors.read_text()


def one_life(shop: Path | str, folder: Path, number: int, model: dict[int, int], rng) -> Life:
    """Let a worker write to a collection for a moment, and kill it; its log lies in a folder.

    On a disk every other one kills itself, at a step of its own drawn by lot.
    """
    log, errors = folder / f"log-{number}.jsonl", folder / f"errors-{number}.txt"
    seed = int(rng.integers(2**31))
    is_local = isinstance(shop, Path)
    last_step = int(rng.integers(1, _LAST_STEPS)) if number % 2 and is_local else 0
    longest_s = _LONGEST_LIFE_S if is_local else LEASE_S + 2
    arguments = (shop, log, seed, number * 100_000, last_step)
    with spawn("crash_worker", "operate", *arguments, errors=errors) as worker:
        try:
            ready = worker.stdout.readline().split()
            assert ready == ["ready", str(len(model))], errors.read_text()
            if last_step:
                worker.wait(timeout=60)
            else:
                time.sleep(rng.uniform(0, longest_s))
        finally:
            killed(worker, errors)
    return Life.read(log, model)


def kill_again_and_again(folder: Path, seed: int, n_kills: int, bucket: str | None = None) -> Tally:
    """Kill workers one after another; each goes on with what the one before has left."""
    rng, tally, model = np.random.default_rng(seed), Tally(), {}
    for number in range(n_kills):
        place = folder / str(number // _LIVES)
        if number % _LIVES == 0:
            model = {}
            shop = new_collection(place, bucket and f"{bucket}/{place.name}").path
        life = one_life(shop, place, number, model, rng)
        try:
            model, is_there = check_collection(shop, life, rng)
        except AssertionError as cause:
            cause.add_note(f"kill {number} with seed {seed}, in {place}, in flight: "
                           f"{life.in_flight and life.in_flight.kind}")  # fmt: skip
            raise
        kinds = {life.in_flight.kind: 1} if is_there else {}
        in_flight = int(life.in_flight is not None)
        tally += Tally(1, life.n_acknowledged, in_flight, int(is_there), kinds)
        if number % _LIVES == _LIVES - 1:
            shutil.rmtree(place)
    return tally


def test_acknowledged_operations_survive_kills_and_none_is_half_done(tmp_path):
    start_s = time.monotonic()
    with ThreadPoolExecutor(_LANES) as pool:
        shares = [N_KILLS // _LANES + (lane < N_KILLS % _LANES) for lane in range(_LANES)]
        lanes = [
            pool.submit(kill_again_and_again, tmp_path / str(lane), lane, share)
            for lane, share in enumerate(shares)
        ]
        tally = sum((lane.result() for lane in lanes), Tally())
    tell(tally, start_s)
    assert tally.n_kills == N_KILLS
    assert tally.n_acknowledged > 0


def tell(tally: Tally, start_s: float) -> None:
    """Print what happened."""
    sys.stdout.write(
        f"\n{tally.n_kills} kills, {tally.n_acknowledged} operations acknowledged and found, "
        f"{tally.n_in_flight} in flight, {tally.n_found} of those found committed "
        f"{tally.kinds}, {time.monotonic() - start_s:.0f} s\n"
    )


def test_acknowledged_operations_on_an_object_store_survive_kills(tmp_path, bucket, monkeypatch):
    monkeypatch.setenv("CRASH_LEASE_S", str(LEASE_S))
    start_s, n_kills = time.monotonic(), max(3, N_KILLS // 20)
    tally = kill_again_and_again(tmp_path / "0", 3, n_kills, bucket)
    tell(tally, start_s)
    assert tally.n_kills == n_kills
    assert tally.n_acknowledged > 0


def kill_addition(path: Path, source: Path, errors: Path, rng) -> None:
    """Start `add` of a file, and kill it at a random moment after its first report."""
    with spawn("crash_worker", "add", path, source, 500, errors=errors) as worker:
        try:
            assert worker.stdout.readline() == "ready\n", errors.read_text()
            for _ in range(int(rng.integers(1, 4))):
                assert " of " in worker.stdout.readline(), errors.read_text()
            time.sleep(rng.uniform(0, 0.05))
        finally:
            killed(worker, errors)


@pytest.mark.parametrize("seed", range(max(1, N_KILLS // 20)))
def test_an_addition_that_was_killed_is_completed_by_running_it_again(tmp_path, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, 48, (30_000, DIM)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=vectors, y=np.arange(len(vectors)) % 3)
    collection = new_collection(tmp_path / "one")
    codes = collection.codebooks.encode(vectors)
    n_before = 0
    for number in range(2):
        kill_addition(collection.path, tmp_path / "x.npz", tmp_path / f"errors-{number}.txt", rng)
        again = Collection.open(collection.path, device="cpu")
        assert again.verify().is_intact
        assert n_before <= len(again) < len(vectors)
        ids = again.index().ids
        # Whole chunks, in the order of the source: rows 0 to n, and none twice.
        np.testing.assert_array_equal(ids, np.arange(len(again)))
        np.testing.assert_array_equal(again.index().codes.planes, codes.planes[:, ids])
        n_before = len(again)
    assert n_before > 0
    report = collection.add(tmp_path / "x.npz", AddOptions(rows_per_commit=500))
    assert report.n_added == len(vectors) - n_before
    np.testing.assert_array_equal(collection.index().ids, np.arange(len(vectors)))
    np.testing.assert_array_equal(collection.index().codes.planes, codes.planes)
    assert collection.verify().is_intact


def put(collection: Collection, ids, generations, columns=None) -> None:
    """Write rows, with the columns of others where asked."""
    ids = np.asarray(ids)
    columns = columns_of(ids, generations) if columns is None else columns
    codes = codes_of(ids, generations)
    collection.add_codes(codes, ids, collection.model_fingerprint, columns)


def _nothing(collection: Collection) -> None:
    pass


def _lose(collection: Collection) -> None:
    collection.delete(np.array([3]))


def _add_ghost(collection: Collection) -> None:
    put(collection, [99], [1])


def _bring_back_old(collection: Collection) -> None:
    put(collection, [3], [0])


def _do_half(collection: Collection) -> None:
    put(collection, np.arange(15, 25), np.full(10, 2))


def _tear(collection: Collection) -> None:
    put(collection, [3], [1], columns_of([3], [0]).set_column(2, "generation", pa.array([1])))


def _tear_codes(collection: Collection) -> None:
    codes = codes_of([3], [0])
    fingerprint = collection.model_fingerprint
    collection.add_codes(codes, np.array([3]), fingerprint, columns_of([3], [1]))


def _flip_bit(collection: Collection) -> None:
    file = max((collection.path / "items.lance" / "data").iterdir())
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _double(collection: Collection) -> None:
    import lance

    dataset = lance.dataset(str(collection.path / "items.lance"))
    lance.write_dataset(dataset.to_table(filter="id = 3"), dataset, mode="append")


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (_nothing, None),
        (_lose, r"^lost \[3\], not asked for \[\], of another generation \[\];"),
        (_add_ghost, r"^lost \[\], not asked for \[99\], of another generation \[\];"),
        (_bring_back_old, r"^lost \[\], not asked for \[\], of another generation \[3\];"),
        (_do_half, r"in flight \(add\): lost \[25, 26, 27, 28, 29\], not"),
        (_tear, "torn rows in key"),
        (_tear_codes, "torn in level_00"),
        (_flip_bit, "fragment 0"),
        (_double, r"checksum|twice"),
    ],
)
def test_the_checks_notice(tmp_path, rng, tamper, message):
    collection = new_collection(tmp_path / "one")
    put(collection, np.arange(20), np.full(20, 1))
    in_flight = Operation(2, "add", tuple(range(15, 30)))
    life = Life(1, dict.fromkeys(range(20), 1), in_flight)
    tamper(collection)
    if message is None:
        assert check_collection(collection.path, life, rng) == (life.model, False)
        return
    with pytest.raises(AssertionError, match=message):
        check_collection(collection.path, life, rng)


def test_the_log_of_a_worker_is_played_to_its_last_whole_line(tmp_path):
    log = tmp_path / "log.jsonl"
    lines = [
        '{"intent": {"number": 1, "kind": "add", "ids": [4, 5]}}',
        '{"done": 1, "counts": [2, 0]}',
        '{"intent": {"number": 2, "kind": "delete", "ids": [4]}}',
    ]
    log.write_text("\n".join([*lines, '{"done": 2, "co']))
    life = Life.read(log, {})
    assert life == Life(1, {4: 1, 5: 1}, Operation(2, "delete", (4,)))
    log.write_text("\n".join([*lines, '{"done": 2, "counts": [2]}', ""]))
    with pytest.raises(AssertionError, match="delete"):
        Life.read(log, {})
