import io
import pickle
import re
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from anybit import Codes, Index
from anybit.errors import DTypeError, OptionError, ShapeError
from anybit.quantizers import (
    ProductFitOptions,
    RecurrentFitOptions,
    ResidualFitOptions,
    fit_product,
    fit_recurrent,
    fit_residual,
)
from anybit.sklearn import ProductQuantizer, RecurrentQuantizer, ResidualQuantizer

SMALL = {"n_levels": 2, "n_codewords": 2}
KINDS = [ProductQuantizer, RecurrentQuantizer, ResidualQuantizer]
SEQUENTIAL = [RecurrentQuantizer, ResidualQuantizer]


def vectors(n_items=120, dim=6):
    # A decaying spectrum: every level has something left to describe.
    spread = np.linspace(3, 1, dim)
    return np.random.default_rng(0).normal(1, spread, size=(n_items, dim)).astype(np.float32)


def quantizer(kind, n_levels=3, **options):
    return kind(n_levels=n_levels, n_codewords=8, random_state=0, **options)


# Two blobs leave a second level nothing to do, which the recurrent quantiser says.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        RecurrentQuantizer(**SMALL),
        ResidualQuantizer(**SMALL),
        ResidualQuantizer(**SMALL, beam_size=1),
        ProductQuantizer(**SMALL),
        ProductQuantizer(**SMALL, rotation=True),
    ]
)
def test_estimator_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", KINDS)
def test_codes_and_reconstructions_are_those_of_the_codebooks(kind):
    features = vectors()
    fitted = quantizer(kind).fit(features)
    codes = fitted.transform(features)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, fitted.codebooks_.encode(features).planes.T)
    reconstructions = fitted.inverse_transform(codes)
    assert reconstructions.dtype == np.float32
    np.testing.assert_array_equal(
        reconstructions, fitted.codebooks_.decode(Codes.from_rows(codes, 8))
    )
    assert fitted.n_features_in_ == 6
    name = kind.__name__.lower()
    assert fitted.get_feature_names_out().tolist() == [f"{name}{level}" for level in range(3)]


@pytest.mark.parametrize("kind", KINDS)
def test_score_is_the_negative_squared_error(kind):
    features, fitted = vectors(), quantizer(kind).fit(vectors())
    assert fitted.distortions_.shape == (3,)
    # Sums of a few float32 numbers, in another order.
    np.testing.assert_allclose(fitted.score(features), -fitted.distortions_[-1], rtol=1e-5)
    other = features[:7] + 1
    errors = other - fitted.inverse_transform(fitted.transform(other))
    by_hand = -np.mean([(error.astype(float) ** 2).sum() for error in errors])
    np.testing.assert_allclose(fitted.score(other), by_hand, rtol=1e-5)  # the same


def test_an_integer_seed_gives_what_the_fitting_functions_give():
    features = vectors()
    settings = {"n_levels": 3, "n_codewords": 8, "has_offset": False, "metric": "l2"}
    weights = (0.5, 1.0, 2.0)
    cases = (
        (
            RecurrentQuantizer(
                **settings, n_iterations=4, tolerance=1e-9, level_weights=[*weights],
                max_train=90, random_state=5,
            ),
            fit_recurrent(
                features,
                RecurrentFitOptions(
                    **settings, n_iterations=4, tolerance=1e-9, level_weights=weights,
                    max_train=90, seed=5,
                ),
            ),
        ),
        *(
            (
                ProductQuantizer(
                    **settings, rotation=is_turned, n_iterations=2, max_train=90, random_state=5
                ),
                fit_product(
                    features,
                    ProductFitOptions(
                        **settings, has_rotation=is_turned, n_iterations=2, max_train=90, seed=5
                    ),
                ),
            )
            for is_turned in (False, True)
        ),
        (
            ResidualQuantizer(
                **settings, beam_size=3, prefix_weight=0.1, n_iterations=2, max_train=90,
                random_state=5,
            ),
            fit_residual(
                features,
                ResidualFitOptions(
                    **settings, beam_size=3, prefix_weight=0.1, n_iterations=2, max_train=90,
                    seed=5,
                ),
            ),
        ),
    )  # fmt: skip
    for estimator, expected in cases:
        fitted = estimator.fit(features)
        np.testing.assert_array_equal(fitted.codebooks_.dense(), expected.codebooks.dense())
        np.testing.assert_array_equal(fitted.distortions_, expected.distortion_per_level)
        assert fitted.codebooks_.beam_size == expected.codebooks.beam_size
        assert fitted.codebooks_.metric == "l2"
        assert fitted.codebooks_.offset is None
        assert fitted.codebooks_.kind == expected.codebooks.kind


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (ProductQuantizer, ProductFitOptions()),
        (RecurrentQuantizer, RecurrentFitOptions()),
        (ResidualQuantizer, ResidualFitOptions()),
    ],
)
def test_defaults_are_those_of_the_fitting_functions(kind, options):
    given = kind().get_params()
    assert given.pop("random_state") is None
    if kind is ProductQuantizer:
        given["has_rotation"] = given.pop("rotation")
    assert given == {name: getattr(options, name) for name in given}


def test_offset_of_the_product_quantizer_is_the_mean():
    features = vectors()
    fitted = quantizer(ProductQuantizer, has_offset=True).fit(features)
    np.testing.assert_allclose(
        fitted.codebooks_.offset, features.mean(axis=0), rtol=1e-5
    )  # float32


def test_passes_of_the_recurrent_quantizer_are_counted():
    fitted = quantizer(RecurrentQuantizer, n_iterations=2, tolerance=1e-9).fit(vectors())
    assert fitted.n_iter_ == 2
    fitted = quantizer(RecurrentQuantizer, tolerance=1.0).fit(vectors())
    assert fitted.n_iter_ == 1


@pytest.mark.parametrize("kind", KINDS)
def test_random_state_draws_a_seed(kind):
    features = vectors()

    def codewords(state):
        settings = {"n_levels": 2, "n_codewords": 8, "n_iterations": 1}
        return kind(**settings, random_state=state).fit(features).codebooks_.dense()

    state = np.random.RandomState(3)
    first = codewords(state)
    np.testing.assert_array_equal(first, codewords(np.random.RandomState(3)))
    assert np.abs(first - codewords(state)).max() > 0  # it has moved on
    assert codewords(None).shape == first.shape


@pytest.mark.parametrize("kind", SEQUENTIAL)
def test_prefix_of_codes_decodes_to_the_shorter_reconstruction(kind):
    features, fitted = vectors(), quantizer(kind).fit(vectors())
    codes = fitted.transform(features)
    errors = [
        ((features - fitted.inverse_transform(codes[:, : level + 1])) ** 2).sum(axis=1).mean()
        for level in range(3)
    ]
    np.testing.assert_allclose(errors, fitted.distortions_, rtol=1e-5)  # float32 sums


def test_unusable_codes_are_refused():
    fitted = quantizer(ResidualQuantizer).fit(vectors())
    with pytest.raises(
        DTypeError, match=r"integers as transform returns them, got float32.*astype"
    ):
        fitted.inverse_transform(vectors(dim=3))
    with pytest.raises(ShapeError, match=r"at most 3 levels.*got 4"):
        fitted.inverse_transform(np.zeros((2, 4), dtype=np.uint8))
    with pytest.raises(OptionError, match="codes must be from 0 to 7, got 0 to 8"):
        fitted.inverse_transform([[0, 1, 8]])
    with pytest.raises(OptionError, match="codes must be from 0 to 7, got -1 to 1"):
        fitted.inverse_transform([[0, 1, -1]])
    with pytest.raises(NotFittedError):
        ResidualQuantizer().inverse_transform([[0]])


@pytest.mark.parametrize("kind", KINDS)
def test_unusable_hyper_parameters_are_refused_when_fitting(kind):
    with pytest.raises(OptionError, match="got 256 with n_samples=120"):
        kind(n_levels=2).fit(vectors())
    with pytest.raises(OptionError, match="power of two"):
        kind(n_levels=2, n_codewords=7).fit(vectors())
    with pytest.raises(OptionError, match="n_levels"):
        kind(n_levels=0, n_codewords=2).fit(vectors())
    with pytest.raises(OptionError, match="metric must be one of"):
        kind(**SMALL, metric="dot").fit(vectors())
    with pytest.raises(TypeError, match="n_levels must be an instance of int, not float"):
        kind(n_levels=2.0, n_codewords=2).fit(vectors())
    with pytest.raises(TypeError, match="max_train must be an instance of int, not str"):
        kind(**SMALL, max_train="all").fit(vectors())
    with pytest.raises(TypeError, match="has_offset must be an instance of"):
        kind(**SMALL, has_offset="no").fit(vectors())
    with pytest.raises(ValueError, match="cannot be used to seed"):
        kind(**SMALL, random_state="now").fit(vectors())


def test_product_quantizer_refuses_what_it_cannot_do():
    with pytest.raises(OptionError, match="got 4 with n_features=3"):
        quantizer(ProductQuantizer, n_levels=4).fit(vectors(dim=3))
    fitted = quantizer(ProductQuantizer).fit(vectors())
    with pytest.raises(ShapeError, match=r"must have all 3 levels \(columns\), got 2"):
        fitted.inverse_transform(fitted.transform(vectors())[:, :2])
    with pytest.raises(TypeError, match="rotation must be an instance of"):
        ProductQuantizer(**SMALL, rotation="opq").fit(vectors())


def test_a_rotation_helps_where_the_columns_are_alike():
    features = vectors(dim=2) @ np.array([[1, 1], [-1, 1]], dtype=np.float32)
    features = np.hstack([features, np.roll(features, 7, axis=0)])  # (N, 4), equal variances
    scores = [
        quantizer(ProductQuantizer, n_levels=4, rotation=is_turned).fit(features).score(features)
        for is_turned in (False, True)
    ]
    assert scores[1] > scores[0]


@pytest.mark.parametrize("rotation", [False, True])
def test_blocks_of_unequal_size_are_filled_up_with_zeros(rotation):
    features = vectors(dim=7)  # blocks of 3, 2 and 2 columns
    fitted = quantizer(ProductQuantizer, rotation=rotation, metric="l2").fit(features)
    padded = np.zeros((120, 9), dtype=np.float32)
    padded[:, [0, 1, 2, 3, 4, 6, 7]] = features
    np.testing.assert_array_equal(fitted.pad(features), padded)
    by_hand = fit_product(
        padded, ProductFitOptions(n_levels=3, n_codewords=8, has_rotation=rotation)
    )
    np.testing.assert_array_equal(fitted.codebooks_.dense(), by_hand.codebooks.dense())
    codes = by_hand.codebooks.encode(padded)
    np.testing.assert_array_equal(fitted.transform(features), codes.planes.T)
    expected = by_hand.codebooks.decode(codes)[:, [0, 1, 2, 3, 4, 6, 7]]
    np.testing.assert_array_equal(fitted.inverse_transform(codes.planes.T), expected)
    lost = ((features - expected) ** 2).sum(axis=1).mean()
    np.testing.assert_allclose(fitted.score(features), -lost, rtol=1e-5)  # float32 sums
    found = Index(fitted.codebooks_, codes).search(fitted.pad(features[:2]), k=1)
    assert found.ids.shape == (2, 1)


def test_values_too_large_for_float32_are_refused():
    with pytest.raises(ValueError, match="value too large for dtype"):
        RecurrentQuantizer(**SMALL).fit([[1.0], [1e60], [2.0]])


@pytest.mark.parametrize("seed", range(4))
def test_a_level_that_does_nothing_is_a_convergence_warning(seed):
    # Two codewords describe both blobs: the scale of a second level is about 0.01 / 2.5, far
    # below the 0.02 that is reported, or negative.
    blobs = np.repeat([[0.0, 1.0], [5.0, 2.0]], 10, axis=0)
    blobs += np.random.default_rng(seed).normal(0, 0.01, blobs.shape)
    with pytest.warns(ConvergenceWarning, match=r"level_scales\[1\] should be well above 0"):
        RecurrentQuantizer(**SMALL, random_state=0).fit(blobs)


@pytest.mark.parametrize("kind", KINDS)
def test_pipeline_scales_encodes_and_comes_back(kind):
    features = vectors() * 100
    pipeline = make_pipeline(StandardScaler(), quantizer(kind))
    codes = pipeline.fit_transform(features)
    scaled = StandardScaler().fit_transform(features)
    np.testing.assert_array_equal(codes, quantizer(kind).fit_transform(scaled))
    back = pipeline.inverse_transform(codes)
    assert back.shape == features.shape
    lost = ((back - features) ** 2).sum() / ((features - features.mean(axis=0)) ** 2).sum()
    assert lost < 0.6  # 9 bits for 6 dimensions; nothing learned would leave 1
    assert pipeline.score(features) == quantizer(kind).fit(scaled).score(scaled)


@pytest.mark.parametrize("kind", KINDS)
def test_grid_search_finds_that_more_levels_are_better(kind):
    search = GridSearchCV(quantizer(kind), {"n_levels": [1, 3]}, cv=2)
    search.fit(vectors())
    assert search.best_params_ == {"n_levels": 3}
    assert (search.cv_results_["mean_test_score"] < 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_clone_forgets_what_was_learned_and_learns_it_again(kind):
    features = vectors()
    fitted = quantizer(kind, max_train=100).fit(features)
    again = clone(fitted)
    assert again.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        again.transform(features)
    np.testing.assert_array_equal(again.fit_transform(features), fitted.transform(features))


@pytest.mark.parametrize("kind", KINDS)
def test_pickle_and_joblib_give_the_same_codes(kind):
    features = vectors()
    fitted = quantizer(kind).fit(features)
    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    for copy in (pickle.loads(pickle.dumps(fitted)), joblib.load(file)):
        np.testing.assert_array_equal(copy.transform(features), fitted.transform(features))
        assert copy.score(features) == fitted.score(features)


@pytest.mark.parametrize("kind", KINDS)
def test_codebooks_and_codes_go_into_an_index(kind):
    features = vectors()
    fitted = quantizer(kind, metric="l2").fit(features)
    codes = Codes.from_rows(fitted.transform(features), n_codewords=8)
    found = Index(fitted.codebooks_, codes).search(features[:5], k=1)
    reconstructions = fitted.inverse_transform(codes.planes.T)  # (N, D)
    sq_distances = ((features[:5, None] - reconstructions) ** 2).sum(axis=2)  # (5, N)
    chosen = sq_distances[np.arange(5), found.ids[:, 0]]
    np.testing.assert_allclose(chosen, sq_distances.min(axis=1), rtol=1e-5)  # ties share a code


def test_estimators_are_those_of_scikit_learn_itself():
    assert sklearn.__name__ == "sklearn"
    assert issubclass(RecurrentQuantizer, sklearn.base.BaseEstimator)


def test_scikit_learn_is_loaded_by_nobody_else_and_missed_by_name():
    code = (
        "import sys, anybit, anybit.quantizers, anybit.collection\n"
        "print('sklearn' in sys.modules)\n"
        "sys.modules['sklearn'] = None\n"
        "try:\n"
        "    import anybit.sklearn\n"
        "except anybit.errors.DependencyError as missing:\n"
        "    print(missing)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    is_loaded, message = done.stdout.splitlines()
    assert is_loaded == "False"
    assert message.startswith("anybit.sklearn needs scikit-learn 1.6 or newer: ")
    assert message.endswith("Run `pip install 'scikit-learn>=1.6'`.")


def test_python_of_the_documentation_runs():
    text = (Path(__file__).parents[3] / "docs" / "sklearn.md").read_text()
    found = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found
    for block in found:
        exec(compile(block, "docs/sklearn.md", "exec"), {})
