"""A collection and a dictionary go through the same changes, and must answer the same.

`ANYBIT_EXAMPLES=500 pytest tests/property/test_collection_machine.py` tries longer, and other
cases each time; it also makes the one that fails as short as possible.
"""

import os
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from anybit.codes import Codebooks, Codes, ModelFolder, write_model_folder
from anybit.collection import Collection
from anybit.errors import DataError, FilterError, OptionError
from anybit.search import Index
from anybit.store.folders.object_store import ObjectFolder
from anybit.types import METRICS

DIM, N_LEVELS, N_CODEWORDS = 3, 2, 4  # 16 different codes: nearly all scores are ties
_RNG = np.random.default_rng(5)
IDS = [-(2**63), -(2**63) + 1, -1, 0, 1, 2**32, 2**53 + 1, 2**63 - 2, 2**63 - 1]
IDS += np.sort(_RNG.integers(-(2**63), 2**63 - 1, 60)).tolist()
ABSENT = 77
QUERIES = np.concatenate([np.zeros((1, DIM)), _RNG.normal(size=(3, DIM))]).astype(np.float32)
_TYPES = {
    "key": pa.string(),
    "labels": pa.list_(pa.string()),
    "price": pa.int64(),
    "weight": pa.float64(),
}


@dataclass(frozen=True)
class Row:
    """What the dictionary holds of an item."""

    code: tuple[int, ...]
    key: str | None
    labels: list[str] | None
    price: int | None
    weight: float | None

    def only(self, names):
        """Return the row as it is stored when just these columns are given."""
        return Row(self.code, *[getattr(self, one) if one in names else None for one in _TYPES])


@dataclass(frozen=True)
class State:
    """What one version of the collection must hold."""

    rows: dict[int, Row] = field(default_factory=dict)
    columns: frozenset[str] = frozenset(["key", "labels"])

    def chosen(self, where):
        """Return the ids, ascending, of rows that meet a condition; None without its column."""
        if where is None:
            return sorted(self.rows)
        column, meets = CONDITIONS[where]
        if column not in self.columns:
            return None
        return [one for one in sorted(self.rows) if meets(one, self.rows[one])]

    def codes(self, ids):
        planes = np.array([self.rows[one].code for one in ids], np.uint8).reshape(-1, N_LEVELS).T
        return Codes(np.ascontiguousarray(planes), N_CODEWORDS)

    def columns_of(self, ids):
        names = ["key", "labels", *sorted(self.columns - {"key", "labels"})]
        return {name: [getattr(self.rows[one], name) for one in ids] for name in names}


# A filter, the column that it needs, and what it means.
CONDITIONS = {
    "price < 3": ("price", lambda _, row: row.price is not None and row.price < 3),
    "price IS NULL": ("price", lambda _, row: row.price is None),
    "weight >= 0.25": ("weight", lambda _, row: row.weight is not None and row.weight >= 0.25),
    "array_has(labels, 'a')": ("labels", lambda _, row: "a" in (row.labels or [])),
    "key = 'it''s' OR id < 0": ("key", lambda one, row: row.key == "it's" or one < 0),
}  # fmt: skip

_NULL = st.none()
ROWS = st.builds(
    Row,
    st.tuples(*[st.integers(0, N_CODEWORDS - 1)] * N_LEVELS),
    _NULL | st.sampled_from(["", "x", "it's"]),
    _NULL | st.lists(st.sampled_from("ab"), max_size=2),
    _NULL | st.sampled_from([-(2**63), -5, 2, 3, 2**63 - 1]),
    _NULL | st.sampled_from([-1.5, 0.25, 1e300]),
)
SOME_IDS = st.lists(st.sampled_from(IDS), max_size=12)
HANDLES = st.integers(0, 1)
SIZES = st.sampled_from([1, 2, 5, 200])
WHERES = _NULL | st.sampled_from(sorted(CONDITIONS))


def _table(rows, names):
    columns = {one: [getattr(row, one) for row in rows] for one in names}
    return pa.table({one: pa.array(column, _TYPES[one]) for one, column in columns.items()})


class CollectionMachine(RuleBasedStateMachine):
    """Two handles on one folder, of which any may write; the other must follow."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        # So that a row is worth a snapshot, which handles opened later map.
        live_index = "anybit.collection.live_index"
        self.small = patch.multiple(live_index, _SNAPSHOT_ROWS=1, _SNAPSHOT_SHARE=0.0)
        self.small.start()
        self.state, self.gone = State(), set()

    def new_place(self):
        return Path(self.folder.name) / "shop"

    @initialize(metric=st.sampled_from(METRICS))
    def create(self, metric):
        values = np.random.default_rng(0).integers(-2, 3, (N_LEVELS, N_CODEWORDS, DIM))
        self.codebooks = Codebooks.stacked(values.astype(np.float32), metric=metric)
        content = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
        write_model_folder(Path(self.folder.name) / "model", content, self.codebooks)
        self.path = self.new_place()
        made = Collection.create(self.path, Path(self.folder.name) / "model")
        self.handles = [made, Collection.open(self.path)]
        self.history = dict.fromkeys(self._versions(0), self.state)

    def teardown(self):
        try:
            if hasattr(self, "path"):
                self._check_intact(Collection.open(self.path))
        finally:
            self.small.stop()
            self.folder.cleanup()

    def _versions(self, which):
        return [one.version for one in self.handles[which].versions()]

    def _changed(self, which, after):
        """Note that the newest version, if there is a new one, holds another state."""
        before, self.state = self.state, after
        fresh = sorted(set(self._versions(which)) - self.history.keys())
        # What is merged after a commit makes versions of the same rows.
        self.history |= dict.fromkeys(fresh, after)
        if after.columns != before.columns and len(fresh) > 1:  # the first only adds columns
            self.history[fresh[0]] = State(before.rows, after.columns)

    def _write(self, which, rows, names):
        names, ids = sorted(names), list(rows)
        report = self.handles[which].add_codes(
            State(rows).codes(ids),
            np.array(ids, dtype=np.int64),
            self.handles[which].model_fingerprint,
            _table(rows.values(), names) if names else None,
        )
        n_updated = len(rows.keys() & self.state.rows.keys())
        assert (report.n_added, report.n_updated) == (len(rows) - n_updated, n_updated)
        fresh = {one: row.only(names) for one, row in rows.items()}
        self._changed(which, State(self.state.rows | fresh, self.state.columns | set(names)))

    @rule(
        which=HANDLES,
        rows=st.dictionaries(st.sampled_from(IDS), ROWS, min_size=1, max_size=6),
        names=st.sets(st.sampled_from(sorted(_TYPES))),
    )
    def add(self, which, rows, names):
        self._write(which, rows, names)

    @rule(which=HANDLES, seed=st.integers(0, 9), n_rows=st.integers(10, 40))
    def add_many(self, which, seed, n_rows):
        rng = np.random.default_rng(seed)
        codes = rng.integers(0, N_CODEWORDS, (n_rows, N_LEVELS)).tolist()
        rows = {
            one: Row(tuple(code), None, None, int(rng.integers(6)), 0.5)
            for one, code in zip(rng.permutation(IDS)[:n_rows].tolist(), codes, strict=True)
        }
        self._write(which, rows, ["price", "weight"])

    @precondition(lambda self: self.state.rows)
    @rule(which=HANDLES, row=ROWS, data=st.data())
    def update(self, which, row, data):
        known = st.lists(st.sampled_from(sorted(self.state.rows)), min_size=1, max_size=9)
        self._write(which, dict.fromkeys(data.draw(known), row), ["key", "price"])

    @rule(which=HANDLES, ids=SOME_IDS)
    def delete(self, which, ids):
        left = {one: row for one, row in self.state.rows.items() if one not in ids}
        n_deleted = self.handles[which].delete(np.array(ids, dtype=np.int64))
        assert n_deleted == len(self.state.rows) - len(left)
        self._changed(which, State(left, self.state.columns))

    @rule(which=HANDLES, where=st.sampled_from(sorted(CONDITIONS)))
    def delete_where(self, which, where):
        chosen = self.state.chosen(where)
        if chosen is None:
            with pytest.raises(FilterError, match="A column must be one of"):
                self.handles[which].delete(where=where)
            return
        assert self.handles[which].delete(where=where) == len(chosen)
        left = {one: row for one, row in self.state.rows.items() if one not in chosen}
        self._changed(which, State(left, self.state.columns))

    @rule(which=HANDLES, kept_s=st.sampled_from([0.0, 3600.0]))
    def compact(self, which, kept_s):
        report = self.handles[which].compact(kept_s)
        assert report.n_fragments <= 1  # so few rows fit into one
        self._changed(which, self.state)
        there = set(self._versions(which))
        if kept_s:
            assert there == self.history.keys()
        else:
            assert there == {max(self.history)}
        self.gone |= self.history.keys() - there
        self.history = {one: state for one, state in self.history.items() if one in there}

    @rule(which=HANDLES)
    def reopen(self, which):
        self.handles[which] = Collection.open(self.path)

    @rule(which=HANDLES, k=SIZES, where=WHERES, n_threads=st.integers(1, 2))
    def search(self, which, k, where, n_threads):
        self._check_search(self.handles[which], self.state, k, where, n_threads)

    def _check_search(self, collection, state, k, where, n_threads=1):
        chosen = state.chosen(where)
        if chosen is None:
            with pytest.raises(FilterError, match="A column must be one of"):
                collection.search_features(QUERIES, k, where=where)
            return
        index = Index(self.codebooks, state.codes(chosen), np.array(chosen, dtype=np.int64))
        for bits in self.codebooks.lengths():
            found = collection.search_features(QUERIES, k, bits, where, n_threads)
            expected = index.search(QUERIES, k, bits)
            np.testing.assert_array_equal(found.ids, expected.ids)
            np.testing.assert_array_equal(found.scores, expected.scores, strict=True)
            assert found.bits == bits

    @rule(which=HANDLES, k=SIZES, where=WHERES)
    def search_with_metadata(self, which, k, where):
        chosen = self.state.chosen(where)
        if chosen is None:
            return
        hits = self.handles[which].search(QUERIES[1], k, where=where)
        assert len(hits) == min(k, len(chosen))
        self._check_rows(hits.rows, self.state, hits.ids.tolist())

    @rule(which=HANDLES, where=WHERES)
    def count(self, which, where):
        chosen = self.state.chosen(where)
        if chosen is not None:
            assert self.handles[which].count(where) == len(chosen)
        assert len(self.handles[which]) == len(self.state.rows)
        listed = self.handles[which].versions()
        assert [one.version for one in listed] == sorted(self.history)
        times = [one.made_at for one in listed]
        assert times == sorted(times)

    @rule(which=HANDLES, wanted=SOME_IDS)
    def get(self, which, wanted):
        known = [one for one in wanted if one in self.state.rows]
        rows = self.handles[which].get(np.array(known, dtype=np.int64))
        assert rows["id"].to_pylist() == known
        self._check_rows(rows, self.state, known)
        with pytest.raises(DataError, match=r"ids must be in the collection, got \[77\]"):
            self.handles[which].get(np.array([*known, ABSENT]))
        index, ids = self.handles[which].index(), sorted(self.state.rows)
        assert index.ids.tolist() == ids
        np.testing.assert_array_equal(index.codes.planes, self.state.codes(ids).planes)

    def _check_rows(self, table, state, ids):
        for name, expected in state.columns_of(ids).items():
            assert table[name].to_pylist() == expected, name

    @rule(which=HANDLES, where=WHERES, data=st.data())
    def checkout(self, which, where, data):
        version = data.draw(st.sampled_from(sorted(self.history)))
        state, old = self.history[version], self.handles[which].checkout(version)
        self._check_search(old, state, 5, where)
        ids = sorted(state.rows)
        self._check_rows(old.get(np.array(ids, dtype=np.int64)), state, ids)
        with pytest.raises(OptionError, match="can only be read"):
            old.delete(np.array(ids[:1], dtype=np.int64))
        with pytest.raises(OptionError, match="can only be read"):
            old.compact(0)
        assert old.verify().is_intact

    @precondition(lambda self: self.gone)
    @rule(which=HANDLES, data=st.data())
    def checkout_what_is_gone(self, which, data):
        version = data.draw(st.sampled_from(sorted(self.gone)))
        with pytest.raises(OptionError, match="version must be one that is still there"):
            self.handles[which].checkout(version)

    @rule(which=HANDLES)
    def verify(self, which):
        self.handles[which].refresh()
        self._check_intact(self.handles[which])

    def _check_intact(self, collection):
        report = collection.verify()
        assert report.damages == ()
        assert report.n_rows == len(self.state.rows)


class ObjectStoreMachine(CollectionMachine):
    """The same on an object store."""

    bucket = ""

    def new_place(self):
        return f"{self.bucket}/{uuid.uuid4().hex}"


_EXAMPLES = os.environ.get("ANYBIT_EXAMPLES")
_SETTINGS = settings(
    stateful_step_count=25,
    derandomize=_EXAMPLES is None,
    deadline=None,
    # Making a failure short takes minutes: only where somebody asks for a long run.
    phases=set(Phase) if _EXAMPLES else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)
TestCollectionMachine = CollectionMachine.TestCase
TestCollectionMachine.settings = settings(_SETTINGS, max_examples=int(_EXAMPLES or 30))


class TestObjectStoreMachine(ObjectStoreMachine.TestCase):
    settings = settings(_SETTINGS, max_examples=int(_EXAMPLES or 4))

    @pytest.fixture(autouse=True)
    def _place(self, bucket, monkeypatch):
        ObjectStoreMachine.bucket = bucket
        # Of what the other handle has written a reader knows within a second; here, at once.
        monkeypatch.setattr(ObjectFolder, "max_age_s", 0.0)
