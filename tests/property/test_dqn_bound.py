"""DQN's theorem in its correct form: the quantisation error bounds that of the distance."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anybit.models import ProductConfig, ProductQuantization
from reference import dqn


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_levels=st.integers(1, 5),
    n_codewords=st.sampled_from([2, 4, 16]),
    width=st.integers(1, 4),
    scale=st.floats(0.01, 100),
    is_trained=st.booleans(),
)
def test_error_of_the_distance_is_at_most_that_of_the_code(
    seed, n_levels, n_codewords, width, scale, is_trained
):
    """``|sqrt(AQD(q, x)) - |q - x|| <= |x - C h|``, whatever codebooks and codes are."""
    generator = torch.Generator().manual_seed(seed)
    block = ProductQuantization(n_levels * width, ProductConfig(n_levels, n_codewords)).double()
    x, queries = scale * torch.randn(2, 20, n_levels * width, generator=generator).double()
    if is_trained:
        codes = block.start(x, seed=seed, n_iterations=2)
    else:
        block.codebooks.normal_(generator=generator)
        codes = torch.randint(n_codewords, (n_levels, 20), generator=generator)
    rebuilt, codebooks = block.decode(codes), block.codebooks.numpy()
    for i in range(20):
        error = float(torch.linalg.norm(x[i] - rebuilt[i]))
        for query in queries[:5]:
            aqd = dqn.asymmetric_distance(query.numpy(), codebooks, codes[:, i])
            distance = float(torch.linalg.norm(query - x[i]))
            # float64 rounding of the sums
            assert abs(np.sqrt(aqd) - distance) <= error + 1e-12 * (distance + error + 1)
