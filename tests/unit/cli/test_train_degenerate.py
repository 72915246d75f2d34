"""``anybit train`` on repeated, few and extreme vectors."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from anybit.cli import app

RNG = np.random.default_rng(0)
REPEATED = {
    "one-hot classes": (np.eye(8, dtype=np.float32)[RNG.integers(0, 8, 300)], 16),
    "200 distinct rows": (RNG.normal(size=(200, 16))[RNG.integers(0, 200, 1000)], 256),
    "integers": (RNG.integers(0, 200, (1000, 1)), 256),
    "binary columns": (RNG.integers(0, 2, (1000, 8)), 256),
}


def train(tmp_path, vectors, *flags):
    np.save(tmp_path / "x.npy", vectors)
    arguments = ["train", str(tmp_path / "x.npy"), "--output", str(tmp_path / "model"), *flags]
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize("name", REPEATED)
def test_fewer_distinct_vectors_than_codewords_train_exactly(tmp_path, name):
    vectors, n_codewords = REPEATED[name]
    flags = ["--bits", "16", "--codewords", str(n_codewords), "--json"]
    done = train(tmp_path, vectors.astype(np.float32), *flags)
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    energy = np.square(vectors, dtype=np.float64).sum(axis=1).mean()
    distortions = np.array(summary["distortion_per_level"])
    assert (distortions >= 0).all()
    assert distortions.max() <= 1e-12 * energy
    assert any("level 1 describes the training vectors exactly" in one
               for one in summary["warnings"])  # fmt: skip
    assert "add no information" in done.stderr


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((1, 8)), "got 1. Give more vectors"),
        (np.zeros((0, 8)), "must hold at least one item"),
        (np.where(np.arange(8) == 2, np.nan, np.ones((300, 8))), "columns; the first: 2. Leave"),
        (RNG.normal(size=(300, 8)) * 1e20, "Divide all vectors by"),
        (RNG.normal(size=(100, 8)), "at most 64 codewords (n_codewords, --codewords)"),
    ],
    ids=["one row", "no row", "a column of NaN", "1e20", "100 rows"],
)
def test_what_cannot_be_learned_from_is_refused_in_terms_of_the_data(tmp_path, vectors, message):
    done = train(tmp_path, vectors.astype(np.float32))
    assert done.exit_code == 1
    assert message in " ".join(done.stderr.split())
    assert not (tmp_path / "model").exists()
