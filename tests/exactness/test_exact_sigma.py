"""sigma, learned with a linear generator, is probabilistic PCA's; annealed, it is the chains'."""

import math

import pytest
import torch
from linear_models import images_of, linear_model, marginal, posterior

from tigon.data.batches import Batch, BatchOrder
from tigon.learners.generator import GeneratorLearner
from tigon.learners.noise import Annealing, LearnedNoise
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.langevin import MALA
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness
CHAINS = {"HMC": MCMC(HMC(0.3, 4), 1), "MALA": MCMC(MALA(0.5), 4)}
BLOCKS = 10


def observed(count):
    """Images of a linear generator with sigma 0.6, in two latents."""
    model = linear_model(make_rng(3))
    z = torch.randn(count, 2, generator=make_rng(4), dtype=torch.float64)
    return images_of(model, z, make_rng(5))


def noise_variance(images):
    """Of maximum likelihood: the mean of the eigenvalues that two latents leave out."""
    covariance = torch.cov(images.flatten(1).T, correction=0)
    return torch.linalg.eigvalsh(covariance)[:-2].mean().item()


def learned(images, chains, iterations, batch_size, noise):
    """Learn weights and sigma as the recipes do; returns sigma^2 over the last half, (K,)."""
    model = linear_model(make_rng(9), 0.3)
    learner = GeneratorLearner(
        model, len(images), chains, True, Annealing(), rng=make_rng(7), noise=noise
    )
    optimizer = torch.optim.Adam(learner.parameters(), 0.05)
    order, rng, squares = BatchOrder(len(images), batch_size, 0), make_rng(8), []
    for iteration in range(iterations):
        optimizer.param_groups[0]["lr"] = 0.05 * 0.02 ** (2 * min(0.5, iteration / iterations))
        learner.begin(iteration / iterations)
        index = order.index(iteration)
        batch = Batch(images[index], index)
        loss, _ = learner(batch, learner.run_chains(batch, rng))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        learner.after_update(optimizer)
        squares.append(model.sigma.clone() ** 2)
    return torch.stack(squares[iterations // 2 :])


def assert_is_ppca(squares, images, most):
    """The mean within four standard errors, of means of blocks, which are below `most` of it."""
    expected, means = noise_variance(images), squares.view(BLOCKS, -1).mean(1)
    error = means.std().item() / math.sqrt(BLOCKS)
    assert error < most * expected
    assert abs(means.mean().item() - expected) < 4 * error


def test_sigma_learned_with_the_weights_is_that_of_probabilistic_pca():
    images = observed(400)
    assert_is_ppca(learned(images, CHAINS["HMC"], 600, 400, LearnedNoise()), images, 0.005)


@pytest.mark.slow
@pytest.mark.parametrize("chains", CHAINS.values(), ids=CHAINS)
def test_sigma_learned_by_small_batches_is_that_of_probabilistic_pca(chains):
    images = observed(1000)
    assert_is_ppca(learned(images, chains, 4000, 100, LearnedNoise()), images, 0.005)


def test_a_learned_sigma_stops_at_its_floor():
    images = observed(400)
    floor = 1.2 * noise_variance(images) ** 0.5
    squares = learned(images, CHAINS["HMC"], 300, 400, LearnedNoise(floor))
    assert torch.allclose(squares, torch.tensor(floor**2).double())


@pytest.mark.parametrize(("part", "weight"), [(1.0, 1.0), (0.25, 0.25), (1e-4, 0.01)])
def test_an_update_averages_over_the_data_or_a_hundred_iterations(part, weight):
    sigma = torch.tensor(0.5).double()
    LearnedNoise().update(sigma, torch.tensor(0.04).double(), part)
    assert sigma.item() ** 2 == pytest.approx((1 - weight) * 0.25 + weight * 0.04)


def test_annealed_chains_draw_from_the_posterior_with_their_own_sigma():
    """Halfway from 2.4 to the model's 0.6 is 1.2, of chains and loss; the model keeps 0.6."""
    count, halfway = 4000, linear_model(make_rng(3), 1.2)
    model = linear_model(make_rng(3), 0.6)
    images = images_of(model, torch.ones(1, 2).double(), make_rng(5)).expand(count, -1, -1, -1)
    chains = MCMC(HMC(0.4, 4), 25)
    learner = GeneratorLearner(model, count, chains, False, Annealing(2.4, 0.5), rng=make_rng(7))
    batch = Batch(images, torch.arange(count))
    learner.begin(0.25)
    z = learner.run_chains(batch, make_rng(8))
    mean, covariance = posterior(halfway, images)
    whitened = torch.linalg.solve_triangular(
        torch.linalg.cholesky(covariance), (z - mean).T, upper=False
    )
    assert whitened.mean(1).abs().max() < 4 / count**0.5
    assert (whitened.var(1) - 1).abs().max() < 4 * (2 / count) ** 0.5
    loss, metrics = learner(batch, z)
    error = ((images - model(z)) ** 2).mean().item()
    assert loss.item() == pytest.approx(6 * error / (2 * 1.2**2))
    assert metrics["reconstruction_error"].item() == pytest.approx(error)
    assert (metrics["sigma"].item(), model.sigma.item()) == pytest.approx((1.2, 0.6))


def test_images_with_noise_are_draws_of_the_marginal_density():
    count, model = 40000, linear_model(make_rng(3))
    images = model.sample(count, make_rng(1), noise=True).flatten(1)
    mean, covariance = marginal(model)
    whitened = torch.linalg.solve_triangular(
        torch.linalg.cholesky(covariance), (images - mean).T.detach(), upper=False
    )
    assert whitened.mean(1).abs().max() < 4 / count**0.5
    assert (torch.cov(whitened) - torch.eye(6)).abs().max() < 4 * (2 / count) ** 0.5
