"""Runs that the explorer's tests share."""

import pytest

from explored import hub_of, make_calibrated, make_runs


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A generator with two latents, one with four, and a descriptor."""
    return make_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def hub(runs):
    """Returns the hub of a run by its name."""
    return lambda name: hub_of(runs[name])


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory):
    """Returns the hub of a run that held images out, by its name."""
    made = make_calibrated(tmp_path_factory.mktemp("calibrated"))
    return lambda name: hub_of(made[name])
