"""A process that writes to a collection, or reads it, while others do so too.

``write PATH NUMBER SECONDS`` or ``read PATH NUMBER SECONDS``: it says ``ready``, waits for a line,
works for so many seconds, and ends with one line of JSON about what it did.

All rows of an addition form a batch, which is replaced and deleted whole. So whoever reads must
find of each batch every row, all of one generation, or no row at all.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pyarrow as pa

from anybit.collection import Collection
from crash.rows import DIM, check_untorn, codes_of, columns_of, mixed, ranked, say

OWN = 1_000_000  # batches from here on have one writer, those below it are written by all
_MOST_ROWS = 60  # of a batch
_MOST_BATCHES = 10  # of one writer at a time
_ALL = 1_000_000  # more than there are
_READS = ("everything", "count", "one_batch", "get", "anew", "earlier", "verify")


def ids_of(batch: int):
    """Return the ids of a batch."""
    n_rows = 1 + int(mixed([batch], [0])[0] % np.uint64(_MOST_ROWS))
    return batch * 1_000 + np.arange(n_rows)


def put(collection: Collection, batch: int, generation: int) -> tuple[int, int]:
    """Write a batch whole: one commit. Return how many rows were added, and how many replaced."""
    ids = ids_of(batch)
    generations = np.full(len(ids), generation)
    columns = columns_of(ids, generations)
    columns = columns.append_column("batch", pa.array(np.full(len(ids), batch)))
    columns = columns.append_column("n_in_batch", pa.array(np.full(len(ids), len(ids))))
    report = collection.add_codes(
        codes_of(ids, generations), ids, collection.model_fingerprint, columns
    )
    return report.n_added, report.n_updated


class Writer:
    """One of several writers.

    Parameters
    ----------
    collection : Collection
    number : int
        Which of them.
    """

    def __init__(self, collection: Collection, number: int) -> None:
        self.collection, self.number = collection, number
        self.rng = np.random.default_rng(number)
        self.own: dict[int, int] = {}  # generation by batch
        self.shared: list[tuple[int, int, int]] = []  # batch, generation, rows that were new
        self.n_made = 0
        self.step = 0

    def act(self) -> None:
        """Perform one operation, and check its answer where no other writer can change it."""
        self.step += 1
        if self.step % 4 == 0:
            self._put_shared(self.step // 4)  # all writers come to the same new ids
        elif self.step % 10 == 1 and self.shared:
            self._put_shared(int(self.rng.integers(1, self.shared[-1][0] + 1)))
        elif self.step % 25 == 5 * self.number:
            self.collection.compact()
        elif not self.own or (self.rng.random() < 0.5 and len(self.own) < _MOST_BATCHES):
            self._add()
        else:
            self._change()

    def _put_shared(self, batch: int) -> None:
        generation = 10 * self.step + self.number
        n_added, n_updated = put(self.collection, batch, generation)
        assert n_added + n_updated == len(ids_of(batch))
        self.shared.append((batch, generation, n_added))

    def _add(self) -> None:
        batch = OWN * (self.number + 1) + self.n_made
        self.n_made += 1
        assert put(self.collection, batch, 0) == (len(ids_of(batch)), 0)
        self.own[batch] = 0

    def _change(self) -> None:
        batch = int(self.rng.choice(sorted(self.own)))
        ids, choice = ids_of(batch), self.rng.random()
        if choice < 0.5:
            self.own[batch] += 1
            assert put(self.collection, batch, self.own[batch]) == (0, len(ids))
            return
        del self.own[batch]
        chosen = {"ids": ids} if choice < 0.75 else {"where": f"batch = {batch}"}
        assert self.collection.delete(**chosen) == len(ids)

    def summary(self) -> dict[str, object]:
        """Return what the collection must hold of this writer."""
        return {"n_steps": self.step, "own": list(self.own.items()), "shared": self.shared}


class Reader:
    """One of several readers.

    Parameters
    ----------
    collection : Collection
    number : int
        Which of them.
    """

    def __init__(self, collection: Collection, number: int) -> None:
        self.collection, self.number = collection, number
        self.rng = np.random.default_rng(100 + number)
        self.seen: dict[int, int] = {}  # newest generation by batch
        self.n_reads: dict[str, int] = {}
        self.step = 0

    def act(self) -> None:
        """Read in one of several ways."""
        self.step += 1
        name = str(self.rng.choice(_READS))
        getattr(self, f"_{name}")()
        self.n_reads[name] = self.n_reads.get(name, 0) + 1

    def _everything(self) -> None:
        """Read all rows of one version, by one search."""
        self.collection.refresh()
        query = self.rng.integers(-8, 8, DIM).astype(np.float32)
        hits = self.collection.search(query, _ALL)
        seen = self._check_whole(hits.ids, hits.rows)
        gone = [batch for batch in self.seen.keys() - seen.keys() if batch < OWN]
        assert not gone, f"shared batches {gone} are lost"
        self.seen.update(seen)
        ids, scores = ranked(hits.ids, hits.rows["generation"].to_numpy(), query, 3)
        np.testing.assert_array_equal(hits.ids, ids)
        np.testing.assert_array_equal(hits.scores, scores)

    def _one_batch(self) -> None:
        batch = self._some_batch()
        hits = self.collection.search(np.ones(DIM, np.float32), _ALL, where=f"batch = {batch}")
        assert self._check_whole(hits.ids, hits.rows).keys() <= {batch}

    def _count(self) -> None:
        batch = self._some_batch()
        assert self.collection.count(f"batch = {batch}") in (0, len(ids_of(batch)))
        assert len(self.collection) >= sum(len(ids_of(one)) for one in self.seen if one < OWN)

    def _get(self) -> None:
        shared = [batch for batch in self.seen if batch < OWN]  # these are never deleted
        if shared:
            ids = ids_of(int(self.rng.choice(shared)))
            self._check_whole(ids, self.collection.get(ids))

    def _anew(self) -> None:
        """Go on with a collection that was opened a moment ago."""
        self.collection = Collection.open(self.collection.path, device="cpu")
        self._everything()

    def _earlier(self) -> None:
        """Read a version of the past, which must not be changed by what came after it."""
        version = int(self.rng.choice([one.version for one in self.collection.versions()]))
        past = Reader(self.collection.checkout(version), 0)  # one that has seen nothing
        if len(past.collection):
            past._everything()

    def _verify(self) -> None:
        assert self.collection.verify().damages == ()

    def _some_batch(self) -> int:
        return int(self.rng.choice(sorted(self.seen))) if self.seen else 1

    def _check_whole(self, ids, rows: pa.Table) -> dict[int, int]:
        """Check that batches are whole and no older than seen before; return generations."""
        assert len(np.unique(ids)) == len(ids), "an id is there twice"
        check_untorn(ids, rows)
        batches, generations = rows["batch"].to_numpy(), rows["generation"].to_numpy()
        found = {}
        for batch in np.unique(batches).tolist():
            chosen = batches == batch
            np.testing.assert_array_equal(np.sort(ids[chosen]), ids_of(batch), f"half of {batch}")
            assert set(rows["n_in_batch"].to_numpy()[chosen]) == {len(ids_of(batch))}
            assert len(np.unique(generations[chosen])) == 1, f"generations of {batch} are mixed"
            found[batch] = int(generations[chosen][0])
            is_older = batch >= OWN and found[batch] < self.seen.get(batch, 0)
            assert not is_older, f"batch {batch} went back to generation {found[batch]}"
        return found

    def summary(self) -> dict[str, object]:
        """Return how often it read."""
        return {"n_steps": self.step, "n_reads": self.n_reads}


def main(role: str, path: str, number: str, seconds: str) -> None:
    """Work together with the others."""
    worker = {"write": Writer, "read": Reader}[role](
        Collection.open(path, device="cpu"), int(number)
    )
    say("ready")
    sys.stdin.readline()
    end_s = time.monotonic() + float(seconds)
    while time.monotonic() < end_s:
        worker.act()
    say(json.dumps(worker.summary()))


if __name__ == "__main__":
    main(*sys.argv[1:])
