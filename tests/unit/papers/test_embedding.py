import re
import sys

import numpy as np
import pytest

from anybit.errors import DependencyError, OptionError, ShapeError
from anybit.papers.pages.embedding import draw_embeddings
from anybit.papers.results.result import Embedding
from anybit.papers.results.tsne import embed_2d

pytest.importorskip("openTSNE")


@pytest.fixture
def clusters(rng):
    """Return three far clusters of 20 distinct rows, each row twice, and their classes."""
    classes = np.repeat([0, 1, 2], 20)
    rows = 10 * np.eye(3, 5)[classes] + rng.normal(size=(60, 5))
    return np.repeat(rows, 2, axis=0).astype(np.float32), np.repeat(classes, 2)


def test_clusters_stay_apart_and_equal_rows_together(clusters):
    vectors, classes = clusters
    points = embed_2d(vectors, 0)
    assert points.shape == (120, 2)
    assert np.isfinite(points).all()
    np.testing.assert_array_equal(points[::2], points[1::2])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    distances[np.arange(120), np.arange(120)] = np.inf
    distances[distances == 0] = np.inf  # its twin
    # the nearest other reconstruction is of the same class
    np.testing.assert_array_equal(classes[distances.argmin(axis=1)], classes)


def test_same_seed_gives_the_same_points_and_copies_change_nothing(clusters):
    vectors, _ = clusters
    points = embed_2d(vectors, 3)
    np.testing.assert_array_equal(points, embed_2d(vectors, 3))
    assert np.abs(points - embed_2d(vectors, 4)).max() > 0
    # The distinct rows alone: up to the centre, which is that of distinct rows in both.
    np.testing.assert_array_equal(points[::2], embed_2d(vectors[::2], 3))


def test_few_distinct_rows_are_placed_by_principal_components():
    vectors = np.array([[0, 0, 3], [0, 0, -3], [1, 0, 0], [-1, 0, 0]] * 5, dtype=np.float32)
    points = embed_2d(vectors, 0)
    np.testing.assert_allclose(points[:4], [[3, 0], [-3, 0], [0, 1], [0, -1]], atol=1e-12)
    np.testing.assert_array_equal(points[4:8], points[:4])
    np.testing.assert_array_equal(embed_2d(np.ones((3, 1), dtype=np.float32), 0), np.zeros((3, 2)))


def test_missing_opentsne_is_named(monkeypatch, clusters):
    monkeypatch.setitem(sys.modules, "openTSNE", None)  # an import of None fails
    with pytest.raises(DependencyError, match=r"pip install 'anybit\[papers\]'"):
        embed_2d(clusters[0], 0)


def test_vectors_of_another_shape_are_refused():
    for wrong in (np.zeros(3), np.zeros((0, 2)), np.full((2, 2), np.nan)):
        with pytest.raises(ShapeError, match=r"shape \(N, D\)"):
            embed_2d(wrong, 0)


def embedding(points, classes, names=("cat", "dog"), title=""):
    pairs = tuple((float(x), float(y)) for x, y in points)
    return Embedding(pairs, tuple(int(one) for one in classes), names, title)


def test_items_of_one_point_are_laid_out_side_by_side():
    points = np.repeat([[0.0, 0.0], [1.0, 1.0]], 50, axis=0)
    svg = draw_embeddings([embedding(points, np.repeat([0, 1], 50))], "svg").decode()
    places = set(re.findall(r'<use xlink:href="#C?\w+" x="([\d.]+)" y="([\d.]+)"', svg))
    assert len(places) >= 100
    assert min(len({place[axis] for place in places}) for axis in (0, 1)) > 60


def test_picture_is_the_same_bytes_and_names_the_classes():
    points = np.random.default_rng(0).normal(size=(20, 2))
    one = embedding(points, np.arange(20) % 2)
    for kind in ("png", "svg"):
        assert draw_embeddings([one], kind) == draw_embeddings([one], kind)
    svg = draw_embeddings([one], "svg").decode()
    assert "<!-- cat -->" in svg
    assert "<!-- dog -->" in svg


@pytest.mark.parametrize("n_panels", [1, 2, 3])
def test_every_embedding_has_a_panel_with_its_title(n_panels):
    points = np.random.default_rng(0).normal(size=(20, 2))
    every = [embedding(points, np.arange(20) % 2, title=f"Method{n}") for n in range(n_panels)]
    svg = draw_embeddings(every, "svg").decode()
    assert [svg.count(f"<!-- Method{number} -->") for number in range(4)] == [1] * n_panels + [
        0
    ] * (4 - n_panels)
    assert svg.count("<!-- cat -->") == 1  # one legend


def test_wrong_arguments_of_the_picture_are_refused():
    points = np.zeros((2, 2))
    one = embedding(points, (0, 1))
    with pytest.raises(OptionError, match="got 0 with 0 lists"):
        draw_embeddings([], "png")
    with pytest.raises(OptionError, match="got 2 with 2 lists"):
        draw_embeddings([one, embedding(points, (0, 0), ("a",))], "png")
    with pytest.raises(OptionError, match="each with points"):
        draw_embeddings([embedding(np.zeros((0, 2)), ())], "png")
    with pytest.raises(OptionError, match="kind must be png or svg"):
        draw_embeddings([one], "pdf")
