import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from anybit.codes import Codebooks, Codes

K = st.sampled_from([2, 4, 8, 16, 32, 64, 128, 256])
M = st.integers(1, 16)
SEED = st.integers(0, 10**6)


def codebooks_of(kind, n_levels, n_codewords, seed):
    rng = np.random.default_rng(seed)
    offset = rng.normal(size=6)
    if kind == "shared":
        scales = rng.uniform(-0.2, 1, size=n_levels)
        return Codebooks.shared(rng.normal(size=(n_codewords, 6)), scales, offset=offset)
    return Codebooks.stacked(rng.normal(size=(n_levels, n_codewords, 6)), offset=offset)


@settings(max_examples=60, deadline=None)
@given(n_levels=M, n_codewords=K, n_items=st.integers(0, 30), seed=SEED)
def test_pack_and_unpack_are_inverse(n_levels, n_codewords, n_items, seed):
    rows = np.random.default_rng(seed).integers(n_codewords, size=(n_items, n_levels))
    codes = Codes.from_rows(rows.astype(np.uint8), n_codewords)
    packed = codes.pack()
    assert packed.shape == (n_items, codes.code_bytes)
    np.testing.assert_array_equal(Codes.unpack(packed, n_levels, n_codewords).rows(), rows)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["shared", "stacked"]), n_codewords=K, seed=SEED)
def test_prefix_of_stored_codes_is_the_code_of_the_cut_model(data, kind, n_codewords, seed):
    n_levels = data.draw(M)
    codebooks = codebooks_of(kind, n_levels, n_codewords, seed)
    bits = data.draw(st.sampled_from(codebooks.lengths()))
    features = np.random.default_rng(seed + 1).normal(size=(25, 6)).astype(np.float32)
    prefix, short = codebooks.encode(features).cut(bits), codebooks.cut(bits)
    np.testing.assert_array_equal(prefix.planes, short.encode(features).planes)
    levels = codebooks.n_levels_of(bits)
    np.testing.assert_array_equal(prefix.planes, codebooks.encode(features, levels).planes)
    np.testing.assert_array_equal(short.decode(prefix), codebooks.decode(prefix))
    assert prefix.bits == short.bits == bits


@settings(max_examples=40, deadline=None)
@given(n_codewords=K, seed=SEED)
def test_reconstruction_of_one_level_has_the_same_code(n_codewords, seed):
    codebooks = codebooks_of("stacked", 1, n_codewords, seed)
    features = np.random.default_rng(seed + 1).normal(size=(25, 6)).astype(np.float32)
    codes = codebooks.encode(features)
    again = codebooks.encode(codebooks.decode(codes))
    np.testing.assert_array_equal(again.planes, codes.planes)


@settings(max_examples=40, deadline=None)
@given(n_levels=M, n_codewords=K, seed=SEED, kind=st.sampled_from(["shared", "stacked"]))
def test_tensors_round_trip_keeps_codes(n_levels, n_codewords, seed, kind):
    codebooks = codebooks_of(kind, n_levels, n_codewords, seed)
    loaded = Codebooks.from_tensors(*codebooks.to_tensors())
    features = np.random.default_rng(seed + 1).normal(size=(10, 6)).astype(np.float32)
    np.testing.assert_array_equal(loaded.encode(features).planes, codebooks.encode(features).planes)
