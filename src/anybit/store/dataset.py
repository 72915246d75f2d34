"""A Lance dataset whose commits survive a power cut, and whose files are compared before use.

Lance makes every commit atomic, but it never waits for the disk and keeps no checksums. So a
commit is made in this order, under a lock: Lance writes new data and deletion files; they are
brought to the disk and their checksums recorded; Lance commits, which makes a new manifest; that
is brought to the disk and recorded. A version whose manifest has no record was never acknowledged:
it is taken up where it can be read, and left out where not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import pyarrow as pa

from anybit.codes import access_error, panics_as_errors, write_errors
from anybit.errors import AnybitError, FormatError, OptionError, ReplacedError
from anybit.store.checksums import ChecksumLog, Damage
from anybit.store.dataset_files import (
    FragmentFacts,
    aside_of,
    check_end,
    facts_of,
    files_of,
    files_of_fragment,
    manifest_of,
    version_of,
    versions_in,
)
from anybit.store.folders import Folder, Hold
from anybit.store.lance_library import lance_library
from anybit.store.schema import format_version_of
from anybit.store.writer_lock import writer_lock

__all__ = ["Dataset", "damage_error"]

_RETIRED = "_checksums/retired"


class Dataset:
    """One version of a dataset; make one with `create` or `open`.

    Parameters
    ----------
    folder : Folder
        The one that Lance writes.
    version : int, optional
        The newest when left out; an older one can only be read.
    skip_damaged : bool
        Leave damaged fragments out instead of refusing to read.
    is_current : callable, optional
        Tells whether the dataset is still the one to write to; it is called under the lock, before
        anything is written.
    """

    def __init__(
        self,
        folder: Folder,
        version: int | None = None,
        *,
        skip_damaged: bool,
        is_current: Callable[[], bool] | None = None,
    ) -> None:
        self.is_current = is_current
        self.folder, self.path, self.skip_damaged = folder, folder.place, skip_damaged
        self.log = ChecksumLog(folder)
        self.skipped: dict[int, list[Damage]] = {}  # by number of the fragment
        self.is_pinned = version is not None
        self.mutex = threading.RLock()  # of threads that use this object
        self._checked: set[int] = set()  # fragments of this version
        self._hold: Hold | None = None  # while `writing`
        self._looked_s = time.monotonic()
        self.lance: Any = None
        self._stamp: Hashable | None = None  # of the folder of versions, when the newest was read
        self._facts: tuple[int, dict[int, FragmentFacts]] | None = None
        self._taken = 0  # version; `lance` may be ahead of it until its commit is acknowledged
        stamp = folder.quiet_stamp_of("_versions")  # before they are listed
        self._take(self._open_newest() if version is None else self._open(version))
        self._stamp = stamp

    @classmethod
    def create(cls, folder: Folder, schema: pa.Schema) -> Dataset:
        """Make an empty dataset.

        Raises
        ------
        OptionError
            If it cannot be written.
        """
        with write_errors(folder.place):
            made = lance_library().write_dataset(
                schema.empty_table(), str(folder.place), schema=schema, mode="create"
            )
            ChecksumLog(folder).record(files_of(made.version, facts_of(made)))
        return cls(folder, skip_damaged=False)

    @property
    def version(self) -> int:
        """Number of the version that is read."""
        return int(self.lance.version)

    def read_records_again(self) -> None:
        """Forget what was compared, and read all records anew: some may be damaged by now."""
        with self.mutex:
            self.log = ChecksumLog(self.folder)
            self.log.refresh(whole=True)
            self._checked.clear()

    def versions(self) -> list[int]:
        """Return the numbers of all versions that are there, ascending."""
        return sorted(versions_in(self.folder))

    def made_at(self) -> dict[int, datetime]:
        """Return when each version that can be opened was committed.

        Raises
        ------
        FormatError
            If one of them is damaged, unless damaged ones are skipped.
        """
        self.log.refresh(whole=True)
        if self.log.damages and not self.skip_damaged:
            raise FormatError(f"{self.path} is damaged: {self.log.damages[0]}.")
        recorded = {one for one in self.versions() if manifest_of(one) in self.log}
        found = self.log.damages_of(map(manifest_of, recorded))
        there = set(self.versions())  # those that a compaction has removed meanwhile are none
        damages = [one for one in found if version_of(one.path) in there]
        if damages and not self.skip_damaged:
            raise self._manifest_error(version_of(damages[0].path), damages[0].reason)
        lost = {version_of(one.path) for one in damages}
        known = [one for one in sorted(there - lost) if one in recorded or self._can_be_opened(one)]
        try:
            times = {one["version"]: one["timestamp"] for one in self.lance.versions()}
        except (OSError, RuntimeError, ValueError):  # one that was never acknowledged, or is gone
            times = {}
        made_at = {}
        for one in known:
            try:
                made_at[one] = times.get(one) or self.folder.changed_at(manifest_of(one))
            except FileNotFoundError:  # removed meanwhile
                continue
        return made_at

    def _can_be_opened(self, version: int) -> bool:
        """Tell whether a version without a record is one: its writer may have been cut off."""
        try:
            self._open(version)
        except (OSError, RuntimeError, ValueError):
            return False
        return True

    # --- opening ---

    def _open(self, version: int) -> Any:
        self.log.refresh()
        path = manifest_of(version)
        if path in self.log and (damages := self.log.damages_of([path])):
            if not self.folder.exists(path):
                raise OptionError(f"version must be one that is still there, got {version}.")
            raise self._manifest_error(version, damages[0].reason)
        if path not in self.log:
            check_end(path, self.folder.read(path))
        with panics_as_errors():
            return lance_library().dataset(str(self.path), version=version)

    def _open_newest(self) -> Any:
        """Open the newest version that was acknowledged, or that can be read.

        What is missing may have been removed by a compaction since the folders were listed. Only
        what is missing while nothing comes or goes is damaged.
        """
        seen = None
        while True:
            try:
                return self._newest_listed()
            except (AnybitError, OSError, ValueError, RuntimeError):
                before, seen = seen, self._listed()
                if seen == before:
                    raise

    def _listed(self) -> tuple[frozenset[str], frozenset[str]]:
        names = self.folder.names
        return frozenset(names("_versions")), frozenset(names("_checksums"))

    def _newest_listed(self) -> Any:
        self.log.refresh()
        versions = sorted(versions_in(self.folder), reverse=True)
        if not versions:
            raise FormatError(f"{self.path} must be a Lance dataset, got one without versions.")
        recorded = max((version_of(path) for path in self.log.newest_manifests), default=0)
        if recorded > versions[0]:
            raise self._manifest_error(recorded, "is missing")
        for version in versions:
            is_recorded = manifest_of(version) in self.log
            try:
                return self._open(version)
            except (OSError, ValueError, RuntimeError) as cause:
                if (no_access := access_error(self.path, cause)) is not None:
                    raise no_access from cause
                # A v1 store has no records: then nothing tells an accident from a crash.
                if is_recorded or self.log.damages or not self.log.exists:
                    raise FormatError(
                        f"{self.path} must be a Lance dataset, got: {cause}"
                    ) from cause
        raise FormatError(f"{self.path} must be a Lance dataset, got no version that can be read.")

    def _manifest_error(self, version: int, reason: str) -> FormatError:
        return FormatError(
            f"{self.path} is damaged: {manifest_of(version)} {reason}. Restore the file from a "
            f"copy; other versions can be read meanwhile (version={version - 1})."
        )

    def refresh(self, *, at_once: bool = True) -> bool:
        """Go to the newest version; tell whether it is another one.

        Unless `at_once`, what was looked up less than the folder's ``max_age_s`` ago is believed.
        """
        with self.mutex:
            age_s = time.monotonic() - self._looked_s
            return (at_once or age_s >= self.folder.max_age_s) and self._refresh()

    def _refresh(self) -> bool:
        self._looked_s = time.monotonic()
        if self.is_pinned:
            return False
        # There may be a thousand names: a search does not list them while none comes or goes.
        stamp = self.folder.quiet_stamp_of("_versions")
        if stamp is not None and stamp == self._stamp:
            return False
        if max(versions_in(self.folder), default=0) == self.version:
            self._stamp = stamp
            return False
        before = self.version
        self._take(self._open_newest())
        return self.version != before

    @property
    def facts(self) -> dict[int, FragmentFacts]:
        """What the version is made of, by the numbers of its fragments."""
        # Lance moves an open dataset to the version that it commits, recorded or not.
        if self._facts is None or self._facts[0] != self.version:
            self._facts = self.version, facts_of(self.lance)
        return self._facts[1]

    def _take(self, opened: Any, facts: dict[int, FragmentFacts] | None = None) -> None:
        """Read from another version from now on."""
        self.lance, self._taken, self._stamp = opened, int(opened.version), None
        self._facts = None if facts is None else (self._taken, facts)
        self._checked.clear()
        self.skipped.clear()

    def is_removed(self) -> bool:
        """Tell whether a newer version came, and this one is gone or going (its manifest last)."""
        there = versions_in(self.folder)
        is_going = self.version not in there or not self.is_pinned
        return is_going and max(there, default=0) > self.version

    # --- reading ---

    def fragments(self, numbers: Iterable[int] | None = None) -> list[Any]:
        """Return fragments whose files are intact, compared when they are first asked for.

        Raises
        ------
        FormatError
            If one is damaged, unless damaged ones are skipped.
        """
        wanted = None if numbers is None else set(numbers)
        listed = self.lance.get_fragments()
        chosen = [one for one in listed if wanted is None or one.fragment_id in wanted]
        self._compare([one for one in chosen if one.fragment_id not in self._checked])
        return [one for one in chosen if one.fragment_id not in self.skipped]

    def _compare(self, fragments: list[Any]) -> None:
        if not fragments or not self.log.exists:
            return
        paths = {one.fragment_id: self.facts[one.fragment_id].files for one in fragments}
        found = self.damages_of(paths)
        if found and self.is_removed():
            raise FormatError(
                f"version {self.version} of {self.path} was removed by a compaction. "
                "Open the newest one."
            )
        if found and not self.skip_damaged:
            raise damage_error(self, found)
        self.skipped.update(found)
        self._checked.update(paths)

    def damages_of(
        self, paths: dict[int, tuple[str, ...]] | None = None, *, again: bool = False
    ) -> dict[int, list[Damage]]:
        """Return the damaged files of fragments, by the fragment's number."""
        if paths is None:
            paths = {number: one.files for number, one in self.facts.items()}
        listed = [path for some in paths.values() for path in some]
        if any(path not in self.log for path in listed):
            self.log.refresh()
        if manifest_of(self.version) not in self.log:
            # Committed, not acknowledged yet: its writer records what deletions it made at once.
            # What a store of version 1 held before its first records was never recorded.
            is_old = format_version_of(self.lance.schema) == 1
            needed = () if is_old else "data/"
            listed = [path for path in listed if path in self.log or path.startswith(needed)]
        damages = {one.path: one for one in self.log.damages_of(listed, again=again)}
        by_fragment = {
            number: [damages[path] for path in some if path in damages]
            for number, some in paths.items()
        }
        return {number: some for number, some in by_fragment.items() if some}

    def states(self) -> dict[int, tuple[str, ...]]:
        """Return the files of every fragment that is not skipped, by its number."""
        if self.skip_damaged:
            self.fragments()  # finds out what to skip
        return {
            number: one.files for number, one in self.facts.items() if number not in self.skipped
        }

    def files(self) -> list[str]:
        """Return all files that the version is made of."""
        return files_of(self.version, self.facts)

    # --- writing ---

    @contextmanager
    def writing(self, *, over_damage: bool = False) -> Iterator[Any]:
        """Hold the lock of the only writer, at the newest version.

        Raises
        ------
        OptionError
            If the folder cannot be written, or an old version was opened.
        AnybitError
            If Lance fails for another reason.
        ReplacedError
            If another dataset has taken its place.
        FormatError
            If a file is damaged, unless `over_damage`.
        """
        if self.is_pinned:
            raise OptionError(
                f"an old version ({self.version}) can only be read. Open the newest to write."
            )
        with write_errors(self.path), self.mutex, ExitStack() as lock:
            try:
                self._hold = lock.enter_context(writer_lock(self.folder))
            finally:  # also where the folder was removed, after it was replaced
                self._check_current()
            self.refresh()
            self._settle()
            if not over_damage and self.log.exists and (damages := self.damages_of()):
                # What is written over damage would look sound ever after.
                raise damage_error(self, damages)
            yield self.lance

    def _check_current(self) -> None:
        """Raise ReplacedError if another dataset has taken the place of this one."""
        if self.is_current is not None and not self.is_current():
            raise ReplacedError(
                f"{self.path} was replaced: the collection got another model, or was overwritten. "
                "Open it again; the same command, run again, continues."
            )

    def _settle(self) -> None:
        """Finish what a writer that was killed has left: a commit without a record."""
        if self.folder.exists(_RETIRED):  # of an earlier release, see docs/collection-format.md
            self.folder.remove([_RETIRED])
        current = self.version
        for version in sorted(one for one in versions_in(self.folder) if one > current)[::-1]:
            # It could not be read, and blocks the next commit.
            self.folder.move(manifest_of(version), aside_of(version))
        if manifest_of(self.version) not in self.log:
            self._compare(self.lance.get_fragments())
            self.log.record(self.files())

    def apply(self, transaction: Any, ids: tuple[int, ...] | None = None) -> None:
        """Commit what was written and not committed; only while `writing`."""
        operation = transaction.operation
        self.record([*operation.new_fragments, *operation.updated_fragments], ids)
        self.committed(lance_library().LanceDataset.commit(self.lance, transaction))

    def record(self, fragments: Iterable[Any], ids: tuple[int, ...] | None = None) -> None:
        """Bring the files of fragments (their metadata) to the disk; only while `writing`.

        `ids` are the lowest and the highest of their rows.
        """
        fragments = list(fragments)
        for file in [file for one in fragments for file in one.files]:
            written = self.folder.size_of(f"data/{file.path}")
            if file.file_size_bytes and written != file.file_size_bytes:
                raise OSError(
                    f"data/{file.path} must have {file.file_size_bytes} bytes, got {written}"
                )
        self.log.record([path for one in fragments for path in files_of_fragment(one)], ids)
        self.check_lock()

    def check_lock(self) -> None:
        """Raise OSError if another process may write by now; call it before every commit."""
        if self._hold is not None:
            self._hold.check()

    def committed(self, made: Any) -> None:
        """Acknowledge a version that was committed; only while `writing`."""
        try:
            self._open(made.version).get_fragments()
        except (OSError, ValueError, RuntimeError) as cause:
            # A disk that got full at the last bytes: Lance says nothing.
            self.folder.move(manifest_of(made.version), aside_of(made.version))
            raise OSError(f"{manifest_of(made.version)} is incomplete: {cause}") from cause
        # Lance makes two versions of a compaction.
        between = [
            path
            for path in map(manifest_of, range(self._taken + 1, made.version))
            if self.folder.exists(path)
        ]
        facts = facts_of(made)
        self.log.record([*files_of(made.version, facts), *between])
        self._take(made, facts)


def damage_error(dataset: Dataset, damages: dict[int, list[Damage]]) -> FormatError:
    """Say which files are damaged, and which rows they held."""
    listed = []
    for number, some in sorted(damages.items()):
        files = ", ".join(str(one) for one in some)
        listed.append(f"fragment {number} ({rows_of(dataset, number)}): {files}")
    return FormatError(
        f"{dataset.path} is damaged: {'; '.join(listed)}. Restore the files from a copy, or pass "
        "skip_damaged (--skip-damaged) to read all other rows; drop_damaged "
        "(anybit delete --damaged) gives the damaged ones up."
    )


def rows_of(dataset: Dataset, number: int) -> str:
    """Describe the rows of a damaged fragment, without reading it: Lance may crash there."""
    facts = dataset.facts[number]
    n_rows = f"{facts.n_stored:,} rows"
    ids = dataset.log.ids_of(facts.files[0])
    return n_rows if ids is None else f"{n_rows}, numbered from {ids[0]} to {ids[1]}"
