"""A draw of mutants by a seed that a change elsewhere does not upset."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from mutants.mutations import Change, SourceFile, Statement
from mutants.project import Project

__all__ = ["Mutant", "draw"]


@dataclass(frozen=True)
class Mutant:
    """A source file with one change.

    Parameters
    ----------
    room, path : str
    line : int
        First line that differs.
    before, after : str
        The lines that differ, stripped and joined.
    operator : str
    statement : Statement
    text : str
        The whole file, changed.
    """

    room: str
    path: str
    line: int
    before: str
    after: str
    operator: str
    statement: Statement
    text: str = field(repr=False)

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What stays the same while other lines of the file come and go."""
        return self.path, self.operator, self.before, self.after


def draw(project: Project, n_mutants: int, seed: int) -> list[Mutant]:
    """Draw mutants of the rooms of a project.

    Every statement that can be changed has the same chance, and so has every operator within it;
    a value becomes ``None`` only where nothing else can be changed, because that mostly fails
    whatever a test asserts.

    Parameters
    ----------
    project : Project
    n_mutants : int
        All when there are fewer statements.
    seed : int

    Returns
    -------
    mutants : list of Mutant
        At most one for each statement, by room, file and line.

    Notes
    -----
    Statements are taken in the order of a hash of seed, file, scope and text. An edit therefore
    changes the mutants of the edited statements and, at the end of the order, a few others.
    """
    ranked = []
    for room in project.rooms:
        for path in project.sources(room):
            source = SourceFile((project.root / path).read_text())
            for place, changes in _by_statement(source).items():
                ranked.append((_rank(seed, path, *place), room, path, source, changes))
    drawn: list[Mutant] = []
    for rank, room, path, source, changes in sorted(ranked, key=lambda one: one[0]):
        if len(drawn) == n_mutants:
            break
        found = _first_valid(rank, source, changes)
        if found is not None:
            change, text = found
            line, before, after = source.lines_changed(text)
            drawn.append(
                Mutant(room, path, line, before, after, change.operator, change.statement, text)
            )
    order = {room: place for place, room in enumerate(project.rooms)}
    return sorted(drawn, key=lambda one: (order[one.room], one.path, one.line, one.after))


def _by_statement(source: SourceFile) -> dict[tuple[str, str, int], list[Change]]:
    """Return the changes of each statement, named by scope, text and which of equal ones it is."""
    seen: Counter[tuple[str, str]] = Counter()
    named: dict[Statement, tuple[str, str, int]] = {}
    found: dict[tuple[str, str, int], list[Change]] = defaultdict(list)
    for change in source.changes:
        statement = change.statement
        if statement not in named:
            place = (statement.scope, statement.text)
            named[statement] = (*place, seen[place])
            seen[place] += 1
        found[named[statement]].append(change)
    return found


def _first_valid(rank: str, source: SourceFile, changes: list[Change]) -> tuple[Change, str] | None:
    """Return the first change that makes another program; those to ``None`` come last."""
    places: Counter[str] = Counter()
    ranked = []
    for change in changes:
        operator = change.operator
        by_itself = _rank(rank, operator, places[operator])
        ranked.append((change.is_to_none, _rank(rank, operator), by_itself, change))
        places[operator] += 1
    for *_, change in sorted(ranked, key=lambda one: one[:3]):
        text = source.mutated(change)
        if text is not None:
            return change, text
    return None


def _rank(*parts: object) -> str:
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()
