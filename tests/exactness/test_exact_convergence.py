"""From far away, chains find the density if they can."""

import numpy as np
import pytest
import scipy.stats as st
import torch

from targets import (
    Banana,
    Bimodal,
    Funnel,
    assert_standard_normal,
    correlated_gaussian,
    normal_line,
)
from tigon.mcmc.chain import MCMC, warm_up
from tigon.mcmc.hmc import HMC
from tigon.mcmc.langevin import MALA
from tigon.mcmc.preconditioning import Preconditioned
from tigon.mcmc.tempered import ReplicaExchange
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness

FAR = Bimodal(reach=6.0)


@pytest.mark.parametrize("precondition", [False, True])
@pytest.mark.parametrize("kernel", [MALA(0.05), HMC(0.05, 5)], ids=["MALA", "HMC"])
def test_a_gaussian_is_found_from_afar(kernel, precondition):
    target = correlated_gaussian()
    x = torch.full((2000, 3), 15.0, dtype=torch.float64)
    found = warm_up(kernel, target, x, make_rng(0), 200, precondition=precondition)
    draws = MCMC(found.kernel, 60).run(target, found.x, make_rng(1), found.step_size)
    assert_standard_normal(target.whiten(draws.x))


def half_normal(x):
    """N(0, 1) above 0, and no density below, (B, 1) to (B,)."""
    return torch.where(x[:, 0] > 0, -(x[:, 0] ** 2) / 2, -torch.inf)


@pytest.mark.parametrize(
    "kernel",
    [
        MALA(0.9),
        HMC(0.5, 3),
        Preconditioned(MALA(0.6), torch.tensor([1.5]).double()),
        ReplicaExchange(MALA(0.9), (1.0, 2.0)),
    ],
    ids=["MALA", "HMC", "preconditioned", "replicas"],
)
def test_chains_that_start_where_the_density_is_zero_get_in_and_sample_it(kernel):
    x = torch.full((20000, 1), -0.3, dtype=torch.float64)
    draws = MCMC(kernel, 80).run(half_normal, x, make_rng(1))
    assert bool((draws.x > 0).all())
    assert_standard_normal(torch.special.ndtri(2 * torch.special.ndtr(draws.x) - 1))


def crossings(target, s):
    """How much of the target MALA's proposals carry across the middle in one step, at most.

    The mass that flows is below the double integral of min(p(x) q(x' | x), p(x') q(x | x')) over
    x > 0 > x', along the axis of the modes.
    """
    u = np.linspace(1e-6, 25, 2000)
    right = target.weight * st.norm.pdf(u - target.reach)
    left = (1 - target.weight) * st.norm.pdf(u + target.reach)
    slope = (-(u - target.reach) * right - (u + target.reach) * left) / (right + left)
    beyond = st.norm.cdf(-(u + s**2 / 2 * slope) / s)
    return np.trapezoid((right + left) * beyond, u)


def test_mala_stays_in_its_mode_for_longer_than_anyone_waits():
    """Fewer than one crossing in a hundred is expected of all these chains together."""
    count, steps, s = 1000, 200, 0.9
    x = FAR.sample(2 * count, make_rng(0))
    x = x[FAR.turned(x)[:, 0] > 0][:count]
    assert count * steps * crossings(FAR, s) / FAR.weight < 0.01
    draws = MCMC(MALA(s), steps).run(FAR, x, make_rng(1))
    assert len(x) == count and bool((FAR.turned(draws.x)[:, 0] > 0).all())


def test_replicas_find_the_weights_of_modes_that_mala_never_leaves():
    x = FAR.turned(torch.tensor([[-6.0, 0.0]]).double()).repeat(3000, 1)
    kernel = ReplicaExchange(MALA(0.9), (1.0, 2.5, 6.0, 15.0, 40.0))
    draws = MCMC(kernel, 250).run(FAR, x, make_rng(1))
    assert (draws.swap_prob.mean(0) > 0.2).all()
    assert_standard_normal(FAR.whiten(draws.x))


def test_hmc_without_jitter_resonates_and_with_jitter_forgets_its_start():
    """On N(0, 1) L leapfrog steps of s = 2 sin(pi / L) are one whole turn."""
    target, length = normal_line(), 10
    s = 2 * np.sin(np.pi / length)
    x = torch.full((5000, 1), 3.0, dtype=torch.float64)
    stuck = MCMC(HMC(s, length, jitter=0.0), 40).run(target, x, make_rng(0))
    assert (stuck.x - 3).abs().max() < 1e-6 and stuck.accept_prob.min() > 0.999
    free = MCMC(HMC(s, length, jitter=0.2), 40).run(target, x, make_rng(0))
    assert_standard_normal(free.x)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [MALA(0.3), HMC(0.2, 8)], ids=["MALA", "HMC"])
@pytest.mark.parametrize("target", [Funnel(dim=2, scale=1.0), Banana()], ids=["funnel", "banana"])
def test_bent_and_narrowing_densities_are_found_in_long_runs(target, kernel):
    x = torch.full((20000, 2), 2.0, dtype=torch.float64)
    steps = 6000 // kernel.gradient_evaluations
    draws = MCMC(kernel, steps).run(target, x, make_rng(1))
    assert_standard_normal(target.whiten(draws.x))
