"""Progress as lines: when one is due, and an honest rate after a resume."""

from __future__ import annotations

import io

import pytest

from anybit.cli.progress import ProgressLines, duration


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


def lines_of(steps):
    clock, stream = Clock(), io.StringIO()
    progress = ProgressLines(stream, "encoding", clock)
    for second, done, total in steps:
        clock.now_s = 100.0 + second
        progress(done, total)
    return stream.getvalue().splitlines()


def test_line_only_every_few_seconds_and_at_the_end():
    steps = [(1, 10, 100), (4, 40, 100), (6, 60, 100), (8, 80, 100), (10, 100, 100)]
    lines = lines_of([(0, 0, 100), *steps])
    assert lines == [
        "encoding: 60 of 100, 10/s, 4 s left",
        "encoding: 100 of 100, 10/s",
    ]


def test_rate_after_resume_counts_only_new_work():
    # 900 of 1,000 were found done; 50 more in 10 seconds are 5/s, not 95/s.
    assert lines_of([(0, 900, 1000), (10, 950, 1000)]) == ["encoding: 950 of 1,000, 5/s, 10 s left"]


def test_unknown_total_shows_rate_without_time_left():
    assert lines_of([(0, 0, None), (10, 200, None)]) == ["encoding: 200, 20/s"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(41.6, "42 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_duration_in_words(seconds, text):
    assert duration(seconds) == text
