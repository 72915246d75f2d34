"""Pairs that share a label, and the squared loss over all pairs."""

import numpy as np
import torch

from anybit.training.engine.pairs import shared_labels, squared_pair_loss

LABELS = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=torch.bool)


def test_pairs_share_a_label_where_they_have_one_in_common():
    wanted = [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(shared_labels(LABELS).numpy(), wanted)


def test_squared_loss_by_hand():
    similarities = torch.zeros(4, 4)
    similarities[0, 1] = 0.5  # 1 is wanted
    similarities[2, 3] = 2.0  # -1 is wanted
    assert float(squared_pair_loss(similarities, LABELS)) == 14 + 0.25 + 9
    assert float(squared_pair_loss(similarities, LABELS, "mean")) == (14 + 0.25 + 9) / 16
    balanced = float(squared_pair_loss(similarities, LABELS, "mean", is_balanced=True))
    # 7 pairs are similar, 9 are not
    np.testing.assert_allclose(balanced, (6.25 / 7 + 17 / 9) / 2, rtol=1e-6)  # float32 rounding
