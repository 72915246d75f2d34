"""Instruction sets on which the numeric tests must hold, and which of them a processor has.

A sum in another order ends in other last bits, and training carries a last bit into a codeword.
The libraries choose their order by the processor; an environment variable makes each of them
choose as an older one would.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ARRAY_TESTS", "SCAN_TESTS", "TORCH_TESTS", "Level", "levels", "processor_flags"]

# What multiplies matrices by OpenBLAS, in NumPy, SciPy or FAISS.
ARRAY_TESTS = (
    "tests/unit/quantizers",
    "tests/unit/codes",
    "tests/unit/estimators",
    "tests/unit/evaluation",
    "tests/unit/search",
    "tests/unit/collection/test_export.py",
    "tests/unit/collection/test_faiss.py",
    "tests/unit/papers",
    "tests/property/test_quantizers.py",
    "tests/property/test_codes.py",
    "tests/property/test_evaluation_properties.py",
    "tests/property/test_search_properties.py",
    "tests/golden",
)
# What computes with torch.
TORCH_TESTS = (
    "tests/unit/models",
    "tests/unit/training",
    "tests/unit/collection/test_onnx.py",
    "tests/unit/cli/test_photos.py",
    "tests/property/test_dqn_bound.py",
)
# What ranks by the kernel of this project or its NumPy twin.
SCAN_TESTS = (
    "tests/unit/search",
    "tests/unit/evaluation",
    "tests/unit/collection/test_collection.py",
    "tests/unit/collection/test_live_index.py",
    "tests/property/test_evaluation_properties.py",
    "tests/property/test_search_properties.py",
    "tests/golden",
)

_AVX2 = ("avx2", "fma")
_AVX512 = (*_AVX2, "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl")
# Value of the variable, what /proc/cpuinfo must list, names under which the library reports it.
_OPENBLAS = (
    ("Prescott", ("pni",), ("Prescott", "Katmai")),
    ("Haswell", _AVX2, ("Haswell",)),
    ("SkylakeX", _AVX512, ("SkylakeX",)),
)
_ATEN = (
    ("default", (), ("DEFAULT",)),
    ("avx2", _AVX2, ("AVX2",)),
    ("avx512", _AVX512, ("AVX512",)),
)
_ONEDNN = (
    ("SSE41", ("sse4_1",), ("SSE4.1",)),
    ("AVX", ("avx",), ("AVX",)),
    ("AVX2", _AVX2, ("AVX2",)),
    ("AVX512_CORE", _AVX512, ("AVX-512",)),
)
_KERNEL = ("avx512vbmi", "avx512bw", "avx2", "neon", "portable", "numpy")


@dataclass(frozen=True)
class Level:
    """One run of tests.

    Parameters
    ----------
    variable, value : str
        Set in the environment of the tests; an empty value removes the variable.
    tests : tuple of str
        Files and folders, from the root of the project.
    missing : tuple of str
        What the processor lacks; the level is run only when there is nothing.
    reported : tuple of str
        Names by which the library says that the level is in effect; empty: it cannot say.
    """

    variable: str
    value: str
    tests: tuple[str, ...]
    missing: tuple[str, ...] = ()
    reported: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the table of results calls it."""
        return f"{self.variable}={self.value}" if self.value else f"{self.variable} unset"


def levels(
    flags: Collection[str], kernel_levels: Sequence[str], numpy_features: Sequence[str]
) -> tuple[Level, ...]:
    """List the runs of a processor, those that it cannot do included.

    Parameters
    ----------
    flags : collection of str
        Instruction sets as ``/proc/cpuinfo`` names them.
    kernel_levels : sequence of str
        Values of ``ANYBIT_SIMD`` that this processor takes.
    numpy_features : sequence of str
        Instruction sets beyond its baseline that NumPy uses here.
    """
    found = []
    libraries = (
        ("OPENBLAS_CORETYPE", _OPENBLAS, ARRAY_TESTS),
        ("ATEN_CPU_CAPABILITY", _ATEN, TORCH_TESTS),
        ("ONEDNN_MAX_CPU_ISA", _ONEDNN, TORCH_TESTS),
    )
    for variable, values, tests in libraries:
        for value, needed, reported in values:
            missing = tuple(flag for flag in needed if flag not in flags)
            found.append(Level(variable, value, tests, missing, reported))
    if numpy_features:
        features = " ".join(numpy_features)
        found.append(Level("NPY_DISABLE_CPU_FEATURES", features, ARRAY_TESTS, (), ("none",)))
    for value in _KERNEL:
        missing = () if value in kernel_levels else (value,)
        found.append(Level("ANYBIT_SIMD", value, SCAN_TESTS, missing, (value,)))
    for value in ("4", ""):
        found.append(Level("OMP_NUM_THREADS", value, (*ARRAY_TESTS, *TORCH_TESTS)))
    return tuple(found)


def processor_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the instruction sets that the system lists; none where it keeps no such file."""
    if not path.is_file():
        return frozenset()
    for line in path.read_text().splitlines():
        name, _, values = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(values.split())
    return frozenset()
