"""The chains that recipes run, their adapting step size included, keep their targets.

Each estimate is of independent chains; its standard error is stated, and 2 % is allowed.
"""

from contextlib import contextmanager

import pytest
import torch

from targets import Funnel, NarrowAndWide
from tigon.data.batches import Batch
from tigon.learners.generator import GeneratorLearner
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA
from tigon.mcmc.store import ChainStore
from tigon.models.generator import GeneratorModel
from tigon.random.streams import make_rng
from tigon.recipes.settings import LatentChains

pytestmark = pytest.mark.exactness


class OnTarget(GeneratorLearner):
    """A learner whose chains have known targets instead of posteriors."""

    def __init__(self, density_of, points, chains):
        network = torch.nn.Linear(points.shape[1], 1).double()
        super().__init__(GeneratorModel(network, points.shape[1]), ChainStore(points), chains)
        self.density_of = density_of

    @contextmanager
    def chain_density(self, batch, sigma=None):
        yield self.density_of(batch.index)

    def visit(self, times, of, first=200, every=40):
        """Move all chains so many times; returns the mean of `of` for each chain after `first`."""
        index, rng, kept = torch.arange(len(self.store)), make_rng("moves"), []
        for time in range(times):
            self.run_chains(Batch(torch.zeros(len(index), 1), index), rng)
            if time >= first and time % every == 0:
                kept.append(of(self.store.points))
        return torch.stack(kept).mean(0)


def assert_is_one(values, largest_error):
    """Check that the mean of one value a chain, (N,), is 1 within 2 %.

    Arguments:
        largest_error: the standard error of the mean is at most that
    """
    mean, error = values.mean().item(), values.std().item() / len(values) ** 0.5
    assert error < largest_error, f"standard error {error}"
    assert abs(mean - 1) < 0.02, f"{mean} +- {error} of what is right"


def recipes_chains(**options):
    """The chains that a generator's recipe runs."""
    return LatentChains(**options).build()


NARROW_AND_WIDE, FUNNEL = NarrowAndWide(), Funnel()


def test_chains_that_adapt_while_a_model_learns_keep_a_narrow_and_a_wide_normal():
    """From exact draws; a constant gain for each chain separately leaves .76 of the variance."""
    points = NARROW_AND_WIDE.sample(16000, make_rng(1))
    learner = OnTarget(lambda index: NARROW_AND_WIDE, points, recipes_chains())
    squares = learner.visit(640, lambda x: x[:, 0] ** 2 / NARROW_AND_WIDE.variance)
    assert_is_one(squares, 0.008)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["mala", "hmc"])
def test_chains_that_adapt_while_a_model_learns_keep_a_funnel(kernel):
    points = FUNNEL.sample(20000, make_rng(1))
    learner = OnTarget(lambda index: FUNNEL, points, recipes_chains(kernel=kernel))
    squares = learner.visit(640, lambda x: x[:, 0] ** 2 / FUNNEL.scale**2)
    assert_is_one(squares, 0.008)


def test_posteriors_of_any_width_are_found_from_the_prior_and_kept():
    """Widths of .05 to 1, a twentieth of the prior's to all of it, with one step size."""
    widths = torch.tensor([0.05, 0.14, 0.37, 1.0]).double().repeat(2000)[:, None]
    prior = torch.randn(len(widths), 2, generator=make_rng(1), dtype=torch.float64)

    def density_of(index):
        return lambda x: -((x / widths[index]) ** 2).sum(1) / 2

    learner = OnTarget(density_of, prior, recipes_chains())
    squares = learner.visit(800, lambda x: ((x / widths) ** 2).mean(1))
    for values in squares.view(-1, 4).T:
        assert_is_one(values, 0.009)


@pytest.mark.parametrize(
    ("pool", "count"), [(16, 12800), pytest.param(10, 32000, marks=pytest.mark.slow)]
)
def test_few_chains_that_share_their_acceptance_keep_their_target(pool, count):
    """Ten images, and the 16 chains of an image that a cold start infers."""
    points = NARROW_AND_WIDE.sample(count, make_rng(1))
    chains = MCMC(MALA(0.1, jitter=0.9), 640, StepSizeAdaptation(pool=pool))
    seen = chains.run(NARROW_AND_WIDE, points, make_rng(2), keep=40).trajectory[5:]
    assert_is_one((seen[..., 0] ** 2).mean(0) / NARROW_AND_WIDE.variance, 0.01)
