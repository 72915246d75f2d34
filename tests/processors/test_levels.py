"""Which runs a processor gets, and what the table says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from processors.levels import Level, levels, processor_flags
from processors.run_levels import Outcome, run, table

ROOT = Path(__file__).parents[2]
OLD = {"pni", "sse4_1"}
AVX2 = {*OLD, "avx", "avx2", "fma"}
AVX512 = {*AVX2, "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}
OF_THE_SUITE = {
    "OPENBLAS_CORETYPE": ["Prescott", "Haswell", "SkylakeX"],
    "ATEN_CPU_CAPABILITY": ["default", "avx2", "avx512"],
    "ONEDNN_MAX_CPU_ISA": ["SSE41", "AVX", "AVX2", "AVX512_CORE"],
}


def run_by(found):
    """The values of each library that are run."""
    return {
        variable: [one.value for one in found if one.variable == variable and not one.missing]
        for variable in OF_THE_SUITE
    }


@pytest.mark.parametrize(
    ("flags", "n_levels"),
    [(OLD, (1, 1, 1)), (AVX2, (2, 2, 3)), (AVX512, (3, 3, 4)), (set(), (0, 1, 0))],
)
def test_levels_are_those_of_the_flags_from_the_oldest_on(flags, n_levels):
    expected = {
        variable: values[:n]
        for (variable, values), n in zip(OF_THE_SUITE.items(), n_levels, strict=True)
    }
    assert run_by(levels(flags, ["numpy"], [])) == expected


@pytest.mark.parametrize("lacking", ["avx512bw", "avx512dq", "avx512vl"])
def test_a_processor_with_part_of_avx512_does_not_run_it(lacking):
    found = levels(AVX512 - {lacking}, ["numpy"], [])
    assert run_by(found) == run_by(levels(AVX2, ["numpy"], []))
    missing = {one.missing for one in found if one.value in ("SkylakeX", "avx512", "AVX512_CORE")}
    assert missing == {(lacking,)}


def test_every_level_is_listed_even_when_the_processor_has_none():
    names = [one.name for one in levels(AVX512, ["avx2", "portable", "numpy"], [])]
    assert names == [one.name for one in levels(set(), ["numpy"], [])]
    assert len(names) == len(set(names))


def test_scans_are_those_that_the_kernel_offers():
    found = [one for one in levels(OLD, ["avx2", "numpy"], []) if one.variable == "ANYBIT_SIMD"]
    assert [one.value for one in found if not one.missing] == ["avx2", "numpy"]
    assert "avx512bw" in [one.value for one in found if one.missing]


def test_what_the_kernel_can_offer_is_known_here():
    text = (ROOT / "cpp" / "kernel" / "dispatch.cpp").read_text()
    named = [one.value for one in levels((), [], ()) if one.variable == "ANYBIT_SIMD"]
    assert [one for one in named if f'"{one}"' in text] == named[:-1]
    assert text.count("levels.push_back(") == len(named) - 1


def test_features_of_numpy_are_switched_off_together():
    (found,) = [
        one
        for one in levels(AVX2, ["numpy"], ["X86_V3", "X86_V4"])
        if one.variable.startswith("NPY")
    ]
    assert found.value == "X86_V3 X86_V4"
    assert found.reported == ("none",)


def test_tests_of_every_level_are_there():
    paths = {path for one in levels((), [], ("X86_V3",)) for path in one.tests}
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu pni avx2\n\nflags\t: other\n", {"fpu", "pni", "avx2"}),
        ("processor : 0\nFeatures : fp asimd\n", {"fp", "asimd"}),
        ("processor : 0\n", set()),
        (None, set()),
    ],
)
def test_flags_are_read_from_the_first_processor(tmp_path, text, expected):
    path = tmp_path / "cpuinfo"
    if text is not None:
        path.write_text(text)
    assert processor_flags(path) == expected


def test_table_tells_what_failed_and_what_was_not_run():
    good, bad, lacking = (Level("A", value, ()) for value in ("old", "new", "newest"))
    outcomes = [
        Outcome(good, reported="OLD", n_passed=12, n_skipped=1, seconds=60),
        Outcome(bad, reported="NEW", n_passed=11, n_failed=1, seconds=61, failures=("t::x",)),
        Outcome(lacking, "not run: the processor lacks wings", is_run=False),
    ]
    lines = table(outcomes).splitlines()
    assert lines[0].split() == ["level", "in", "effect", "passed", "failed", "skipped", "seconds"]
    assert lines[1].split() == ["A=old", "OLD", "12", "0", "1", "60"]
    assert lines[3].split()[:3] == ["A=newest", "not", "run:"]
    assert lines[4:] == [
        "FAILED t::x (A=new)",
        "2 levels run in 2 minutes, 1 of them failed; 1 not run",
    ]
    assert [one.is_good for one in outcomes] == [True, False, True]
    assert not Outcome(good, "not in effect").is_good


def level_of_a_file(place, text, value="numpy"):
    (place / "test_it.py").write_text(text)
    return Level("ANYBIT_SIMD", value, (str(place / "test_it.py"),), (), ("numpy",))


def test_a_run_counts_its_tests_under_the_value_of_its_level(tmp_path):
    text = """
import os, pytest
def test_value(): assert os.environ["ANYBIT_SIMD"] == "numpy"
def test_threads(): assert os.environ["OMP_NUM_THREADS"] == "1"
def test_bad(): assert 0
def test_none(): pytest.skip("no reason")
"""
    outcome = run(level_of_a_file(tmp_path, text), 1)
    assert (outcome.n_passed, outcome.n_failed, outcome.n_skipped) == (2, 1, 1)
    assert [name.rpartition("::")[2] for name in outcome.failures] == ["test_bad"]
    assert outcome.reported == "numpy"
    assert not outcome.is_good


def test_a_run_that_dies_is_no_success(tmp_path):
    level = level_of_a_file(tmp_path, "import os\ndef test_it(): os.kill(os.getpid(), 4)\n")
    assert not run(level, 1).is_good


def test_a_level_that_the_library_does_not_take_is_no_success(tmp_path):
    outcome = run(level_of_a_file(tmp_path, "def test_it(): pass\n", "mmx"), 1)
    assert outcome.problem == "not in effect, wanted numpy"
    assert not outcome.is_good


def test_an_empty_value_removes_the_variable():
    assert Level("A", "", ()).name == "A unset"
    assert Level("A", "b", ()).name == "A=b"
