"""Epochs of a run, shared among the stages as those of the preset are."""

import pytest

from anybit.training.engine.overriding import shared_epochs


@pytest.mark.parametrize(
    ("n_epochs", "epochs", "shares"),
    [
        (8, (11, 5), (6, 2)),
        (16, (11, 5), (11, 5)),
        (1, (11, 5), (1, 0)),
        (5, (1, 255), (1, 4)),
        (3, (0, 16), (0, 3)),
        (7, (16,), (7,)),
        (32, (10, 1, 5), (20, 2, 10)),
        (4, (10, 1, 5), (2, 1, 1)),
        (2, (10, 1, 5), (1, 1, 0)),
        (1, (10, 1, 5), (1, 0, 0)),
        (0, (10, 1, 5), (0, 0, 0)),
        (3, (0, 0), (0, 3)),
    ],
)
def test_stages_share_the_epochs_in_proportion(n_epochs, epochs, shares):
    assert shared_epochs(n_epochs, epochs) == shares
