"""A linear generator's maximum likelihood is probabilistic PCA."""

import numpy as np
import pytest
import scipy.stats as st
import torch
from linear_models import images_of, linear_model, marginal
from sklearn.decomposition import PCA

from tigon.data.batches import Batch, BatchOrder
from tigon.learners.expansion import absorb, moments
from tigon.learners.generator import GeneratorLearner
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.langevin import MALA
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness


def observed(count):
    """Images of a linear generator, and what scikit-learn finds in them."""
    model = linear_model(make_rng(3))
    z = torch.randn(count, 2, generator=make_rng(4), dtype=torch.float64)
    images = images_of(model, z, make_rng(5))
    return images, PCA(n_components=2).fit(images.flatten(1).numpy())


def learned(images, sigma, chains, iterations, batch_size):
    """Learn from random weights; returns the mean of b and W W^T over the last half, and sigma^2.

    One iteration differs from the next by the noise of its latents; their mean does not.
    """
    model = linear_model(make_rng(9), sigma)
    learner = GeneratorLearner(model, len(images), chains, expand=True, rng=make_rng(7))
    optimizer = torch.optim.Adam(learner.parameters(), 0.05)
    order, rng, kept = BatchOrder(len(images), batch_size, 0), make_rng(8), []
    for iteration in range(iterations):
        optimizer.param_groups[0]["lr"] = 0.05 * 0.02 ** (2 * min(0.5, iteration / iterations))
        index = order.index(iteration)
        batch = Batch(images[index], index)
        loss, _ = learner(batch, learner.run_chains(batch, rng))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        learner.after_update(optimizer)
        if iteration >= iterations / 2:
            kept.append(marginal(model))
    return [torch.stack(part).mean(0) for part in zip(*kept, strict=True)]


def assert_is_ppca(found, images, pca, tolerance, of_mean):
    """Covariance within a part of its largest variance, and the mean log-likelihood.

    Arguments:
        of_mean: how far the mean may be off, as a part of the largest deviation
    """
    mean, covariance = found
    expected = torch.from_numpy(pca.get_covariance())
    largest = torch.linalg.eigvalsh(expected)[-1]
    off = (covariance - expected).abs().max() / largest
    assert off < tolerance, f"covariance off by {off}"
    pixels = images.flatten(1).numpy()
    assert np.abs(mean.numpy() - pca.mean_).max() < of_mean * largest**0.5
    score = st.multivariate_normal(mean, covariance).logpdf(pixels).mean()
    assert abs(score - pca.score(pixels)) < tolerance / 5


CHAINS = {"HMC": MCMC(HMC(0.3, 4), 1), "MALA": MCMC(MALA(0.5), 4)}


@pytest.mark.parametrize("chains", CHAINS.values(), ids=CHAINS)
def test_a_linear_generator_becomes_probabilistic_pca(chains):
    images, pca = observed(400)
    found = learned(images, pca.noise_variance_**0.5, chains, 600, 400)
    assert_is_ppca(found, images, pca, 0.015, 0.015)


@pytest.mark.slow
@pytest.mark.parametrize("chains", CHAINS.values(), ids=CHAINS)
def test_long_learning_by_small_batches_becomes_probabilistic_pca(chains):
    """Batches leave b some noise: .003 to .014 in eight runs by MALA; one over root n is .032."""
    images, pca = observed(1000)
    found = learned(images, pca.noise_variance_**0.5, chains, 10000, 100)
    assert_is_ppca(found, images, pca, 0.01, 0.02)


def test_the_learners_loss_is_minus_the_mean_log_likelihood_of_its_images():
    model = linear_model(make_rng(3), sigma=0.4)
    z = torch.randn(5, 2, generator=make_rng(4), dtype=torch.float64)
    images = images_of(model, z, make_rng(5))
    learner = GeneratorLearner(model, 5)
    loss, _ = learner(Batch(images, torch.arange(5)), z)
    away = (images - model(z)).detach().flatten(1).numpy()
    terms = st.norm(0, 0.4).logpdf(away) - st.norm(0, 0.4).logpdf(0)
    assert np.isclose(loss.item(), -terms.sum(1).mean(), rtol=1e-12)
    assert np.allclose(model.log_likelihood(images, z).detach(), terms.sum(1), rtol=1e-12)


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_expansion_puts_the_latents_expected_gaussian_in_the_place_of_the_prior(weight):
    """Latents of N(m, C) and weights W, b decode to N(b + W m, W C W^T): so must N(0, I), with m
    and C the average of the latents' first and second moments and of (0, I)."""
    model = linear_model(make_rng(3))
    mix = torch.tensor([[2.0, 0.3], [-1.0, 0.5]], dtype=torch.float64)
    z = torch.randn(300, 2, generator=make_rng(4), dtype=torch.float64) @ mix
    z = z + torch.tensor([3.0, -1.0]).double()
    images = model(z).detach()
    weights, bias = (p.detach().clone() for p in model.network.first.parameters())
    mean, identity = weight * z.mean(0), torch.eye(2).double()
    second = weight * z.T @ z / 300 + (1 - weight) * identity
    covariance = second - torch.outer(mean, mean)

    affine = moments(lambda: [z]).affine(weight)
    absorb(affine, model.network.first, None)

    found_mean, found = marginal(model)
    noise = model.sigma**2 * torch.eye(6).double()
    assert torch.allclose(found_mean, bias + weights @ mean, atol=1e-10)
    assert torch.allclose(found, weights @ covariance @ weights.T + noise, atol=1e-10)
    assert torch.allclose(model(affine.apply(z)), images, atol=1e-10)


def test_few_images_keep_their_freedom_at_the_maximum_of_the_likelihood():
    """Ten images of a linear generator, two latents, parameters that stay as they are: the mean of
    ten exact posterior draws varies, and hardly less after an expansion than without any."""
    spreads = {}
    for expand in (False, True):
        model = linear_model(make_rng(3), sigma=1.0)
        z = torch.randn(10, 2, generator=make_rng(4), dtype=torch.float64)
        learner = GeneratorLearner(model, 10, CHAINS["HMC"], expand=expand, rng=make_rng(7))
        images, rng, kept = images_of(model, z, make_rng(5)), make_rng(8), []
        optimizer = torch.optim.SGD(learner.parameters(), 0.0)
        for _ in range(600):
            learner.run_chains(Batch(images, torch.arange(10)), rng)
            learner.after_update(optimizer)
            kept.append(learner.store.points.mean(0))
        spreads[expand] = torch.stack(kept[100:]).std(0)
    assert (spreads[True] > 0.5 * spreads[False]).all(), spreads
