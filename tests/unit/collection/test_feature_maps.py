"""A model with a feature map: vectors go through it before they are encoded, everywhere."""

import numpy as np
import pytest

from anybit.codes import Codebooks, FeatureMap, ModelFolder, write_model_folder
from anybit.collection import AddOptions, AdviceSources, Collection, load_encoder
from anybit.errors import DataError, ShapeError

DIM_IN, DIM, K, N = 6, 3, 16, 120


def linear_map(seed=0):
    rng = np.random.default_rng(seed)
    return FeatureMap.linear(rng.normal(size=DIM_IN), rng.normal(size=(DIM_IN, DIM)))


def model(path, n_levels=3, seed=0, feature_map=None):
    values = np.random.default_rng(4).normal(size=(6, K, DIM)).astype(np.float32)[:n_levels]
    write_model_folder(
        path,
        ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {}),
        Codebooks.stacked(values),
        feature_map=feature_map or linear_map(seed),
    )
    return path


@pytest.fixture
def vectors():
    return np.random.default_rng(1).normal(size=(N, DIM_IN)).astype(np.float32)


@pytest.fixture
def source(tmp_path, vectors):
    np.savez(tmp_path / "x.npz", x=vectors, y=np.arange(N) % 3)
    return tmp_path / "x.npz"


@pytest.fixture
def shop(tmp_path, source):
    made = Collection.create(tmp_path / "shop", model(tmp_path / "old"))
    made.add(source, AddOptions(store_features=True))
    return made


def planes(vectors, n_levels=3, feature_map=None):
    values = np.random.default_rng(4).normal(size=(6, K, DIM)).astype(np.float32)[:n_levels]
    return Codebooks.stacked(values).encode((feature_map or linear_map()).apply(vectors)).planes


def test_items_and_queries_go_through_the_map(shop, vectors):
    np.testing.assert_array_equal(shop.index().codes.planes, planes(vectors))
    hits = shop.search(vectors[7], k=N)
    features = linear_map().apply(vectors[7:8])
    expected = shop.search_features(features, k=N)
    np.testing.assert_array_equal(hits.ids, expected.ids[0])
    np.testing.assert_array_equal(hits.scores, expected.scores[0])
    assert shop.info()["feature_map"] == "linear"


def test_vectors_of_the_dimension_of_features_are_refused(shop, tmp_path):
    with pytest.raises(ShapeError, match=r"a query vector must have shape \(6,\), got \(3,\)"):
        shop.search(np.zeros(DIM, np.float32))
    np.save(tmp_path / "short.npy", np.zeros((4, DIM), np.float32))
    with pytest.raises(ShapeError, match="vectors must have 6 dimensions"):
        shop.add(tmp_path / "short.npy")
    encoder = load_encoder(tmp_path / "old")
    assert (encoder.vector_dim, encoder.codebooks.dim) == (DIM_IN, DIM)
    with pytest.raises(ShapeError, match=r"vectors must have shape \(N, 6\), got \(4, 3\)"):
        encoder.features(np.zeros((4, DIM), np.float32))


def test_a_map_comes_after_scaling_to_unit_length(tmp_path, vectors):
    config = {"method": "rq", "backbone": {"name": "none"}, "is_unit_length": True}
    codebooks = Codebooks.stacked(np.ones((1, K, DIM)))
    write_model_folder(tmp_path / "m", ModelFolder(config, {}), codebooks, feature_map=linear_map())
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = load_encoder(tmp_path / "m").features(vectors)
    np.testing.assert_array_equal(found, linear_map().apply(unit))


def test_an_evaluation_maps_its_queries(shop, source, vectors):
    data = shop.evaluation_input(source)
    np.testing.assert_array_equal(data.query_features, linear_map().apply(vectors))
    # Stored in half precision.
    np.testing.assert_allclose(data.database_features, data.query_features, rtol=1e-3, atol=1e-3)


def test_advice_takes_stored_features_as_they_are(shop):
    assert len(shop.advise(AdviceSources()).lengths) == 3


def test_another_map_needs_the_vectors_again(shop, source, tmp_path, vectors):
    other = model(tmp_path / "new", seed=9)
    with pytest.raises(DataError, match="got only what the feature map of the model before made"):
        shop.migrate(other)
    np.testing.assert_array_equal(shop.index().codes.planes, planes(vectors))
    report = shop.migrate(other, source)
    assert (report.n_encoded, report.is_extended) == (N, False)
    expected = planes(vectors, feature_map=linear_map(9))
    np.testing.assert_array_equal(shop.index().codes.planes, expected)


def test_the_same_map_encodes_stored_features_without_mapping_them_twice(shop, tmp_path, vectors):
    report = shop.migrate(model(tmp_path / "longer", n_levels=5))
    assert (report.n_encoded, report.is_extended) == (N, True)
    np.testing.assert_array_equal(shop.index().codes.planes, planes(vectors, 5))


@pytest.mark.parametrize("width", [1.0, 2.0])
def test_a_map_with_another_setting_is_another_network(tmp_path, source, vectors, width):
    anchors = np.random.default_rng(3).normal(size=(4, DIM_IN))

    def of(width):
        return FeatureMap.anchors(anchors, width, np.zeros(4), np.eye(4)[:, :DIM])

    shop = Collection.create(tmp_path / "shop", model(tmp_path / "old", feature_map=of(1.0)))
    shop.add(source)
    longer = model(tmp_path / "longer", n_levels=5, feature_map=of(width))
    report = shop.migrate(longer, source)
    assert report.is_extended is (width == 1.0)
    np.testing.assert_array_equal(shop.index().codes.planes, planes(vectors, 5, of(width)))
