"""Putting the fragments of a dataset together."""

from __future__ import annotations

from datetime import timedelta

from anybit.store.dataset import Dataset
from anybit.store.reports import CompactReport

__all__ = ["compact_dataset"]


def compact_dataset(dataset: Dataset, kept_s: float) -> CompactReport:
    """Rewrite small fragments and those with deleted rows, and remove old versions.

    Damaged files are refused first: copying them would give them a new, valid checksum.
    """
    from lance.optimize import Compaction, CompactionOptions

    with dataset.writing():
        n_fragments, n_bytes = _size(dataset)
        newest = dataset.lance
        options = CompactionOptions(materialize_deletions_threshold=0.0)
        plan = Compaction.plan(newest, options)
        if plan.num_tasks():
            results = [task.execute(newest) for task in plan.tasks]
            ranges = [dataset.log.ids_of(path) for path in dataset.files()]
            known = [one for some in ranges if some is not None for one in some]
            ids = (min(known), max(known)) if known else None
            dataset.record([one for result in results for one in result.new_fragments], ids)
            Compaction.commit(newest, results)
            dataset.committed(newest)
        dataset.lance.cleanup_old_versions(older_than=timedelta(seconds=kept_s))
        dataset.log.compact(dataset.files(), whole=True)
        return CompactReport(n_fragments, *_size(dataset)[:1], n_bytes, _size(dataset)[1])


def _size(dataset: Dataset) -> tuple[int, int]:
    """Return the number of fragments, and the bytes of the folder."""
    return len(dataset.lance.get_fragments()), dataset.folder.total_bytes()
