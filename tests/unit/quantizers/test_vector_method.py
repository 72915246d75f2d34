"""What methods declare about themselves holds, and labels reach those that need them."""

import re
from dataclasses import replace

import numpy as np
import pytest

from anybit.codes import Codebooks, FeatureMap
from anybit.data import Labels
from anybit.errors import DataError, ShapeError
from anybit.quantizers import (
    METHODS,
    FitResult,
    FitSettings,
    VectorMethod,
    VectorQuantizer,
    fit_residual,
    fit_vectors,
    train_on_vectors,
)
from anybit.quantizers.methods import _ENTRIES

K = 4


def vectors(n_items=60):
    return np.random.default_rng(2).normal(size=(n_items, 8)).astype(np.float32)


def class_means(features, labels, settings):
    """Codewords of one level: the mean of each class, after a map that leaves columns out."""
    kept = FeatureMap.linear(np.zeros(8), np.eye(8)[:, :3])
    mapped, classes = kept.apply(features), labels.integers()
    means = np.stack([mapped[classes == number].mean(axis=0) for number in range(K)])
    codebooks = Codebooks.stacked(means[None], metric=settings.metric)
    return FitResult.of(codebooks, mapped, (), feature_map=kept)


MEANS = VectorMethod("means", "class means", "none", class_means, needs_labels=True)


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr("anybit.quantizers.methods.METHODS", {**METHODS, "means": MEANS})


def test_entries_and_names_are_each_there_once():
    assert len(METHODS) == len(_ENTRIES) == len(set(_ENTRIES))
    for name, method in METHODS.items():
        assert isinstance(method, VectorMethod)
        assert (method.name, bool(method.title), bool(method.reference)) == (name, True, True)


@pytest.mark.parametrize("name", METHODS)
def test_codes_can_be_cut_where_the_method_says_so(name):
    n_levels = 1 if name == "vq" else 2
    fitted = fit_vectors(vectors(), name, n_levels=n_levels, n_codewords=K)
    is_cut = len(fitted.codebooks.lengths()) == n_levels
    assert is_cut is METHODS[name].is_sequential
    assert fitted.feature_map is None


@pytest.mark.parametrize("name", METHODS)
def test_faiss_is_named_where_it_is_needed(name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    n_levels = 1 if name == "vq" else 2
    if METHODS[name].needs == ("faiss",):
        with pytest.raises(Exception, match=re.escape("pip install 'anybit[faiss]'")):
            fit_vectors(vectors(), name, n_levels=n_levels, n_codewords=K)
    else:
        assert METHODS[name].needs == ()
        fit_vectors(vectors(), name, n_levels=n_levels, n_codewords=K)


def test_labels_reach_the_method_and_its_map_the_model(registry, tmp_path):
    labels = Labels.from_integers(np.arange(60) % K)
    model = train_on_vectors(vectors(), "means", labels=labels, n_levels=1, n_codewords=K)
    expected = [vectors()[number::K, :3].mean(axis=0) for number in range(K)]
    np.testing.assert_allclose(model.codebooks.codebooks[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.features(vectors()), vectors()[:, :3])
    assert model.summary["dim"] == 3
    model.save_pretrained(tmp_path / "model")
    again = VectorQuantizer.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(again.features(vectors()), vectors()[:, :3])
    assert (again.method, again.fingerprint) == ("means", model.fingerprint)


@pytest.mark.parametrize(
    ("labels", "n_classes"),
    [(None, 0), (Labels.unlabelled(60, ("a", "b")), 0), (Labels.from_lists([["a"]] * 60), 1)],
)
def test_a_method_that_needs_labels_says_so(registry, labels, n_classes):
    message = f"means needs labels of at least 2 classes, got {n_classes}. Name a label column"
    with pytest.raises(DataError, match=re.escape(message)):
        fit_vectors(vectors(), "means", labels=labels, n_levels=1, n_codewords=K)


def test_labels_of_another_number_of_items_are_refused():
    labels = Labels.from_integers(np.arange(59) % K)
    with pytest.raises(ShapeError, match="labels must be of the 60 vectors, got labels of 59"):
        fit_vectors(vectors(), "rq", labels=labels, n_codewords=K)


def test_settings_reach_the_method():
    """Each field of the settings changes what is learned, or is called."""
    settings = FitSettings(2, K, "ip", 0)
    fitted = METHODS["rq"].learn(vectors(), None, settings)
    assert (fitted.codebooks.n_levels, fitted.codebooks.n_codewords) == (2, K)
    calls = []
    for change in (
        {"n_levels": 3},
        {"n_codewords": 8},
        {"metric": "cosine"},
        {"seed": 5},
        {"progress": lambda done, total: calls.append((done, total))},
    ):
        other = METHODS["rq"].learn(vectors(), None, replace(settings, **change))
        if "progress" in change:
            assert calls == [(1, 2), (2, 2)]
        elif "metric" in change:
            assert other.codebooks.metric == "cosine"
        else:
            assert other.codebooks.codebooks.tolist() != fitted.codebooks.codebooks.tolist()


def test_a_method_is_its_function_with_its_own_options():
    from anybit.quantizers import ResidualFitOptions

    greedy = fit_vectors(vectors(), "rq-greedy", n_levels=2, n_codewords=K, seed=3)
    same = fit_residual(vectors(), ResidualFitOptions(2, K, beam_size=1, seed=3))
    np.testing.assert_array_equal(greedy.codebooks.codebooks, same.codebooks.codebooks)
