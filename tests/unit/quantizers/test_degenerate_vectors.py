"""Every method on vectors that repeat, hold constants, or are extreme in size."""

import re

import numpy as np
import pytest

from anybit import Index
from anybit.errors import DataError, OptionError
from anybit.quantizers import (
    METHODS,
    KMeansOptions,
    ProductFitOptions,
    RecurrentFitOptions,
    ResidualFitOptions,
    assign,
    fit_kmeans,
    fit_product,
    fit_recurrent,
    fit_residual,
    fit_vectors,
)

K = 16
# Half of a shared codebook is for residuals, and FAISS settles its codebooks by random moves.
EXACT = [method for method in METHODS if method != "lsq" and not method.startswith("drq")]


def normal(n_items=100, dim=8):
    return np.random.default_rng(0).normal(size=(n_items, dim)).astype(np.float32)


def with_outlier(value):
    vectors = normal()
    vectors[3] = value
    return vectors


def repeated(n_distinct, n_items=100):
    places = np.random.default_rng(1).integers(0, n_distinct, n_items)
    return normal()[:n_distinct][places]


DEGENERATE = {
    "one-hot classes": np.eye(8, dtype=np.float32)[np.arange(100) % 8],
    "few distinct rows": repeated(5),
    "as many rows as codewords": normal(K),
    "small integers": np.random.default_rng(0).integers(0, 3, (100, 8)).astype(np.float32),
    "binary columns": np.random.default_rng(0).integers(0, 2, (100, 8)).astype(np.int8),
    "one column": (np.arange(100, dtype=np.float32) % 12)[:, None],
    "equal rows": np.full((40, 8), 3, np.float32),
    "zeros": np.zeros((40, 8), np.float32),
    "negative zeros": np.where(np.arange(320).reshape(40, 8) % 2, -0.0, 0.0).astype(np.float32),
    "mostly zeros": np.where(np.arange(100)[:, None] < 80, 0, normal()).astype(np.float32),
    "constant columns": (normal() * [1, 0, 1, 0, 0, 0, 1, 1] + [0, 5, 0, 0, 1e4, 0, 0, 0]),
    "doubled columns": np.repeat(normal()[:, :4], 2, axis=1),
    "rank one": normal()[:, :1] @ normal()[:1],
    "columns of many sizes": (normal() * np.logspace(-8, 8, 8)).astype(np.float32),
    "an outlier of 1e15": with_outlier(1e15),
    "mean 1e6, spread 1": (1e6 + normal()).astype(np.float32),
    "mean 1e6, spread 1e-3 in float32": np.float32(1e6) + np.float32(1e-3) * normal(),
    "two groups far apart": np.concatenate([normal() + 1e5, normal() - 1e5]).astype(np.float32),
    "size 1e14": normal() * np.float32(1e14),
    "size 1e-14": normal() * np.float32(1e-14),
    "float16": normal().astype(np.float16),
    "uint8": np.clip(normal() * 20 + 100, 0, 255).astype(np.uint8),
    "int64": (normal() * 1000).astype(np.int64),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", DEGENERATE)
def test_every_method_learns_from_degenerate_vectors(name, method):
    given = DEGENERATE[name]
    n_levels = 1 if method == "vq" or given.shape[1] == 1 else 2
    fitted = fit_vectors(given, method, n_levels=n_levels, n_codewords=K, metric="l2")
    vectors = given.astype(np.float32)
    wide = vectors.astype(np.float64)
    energy = np.square(wide).sum(axis=1).mean()
    codes = fitted.codebooks.encode(vectors)
    decoded = fitted.codebooks.decode(codes)
    assert codes.planes.max(initial=0) < K
    assert np.isfinite(decoded).all()
    assert (fitted.distortion_per_level >= 0).all()
    assert (np.array(fitted.history) >= 0).all()
    error = np.square(wide - decoded).sum(axis=1).mean()
    # Sums of float32 squares; reconstructions round to 2^-24 of the vectors.
    np.testing.assert_allclose(
        fitted.distortion_per_level[-1], error, rtol=1e-3, atol=1e-12 * energy
    )
    spread = np.square(wide - wide.mean(axis=0)).sum(axis=1).mean()
    assert error <= 1.01 * spread + 1e-13 * energy  # as good as the mean, up to rounding
    n_distinct = len(np.unique(wide, axis=0))
    if (method in EXACT and n_distinct <= K) or n_distinct <= K // 2:
        assert error <= 1e-12 * energy
    for metric in ("ip", "l2", "cosine"):
        scores = Index(fitted.codebooks, codes, metric=metric).search(vectors[:3], k=4).scores
        assert np.isfinite(scores).all()


# The same vectors near zero, and moved or joined by what float32 products round off.
@pytest.mark.parametrize("method", ["rq", "rq-greedy", "sq", "pq", "vq", "drq", "drq-beam"])
@pytest.mark.parametrize("name", ["mean 1e6, spread 1", "an outlier of 1e15"])
def test_vectors_far_from_zero_are_described_as_well_as_those_near_it(name, method):
    n_levels = 1 if method == "vq" else 2

    def median_error(vectors):
        fitted = fit_vectors(vectors, method, n_levels=n_levels, n_codewords=K)
        decoded = fitted.codebooks.decode(fitted.codebooks.encode(vectors))
        return np.median(np.square(vectors.astype(float) - decoded).sum(axis=1))

    assert median_error(DEGENERATE[name]) < 1.6 * median_error(normal())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (
            normal() * np.float32(1e20),
            r"largest value .* got 3.*e\+20. Divide .* by 4e\+20",
        ),
        (normal() * np.float32(1e-20), "largest value .* Divide all vectors by 4e-20"),
        (normal() * np.float32(5e37), "largest value .* Divide all vectors by"),
        (normal() * np.float32(1e-42), "largest value .* Divide all vectors by"),
        (normal().astype(float) * 1e300, "must fit into float32, got .*e.300 in row 0"),
        (1e6 + 1e-3 * normal().astype(float), "must differ by more than float32 resolves"),
        (2**40 + normal().astype(np.int64), "must differ by more than float32 resolves"),
        (np.where(np.arange(8) == 2, np.nan, normal()), "all rows of column 2"),
        (normal(1), "at least 16 vectors .* got 1. Give more vectors: the smallest codebook"),
        (normal(10), "at least 16 vectors .* got 10. .* at most 8 codewords"),
        (normal(0), "at least 16 vectors .* got 0"),
    ],
)
def test_vectors_that_cannot_be_learned_from_are_refused_with_the_cure(method, vectors, message):
    with pytest.raises(DataError, match=message):
        fit_vectors(vectors, method, n_levels=1, n_codewords=K)


@pytest.mark.parametrize("dim", [1, 7, 10])
def test_levels_that_do_not_divide_the_dimension_are_refused_with_those_that_do(dim):
    named = {1: "4 bits .1 levels.", 7: "4 or 28 bits", 10: "4, 8, 20 or 40 bits"}[dim]
    with pytest.raises(OptionError, match=named):
        fit_vectors(normal(dim=dim), "pq", n_levels=4, n_codewords=K)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_codewords", [2, 4, 256])
@pytest.mark.parametrize("n_levels", [1, 8])
def test_smallest_and_longest_codes_of_repeated_vectors(method, n_codewords, n_levels):
    if method == "lsq" and n_codewords == 256 and n_levels == 8:
        pytest.skip("takes FAISS 20 s")
    n_levels = 1 if method == "vq" else n_levels
    vectors = repeated(2, 256)
    fitted = fit_vectors(vectors, method, n_levels=n_levels, n_codewords=n_codewords)
    decoded = fitted.codebooks.decode(fitted.codebooks.encode(vectors))
    # A shared pair of codewords has no zero for the later levels; rotations are settled nearly.
    is_shared_pair = method.startswith("drq") and n_codewords == 2 and n_levels > 1
    np.testing.assert_allclose(decoded, vectors, atol=0.05 if is_shared_pair else 1e-4)
    assert (fitted.distortion_per_level >= 0).all()


def test_equal_neighbours_of_a_large_mean_are_told_apart():
    near = np.arange(64, dtype=np.float32).reshape(8, 8) + 1e6
    codes, errors = assign(near, near)
    np.testing.assert_array_equal(codes, np.arange(8))
    np.testing.assert_array_equal(errors, 0)
    moved, errors = assign(near + np.float32(0.25), near)
    np.testing.assert_array_equal(moved, np.arange(8))
    np.testing.assert_array_equal(errors, 8 * 0.25**2)


def test_means_of_vectors_that_lie_together_are_exact():
    # 2,000 values of 1e6 and 1e6 + 1 in turn: their float32 sum rounds by hundreds.
    vectors = np.float32(1e6) + (np.arange(4000) % 2).astype(np.float32)[:, None]
    vectors[:20] = 0
    found = fit_kmeans(vectors, KMeansOptions(2, tolerance=0))
    np.testing.assert_array_equal(np.sort(found.codebook[:, 0]), [0, 1e6 + 0.5])


@pytest.mark.parametrize("method", ["rq", "rq-greedy", "sq", "drq", "pq"])
def test_residuals_far_below_the_smallest_vectors_are_no_error(method):
    # Levels 2 to 6 learn from what rounding leaves over, about 1e-20.
    vectors = normal(40, 2) * np.float32(1e-14)
    fitted = fit_vectors(vectors, method, n_levels=2 if method == "pq" else 6, n_codewords=K)
    assert fitted.distortion_per_level[-1] < 1e-28 * 0.1


def test_prefixes_that_describe_everything_keep_their_weight():
    fitted = fit_residual(DEGENERATE["one-hot classes"], ResidualFitOptions(4, K))
    assert fitted.codebooks.prefix_weights == pytest.approx((1 / 3,) * 3)
    np.testing.assert_array_equal(fitted.distortion_per_level, np.zeros(4))
    weights = fit_residual(DEGENERATE["equal rows"], ResidualFitOptions(4, K)).codebooks
    assert weights.prefix_weights == pytest.approx((1 / 3,) * 3)


@pytest.mark.parametrize("fit", [fit_product, fit_residual, fit_recurrent])
def test_vectors_close_together_have_an_offset_in_any_case(fit):
    options = {
        fit_product: ProductFitOptions,
        fit_residual: ResidualFitOptions,
        fit_recurrent: RecurrentFitOptions,
    }[fit](2, K, has_offset=False)
    assert fit(normal(), options).codebooks.offset is None
    np.testing.assert_allclose(fit(normal() + 1e4, options).codebooks.offset, 1e4, rtol=1e-4)


def test_an_outlier_does_not_move_the_offset_away():
    offset = fit_residual(with_outlier(1e15), ResidualFitOptions(2, K)).codebooks.offset
    np.testing.assert_allclose(offset, np.median(normal(), axis=0), atol=0.1)


@pytest.mark.parametrize(
    ("name", "method", "texts"),
    [
        (
            "one-hot classes",
            "rq",
            [
                "8 distinct vectors .* for 16 codewords a level",
                "level 1 describes .* levels 2, 3, 4 of 4 add no information. .* 1 of 4 levels",
            ],
        ),
        ("equal rows", "drq", ["1 distinct vector ", "levels 2, 3, 4 of 4 add no information"]),
        ("few distinct rows", "sq", ["5 distinct vectors", "level 1 describes"]),
        ("constant columns", "pq", ["subspace 3 of 4: the columns hold the same values"]),
        ("as many rows as codewords", "rq", ["level 1 describes the training vectors exactly"]),
    ],
)
def test_levels_and_codewords_that_do_nothing_are_reported(name, method, texts):
    warnings = fit_vectors(DEGENERATE[name], method, n_levels=4, n_codewords=K).warnings
    assert len(warnings) == len(texts)
    for text, warning in zip(texts, warnings, strict=True):
        assert re.search(text, warning), warning


@pytest.mark.parametrize("method", METHODS)
def test_ordinary_vectors_have_no_warnings(method):
    n_levels = 1 if method == "vq" else 2
    assert fit_vectors(normal(400), method, n_levels=n_levels, n_codewords=K).warnings == ()
