"""Our search against FAISS in one process: speed, quality, bandwidth, equal answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from anybit.bench.environment import environment
from anybit.bench.faiss_peers import DIM, World
from anybit.bench.identity import compare_paths
from anybit.bench.timing import ReadProbe, Times, in_turns, on_one_processor
from anybit.codes import BytePlanes, Codebooks, Codes
from anybit.errors import OptionError
from anybit.search import Index, simd_level
from anybit.types import Float32Array

__all__ = ["ROWS", "Row", "SearchBenchOptions", "bench_search"]

TOP_K = 10
SMALL, MIDDLE = 2**16, 10**6
_ONES = 8  # single queries of a round

ROWS = tuple("1 1b 2 2b 3 4 5 5b 6 7 7b 8 13 13b 13c 14 14b 15 16".split())
"""The rows of the table, by name."""


@dataclass(frozen=True)
class SearchBenchOptions:
    """What to run.

    Parameters
    ----------
    rows : tuple of str
        Of `ROWS`.
    n_rounds : int
        Rounds in which every contender takes its turn.
    large_items : int
        Items of the largest database of rows 7 and 8, which should not fit into any cache.
    """

    rows: tuple[str, ...] = ROWS
    n_rounds: int = 15
    large_items: int = 2**25

    def __post_init__(self) -> None:
        unknown = [row for row in self.rows if row not in ROWS]
        if unknown:
            raise OptionError(f"rows must be among {', '.join(ROWS)}, got {unknown[0]}.")
        if self.n_rounds < 1 or self.large_items < 1:
            raise OptionError("rounds and items must be at least 1.")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    row, what : str
    value : float
        A ratio of the least times, above 1 where ours is faster; in row 15 a share, in row 16
        microseconds.
    target : float
    is_reached : bool
    details : dict
        Times, quality, bytes of an item, bandwidth.
    """

    row: str
    what: str
    value: float
    target: float
    is_reached: bool
    details: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        plain = asdict(self)
        return {**plain.pop("details"), **plain}


@dataclass(frozen=True)
class _Contest:
    """Ours against theirs: what is asked, and how many bytes an item takes on either side."""

    row: str
    what: str
    target: float
    ours: tuple[Any, ...]
    theirs: tuple[Any, ...]
    batch: int
    n_items: int


_CONTESTS = (
    _Contest("1", "64 bit, 2^16 items, 1 query; IndexPQFastScan 16x4", 2.0,
             ("ours", 8, 8, SMALL), ("fast_scan", 16, SMALL), 1, SMALL),
    _Contest("1b", "the same, ours with K = 16", 2.0,
             ("ours", 16, 4, SMALL), ("fast_scan", 16, SMALL), 1, SMALL),
    _Contest("2", "row 1, 32 queries", 1.8,
             ("ours", 8, 8, SMALL), ("fast_scan", 16, SMALL), 32, SMALL),
    _Contest("2b", "the same, 32 queries, ours with K = 16", 1.8,
             ("ours", 16, 4, SMALL), ("fast_scan", 16, SMALL), 32, SMALL),
    _Contest("3", "64 bit, 2^16 items, 1 query; IndexPQ 8x8", 9.0,
             ("ours", 8, 8, SMALL), ("pq", 8, SMALL), 1, SMALL),
    _Contest("4", "the same codes; IndexResidualQuantizer 8x8", 60.0,
             ("ours", 8, 8, SMALL), ("rq", 8, 8, SMALL), 1, SMALL),
    _Contest("5", "K = 16, 64 bit, the same codes, 1 query; IndexAdditiveQuantizerFastScan", 2.5,
             ("ours", 16, 4, SMALL), ("rq_fast_scan", 16, SMALL), 1, SMALL),
    _Contest("5b", "the same, 32 queries", 2.5,
             ("ours", 16, 4, SMALL), ("rq_fast_scan", 16, SMALL), 32, SMALL),
    _Contest("6", "32 bit, 10^6 items, 32 queries; IndexPQFastScan 8x4", 2.5,
             ("ours", 4, 8, MIDDLE), ("fast_scan", 8, MIDDLE), 32, MIDDLE),
    _Contest("13", "32 bit, 10^6 items, 1 query; IndexBinaryFlat", 2.0,
             ("ours", 4, 8, MIDDLE), ("binary", 32, MIDDLE), 1, MIDDLE),
    _Contest("13b", "the same, 32 queries", 2.0,
             ("ours", 4, 8, MIDDLE), ("binary", 32, MIDDLE), 32, MIDDLE),
    _Contest("13c", "K = 2, 64 bit, 10^6 items, 1 query; IndexBinaryFlat", 2.0,
             ("ours_binary", 64, MIDDLE), ("binary", 64, MIDDLE), 1, MIDDLE),
    _Contest("14", "product codes, 64 bit, 1 query; IndexPQ 8x8", 8.0,
             ("ours_product", 8, SMALL), ("pq", 8, SMALL), 1, SMALL),
    _Contest("14b", "the same; IndexPQFastScan 16x4", 1.6,
             ("ours_product", 8, SMALL), ("fast_scan", 16, SMALL), 1, SMALL),
)  # fmt: skip


def bench_search(
    options: SearchBenchOptions | None = None, *, on_row: Callable[[Row], None] | None = None
) -> dict[str, Any]:
    """Run the table, and return it with what it depends on.

    Every contender is asked in its turn, on one processor and one thread, beside a plain read of
    64 MiB; what counts is the least time of all rounds. FAISS runs at each of its instruction sets,
    and the best one counts.

    Parameters
    ----------
    options : SearchBenchOptions, optional
    on_row : callable, optional
        Called with every row as it is done.

    Raises
    ------
    DependencyError
        If FAISS is missing, and a row needs it.
    """
    options = options or SearchBenchOptions()
    started = environment(("numpy", "faiss-cpu"))
    rows = []
    has_contests = any(contest.row in options.rows for contest in _CONTESTS)
    with on_one_processor():
        world = World() if has_contests else None
        for row in _rows(world, options):
            rows.append(row)
            if on_row is not None:
                on_row(row)
    return {
        **started,
        "seed": 0,
        "simd": {"anybit": simd_level(), "faiss": list(world.simd_levels()) if world else []},
        "rows": [row.to_dict() for row in rows],
    }


def _rows(world: World | None, options: SearchBenchOptions) -> Iterator[Row]:
    for contest in _CONTESTS:
        if world is not None and contest.row in options.rows:
            yield _compared(world, contest, options.n_rounds)
    for n_codewords, names in ((256, ("7", "8")), (16, ("7b", ""))):
        for n_items in (MIDDLE, options.large_items):
            if set(names) & set(options.rows):
                rows = _bandwidth(n_items, n_codewords, names, options.n_rounds)
                yield from (row for row in rows if row.row in options.rows)
    if "15" in options.rows:
        yield _identity()
    if "16" in options.rows:
        yield _overhead(options.n_rounds)


def _asking(index: Any, queries: np.ndarray[Any, Any], batch: int) -> Callable[[], object]:
    """Return what asks for the best of `_ONES` single queries, or of one batch."""
    if batch > 1:
        return lambda: index.search(queries[:batch], TOP_K)
    ones = [queries[number : number + 1] for number in range(_ONES)]
    return lambda: [index.search(query, TOP_K) for query in ones]


def _at_level(set_level: Callable[[], None], ask: Callable[[], object]) -> Callable[[], object]:
    def work() -> object:
        set_level()
        return ask()

    return work


def _compared(world: World, contest: _Contest, n_rounds: int) -> Row:
    """Run one contest."""
    ours, theirs = world.kept(*contest.ours), world.kept(*contest.theirs)
    is_binary = contest.theirs[0] == "binary"
    asked: np.ndarray[Any, Any] = world.queries
    if is_binary:
        bits = np.random.default_rng(5).integers(0, 256, (len(world.queries), theirs.code_size))
        asked = bits.astype(np.uint8)
    probe = ReadProbe()
    works: dict[str, Callable[[], object]] = {
        "ours": _asking(ours, world.queries, contest.batch),
        "read": probe,
    }
    for name, set_level in world.simd_levels().items():
        works[name] = _at_level(set_level, _asking(theirs, asked, contest.batch))
    times = in_turns(works, n_rounds)
    own, read = times.pop("ours"), times.pop("read")
    best = min(times, key=lambda name: times[name].least)
    world.simd_levels()[best]()
    n_queries = contest.batch if contest.batch > 1 else _ONES
    details = {
        "ours_ms_per_query": _milliseconds(own.least, n_queries),
        "theirs_ms_per_query": _milliseconds(times[best].least, n_queries),
        "theirs_simd": best,
        "ratio_of_medians": round(times[best].median / own.median, 2),
        "read_gb_per_s": probe.gb_per_s(read),
        "ours_bytes_per_item": ours.codes.code_bytes,
        "theirs_bytes_per_item": int(theirs.code_size),
    }
    if not is_binary:
        nearest = world.nearest(contest.n_items, TOP_K)
        details["ours_recall_at_10"] = _recall(ours.search(world.queries, TOP_K).ids, nearest)
        details["theirs_recall_at_10"] = _recall(theirs.search(world.queries, TOP_K)[1], nearest)
    ratio = times[best].least / own.least
    reached = ratio >= contest.target
    return Row(contest.row, contest.what, round(ratio, 2), contest.target, reached, details)


def _milliseconds(seconds: float, n_queries: int) -> float:
    return round(1e3 * seconds / n_queries, 4)


def _recall(found: np.ndarray[Any, Any], nearest: np.ndarray[Any, Any]) -> float:
    """Return the share of the true best that were found."""
    pairs = zip(found, nearest, strict=True)
    shares = [len(np.intersect1d(own, true)) / len(true) for own, true in pairs]
    return round(float(np.mean(shares)), 4)


def _bandwidth(n_items: int, n_codewords: int, names: tuple[str, str], n_rounds: int) -> list[Row]:
    """Rows 7 and 8: one query as a share of a plain read, and four queries against one."""
    rng = np.random.default_rng(6)
    n_levels = 32 // (n_codewords.bit_length() - 1)
    values = rng.standard_normal((n_levels, n_codewords, DIM)).astype(np.float32)
    planes = rng.integers(0, 256, (4, n_items), dtype=np.uint8)  # of bytes, whatever K is
    index = Index(Codebooks.stacked(values), BytePlanes(planes, n_levels, n_codewords))
    queries: Float32Array = rng.standard_normal((4, DIM)).astype(np.float32)
    words = planes.reshape(-1)[: planes.size // 8 * 8].view(np.int64)
    works: dict[str, Callable[[], object]] = {
        "read": lambda: np.bitwise_or.reduce(words),
        "one": lambda: index.search(queries[:1], TOP_K),
        "four": lambda: index.search(queries, TOP_K),
    }
    times = in_turns(works, n_rounds)
    share = times["read"].least / times["one"].least
    gain = 4 * times["one"].least / times["four"].least

    def gb_per_s(own: Times) -> float:
        return round(planes.nbytes / own.least / 1e9, 2)

    speeds = {"read_gb_per_s": gb_per_s(times["read"]), "ours_gb_per_s": gb_per_s(times["one"])}
    millis = {"ours_ms_per_query": _milliseconds(times["one"].least, 1)}
    what = f"{n_items:,} items of 32 bit, K = {n_codewords}"
    own = {"four_ms_per_query": _milliseconds(times["four"].least, 4)}
    return [
        Row(names[0], f"{what}, 1 query; a plain read", round(share, 2), 0.85, share >= 0.85,
            {**speeds, **millis}),
        Row(names[1], f"{what}, batches of 4; our own single query", round(gain, 2), 2.5,
            gain >= 2.5, own),
    ]  # fmt: skip


def _identity() -> Row:
    """Row 15: every path against the NumPy twin."""
    counts = compare_paths()
    share = counts.n_same / counts.n_cases
    details = {"n_cases": counts.n_cases, "paths": list(counts.paths)}
    what = f"identical on {counts.n_cases} cases: {', '.join(counts.paths)}"
    return Row("15", what, share, 1.0, share == 1.0, details)


def _overhead(n_rounds: int) -> Row:
    """Row 16: table building and the call, D = 128, 8 levels of 256, hardly any items."""
    rng = np.random.default_rng(7)
    scales: Float32Array = (0.7 ** np.arange(8)).astype(np.float32)
    codebooks = Codebooks.shared(rng.standard_normal((256, DIM)).astype(np.float32), scales)
    index = Index(codebooks, Codes(rng.integers(0, 256, (8, 16), dtype=np.uint8)))
    query: Float32Array = rng.standard_normal((1, DIM)).astype(np.float32)
    times = in_turns({"call": lambda: [index.search(query, TOP_K) for _ in range(100)]}, n_rounds)
    micro = 1e6 * times["call"].least / 100
    what = "microseconds of a call, tables included, D = 128; less is better"
    return Row("16", what, round(micro, 1), 10.0, micro <= 10.0, {"unit": "microseconds"})
