"""Rows that prove themselves: all of a row follows from its id and its generation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from anybit.codes import Codebooks, Codes, ModelFolder, write_model_folder
from anybit.collection import Collection

N_LEVELS, N_CODEWORDS, DIM = 3, 16, 8
N_BUCKETS = 12
_TESTS = Path(__file__).parents[1]


def codeword_values():
    """Return codewords (M, K, D) of small whole numbers: float32 adds them without rounding."""
    return np.random.default_rng(20).integers(0, 16, (N_LEVELS, N_CODEWORDS, DIM))


def new_collection(folder: Path, place: str | Path | None = None) -> Collection:
    """Make an empty collection of vectors, in a folder that is not there yet or elsewhere."""
    folder.mkdir(parents=True)
    content = {"method": "rq", "backbone": {"name": "none"}}
    codebooks = Codebooks.stacked(codeword_values().astype(np.float32))
    write_model_folder(folder / "model", ModelFolder(content, {}), codebooks)
    return Collection.create(place or folder / "shop", folder / "model", device="cpu")


def mixed(ids, generations):
    """Return a number (n,), uint64, for each id and generation (splitmix64)."""
    value = np.asarray(ids, dtype=np.int64).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    value = value + np.asarray(generations, dtype=np.int64).astype(np.uint64) + np.uint64(1)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = (value ^ (value >> np.uint64(shift))) * np.uint64(factor)
    return value ^ (value >> np.uint64(31))


def buckets_of(ids, generations):
    """Return the values (n,) of the column ``bucket``."""
    return (mixed(ids, generations) % np.uint64(N_BUCKETS)).astype(np.int64)


def rows_in(model: dict[int, int], bucket: int) -> dict[int, int]:
    """Return the rows of a model, generation by id, that are in a bucket."""
    chosen = buckets_of(list(model), list(model.values())) == bucket
    return {one: model[one] for one in np.array(list(model), dtype=np.int64)[chosen].tolist()}


def codes_of(ids, generations):
    """Return the codes of rows."""
    value = mixed(ids, generations)
    shifts = np.array([40, 48, 56], dtype=np.uint64)[:, None]
    return Codes(((value >> shifts) % np.uint64(N_CODEWORDS)).astype(np.uint8), N_CODEWORDS)


def columns_of(ids, generations):
    """Return the other columns of rows."""
    value = mixed(ids, generations)
    pairs = zip(np.asarray(ids).tolist(), np.asarray(generations).tolist(), strict=True)
    return pa.table(
        {
            "key": [f"{one} of {generation}" for one, generation in pairs],
            "labels": [[f"class {one}"] for one in (value % np.uint64(5)).tolist()],
            "generation": pa.array(generations, pa.int64()),
            "bucket": buckets_of(ids, generations),
            "proof": (value >> np.uint64(1)).astype(np.int64),
        }
    )


def check_untorn(ids, rows: pa.Table) -> None:
    """Check that no row mixes generations: its columns, and its codes where they were read."""
    generations = rows["generation"].to_numpy()
    expected = columns_of(ids, generations)
    for name in expected.column_names:
        assert rows[name].to_pylist() == expected[name].to_pylist(), f"torn rows in {name}"
    planes = codes_of(ids, generations).planes
    for level, plane in enumerate(planes):
        name = f"level_{level:02d}"
        if name in rows.column_names:
            np.testing.assert_array_equal(rows[name].to_numpy(), plane, err_msg=f"torn in {name}")


def ranked(ids, generations, query, n_levels: int):
    """Rank rows by plain arithmetic: ids and scores, best first, ties to the lower id."""
    ids = np.asarray(ids, dtype=np.int64)
    planes = codes_of(ids, generations).planes[:n_levels]
    vectors = sum(values[plane] for values, plane in zip(codeword_values(), planes, strict=False))
    scores = vectors @ np.asarray(query).astype(np.int64)
    order = np.lexsort((ids, -scores))
    return ids[order], scores[order]


def spawn(module: str, *arguments: object, errors: Path) -> subprocess.Popen[str]:
    """Start a fresh interpreter (Lance does not survive a fork) on a module of this folder."""
    listed: Sequence[str] = [str(one) for one in arguments]
    with errors.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-m", f"crash.{module}", *listed],
            cwd=_TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True,
        )  # fmt: skip


def say(line: str) -> None:
    """Tell the process that started this one."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
