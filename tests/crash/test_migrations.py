"""Migrations, compactions, additions and deletions at once, all killed: nothing is lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from anybit.collection import AddOptions, Collection
from anybit.collection.addition_plan import plan_addition
from anybit.collection.ingest import Ingest
from anybit.data import BadItems, open_source
from anybit.errors import DataError
from crash.crash_worker import die_at
from crash.migration_worker import (
    MODELS,
    N_WORKERS,
    add,
    applied,
    codebooks_of,
    vectors_of,
    work,
    write_models,
)

N_KILLS = int(os.environ.get("ANYBIT_MIGRATION_KILLS", "12"))
# Steps of a migration at which it is killed: every n-th.
STRIDE = int(os.environ.get("ANYBIT_MIGRATION_STRIDE", "40"))
_LONGEST_LIFE_S = 2.0
_KNOWN_ERRORS = ("was replaced: the collection got another model",)


@pytest.fixture(scope="module")
def processes():
    """Start processes that have imported everything; Lance does not survive a plain fork."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["crash.migration_worker", "crash.crash_worker"])
    return context


@pytest.fixture
def models(tmp_path):
    write_models(tmp_path / "models")
    return tmp_path / "models"


def contents(path: Path) -> dict[int, int]:
    """Check a collection as it was left, and return the generation of its items by id."""
    opened = Collection.open(path, device="cpu")
    assert opened.verify().damages == ()
    index = opened.index()
    ids = index.ids
    assert len(np.unique(ids)) == len(ids) == len(opened), "an id is there twice"
    if len(ids) == 0:
        return {}
    generations = opened.get(ids, ["generation"])["generation"].to_numpy()
    # The codes are those of the items' own vectors, by the model that the collection names.
    expected = opened.codebooks.encode(vectors_of(ids, generations))
    np.testing.assert_array_equal(index.codes.planes, expected.planes)
    return dict(zip(ids.tolist(), generations.tolist(), strict=True))


def check_writable(path: Path) -> None:
    """Check that a collection can be added to and deleted from."""
    opened = Collection.open(path, device="cpu")
    add(opened, [10**9], 7)
    assert opened.delete(np.array([10**9])) == 1


# --- four processes ---


def played(journal: Path, model: dict[int, int]) -> tuple[dict[int, int], dict | None, Counter]:
    """Play a journal: items after all that was acknowledged, what was in flight, and counts."""
    in_flight, counts = None, Counter()
    *whole, _cut = (journal.read_text() if journal.exists() else "").split("\n")
    for line in map(json.loads, whole):
        if "begun" in line:
            in_flight = line["begun"]
        elif "done" in line:
            model, in_flight = applied(in_flight, model), None
            counts[line["done"]] += 1
        elif "error" in line:
            assert any(one in line["error"] for one in _KNOWN_ERRORS), line["error"]
            counts["run again"] += 1
    return model, in_flight, counts


def one_round(path: Path, models: Path, folder: Path, processes, rng: random.Random) -> list[Path]:
    """Let four processes work at once for a moment and kill them; return their journals."""
    journals = [folder / f"journal-{worker}" for worker in range(N_WORKERS)]
    for one in journals:
        one.unlink(missing_ok=True)
    workers = [
        processes.Process(
            target=work,
            args=(str(path), str(models), str(journal), worker, rng.randrange(1 << 30)),
            daemon=True,
        )
        for worker, journal in enumerate(journals)
    ]
    for one in workers:
        one.start()
    end_s = time.monotonic() + 120
    while not all(one.exists() and one.stat().st_size for one in journals):
        assert time.monotonic() < end_s, "the workers did not start"
        assert all(one.is_alive() for one in workers), "a worker has failed"
        time.sleep(0.01)
    time.sleep(_LONGEST_LIFE_S * rng.random())
    for one in rng.sample(workers, N_WORKERS):
        assert one.is_alive(), "a worker has failed"
        one.kill()
        time.sleep(0.05 * rng.random())
    for one in workers:
        one.join()
    return journals


def test_four_processes_that_migrate_compact_and_add_lose_nothing(tmp_path, models, processes):
    start_s, rng, counts = time.monotonic(), random.Random(0), Counter()
    path = tmp_path / "shop"
    Collection.create(path, models / "A4", device="cpu")
    state: dict[int, int] = {}
    for _ in range(-(-N_KILLS // N_WORKERS)):
        journals = one_round(path, models, tmp_path, processes, rng)
        found = contents(path)
        for worker, journal in enumerate(journals):
            mine = {one: born for one, born in state.items() if one % N_WORKERS == worker}
            known, in_flight, done = played(journal, mine)
            counts += done
            possible = [known] if in_flight is None else [known, applied(in_flight, known)]
            left = {one: born for one, born in found.items() if one % N_WORKERS == worker}
            assert left in possible, f"worker {worker}, in flight {in_flight}"
            counts["killed"] += 1
            counts["in flight"] += in_flight is not None
        check_writable(path)
        state = found
    sys.stdout.write(f"\n{dict(counts)}, {len(state)} items, {time.monotonic() - start_s:.0f} s\n")
    assert counts["killed"] >= N_KILLS
    assert counts["add"] > 0


# --- one migration, killed at each of its steps while another process adds ---


def _migrate_until(path: str, model: str, step: int) -> None:
    collection = Collection.open(path, device="cpu")
    die_at(step)
    collection.migrate(model)


def _part(folder: Path, ids, generation: int):
    """Return a source of items; the rows that it adds are one commit."""
    ids = np.asarray(ids)
    vectors = vectors_of(ids, np.full(len(ids), generation))
    np.savez(folder / f"part-{generation}.npz", x=vectors, ids=ids)
    return open_source(folder / f"part-{generation}.npz", None)


def _write_part(shop: Collection, part) -> None:
    """Write items to the rows that a collection was opened with, as a long addition does."""
    options = AddOptions(store_features=True)
    plan = plan_addition(part, shop._store, options.stored, replace=False)
    ingest = Ingest(shop._store, shop.codebooks, part, options, plan)
    ingest.run(shop.encoder, BadItems(), None)


@pytest.mark.parametrize("to", ["B3", "A6"])
def test_rows_added_while_a_migration_dies_anywhere_are_there(tmp_path, models, processes, to):
    """One addition writes before and after the death; what it was told to be written is there."""
    template = tmp_path / "template"
    made = Collection.create(template, models / "A4", device="cpu")
    add(made, range(40), 1)
    first, second = _part(tmp_path, range(100, 120), 2), _part(tmp_path, range(200, 220), 3)
    n_refused, step = 0, 1 + STRIDE // 2
    while True:
        path = tmp_path / f"shop-{step}"
        shutil.copytree(template, path)
        shop = Collection.open(path, device="cpu")
        _write_part(shop, first)
        arguments = (str(path), str(models / to), step)
        child = processes.Process(target=_migrate_until, args=arguments)
        child.start()
        child.join()
        assert child.exitcode in (0, -signal.SIGKILL)
        acknowledged = [*range(40), *range(100, 120)]
        try:
            _write_part(shop, second)
            acknowledged += range(200, 220)
        except DataError as cause:
            n_refused += _KNOWN_ERRORS[0] in str(cause)
        _check_items(path, acknowledged)
        Collection.open(path, device="cpu").migrate(models / to)  # goes on, or is done
        assert Collection.open(path, device="cpu").codebooks.n_levels == MODELS[to][0]
        _check_items(path, acknowledged)
        shutil.rmtree(path)
        if child.exitcode == 0:
            break
        step += STRIDE
    assert n_refused > 0  # at least where the migration came to its end
    sys.stdout.write(f"\nkilled at steps up to {step}, every {STRIDE}; refused {n_refused}\n")


def _check_items(path: Path, acknowledged) -> None:
    opened = Collection.open(path, device="cpu")
    index = opened.index()
    assert index.ids.tolist() == acknowledged
    generations = np.select([index.ids < 100, index.ids < 200], [1, 2], 3)
    expected = opened.codebooks.encode(vectors_of(index.ids, generations))
    np.testing.assert_array_equal(index.codes.planes, expected.planes)
    assert opened.verify().damages == ()
    codes = codebooks_of({4: "A4", 6: "A6", 3: "B3"}[opened.codebooks.n_levels]).encode(
        vectors_of([5], [5])
    )
    opened.add_codes(codes, np.array([10**9]), opened.model_fingerprint)
    assert opened.delete(np.array([10**9])) == 1


def test_the_journal_of_a_worker_is_played(tmp_path):
    journal = tmp_path / "journal"
    lines = [
        {"ready": 1},
        {"begun": {"kind": "add", "ids": [1, 5], "generation": 3}},
        {"error": f"add: DataError: x {_KNOWN_ERRORS[0]}"},
        {"done": "add"},
        {"begun": {"kind": "delete", "ids": [5]}},
    ]
    journal.write_text("".join(json.dumps(one) + "\n" for one in lines) + '{"done"')
    model, in_flight, counts = played(journal, {9: 1})
    assert model == {9: 1, 1: 3, 5: 3}
    assert applied(in_flight, model) == {9: 1, 1: 3}
    assert counts == {"add": 1, "run again": 1}
    journal.write_text(json.dumps({"error": "add: FormatError: it is damaged"}) + "\n")
    with pytest.raises(AssertionError, match="damaged"):
        played(journal, {})
