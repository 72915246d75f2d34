"""No item ever disappears by adding: files of vectors are written, renamed, removed and added.

`ANYBIT_EXAMPLES=300 pytest tests/property/test_identity_machine.py` tries longer.
"""

import os
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import AddOptions, Collection, UsedIdError
from anybit.data import content_digest

DIM = 2
NAMES = st.sampled_from(["a", "b", "c"])
CONTENTS = st.lists(st.integers(0, 3), min_size=1, max_size=4)
PREFIXES = st.sampled_from([None, None, "p", "q/"])


def vector(number):
    return np.array([number, -number], dtype=np.float32)


DIGESTS = {content_digest(vector(number).tobytes()): number for number in range(4)}


class IdentityMachine(RuleBasedStateMachine):
    """Three files, which may have the same rows, and one collection."""

    @initialize()
    def create(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(os.path.realpath(self.folder.name))
        codebooks = Codebooks.stacked(np.zeros((1, 2, DIM), np.float32))
        content = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
        write_model_folder(self.root / "model", content, codebooks)
        self.made = Collection.create(self.root / "shop", self.root / "model")

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def place(self, name):
        return self.root / f"{name}.npy"

    def stored(self):
        """Source and content of every item, by id."""
        self.made.refresh()
        if "item_digest" not in self.made._store.columns:
            return {}
        names = ["id", "item_source", "item_digest"]
        columns = [self.made._store.read(names)[one].to_pylist() for one in names]
        return {
            one: (source, DIGESTS[digest]) for one, source, digest in zip(*columns, strict=True)
        }

    @rule(name=NAMES, contents=CONTENTS)
    def write(self, name, contents):
        np.save(self.place(name), np.array([vector(one) for one in contents]))

    @rule(name=NAMES, other=NAMES)
    def rename(self, name, other):
        if self.place(name).exists() and not self.place(other).exists():
            self.place(name).rename(self.place(other))

    @rule(name=NAMES)
    def remove(self, name):
        self.place(name).unlink(missing_ok=True)

    @rule(name=NAMES, prefix=PREFIXES)
    def add(self, name, prefix):
        place = self.place(name)
        if not place.exists():
            return
        before, version = self.stored(), self.made.lookup.version
        try:
            report = self.made.add(place, AddOptions(id_prefix=prefix))
        except UsedIdError:
            report = None
        after = self.stored()
        if report is None:
            assert after == before
            assert self.made.lookup.version == version
            return
        source = str(place) if prefix is None else f"{place}\0{prefix}"
        assert before.keys() <= after.keys()
        for number, (old_source, old_content) in before.items():
            new_source, new_content = after[number]
            if new_content != old_content:  # only a row of this very file may have changed
                assert old_source == new_source == source
            elif new_source != old_source:  # moved: from a file that is gone
                assert new_source == source
                assert not Path(old_source.partition("\0")[0]).exists()
        assert len(after) == len(before) + report.n_added
        rows = [int(one) for one in np.load(place)[:, 0]]
        assert not Counter(rows) - Counter(
            one for origin, one in after.values() if origin == source
        )
        version = self.made.lookup.version
        again = self.made.add(place, AddOptions(id_prefix=prefix))
        assert again.n_unchanged == len(rows)
        self.made.refresh()
        assert self.made.lookup.version == version


_EXAMPLES = os.environ.get("ANYBIT_EXAMPLES")
TestIdentityMachine = IdentityMachine.TestCase
TestIdentityMachine.settings = settings(
    max_examples=int(_EXAMPLES or 15),
    stateful_step_count=20,
    derandomize=_EXAMPLES is None,
    deadline=None,
    phases=set(Phase) if _EXAMPLES else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)
