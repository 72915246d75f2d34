"""After a power cut at any moment a collection opens, with all that was acknowledged."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anybit.collection import Collection
from anybit.errors import FormatError
from crash.disk_log import CALLS, Disk, Event, read_log
from crash.migration_worker import vectors_of, write_models
from crash.power_cut_worker import STATES

N_CUTS = int(os.environ.get("ANYBIT_POWER_CUTS", "40"))
# Names and contents that survive: only what was synced, everything, or a file system that brings
# names to the disk before contents.
_SURVIVING = [("synced", "synced"), ("all", "all"), ("all", "torn")]
_TESTS = Path(__file__).parents[1]


def record(folder: Path) -> list[Event]:
    """Run the worker under strace and return what it did, or skip where that is not possible."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed (apt-get install strace)")
    (folder / "disk").mkdir()
    write_models(folder / "models")
    arguments = [strace, "-f", "-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}",
                 "-o", str(folder / "log"), sys.executable, "-m", "crash.power_cut_worker",
                 str(folder / "disk"), str(folder / "models")]  # fmt: skip
    done = subprocess.run(arguments, cwd=_TESTS, capture_output=True, text=True)
    if "ptrace" in done.stderr and not (folder / "disk/shop").exists():
        pytest.skip(f"strace cannot trace here: {done.stderr[:200]}")
    assert done.returncode == 0, done.stderr
    return list(read_log(folder / "log"))


def check(place: Path, n_acknowledged: int) -> None:
    """Check what a power cut has left after so many acknowledged operations."""
    try:
        opened = Collection.open(place, device="cpu")
    except FormatError as cause:
        if n_acknowledged:
            raise AssertionError("a collection that was made does not open") from cause
        return
    index = opened.index()
    generations = np.zeros(0, dtype=np.int64)
    if len(index.ids):
        generations = opened.get(index.ids, ["generation"])["generation"].to_numpy()
    found = dict(zip(index.ids.tolist(), generations.tolist(), strict=True))
    before, after = STATES[max(n_acknowledged - 1, 0)], STATES[min(n_acknowledged, len(STATES) - 1)]
    assert before.items() <= found.items() or after.items() == found.items()
    # The many single additions are acknowledged one by one; of others there is all or nothing.
    assert found.items() <= after.items() or found == before
    expected = opened.codebooks.encode(vectors_of(index.ids, generations))
    np.testing.assert_array_equal(index.codes.planes, expected.planes)
    assert opened.verify().damages == ()
    one = opened.codebooks.encode(vectors_of([5], [5]))
    opened.add_codes(one, np.array([10**9]), opened.model_fingerprint)
    assert opened.delete(np.array([10**9])) == 1


@pytest.mark.slow
def test_a_power_cut_at_any_moment_loses_nothing_acknowledged(tmp_path):
    events = record(tmp_path)
    root = str(tmp_path / "disk")
    # After each sync much has changed at once; the others are drawn by lot.
    syncs = [
        at for at, one in enumerate(events) if one.call == "sync" and one.path.startswith(root)
    ]
    rng = random.Random(0)
    cuts = {*rng.sample(syncs, min(len(syncs), N_CUTS // 2)), len(events) - 1}
    cuts.update(rng.sample(range(len(events)), N_CUTS - N_CUTS // 2))
    disk, n_acknowledged, n_checked = Disk(root), 0, 0
    for at, event in enumerate(events):
        disk.apply(event)
        n_acknowledged += event.path == f"{root}.acknowledged" and event.call == "write"
        if at not in cuts:
            continue
        for names, contents in _SURVIVING:
            left = tmp_path / "left"
            left.mkdir()
            disk.put(left, names=names, contents=contents)
            try:
                check(left / "shop", n_acknowledged)
            except BaseException as cause:
                cause.add_note(
                    f"cut after event {at} of {len(events)} ({event.call} {event.path}), names: "
                    f"{names}, contents: {contents}, acknowledged: {n_acknowledged}"
                )
                raise
            shutil.rmtree(left)
            n_checked += 1
    assert n_acknowledged == len(STATES)
    sys.stdout.write(f"\n{len(events)} events, {n_checked} disks after a power cut\n")


@pytest.mark.parametrize(
    ("names", "contents", "expected"),
    [
        ("synced", "synced", {}),
        ("all", "synced", {"a/x": b"12345678", "c": b""}),
        ("all", "all", {"a/x": b"123456789", "c": b"abcd"}),
        ("all", "torn", {"a/x": b"1234", "c": b"ab"}),
    ],
)
def test_a_disk_after_a_power_cut(tmp_path, names, contents, expected):
    disk = Disk("/r")
    for event in (
        Event("folder", "/r/a"),
        Event("create", "/r/a/x"),
        Event("write", "/r/a/x", b"12345678"),
        Event("sync", "/r"),
        Event("sync", "/r/a/x"),
        Event("write", "/r/a/x", b"9"),
        Event("create", "/r/b"),
        Event("write", "/r/b", b"abcd"),
        Event("move", "/r/b", to="/r/c"),
    ):
        assert disk.apply(event)
    assert not disk.apply(Event("write", "/elsewhere", b"1"))
    disk.put(tmp_path, names=names, contents=contents)
    found = {
        str(one.relative_to(tmp_path)): one.read_bytes()
        for one in tmp_path.rglob("*")
        if one.is_file()
    }
    assert found == expected


def test_a_log_of_system_calls_is_read(tmp_path):
    path = "".join(f"\\x{one:02x}" for one in b"/r/x")
    (tmp_path / "log").write_text(
        f'7 openat(AT_FDCWD</r>, "{path}", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0666) = 3</r/x>\n'
        '7 write(3</r/x>, "\\x61\\x62", 2 <unfinished ...>\n'
        "8 fsync(4</r>) = 0\n"
        "7 <... write resumed>) = 2\n"
        f'7 unlinkat(4</r>, "\\x78", 0) = 0\n'
        f'7 renameat2(AT_FDCWD</r>, "{path}", AT_FDCWD</r>, "{path}", RENAME_NOREPLACE) = 0\n'
        f'7 mkdir("{path}", 0777) = -1 EEXIST (File exists)\n'
        "7 +++ exited with 0 +++\n"
    )
    assert list(read_log(tmp_path / "log")) == [
        Event("create", "/r/x", at=0),
        Event("sync", "/r"),
        Event("write", "/r/x", b"ab"),
        Event("remove", "/r/x"),
        Event("move", "/r/x", to="/r/x"),
    ]
