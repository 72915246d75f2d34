"""Model folders with a feature map: damage is found, and hostile maps are refused or harmless."""

import json

import numpy as np
import pytest

from anybit.codes import (
    Codebooks,
    FeatureMap,
    ModelFolder,
    feature_map_of,
    read_model_folder,
    write_model_folder,
)
from anybit.collection import load_encoder
from anybit.errors import DataError, FormatError, ShapeError

DIM_IN, DIM = 4, 3


def maps():
    rng = np.random.default_rng(0)
    nodes = [(0, 1, 2), (-1, -1, -1), (1, 3, 4), (-1, -1, -1), (-1, -1, -1)]
    return {
        "identity": FeatureMap.identity(DIM),
        "linear": FeatureMap.linear(rng.normal(size=DIM_IN), rng.normal(size=(DIM_IN, DIM))),
        "anchors": FeatureMap.anchors(
            rng.normal(size=(5, DIM_IN)), 1.0, rng.normal(size=5), rng.normal(size=(5, DIM))
        ),
        "trees": FeatureMap.trees(
            np.array(nodes),
            rng.normal(size=5),
            rng.normal(size=5),
            np.zeros(DIM, np.int64),
            np.arange(DIM),
            dim_in=DIM_IN,
            dim_out=DIM,
        ),
    }


def written(path, kind):
    codebooks = Codebooks.stacked(np.ones((2, 4, DIM)))
    config = {"method": "rq", "backbone": {"name": "none"}}
    write_model_folder(path, ModelFolder(config, {}), codebooks, feature_map=maps()[kind])
    return path


@pytest.mark.parametrize("kind", list(maps()))
def test_flipped_bits_and_cut_files_are_found(kind, tmp_path):
    path = written(tmp_path / "model", kind)
    rng = np.random.default_rng(1)
    for name in ("config.json", "model.safetensors"):
        whole = (path / name).read_bytes()
        for number in range(40):
            damaged = bytearray(whole)
            if number % 4 == 0:
                damaged = damaged[: rng.integers(len(whole))]
            else:
                damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
            (path / name).write_bytes(bytes(damaged))
            try:
                read = read_model_folder(path)
            except FormatError:
                continue
            # White space of the JSON, and bytes between tensors, mean nothing.
            before = maps()[kind].apply(np.ones((2, maps()[kind].dim_in), np.float32))
            after = feature_map_of(read).apply(np.ones((2, maps()[kind].dim_in), np.float32))
            np.testing.assert_array_equal(after, before)
        (path / name).write_bytes(whole)


def mutated(rng, tensors, settings):
    """Change some parts of a map as someone would who writes the fingerprint, too."""
    tensors, settings = dict(tensors), dict(settings)
    for _ in range(rng.integers(1, 4)):
        if tensors and rng.random() < 0.7:
            name = str(rng.choice(list(tensors)))
            array = tensors[name].copy()
            choice = rng.integers(6)
            if choice == 0:
                del tensors[name]
            elif choice == 1:
                tensors[name] = array.reshape(-1)[: rng.integers(array.size + 1)]
            elif choice == 2:
                with np.errstate(invalid="ignore", over="ignore"):
                    tensors[name] = array.astype(rng.choice(["f8", "f4", "i4", "u1", "?"]))
            elif choice == 3 and array.size:
                values = [-(2**31), -2, -1, 0, 1, 3, 5, 2**31 - 1]
                array.reshape(-1)[rng.integers(array.size)] = values[rng.integers(len(values))]
                tensors[name] = array
            elif choice == 4 and array.dtype.kind == "f" and array.size:
                array.reshape(-1)[rng.integers(array.size)] = rng.choice([np.nan, np.inf, 3e38])
                tensors[name] = array
            else:
                tensors[name] = array.T
        else:
            name = str(rng.choice([*settings, "width", "dim", "n_outputs", "surplus"]))
            values = [None, "trees", True, 0, -1, 4, 10**18, 1e-300, [1], {}, float("inf")]
            settings[name] = values[rng.integers(len(values))]
    return tensors, settings


@pytest.mark.parametrize("kind", list(maps()))
def test_hostile_maps_are_refused_or_map_vectors(kind, tmp_path):
    """A fingerprint that fits proves nothing: anybody can compute it."""
    rng, codebooks = np.random.default_rng(2), Codebooks.stacked(np.ones((2, 4, DIM)))
    arrays, described = maps()[kind].to_tensors()
    n_refused = 0
    for _ in range(300):
        tensors, settings = mutated(rng, arrays, described)
        config = {"method": "rq", "backbone": {"name": "none"}, "feature_map": settings}
        held = {f"feature_map.{name}": array for name, array in tensors.items()}
        write_model_folder(tmp_path / "m", ModelFolder(config, held), codebooks, overwrite=True)
        try:
            encoder = load_encoder(tmp_path / "m")
            made = encoder.features(rng.normal(size=(5, encoder.vector_dim)).astype(np.float32))
        except FormatError:
            n_refused += 1
            continue
        except (DataError, ShapeError):  # values of 3e38: a feature without room in float32
            continue
        assert made.shape == (5, DIM)
        assert np.isfinite(made).all()
    assert n_refused > 100


def test_a_version_that_does_not_go_with_the_map_is_refused(tmp_path):
    for kind, other in (("linear", 1), ("linear", 3)):
        path = written(tmp_path / f"{kind}{other}", kind)
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**config, "format_version": other}))
        with pytest.raises(FormatError, match=f"must have model format version 2, got {other}"):
            read_model_folder(path)
