"""Feature maps: values by hand, exactness whatever the batch, and what is refused."""

import json

import numpy as np
import pytest

from anybit.codes import (
    Codebooks,
    FeatureMap,
    ModelFolder,
    codebooks_of,
    feature_map_of,
    read_model_folder,
    write_model_folder,
)
from anybit.errors import DataError, DTypeError, FormatError, OptionError, ShapeError

DIM, DIM_OUT = 7, 5  # odd, so that rows of a batch are not aligned alike


def stumps(n_trees=40, seed=3):
    """Trees of depth 2 for every output, several each."""
    rng = np.random.default_rng(seed)
    nodes, thresholds, values, roots = [], [], [], []
    for _ in range(n_trees):
        at = len(nodes)
        roots.append(at)
        nodes += [(rng.integers(DIM), at + 1, at + 2), (rng.integers(DIM), at + 3, at + 4)]
        nodes += [(-1, -1, -1)] * 3
        thresholds += rng.normal(size=5).tolist()
        values += rng.normal(size=5).tolist()
    return {
        "nodes": np.array(nodes),
        "thresholds": np.array(thresholds),
        "values": np.array(values),
        "roots": np.array(roots),
        "outputs": np.arange(n_trees) % DIM_OUT,
        "dim_in": DIM,
        "dim_out": DIM_OUT,
    }


def maps():
    rng = np.random.default_rng(0)
    normal = rng.normal
    return {
        "identity": FeatureMap.identity(DIM),
        "linear": FeatureMap.linear(normal(size=DIM), normal(size=(DIM, DIM_OUT))),
        "anchors": FeatureMap.anchors(
            normal(size=(301, DIM)), 1.5, normal(size=301), normal(size=(301, DIM_OUT))
        ),
        "trees": FeatureMap.trees(**stumps()),
    }


KINDS = list(maps())


def vectors(n_items=50, seed=1):
    return np.random.default_rng(seed).normal(size=(n_items, DIM)).astype(np.float32)


def test_a_linear_map_takes_the_mean_off_first():
    turned = FeatureMap.linear(np.array([1, 2]), np.array([[1, 0, 2], [0, 3, 1]]))
    found = turned.apply(np.array([[2, 4], [1, 2]], dtype=np.float32))
    np.testing.assert_array_equal(found, np.array([[1, 6, 4], [0, 0, 0]], dtype=np.float32))
    assert (turned.dim_in, turned.dim_out, found.dtype) == (2, 3, np.float32)


def test_anchors_are_gaussians_of_the_distance():
    by_hand = FeatureMap.anchors(np.array([[0, 0], [3, 4]]), 5.0, np.array([0.5, 0]), np.eye(2))
    found = by_hand.apply(np.array([[0, 0], [3, 0]], dtype=np.float32))
    expected = [[1 - 0.5, np.exp(-0.5)], [np.exp(-0.18) - 0.5, np.exp(-0.32)]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # float32 rounding


def test_anchors_close_to_each_other_and_far_from_zero_are_told_apart():
    points = np.array([[1000, 1000], [1000, 1000.5]])
    near = FeatureMap.anchors(points, 0.5, np.zeros(2), np.eye(2))
    found = near.apply(points.astype(np.float32))
    np.testing.assert_allclose(found, [[1, np.exp(-0.5)], [np.exp(-0.5), 1]], rtol=1e-6)


def test_trees_are_walked_as_a_plain_loop_walks_them():
    tables = stumps()
    found = FeatureMap.trees(**tables).apply(vectors())
    expected = np.zeros((50, DIM_OUT))
    thresholds = tables["thresholds"].astype(np.float32)
    for row, vector in enumerate(vectors()):
        for root, output in zip(tables["roots"], tables["outputs"], strict=True):
            at = root
            while tables["nodes"][at][0] >= 0:
                feature, left, right = tables["nodes"][at]
                at = left if vector[feature] <= thresholds[at] else right
            expected[row, output] += tables["values"][at]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)  # values as float32


def test_a_value_on_the_threshold_goes_left():
    tables = {"thresholds": [0.5, 0, 0], "values": [0, -1, 1], "roots": [0], "outputs": [0]}
    nodes = np.array([[0, 1, 2], [-1] * 3, [-1] * 3])
    stump = FeatureMap.trees(nodes, **{k: np.array(v) for k, v in tables.items()}, dim_in=1,
                             dim_out=1)  # fmt: skip
    np.testing.assert_array_equal(stump.apply(np.array([[0.5], [0.6]], np.float32)), [[-1], [1]])


@pytest.mark.parametrize("kind", KINDS)
def test_a_feature_does_not_depend_on_the_batch(kind, monkeypatch):
    monkeypatch.setattr("anybit.codes.feature_map._BLOCK_NUMBERS", 2000)  # several blocks
    found, given = maps()[kind], vectors(300)
    whole = found.apply(given)
    for rows in (slice(0, 1), slice(7, 8), slice(3, 80), slice(1, 300, 2)):
        np.testing.assert_array_equal(found.apply(given[rows]), whole[rows])
    np.testing.assert_array_equal(found.apply(np.asfortranarray(given)), whole)
    assert found.apply(given[:0]).shape == (0, found.dim_out)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_stored_comes_back(kind, tmp_path):
    found = maps()[kind]
    codebooks = Codebooks.stacked(np.ones((2, 4, found.dim_out)))
    config = {"method": "rq", "backbone": {"name": "none"}}
    fingerprint = write_model_folder(
        tmp_path / "model", ModelFolder(config, {}), codebooks, feature_map=found
    )
    read = read_model_folder(tmp_path / "model")
    again = feature_map_of(read)
    assert (again.kind, again.dim_in, again.dim_out) == (kind, DIM, found.dim_out)
    np.testing.assert_array_equal(again.apply(vectors()), found.apply(vectors()))
    np.testing.assert_array_equal(codebooks_of(read).codebooks, codebooks.codebooks)
    without = write_model_folder(tmp_path / "without", ModelFolder(config, {}), codebooks)
    assert fingerprint != without
    assert feature_map_of(read_model_folder(tmp_path / "without")) is None
    # Readers that know no feature maps must refuse the folder.
    versions = [
        json.loads((tmp_path / name / "config.json").read_text())["format_version"]
        for name in ("model", "without")
    ]
    assert versions == [2, 1]


def test_the_fingerprint_has_the_settings_and_the_arrays_of_a_map(tmp_path):
    made = [
        FeatureMap.anchors(np.eye(2), width, np.zeros(2), np.eye(2) * factor)
        for width, factor in ((1.0, 1.0), (2.0, 1.0), (1.0, 2.0))
    ]
    codebooks = Codebooks.stacked(np.ones((1, 2, 2)))
    fingerprints = {
        write_model_folder(tmp_path / str(number), ModelFolder({}, {}), codebooks, feature_map=one)
        for number, one in enumerate(made)
    }
    assert len(fingerprints) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_of_another_kind_are_refused(kind):
    found = maps()[kind]
    with pytest.raises(ShapeError, match=r"vectors must have shape \(N, 7\), got \(3, 8\)"):
        found.apply(np.zeros((3, 8), np.float32))
    with pytest.raises(ShapeError, match=r"got \(7,\)"):
        found.apply(np.zeros(7, np.float32))
    with pytest.raises(DTypeError, match="vectors must be numbers"):
        found.apply(np.full((2, DIM), "x"))
    for value in (np.nan, np.inf):
        bad = vectors()
        bad[31, 2] = value
        with pytest.raises(DataError, match="NaN or infinity in row 31"):
            found.apply(bad)


def test_a_feature_that_is_too_large_is_refused():
    large = FeatureMap.linear(np.zeros(1), np.array([[1e30]]))
    with pytest.raises(DataError, match="must fit into float32, got larger in row 1"):
        large.apply(np.array([[1.0], [1e30]], np.float32))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (
            lambda: FeatureMap.identity(0),
            OptionError,
            "dim must be a whole number from 1 to .*, got 0",
        ),
        (lambda: FeatureMap.linear(np.zeros(3), np.eye(2)), ShapeError, "mean must have shape"),
        (lambda: FeatureMap.linear(np.zeros(2), np.eye(2) * np.nan), OptionError, "finite"),
        (lambda: FeatureMap.linear(np.zeros(2), np.zeros((2, 0))), ShapeError, "empty"),
        (
            lambda: FeatureMap.anchors(np.eye(2), 0.0, np.zeros(2), np.eye(2)),
            OptionError,
            "width must be a finite number above 0, got 0.0",
        ),
        (
            lambda: FeatureMap.anchors(np.eye(2), 1.0, np.zeros(2), np.eye(3)),
            ShapeError,
            r"weights must have shape \(2, 3\)",
        ),
        (
            lambda: FeatureMap.trees(**stumps() | {"outputs": np.full(40, DIM_OUT)}),
            OptionError,
            "outputs must be from 0 to 4, got 5 to 5",
        ),
        (
            lambda: FeatureMap.trees(**stumps() | {"roots": np.full(40, 200)}),
            OptionError,
            "roots must be from 0 to 199",
        ),
        (
            lambda: FeatureMap.trees(**stumps() | {"dim_in": 2}),
            OptionError,
            "features of nodes must be from 0 to 1",
        ),
        (
            lambda: FeatureMap.trees(**stumps() | {"roots": np.zeros(40)}),
            DTypeError,
            "roots must be integers",
        ),
        (
            lambda: FeatureMap.trees(**stumps() | {"thresholds": np.zeros(3)}),
            ShapeError,
            r"thresholds must have shape \(200,\)",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize("child", [0, -1, 200])
def test_a_tree_that_would_not_end_is_refused(child):
    tables = stumps()
    tables["nodes"][0, 2] = child
    with pytest.raises(OptionError, match="children of a node must come after it"):
        FeatureMap.trees(**tables)


@pytest.mark.parametrize("settings", [None, [], "linear", {}, {"kind": ["linear"]}, {"kind": "x"}])
def test_settings_that_name_no_map_are_refused(settings):
    with pytest.raises(FormatError, match="feature map must be one of identity, linear, anchors"):
        FeatureMap.from_tensors({}, settings)


def test_a_map_must_fit_the_codebooks_and_be_described():
    codebooks = {"codebooks.codebooks": np.ones((2, 4, 3), np.float32)}
    settings = {"codebooks": {"kind": "stacked", "metric": "ip"}}
    arrays, described = maps()["linear"].to_tensors()
    tensors = codebooks | {f"feature_map.{name}": array for name, array in arrays.items()}
    with pytest.raises(FormatError, match="must give the 3 values that the codebooks take, got 5"):
        feature_map_of(ModelFolder(settings | {"feature_map": described}, tensors))
    with pytest.raises(FormatError, match="must describe the feature map"):
        feature_map_of(ModelFolder(settings, tensors))


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_that_is_missing_or_replaced_is_noticed(kind):
    tensors, settings = maps()[kind].to_tensors()
    for name in tensors:
        with pytest.raises(FormatError, match="does not fit together"):
            FeatureMap.from_tensors({k: v for k, v in tensors.items() if k != name}, settings)
        with pytest.raises(FormatError, match="does not fit together"):
            FeatureMap.from_tensors(tensors | {name: np.array("text")}, settings)
    for name in set(settings) - {"kind"}:
        for value in (None, "3", True, -1, [[1], [2, 3]], {"a": 1}):
            with pytest.raises(FormatError, match="does not fit together"):
                FeatureMap.from_tensors(tensors, settings | {name: value})
    with pytest.raises(FormatError, match="does not fit together"):
        FeatureMap.from_tensors(tensors, settings | {"surplus": 1})
