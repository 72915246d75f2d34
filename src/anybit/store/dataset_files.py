"""The files of a Lance dataset: their names, and what its fragments are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anybit.store.folders import Folder

__all__ = [
    "FragmentFacts",
    "aside_of",
    "check_end",
    "facts_of",
    "files_of",
    "files_of_fragment",
    "manifest_of",
    "version_of",
    "versions_in",
]

_NEWEST = 2**64 - 1  # manifests are named by what is left to this number
_MANIFEST = ".manifest"
_END = b"LANC"


@dataclass(frozen=True)
class FragmentFacts:
    """What one version of a dataset says about a fragment.

    Parameters
    ----------
    files : tuple of str
        Data files, then the file of its deletions if there is one.
    n_rows, n_stored : int
        Rows that are not deleted, and all rows.
    n_bytes : int
        Of the data files.
    """

    files: tuple[str, ...]
    n_rows: int
    n_stored: int
    n_bytes: int


def facts_of(dataset: Any) -> dict[int, FragmentFacts]:
    """Return the facts of all fragments of a Lance dataset, by their numbers."""
    found = {}
    for fragment in dataset.get_fragments():
        metadata = fragment.metadata
        found[fragment.fragment_id] = FragmentFacts(
            tuple(files_of_fragment(metadata)),
            metadata.num_rows,
            metadata.physical_rows,
            sum(file.file_size_bytes or 0 for file in metadata.files),
        )
    return found


def files_of_fragment(metadata: Any) -> list[str]:
    """Return the files of a fragment, given by its metadata."""
    paths = [f"data/{_name_of(file)}" for file in metadata.files]
    if metadata.deletion_file is not None:
        paths.append(metadata.deletion_file.path(metadata.id))
    return paths


def _name_of(file: Any) -> str:
    # The property `path` makes a class at every call (pylance 14): 0.1 ms, for each fragment.
    name = getattr(file, "_path", None)
    return str(file.path) if name is None else str(name)


def files_of(version: int, facts: dict[int, FragmentFacts]) -> list[str]:
    """Return all files that a version is made of."""
    return [*(path for one in facts.values() for path in one.files), manifest_of(version)]


def versions_in(folder: Folder) -> set[int]:
    """Return the numbers of the versions that have a manifest."""
    n_digits = -len(_MANIFEST)
    stems = [one[:n_digits] for one in folder.names("_versions") if one.endswith(_MANIFEST)]
    return {_NEWEST - int(stem) for stem in stems if stem.isdigit()}


def manifest_of(version: int) -> str:
    """Return the name of a version's manifest."""
    return f"_versions/{_NEWEST - version}{_MANIFEST}"


def version_of(manifest: str) -> int:
    """Return the version of a manifest, given by its name."""
    return _NEWEST - int(manifest.removeprefix("_versions/").removesuffix(_MANIFEST))


def check_end(name: str, manifest: bytes) -> None:
    """Check that a manifest without a record was written to its end.

    Lance 14 panics at some that are cut off, and prints a backtrace.

    Raises
    ------
    ValueError
        If it was not.
    """
    if not manifest.endswith(_END):
        raise ValueError(f"{name} must end with {_END!r}, got {manifest[-4:]!r}: it is cut off.")


def aside_of(version: int) -> str:
    """Return the name under which a manifest that cannot be read is kept."""
    return f"_checksums/unreadable-{version}{_MANIFEST}"
