"""Write the golden collection of the present format version, from the rows of version 2.

Run once for each format version, when the format is released, never again for the same one::

    python tests/golden/make_collection.py tests/golden/collection_v3

Then name the folder in `test_collections.py`. The rows come in several commits, with updates and
deletions; they are those of ``collection_expected.json``.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from anybit.collection import Collection
from anybit.store import CodeStore

_HERE = Path(__file__).parent
_DIGEST_BYTES = 16


def make_collection(target: Path) -> Collection:
    """Make the collection at a path that is free."""
    old = _HERE / "collection_v2"
    made = Collection.create(target, old / "model")
    rows = _rows_of(CodeStore.open(old / "items.lance"))
    store = CodeStore.open(target / "items.lance", model_fingerprint=made.model_fingerprint)
    first, rest = rows.slice(0, len(rows) // 2), rows.slice(len(rows) // 2)
    store.upsert(_without(first, "price"))
    store.upsert(_moved(first.slice(0, 2)))  # ids that are deleted
    store.upsert(rest)
    store.upsert(first)  # updates, and a column more
    store.delete(ids=_moved(first.slice(0, 2))["id"].to_numpy())
    made.refresh()
    return made


def _rows_of(store: CodeStore) -> pa.Table:
    """Return all rows with the columns that version 3 has besides."""
    names = [name for name in store.columns if name not in ("item_source", "item_digest")]
    rows = store.take(np.sort(store.ids()), names)
    sources = pa.array([""] * len(rows), pa.string())  # ids that were given
    digests = pa.array(
        [bytes([at]) * _DIGEST_BYTES for at in range(len(rows))], pa.binary(_DIGEST_BYTES)
    )
    return rows.append_column("item_source", sources).append_column("item_digest", digests)


def _without(rows: pa.Table, name: str) -> pa.Table:
    return rows.drop_columns([name])


def _moved(rows: pa.Table) -> pa.Table:
    """Return the rows under other ids."""
    ids = pa.array(rows["id"].to_numpy() + 100_000, pa.int64())
    return rows.set_column(rows.column_names.index("id"), "id", ids)


if __name__ == "__main__":
    make_collection(Path(sys.argv[1]))
