import numpy as np
import pytest

from anybit.codes import Codebooks, Codes
from anybit.errors import DataError, DTypeError, FormatError, OptionError, ShapeError

KINDS = ["shared", "shared cosine", "stacked", "product", "rotated"]


def make(kind, n_levels=3, n_codewords=8, dim=6, has_offset=True):
    rng = np.random.default_rng(0)
    offset = rng.normal(size=dim) if has_offset else None
    if kind.startswith("shared"):
        assignment = "cosine" if "cosine" in kind else "l2"
        scales = 0.5 ** np.arange(n_levels)
        codebook = rng.normal(size=(n_codewords, dim))
        return Codebooks.shared(codebook, scales, offset=offset, assignment=assignment)
    if kind == "stacked":
        return Codebooks.stacked(rng.normal(size=(n_levels, n_codewords, dim)), offset=offset)
    parts = rng.normal(size=(n_levels, n_codewords, dim // n_levels))
    rotation = np.linalg.qr(rng.normal(size=(dim, dim)))[0] if kind == "rotated" else None
    return Codebooks.product(parts, rotation=rotation, offset=offset)


def vectors(n_items=40, dim=6):
    return np.random.default_rng(1).normal(size=(n_items, dim)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_decode_is_offset_plus_sum_of_dense_codewords(kind):
    codebooks = make(kind)
    codes = codebooks.encode(vectors())
    dense, decoded = codebooks.dense(), codebooks.decode(codes)
    for item, row in enumerate(codes.rows()):
        expected = codebooks.offset + sum(dense[m, code] for m, code in enumerate(row))
        np.testing.assert_allclose(decoded[item], expected, rtol=1e-5, atol=1e-6)  # float32
    expected = [float(row @ row) for row in decoded]
    np.testing.assert_allclose(codebooks.sq_norms(codes), expected, rtol=1e-5)  # float32


@pytest.mark.parametrize("kind", KINDS)
def test_lut_is_inner_products_in_a_plain_loop(kind):
    codebooks, queries = make(kind), vectors(4)
    lut = codebooks.lut(queries, 2)
    assert lut.shape == (4, 2, 8)
    assert lut.dtype == np.float32
    for q, query in enumerate(queries):
        for m, level in enumerate(codebooks.dense()[:2]):
            for k, codeword in enumerate(level):
                np.testing.assert_allclose(lut[q, m, k], query @ codeword, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(codebooks.lut(queries)[:, :2], lut)


@pytest.mark.parametrize("kind", ["shared", "stacked"])
def test_encoding_takes_the_nearest_codeword_of_what_is_left(kind):
    codebooks = make(kind)
    codes = codebooks.encode(vectors())
    for vector, row in zip(vectors(), codes.rows(), strict=True):
        residual = vector - codebooks.offset
        for level, code in zip(codebooks.dense(), row, strict=True):
            assert code == np.argmin(((residual - level) ** 2).sum(axis=1))
            residual = residual - level[code]


def test_cosine_assignment_looks_at_directions():
    codebook = np.array([[1, 0], [3, 3]], dtype=np.float32)
    vector = np.array([[0.6, 0.5]], dtype=np.float32)
    scales = np.ones(1, dtype=np.float32)
    assert Codebooks.shared(codebook, scales).encode(vector).planes[0, 0] == 0
    cosine = Codebooks.shared(codebook, scales, assignment="cosine")
    assert cosine.encode(vector).planes[0, 0] == 1


def test_cosine_assignment_looks_at_scaled_codewords():
    # The authors' code scales first, so that a negative scale chooses the opposite direction.
    codebook = np.array([[0.5, 0], [-0.5, 0.01]], dtype=np.float32)
    scales = np.array([1, -0.5], dtype=np.float32)
    codebooks = Codebooks.shared(codebook, scales, assignment="cosine")
    vector = np.array([[1, 0]], dtype=np.float32)
    codes = codebooks.encode(vector)
    np.testing.assert_array_equal(codes.rows(), [[0, 1]])
    residual = vector - codebooks.decode(codes)
    np.testing.assert_allclose((residual**2).sum(), 0.0625, rtol=1e-3)  # .25^2, and .005^2
    given = codebooks.encode_further(vector, codes.cut_levels(1))
    np.testing.assert_array_equal(given.planes, [[1]])


@pytest.mark.parametrize("kind", ["product", "rotated"])
def test_product_takes_the_nearest_codeword_of_each_subspace(kind):
    codebooks = make(kind)
    rotated = vectors() - codebooks.offset
    if codebooks.rotation is not None:
        rotated = rotated @ codebooks.rotation
    planes = codebooks.encode(vectors()).planes
    for level, codebook in enumerate(codebooks.codebooks):
        part = rotated[:, 2 * level : 2 * level + 2]
        distances = ((part[:, None] - codebook) ** 2).sum(axis=2)
        np.testing.assert_array_equal(planes[level], np.argmin(distances, axis=1))


def test_product_with_256_codewords_of_every_vector_decodes_exactly():
    features = vectors(256)
    rotation = make("rotated").rotation
    parts = (features @ rotation).reshape(256, 3, 2).transpose(1, 0, 2)
    codebooks = Codebooks.product(parts, rotation=rotation)
    decoded = codebooks.decode(codebooks.encode(features))
    np.testing.assert_allclose(decoded, features, atol=1e-5)  # float32 rotation and back


@pytest.mark.parametrize("kind", KINDS)
def test_saved_codebooks_load_the_same(kind, tmp_path):
    codebooks = make(kind)
    codebooks.save(tmp_path / "codebooks.safetensors")
    loaded = Codebooks.load(tmp_path / "codebooks.safetensors")
    assert (loaded.kind, loaded.metric, loaded.assignment) == (
        (codebooks.kind, codebooks.metric, codebooks.assignment)
    )
    for name in ("codebooks", "level_scales", "offset", "rotation"):
        before, after = getattr(codebooks, name), getattr(loaded, name)
        assert (before is None) == (after is None)
        if before is not None:
            np.testing.assert_array_equal(after, before)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "codebooks.safetensors"
    make("shared").save(path)
    content = path.read_bytes()
    for damaged in (b"", content[:20], content[:-5], b"\xff" * 64, b"\0" * 200):
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match="must be a safetensors file"):
            Codebooks.load(path)
    with pytest.raises(FormatError, match="must be a safetensors file"):
        Codebooks.load(tmp_path / "missing")


def test_file_without_scales_and_unknown_kind():
    tensors, settings = make("shared").to_tensors()
    with pytest.raises(FormatError, match="do not fit"):
        Codebooks.from_tensors({"codebooks": tensors["codebooks"]}, settings)
    with pytest.raises(FormatError, match="got 'tree'"):
        Codebooks.from_tensors(tensors, {**settings, "kind": "tree"})


def test_wrong_vectors_are_refused():
    codebooks = make("shared")
    with pytest.raises(ShapeError, match=r"vectors must have shape \(N, 6\)"):
        codebooks.encode(vectors(dim=5))
    with pytest.raises(ShapeError, match=r"queries must have shape \(N, 6\)"):
        codebooks.lut(vectors()[0])
    with pytest.raises(DTypeError, match="vectors must be numbers"):
        codebooks.encode(np.full((2, 6), "a"))
    features = vectors(5000)
    features[4500, 1] = np.nan
    with pytest.raises(DataError, match="row 4500"):
        codebooks.encode(features)
    for call in (codebooks.encode, codebooks.lut):
        with pytest.raises(OptionError, match="n_levels must be from 1 to 3"):
            call(vectors(), 4)


def test_wrong_codes_are_refused():
    with pytest.raises(ShapeError, match="at most 3 levels of 8"):
        make("shared").decode(Codes(np.zeros((4, 1), np.uint8), 8))
    with pytest.raises(ShapeError, match="got 3 levels of 4"):
        make("shared").sq_norms(Codes(np.zeros((3, 1), np.uint8), 4))
    with pytest.raises(ShapeError, match="got 3 levels of 4"):  # no item is no excuse
        make("shared").sq_norms(Codes(np.zeros((3, 0), np.uint8), 4))


def test_wrong_codebooks_are_refused():
    ones, scales = np.ones((4, 2)), np.ones(2)
    with pytest.raises(ShapeError, match="codebook must have 2 dimensions"):
        Codebooks.shared(ones[0], scales)
    with pytest.raises(ShapeError, match="level_scales must have 1 to 1024 levels, got 0"):
        Codebooks.shared(ones, scales[:0])
    with pytest.raises(OptionError, match="power of two"):
        Codebooks.shared(ones[:3], scales)
    with pytest.raises(OptionError, match="finite"):
        Codebooks.shared(ones * np.nan, scales)
    with pytest.raises(DTypeError, match="must be numbers"):
        Codebooks.shared(np.full((4, 2), "a"), scales)
    with pytest.raises(ShapeError, match="offset must have shape"):
        Codebooks.shared(ones, scales, offset=np.ones(3))
    with pytest.raises(ShapeError, match="rotation must have shape"):
        Codebooks.product(np.ones((2, 4, 2)), rotation=np.eye(3))
    with pytest.raises(OptionError, match="metric must be one of"):
        Codebooks.shared(ones, scales, metric="dot")
    with pytest.raises(OptionError, match="assignment must be"):
        Codebooks.shared(ones, scales, assignment="ip")
    with pytest.raises(ShapeError, match=r"codebooks must not be empty, got \(2, 4, 0\)"):
        Codebooks.stacked(np.ones((2, 4, 0)))


@pytest.mark.parametrize(
    "made", [make("shared"), make("stacked"), make("product"), Codebooks.signs(6)]
)
def test_codebooks_encode_greedily_by_distance_unless_told(made):
    assert (made.assignment, made.beam_size, made.prefix_weights) == ("l2", 1, ())


def test_product_is_not_cut():
    with pytest.raises(OptionError, match="product codes cannot be cut"):
        make("product").cut(3)
    assert make("product").cut(9).bits == 9


@pytest.mark.parametrize("n_first", [1, 2])
@pytest.mark.parametrize("kind", ["shared", "stacked"])
def test_further_levels_follow_on_the_given_ones(rng, kind, n_first):
    values = rng.standard_normal((3, 8, 5)).astype(np.float32)
    offset = rng.standard_normal(5).astype(np.float32)
    if kind == "shared":
        codebooks = Codebooks.shared(values[0], np.float32([1, 0.5, 0.2]), offset=offset)
    else:
        codebooks = Codebooks.stacked(values, offset=offset)
    vectors = rng.standard_normal((40, 5)).astype(np.float32)
    whole = codebooks.encode(vectors)
    further = codebooks.encode_further(vectors, Codes(whole.planes[:n_first], 8))
    np.testing.assert_array_equal(further.planes, whole.planes[n_first:])
    given = Codes(rng.integers(0, 8, (n_first, 40)).astype(np.uint8), 8)
    chosen = codebooks.encode_further(vectors, given).planes[0]
    left = vectors - codebooks.decode(given)
    level = codebooks.dense()[n_first]
    distances = ((left[:, None] - level[None]) ** 2).sum(axis=2)  # (N, K)
    np.testing.assert_array_equal(chosen, distances.argmin(axis=1))


def test_further_levels_need_fewer_given_ones_and_no_product(rng):
    codebooks = Codebooks.stacked(rng.standard_normal((2, 4, 3)).astype(np.float32))
    vectors = rng.standard_normal((6, 3)).astype(np.float32)
    with pytest.raises(ShapeError, match="fewer than 2 levels, got 6 of 2"):
        codebooks.encode_further(vectors, codebooks.encode(vectors))
    product = Codebooks.product(rng.standard_normal((3, 4, 1)).astype(np.float32))
    with pytest.raises(OptionError, match="no further levels"):
        product.encode_further(vectors, Codes(np.zeros((1, 6), np.uint8), 4))


def test_a_cut_weighs_the_prefixes_that_are_left_as_before():
    codebooks = make("stacked", n_levels=4)
    values = {**vars(codebooks), "beam_size": 4, "prefix_weights": (0.5, 0.25, 0.125)}
    whole = type(codebooks)(**values)
    cut = whole.cut(9)
    assert (cut.n_levels, cut.beam_size, cut.prefix_weights) == (3, 4, (0.5, 0.25))
    assert whole.cut(3).prefix_weights == ()
