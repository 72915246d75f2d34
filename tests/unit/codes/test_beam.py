import itertools

import numpy as np
import pytest

from anybit.codes import Codebooks, Codes
from anybit.errors import OptionError

N_LEVELS, N_CODEWORDS, DIM = 3, 4, 5


def stacked(rng, **settings):
    values = rng.normal(size=(N_LEVELS, N_CODEWORDS, DIM)).astype(np.float32)
    return Codebooks.stacked(values, offset=rng.normal(size=DIM).astype(np.float32), **settings)


def shared(rng, **settings):
    values = rng.normal(size=(N_CODEWORDS, DIM)).astype(np.float32)
    return Codebooks.shared(values, np.array([1, 0.7, -0.4], np.float32), **settings)


def errors_of(codebooks, vectors, planes):
    """Squared errors of the first 1, 2, ... levels: (M, N)."""
    parts = [codebooks.decode(Codes(planes[: level + 1], N_CODEWORDS)) for level in range(N_LEVELS)]
    return np.array([((vectors - part) ** 2).sum(axis=1) for part in parts])


@pytest.mark.parametrize("make", [stacked, shared])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_beam_that_keeps_everything_finds_the_best_code(rng, make, weight):
    codebooks = make(rng, beam_size=N_CODEWORDS**N_LEVELS, prefix_weights=(weight, weight))
    vectors = rng.normal(size=(40, DIM)).astype(np.float32)
    weights = np.array([weight, weight, 1])
    found = weights @ errors_of(codebooks, vectors, codebooks.encode(vectors).planes)
    every = [
        weights @ errors_of(codebooks, vectors, np.tile(np.array(code, np.uint8)[:, None], 40))
        for code in itertools.product(range(N_CODEWORDS), repeat=N_LEVELS)
    ]
    np.testing.assert_allclose(found, np.min(every, axis=0), rtol=1e-4)


@pytest.mark.parametrize("make", [stacked, shared])
def test_a_beam_of_one_that_looks_at_the_whole_code_is_greedy(rng, make):
    codebooks = make(rng)
    vectors = rng.normal(size=(300, DIM)).astype(np.float32)
    greedy = codebooks.encode(vectors).planes
    errors = []
    for size in (1, 2, 8):
        beam = make(np.random.default_rng(0), beam_size=size)
        beam = type(beam)(**{**vars(codebooks), "beam_size": size})
        planes = beam.encode(vectors).planes
        errors.append(errors_of(codebooks, vectors, planes)[-1].mean())
        if size == 1:
            np.testing.assert_array_equal(planes, greedy)
    assert errors[0] > errors[1] > errors[2]


def test_shorter_prefixes_gain_by_their_weight(rng):
    vectors = rng.normal(size=(2000, DIM)).astype(np.float32)
    codebooks = stacked(rng, beam_size=8)
    heavy = type(codebooks)(**{**vars(codebooks), "prefix_weights": (1.0, 1.0)})
    light, weighed = (
        errors_of(codebooks, vectors, one.encode(vectors).planes).mean(axis=1)
        for one in (codebooks, heavy)
    )
    assert (weighed[:-1] < light[:-1]).all()
    assert weighed[-1] > light[-1]


def test_the_code_of_a_vector_depends_on_nothing_beside_it(rng):
    codebooks = stacked(rng, beam_size=5, prefix_weights=(0.3, 0.3))
    vectors = rng.normal(size=(60_000, DIM)).astype(np.float32)  # more than one block
    planes = codebooks.encode(vectors).planes
    np.testing.assert_array_equal(codebooks.encode(vectors[-700:]).planes, planes[:, -700:])
    np.testing.assert_array_equal(codebooks.encode(vectors[:9], n_levels=2).planes, planes[:2, :9])


def test_given_levels_stay(rng):
    codebooks = stacked(rng, beam_size=5, prefix_weights=(0.3, 0.3))
    vectors = rng.normal(size=(200, DIM)).astype(np.float32)
    given = Codes(rng.integers(0, N_CODEWORDS, (1, 200)).astype(np.uint8), N_CODEWORDS)
    planes = np.concatenate([given.planes, codebooks.encode_further(vectors, given).planes])
    errors = errors_of(codebooks, vectors, planes)
    for other in itertools.product(range(N_CODEWORDS), repeat=2):
        rest = np.tile(np.array(other, np.uint8)[:, None], 200)
        tried = errors_of(codebooks, vectors, np.concatenate([given.planes, rest]))
        weights = np.array([0.3, 0.3, 1])
        # A beam of 5 of 4 x 4 codes: nearly always the best one.
        assert (weights @ errors <= weights @ tried + 1e-4).mean() > 0.95


def test_how_to_encode_is_stored(rng, tmp_path):
    codebooks = stacked(rng, beam_size=5, prefix_weights=(0.25, 0.5))
    codebooks.save(tmp_path / "x.safetensors")
    loaded = Codebooks.load(tmp_path / "x.safetensors")
    assert (loaded.beam_size, loaded.prefix_weights) == (5, (0.25, 0.5))
    assert (
        "beam_size" not in stacked(rng).to_tensors()[1]
    )  # files of greedy codes stay as they were


@pytest.mark.parametrize(
    "settings",
    [
        {"beam_size": 0},
        {"prefix_weights": (-0.1, 0)},
        {"prefix_weights": (1.0,)},
        {"beam_size": 2, "assignment": "cosine"},
    ],
)
def test_unusable_settings_are_refused(rng, settings):
    with pytest.raises(OptionError, match=r"beam"):
        stacked(rng, **settings)
