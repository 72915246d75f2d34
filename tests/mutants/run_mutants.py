"""Mutants of the rooms that train and code, each with the tests that run its line.

    PYTHONPATH=tests python -m mutants.run_mutants [--count 300] [--jobs 2] [--output FILE]

A test suite is as good as the errors that it notices. A mutant is the source with one such error;
it survives where no test fails. Survivors that no test can tell from the original, or need not, are
explained in `explained.toml`. The exit code is 1 when more than 5 % of the mutants survive without
an explanation, and 2 when a test fails without mutation.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from mutants.coverage_map import CoverageMap, measured
from mutants.drawing import Mutant, draw
from mutants.explanations import Explanations
from mutants.mutant_run import Outcome, limits_of, run_tests
from mutants.project import ROOMS, Project
from mutants.score import Score, Verdict

__all__ = ["judged"]

_HERE = Path(__file__).parent
_CACHE = "build/mutants"


def main() -> int:
    arguments = _parsed()
    started_s = time.monotonic()
    rooms = tuple(room for room in ROOMS if room in arguments.rooms)
    project = Project(_HERE.parents[1], rooms=rooms)
    drawn = draw(project, arguments.count, arguments.seed)
    wanted = [one for one in drawn if arguments.only in f"{one.path}:{one.line} {one.operator}"]
    if arguments.list:
        for mutant in wanted:
            print(f"{mutant.path}:{mutant.line} {mutant.operator}")
            print(f"  - {mutant.before}\n  + {mutant.after}")
        return 0
    explanations = Explanations.read(arguments.explained)
    print(f"{len(wanted)} mutants; which tests run which lines ...", flush=True)
    needed = [room for room in rooms if room in {mutant.room for mutant in wanted}]
    maps = measured(project, needed, project.root / _CACHE, arguments.jobs)
    outcomes = judged(project, wanted, maps, arguments.jobs)
    verdicts = [
        Verdict(mutant, outcome, "" if outcome.is_killed else explanations.reason(mutant))
        for mutant, outcome in zip(wanted, outcomes, strict=True)
    ]
    score = Score(verdicts, rooms, time.monotonic() - started_s)
    print(score.table())
    print(f"seed {arguments.seed}, {score.seconds / 60:.0f} minutes")
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(score.to_dict(), indent=1) + "\n")
    return 0 if score.is_good else 1


def judged(
    project: Project, mutants: Sequence[Mutant], maps: Mapping[str, CoverageMap], n_jobs: int
) -> list[Outcome]:
    """Run the tests of each mutant.

    Raises
    ------
    RuntimeError
        If the same tests in the same order fail without mutation.
    """
    tests = {mutant.identity: maps[mutant.room].tests_of(mutant) for mutant in mutants}

    def outcome(mutant: Mutant) -> Outcome:
        found = tests[mutant.identity]
        if not found:
            return Outcome("not covered")
        return _run(project, maps[mutant.room], found, (mutant.path, mutant.text))

    with ThreadPoolExecutor(n_jobs) as pool:
        _check_unmutated(project, mutants, maps, tests, pool)
        waiting = {pool.submit(outcome, mutant): mutant for mutant in mutants}
        try:
            for count, one in enumerate(as_completed(waiting), 1):
                mutant, found = waiting[one], one.result()
                print(
                    f"{count:>4}/{len(mutants)} {found.state:<11} {found.seconds:5.0f} s "
                    f"{mutant.path}:{mutant.line} {mutant.operator}",
                    flush=True,
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [one.result() for one in waiting]


def _check_unmutated(
    project: Project,
    mutants: Sequence[Mutant],
    maps: Mapping[str, CoverageMap],
    tests: Mapping[tuple[str, str, str, str], list[str]],
    pool: ThreadPoolExecutor,
) -> None:
    """Fail where tests fail in this order, or together: every mutant would count as killed."""
    needed: dict[str, set[str]] = {}
    for mutant in mutants:
        needed.setdefault(mutant.room, set()).update(tests[mutant.identity])
    runs = [
        pool.submit(_run, project, maps[room], maps[room].in_order(found))
        for room, found in needed.items()
        if found
    ]
    for run in runs:
        found = run.result()
        if found.state != "survived":
            raise RuntimeError(
                f"tests must pass without mutation, got {found.state} in {found.test}: "
                f"{found.message}"
            )


def _run(
    project: Project,
    coverage_map: CoverageMap,
    tests: list[str],
    mutation: tuple[str, str] | None = None,
) -> Outcome:
    costs = coverage_map.costs
    files = list(dict.fromkeys(costs[name].file for name in tests))
    return run_tests(project, limits_of(tests, costs), files, mutation)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=300, help="mutants to draw (300)")
    parser.add_argument("--seed", type=int, default=19, help="of the draw (19)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time (2)")
    parser.add_argument("--rooms", nargs="+", choices=ROOMS, default=ROOMS, help="rooms to mutate")
    parser.add_argument("--only", default="", help="drawn mutants whose file, line or operator ...")
    parser.add_argument("--list", action="store_true", help="list the draw, run nothing")
    parser.add_argument("--explained", type=Path, default=_HERE / "explained.toml")
    parser.add_argument("--output", type=Path, help="JSON file of all mutants")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
