"""What a disk may hold after a power cut, from the system calls that a process made (strace)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CALLS", "Disk", "Event", "read_log"]

CALLS = (
    "openat,creat,write,pwrite64,writev,ftruncate,rename,renameat,renameat2,link,linkat,unlink,"
    "unlinkat,rmdir,mkdir,mkdirat,fsync,fdatasync"
)
_LINE = re.compile(r"^(\d+) +(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\) += +(-?\d+)(?:<(.*?)>)?")
_BEGUN = re.compile(r"^(\w+)\((.*?) *<unfinished \.\.\.>$")
_ENDED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
_ARGUMENT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(?:\.\.\.)?|([^,"\[{<]+(?:<[^>]*>)?)')


@dataclass(frozen=True)
class Event:
    """One call that changed files, or brought them to the disk.

    Parameters
    ----------
    call : str
        "create", "write", "cut", "move", "link", "remove", "folder" or "sync".
    path : str
    content : bytes
        That was written.
    at : int
        Where; -1 for the end.
    to : str
        New name.
    """

    call: str
    path: str
    content: bytes = b""
    at: int = -1
    to: str = ""


def read_log(log: Path) -> Iterator[Event]:
    """Yield the events of a log of ``strace -f -y -xx``, in the order in which calls ended."""
    begun: dict[str, str] = {}
    for line in log.read_text(errors="replace").splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        thread, text = found.groups()
        if part := _BEGUN.match(text):
            begun[thread] = f"{part.group(1)}({part.group(2)}"
            continue
        if rest := _ENDED.match(text):
            text = begun.pop(thread, "") + rest.group(2)
        call = _CALL.match(text)
        if call is not None and int(call.group(3)) >= 0:
            yield from _events(call.group(1), call.group(2), call.group(4))


def _events(call: str, text: str, opened: str | None) -> Iterator[Event]:
    found = (one.groups() for one in _ARGUMENT.finditer(text))
    arguments = [
        bytes.fromhex(quoted.replace("\\x", "")) if other is None else other.strip()
        for quoted, other in found
        if other is None or other.strip()
    ]
    if call in ("openat", "creat"):
        flags = str(arguments[2]) if call == "openat" else "O_CREAT|O_TRUNC"
        if "O_CREAT" in flags or "O_TRUNC" in flags:
            yield Event("create", _plain(opened or ""), at=0 if "O_TRUNC" in flags else -1)
    elif call == "write":
        yield Event("write", _of_descriptor(arguments[0]), arguments[1])
    elif call == "writev":
        parts = [one for one in arguments[1:] if isinstance(one, bytes)]
        yield Event("write", _of_descriptor(arguments[0]), b"".join(parts))
    elif call == "pwrite64":
        yield Event("write", _of_descriptor(arguments[0]), arguments[1], int(arguments[-1]))
    elif call == "ftruncate":
        yield Event("cut", _of_descriptor(arguments[0]), at=int(arguments[1]))
    elif call in ("fsync", "fdatasync"):
        yield Event("sync", _of_descriptor(arguments[0]))
    else:
        paths = _paths(arguments)
        if call.startswith("rename"):
            yield Event("move", paths[0], to=paths[1])
        elif call.startswith("link"):
            yield Event("link", paths[0], to=paths[1])
        elif call.startswith("mkdir"):
            yield Event("folder", paths[0])
        else:
            yield Event("remove", paths[0])


def _paths(arguments: list[str | bytes]) -> list[str]:
    """Return the paths of a call; those relative to an open folder are made whole."""
    paths, folder = [], ""
    for one in arguments:
        if isinstance(one, str):
            folder = _of_descriptor(one) if "<" in one else ""
            continue
        name = one.decode(errors="surrogateescape")
        paths.append(name if name.startswith("/") else f"{folder}/{name}")
        folder = ""
    return paths


def _of_descriptor(text: str | bytes) -> str:
    found = re.search("<(.*)>", str(text))
    return _plain(found.group(1)) if found else ""


def _plain(path: str) -> str:
    """Return a path that strace may have written in hexadecimal."""
    if path.startswith("\\x"):
        return bytes.fromhex(path.replace("\\x", "")).decode(errors="surrogateescape")
    return path


@dataclass(eq=False)
class _File:
    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""


@dataclass(eq=False)
class _Directory:
    entries: dict[str, _File | _Directory] = field(default_factory=dict)
    synced: dict[str, _File | _Directory] = field(default_factory=dict)


class Disk:
    """The files below a folder: as the system shows them, and as far as they are on the disk.

    Parameters
    ----------
    root : str
        An empty folder, which is on the disk; what happens elsewhere is ignored.
    """

    def __init__(self, root: str) -> None:
        self._root, self._top = root.rstrip("/") + "/", _Directory()

    def apply(self, event: Event) -> bool:
        """Let an event happen; tell whether it concerns the folder."""
        if not event.path.startswith(self._root) and event.path + "/" != self._root:
            return False
        if event.call == "sync":
            self._sync(event.path)
        elif event.call == "folder":
            folder, name = self._at(event.path)
            folder.entries.setdefault(name, _Directory())
        elif event.call == "create":
            folder, name = self._at(event.path)
            file = folder.entries.setdefault(name, _File())
            if event.at == 0 and isinstance(file, _File):
                file.content.clear()
        elif event.call in ("write", "cut"):
            self._write(event)
        elif event.call == "remove":
            folder, name = self._at(event.path)
            folder.entries.pop(name, None)
        else:
            folder, name = self._at(event.path)
            target, new = self._at(event.to)
            one = folder.entries.get(name)
            if one is not None:
                target.entries[new] = one
                if event.call == "move":
                    del folder.entries[name]
        return True

    def _at(self, path: str) -> tuple[_Directory, str]:
        *above, name = path.removeprefix(self._root).split("/")
        folder = self._top
        for one in above:
            below = folder.entries.setdefault(one, _Directory())
            assert isinstance(below, _Directory), path
            folder = below
        return folder, name

    def _sync(self, path: str) -> None:
        one: _File | _Directory | None = self._top
        if path + "/" != self._root:
            folder, name = self._at(path)
            one = folder.entries.get(name)
        if isinstance(one, _Directory):
            one.synced = dict(one.entries)
        elif one is not None:
            one.synced = bytes(one.content)

    def _write(self, event: Event) -> None:
        folder, name = self._at(event.path)
        file = folder.entries.get(name)
        if not isinstance(file, _File):  # removed while it was open
            return
        at = len(file.content) if event.at < 0 else event.at
        if event.call == "cut":
            del file.content[at:]
            return
        file.content.extend(bytes(max(0, at - len(file.content))))
        file.content[at : at + len(event.content)] = event.content

    def put(self, target: Path, *, names: str, contents: str) -> None:
        """Write what may be left into an empty folder.

        Parameters
        ----------
        target : Path
        names : {"synced", "all"}
            Which names in folders have survived.
        contents : {"synced", "all", "torn"}
            Of files: what was synced, everything, or of what was not synced the first half.
        """
        self._put(self._top, target, names, contents)

    def _put(self, folder: _Directory, target: Path, names: str, contents: str) -> None:
        for name, one in (folder.synced if names == "synced" else folder.entries).items():
            if isinstance(one, _Directory):
                (target / name).mkdir()
                self._put(one, target / name, names, contents)
                continue
            content = one.synced if contents == "synced" else bytes(one.content)
            if contents == "torn" and content != one.synced:
                content = content[: len(content) // 2]
            (target / name).write_bytes(content)
