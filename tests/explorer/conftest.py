"""Runs that the explorer's tests share."""

import pytest

from explored import hub_of, make_runs


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A generator with two latents, one with four, and a descriptor."""
    return make_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def hub(runs):
    """Returns the hub of a run by its name."""
    return lambda name: hub_of(runs[name])
