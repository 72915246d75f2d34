import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from anybit.store import CodeStore, level_columns

_TEXT = st.text(max_size=6)
_ROW = st.tuples(
    st.binary(min_size=3, max_size=3), st.none() | _TEXT, st.none() | st.lists(_TEXT, max_size=3)
)
_BATCH = st.dictionaries(st.integers(-(2**63), 2**63 - 1), _ROW, max_size=8)


@settings(max_examples=10, deadline=None)
@given(st.lists(_BATCH, min_size=1, max_size=3))
def test_what_is_written_is_read_and_the_last_write_counts(batches):
    with tempfile.TemporaryDirectory() as folder:
        store = CodeStore.create(Path(folder) / "items.lance", 3, 256, "m")
        expected = {}
        for batch in batches:
            planes = np.array([list(row[0]) for row in batch.values()], dtype=np.uint8)
            rows = {
                "id": pa.array(batch.keys(), pa.int64()),
                "key": pa.array([row[1] for row in batch.values()], pa.string()),
                "labels": pa.array([row[2] for row in batch.values()], pa.list_(pa.string())),
            }
            for level, name in enumerate(level_columns(3)):
                rows[name] = pa.array(planes.reshape(-1, 3)[:, level], pa.uint8())
            counts = store.upsert(pa.table(rows))
            assert counts.n_updated == len(batch.keys() & expected.keys())
            expected |= batch
        ids, codes = CodeStore.open(store.path).codes()
        rows = store.take(ids, ["key", "labels"])
        assert ids.tolist() == sorted(expected)
        assert [bytes(row) for row in codes.rows()] == [
            expected[one][0] for one in sorted(expected)
        ]
        assert rows["key"].to_pylist() == [expected[one][1] for one in sorted(expected)]
        assert rows["labels"].to_pylist() == [expected[one][2] for one in sorted(expected)]
