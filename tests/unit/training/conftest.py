"""A tiny picture source and options of a run on it that takes a second or two."""

import pytest

from reference.training_run import make_options, make_source


@pytest.fixture
def source():
    return make_source()


@pytest.fixture
def options():
    return make_options()
