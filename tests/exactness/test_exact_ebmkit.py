"""Step by step, kernels go where ebmkit's go with the same noise."""

import ebm.samplers
import pytest
import torch

from targets import Banana, Funnel, correlated_gaussian
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.langevin import MALA
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness

TARGETS = {"gaussian": correlated_gaussian(), "funnel": Funnel(), "banana": Banana()}
STEPS = 60


def by_ebmkit(sampler, target, x):
    """The trajectory (K, B, d) with noise of the global generator, which is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return sampler.sample(lambda x: -target(x), x, steps=STEPS, return_trajectory=True)[1:]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (MALA(0.5), ebm.samplers.MALA(step_size=0.5**2 / 2)),
        (HMC(0.3, 5, jitter=0.0), ebm.samplers.HMC(step_size=0.3, leapfrog_steps=5)),
    ],
    ids=["MALA", "HMC"],
)
def test_trajectories_agree_with_ebmkits(ours, theirs, target):
    x = target.sample(40, make_rng(0))
    rng = torch.Generator().manual_seed(7)
    draws = MCMC(ours, STEPS).run(target, x, rng, keep=1)
    expected = by_ebmkit(theirs, target, x)
    assert torch.allclose(draws.trajectory, expected, rtol=1e-10, atol=1e-10)
    moved = (draws.trajectory[1:] != draws.trajectory[:-1]).any(2)
    assert 0.1 < moved.double().mean() < 1


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_hmc_of_one_leapfrog_step_is_mala(temperature):
    target = Banana()
    x = target.sample(40, make_rng(0))
    one = MCMC(MALA(0.6, temperature), 25).run(target, x, make_rng(1), keep=1)
    other = MCMC(HMC(0.6, 1, 0.0, temperature), 25).run(target, x, make_rng(1), keep=1)
    assert torch.allclose(one.trajectory, other.trajectory, rtol=1e-10, atol=1e-10)
