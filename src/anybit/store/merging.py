"""Keeping a dataset fast that grows by small additions, a little after each commit.

The cost of a commit, and the size of its manifest, grow with the number of fragments. So fragments
are merged as in a log-structured merge tree: whenever eight have between 8^i and 8^(i+1) rows they
become one. A row is written again five times at most, and N rows lie in O(log N) fragments and one
for each 32,768 rows.
"""

from __future__ import annotations

import logging

from anybit.errors import AnybitError
from anybit.store.dataset import Dataset

__all__ = ["MOST_VERSIONS", "tidy_dataset"]

_LOG = logging.getLogger(__name__)

# Versions that are kept without a compaction, and how many more before some are removed: what
# Lance does then takes as long as reading all manifests.
MOST_VERSIONS, _MORE_VERSIONS = 1_000, 100
# Records of checksums before they are merged.
_MOST_RECORDS = 64
_FAN_BITS = 3  # eight; sixteen make the first search slower, four write more often
_MOST_LEVEL = 4  # fragments of 32,768 rows stay
_MOST_BYTES = 16 << 20  # larger ones stay too: eight of them are written again while others wait


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
    """Return the numbers of fragments to merge now: none, or at least eight."""
    levels: dict[int, list[int]] = {}
    for number, facts in dataset.facts.items():
        level = (max(facts.n_rows, 1).bit_length() - 1) // _FAN_BITS
        n_bytes = facts.n_bytes * facts.n_rows // max(facts.n_stored, 1)
        if level <= _MOST_LEVEL and n_bytes <= _MOST_BYTES:
            levels.setdefault(level, []).append(number)
    full = [level for level, numbers in levels.items() if len(numbers) >= 1 << _FAN_BITS]
    # What is smaller comes along: it would be merged into these rows soon after.
    return [one for level, some in levels.items() if full and level <= max(full) for one in some]


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
    if is_due or dataset.log.n_records > _MOST_RECORDS:
        dataset.log.compact()
