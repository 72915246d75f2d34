"""Keeping a dataset fast that grows by small additions, a little after each commit.

The cost of a commit, the size of its manifest and the cost of the first search grow with the number
of fragments. So fragments are merged as in a log-structured merge tree: whenever four are smaller
than 4,096 rows and 256 KiB, or four lie between two of the larger limits, they become one. What is
small is quickly written again; a row of the larger ones is written again a few times in all.
"""

from __future__ import annotations

import logging

from anybit.errors import AnybitError
from anybit.store.dataset import Dataset
from anybit.store.dataset_files import FragmentFacts

__all__ = ["MOST_VERSIONS", "tidy_dataset"]

_LOG = logging.getLogger(__name__)

# Versions that are kept without a compaction, and how many more before some are removed: what
# Lance does then takes as long as reading all manifests.
MOST_VERSIONS, _MORE_VERSIONS = 1_000, 100
# Records of checksums before they are merged.
_MOST_RECORDS = 16
_FAN = 4  # as many of one level are merged; eight make the first search slower
# Rows and bytes below which a fragment belongs to each level; larger ones stay as they are, for
# others wait while they are written again.
_LIMITS = ((4_096, 256 << 10), (16_384, 2 << 20), (65_536, 16 << 20))


def tidy_dataset(dataset: Dataset) -> None:
    """Merge small fragments, and forget old versions and records; only while `writing`.

    Called after a commit was acknowledged, which stays whatever happens here: an error is logged,
    and a process that is killed leaves the version before. Readers never wait.
    """
    try:
        while due := _due_fragments(dataset):
            _merge(dataset, due)
        _forget(dataset)
    except (AnybitError, OSError, RuntimeError, ValueError) as cause:
        _LOG.warning("%s: small files could not be merged: %s", dataset.path, cause)


def _due_fragments(dataset: Dataset) -> list[int]:
    """Return the numbers of fragments to merge now: none, or at least as many as the fan."""
    levels: list[list[int]] = [[] for _ in _LIMITS]
    for number, facts in dataset.facts.items():
        level = _level_of(facts)
        if level is not None:
            levels[level].append(number)
    full = [level for level, numbers in enumerate(levels) if len(numbers) >= _FAN]
    # What is smaller comes along: it would be merged into these rows soon after.
    return [one for some in levels[: max(full) + 1] for one in some] if full else []


def _level_of(facts: FragmentFacts) -> int | None:
    """Return the level of a fragment, by its rows that are not deleted; None where it is large."""
    n_bytes = facts.n_bytes * facts.n_rows // max(facts.n_stored, 1)
    for level, (most_rows, most_bytes) in enumerate(_LIMITS):
        if facts.n_rows < most_rows and n_bytes < most_bytes:
            return level
    return None


def _merge(dataset: Dataset, numbers: list[int]) -> None:
    """Commit the rows of some fragments as one."""
    from lance import LanceOperation
    from lance.dataset import LanceDataset
    from lance.fragment import write_fragments

    newest, wanted = dataset.lance, set(numbers)
    old = [one for one in newest.get_fragments() if one.fragment_id in wanted]
    rows = newest.scanner(fragments=old).to_reader()
    made = write_fragments(rows, newest, mode="append", schema=newest.schema)
    ranges = [dataset.log.ids_of(dataset.facts[one].files[0]) for one in numbers]
    known = [one for some in ranges if some is not None for one in some]
    dataset.record(made, (min(known), max(known)) if known else None)
    group = LanceOperation.RewriteGroup([one.metadata for one in old], made)
    operation = LanceOperation.Rewrite([group], [])
    dataset.committed(LanceDataset.commit(newest, operation, read_version=newest.version))


def _forget(dataset: Dataset) -> None:
    """Remove the oldest versions when there are many, and merge records of checksums."""
    is_due = len(dataset.versions()) > MOST_VERSIONS + _MORE_VERSIONS
    if is_due:
        dataset.check_lock()
        dataset.lance.cleanup_old_versions(
            retain_versions=MOST_VERSIONS, error_if_tagged_old_versions=False
        )
    is_due = is_due or dataset.log.n_past_records > _MOST_RECORDS
    if is_due or dataset.log.n_records > _MOST_RECORDS:
        dataset.log.compact(dataset.files(), whole=is_due)
