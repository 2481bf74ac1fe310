"""Simulation-based calibration: among posterior draws, the rank of a prior draw is uniform.

References:
    Talts et al., "Validating Bayesian inference algorithms with simulation-based calibration",
    2018.
"""

import pytest
import scipy.stats as st
import torch
from linear_models import images_of
from torch import nn

from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.langevin import MALA
from tigon.models.generator import GeneratorModel
from tigon.random.streams import make_rng, normal

pytestmark = pytest.mark.exactness

RANKS = 20


def curved_model():
    """A small network of two latents and six pixels; its posteriors are bent, not Gaussian."""
    network = nn.Sequential(
        nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 6), nn.Unflatten(1, (1, 2, 3))
    )
    rng = make_rng(11)
    with torch.no_grad():
        for parameter in network.double().parameters():
            parameter.copy_(0.7 * normal(rng, parameter))
    return GeneratorModel(network, 2, 0.8)


def ranks(kernel, thin, replications):
    """Ranks of z*, and of its density, among thinned draws: three of each replication, (3, R)."""
    model = curved_model()
    like = torch.zeros(1, dtype=torch.float64)
    true = model.latents(replications, make_rng(1), like)
    images = images_of(model, true, make_rng(2))
    density = model.posterior(images)
    start = model.latents(replications, make_rng(3), like)
    steps = thin * (RANKS - 1)
    warm = MCMC(kernel, 3 * thin).run(density, start, make_rng(4))
    draws = MCMC(kernel, steps).run(density, warm.state, make_rng(5), keep=thin)
    with torch.no_grad():
        value = density(true)
    of_latents = (draws.trajectory < true).sum(0).T
    return torch.cat([of_latents, (draws.log_densities < value).sum(0)[None]])


def assert_uniform(found):
    """Chi-square over ranks 0 to 19, for each quantity."""
    for row in found:
        counts = torch.bincount(row, minlength=RANKS)
        assert len(counts) == RANKS
        assert st.chisquare(counts.numpy()).pvalue > 1e-4, counts.tolist()


KERNELS = {"MALA": (MALA(0.4), 60), "HMC": (HMC(0.25, 5), 8)}


@pytest.mark.parametrize("kernel", KERNELS)
def test_ranks_of_prior_draws_in_their_posteriors_are_uniform(kernel):
    assert_uniform(ranks(*KERNELS[kernel], 800))


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS)
def test_ranks_of_very_many_prior_draws_are_uniform(kernel):
    moves, thin = KERNELS[kernel]
    assert_uniform(ranks(moves, 2 * thin, 6000))
