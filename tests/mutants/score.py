"""The score of a run: a table by room, the survivors, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mutants.drawing import Mutant
from mutants.mutant_run import Outcome

__all__ = ["LARGEST_UNEXPLAINED_SHARE", "Score", "Verdict"]

LARGEST_UNEXPLAINED_SHARE = 0.05


@dataclass(frozen=True)
class Verdict:
    """A mutant, how its tests went, and why it survived."""

    mutant: Mutant
    outcome: Outcome
    reason: str = ""

    @property
    def is_unexplained(self) -> bool:
        """Whether it survived without a reason."""
        return not self.outcome.is_killed and not self.reason


@dataclass(frozen=True)
class Score:
    """The verdicts of a run."""

    verdicts: Sequence[Verdict]
    rooms: Sequence[str]
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether at most 5 % of the mutants survived unexplained."""
        n_unexplained = sum(one.is_unexplained for one in self.verdicts)
        return n_unexplained <= LARGEST_UNEXPLAINED_SHARE * len(self.verdicts)

    def table(self) -> str:
        """Return a line a room, then the unexplained survivors."""
        rows = [("room", "mutants", "killed", "of these timeouts", "explained", "unexplained",
                 "of these not covered", "killed %")]  # fmt: skip
        for room in (*self.rooms, "all"):
            rows.append(
                self._row(room, [v for v in self.verdicts if room in (v.mutant.room, "all")])
            )
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            "  ".join(
                [f"{row[0]:<{widths[0]}}"]
                + [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
            )
            for row in rows
        ]
        for verdict in self.verdicts:
            if verdict.is_unexplained:
                mutant, state = verdict.mutant, verdict.outcome.state
                lines += [
                    "",
                    f"{mutant.path}:{mutant.line} {mutant.operator} ({state}, "
                    f"{verdict.outcome.n_tests} tests)",
                    f"  - {mutant.before}",
                    f"  + {mutant.after}",
                ]
        return "\n".join(lines)

    def _row(self, room: str, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
        states = [one.outcome.state for one in verdicts]
        n_killed = sum(one.outcome.is_killed for one in verdicts)
        unexplained = [one for one in verdicts if one.is_unexplained]
        counts = [
            len(verdicts),
            n_killed,
            states.count("timeout"),
            len(verdicts) - n_killed - len(unexplained),
            len(unexplained),
            sum(one.outcome.state == "not covered" for one in unexplained),
        ]
        share = f"{100 * n_killed / len(verdicts):.1f}" if verdicts else "-"
        return room, *(str(count) for count in counts), share

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "seconds": round(self.seconds, 1),
            "is_good": self.is_good,
            "mutants": [
                {
                    "room": one.mutant.room,
                    "file": one.mutant.path,
                    "line": one.mutant.line,
                    "operator": one.mutant.operator,
                    "before": one.mutant.before,
                    "after": one.mutant.after,
                    "state": one.outcome.state,
                    "test": one.outcome.test,
                    "message": one.outcome.message,
                    "n_tests": one.outcome.n_tests,
                    "seconds": round(one.outcome.seconds, 1),
                    "reason": one.reason,
                }
                for one in self.verdicts
            ],
        }
