"""A linear generator that learns from images with missing values is probabilistic PCA's."""

import pytest
import torch
from linear_models import images_of, linear_model, marginal

from tigon.data.batches import Batch
from tigon.data.datasets import as_data
from tigon.data.principal import principal_components
from tigon.learners.generator import GeneratorLearner
from tigon.learners.noise import LearnedNoise
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness
COUNT = 300


def observed(missing=0.3):
    """Images of a linear generator, and a mask of each value of theirs."""
    model = linear_model(make_rng(3), 0.4)
    z = torch.randn(COUNT, 2, generator=make_rng(4), dtype=torch.float64)
    images = images_of(model, z, make_rng(5))
    mask = (torch.rand(images.shape, generator=make_rng(6)) > missing).double()
    mask[:, 0, 0, 0] = 1  # so that something of each image was observed
    return images, mask


def log_likelihood(images, mask, mean, covariance):
    """Of the observed values, image by image, without their constant."""
    total = 0.0
    for y, known in zip(images.flatten(1), mask.flatten(1) > 0, strict=True):
        part = torch.distributions.MultivariateNormal(mean[known], covariance[known][:, known])
        total += part.log_prob(y[known]).item()
    return total / len(images)


def ppca(images, mask, dim=2, sweeps=1500):
    """Maximum likelihood by the EM algorithm, image by image: mean and covariance."""
    y, known = images.flatten(1), mask.flatten(1) > 0
    size = y.shape[1]
    weight = torch.randn(size, dim, generator=make_rng(1), dtype=torch.float64)
    mean, noise = torch.zeros(size).double(), 1.0
    for _ in range(sweeps):
        first, second = [], []
        for row, here in zip(y, known, strict=True):
            some = weight[here]
            inverse = torch.linalg.inv(some.T @ some + noise * torch.eye(dim).double())
            z = inverse @ some.T @ (row[here] - mean[here])
            first.append(z)
            second.append(torch.outer(z, z) + noise * inverse)
        z, squares = torch.stack(first), torch.stack(second)
        residual = 0.0
        for k in range(size):
            here = known[:, k]
            moments = torch.zeros(dim + 1, dim + 1).double()
            moments[:dim, :dim] = squares[here].sum(0)
            moments[:dim, dim] = moments[dim, :dim] = z[here].sum(0)
            moments[dim, dim] = here.sum()
            ones = torch.cat([z[here], torch.ones(int(here.sum()), 1).double()], 1)
            row = torch.linalg.solve(moments, ones.T @ y[here, k])
            residual += (y[here, k] ** 2).sum() - row @ (ones.T @ y[here, k])
            weight[k], mean[k] = row[:dim], row[dim]
        before, noise = noise, (residual / known.sum()).item()
        if abs(before - noise) < 1e-7:
            break
    return mean, weight @ weight.T + noise * torch.eye(size).double()


@pytest.fixture(scope="module")
def exact():
    """Images, masks, and the mean and covariance of maximum likelihood."""
    images, mask = observed()
    return images, mask, *ppca(images, mask)


def learned(images, mask, iterations=500):
    """Learn weights and sigma as the recipes do; means over the last half of the run."""
    model = linear_model(make_rng(9), 0.3)
    chains = MCMC(HMC(0.3, 4), 1)
    learner = GeneratorLearner(
        model, len(images), chains, True, rng=make_rng(7), noise=LearnedNoise()
    )
    optimizer = torch.optim.Adam(learner.parameters(), 0.05)
    rng, found = make_rng(8), []
    batch = Batch(images, torch.arange(len(images)), mask)
    for iteration in range(iterations):
        optimizer.param_groups[0]["lr"] = 0.05 * 0.02 ** (2 * min(0.5, iteration / iterations))
        loss, _ = learner(batch, learner.run_chains(batch, rng))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        learner.after_update(optimizer)
        mean, covariance = marginal(model)
        found.append(torch.cat([mean[:, None], covariance], 1).detach().clone())
    half = torch.stack(found[iterations // 2 :]).mean(0)
    return half[:, 0], half[:, 1:]


def test_the_learner_finds_the_maximum_likelihood_of_the_observed_values(exact):
    """As near as its likelihood tells: complete data's answer and mean filling are far from it."""
    images, mask, mean, covariance = exact
    own_mean, own_covariance = learned(images, mask)
    assert (own_mean - mean).abs().max() < 0.02
    assert (own_covariance - covariance).norm() < 0.03 * covariance.norm()
    best = log_likelihood(images, mask, mean, covariance)
    assert 0 <= best - log_likelihood(images, mask, own_mean, own_covariance) < 2e-3
    filled = torch.where(mask > 0, images, (images * mask).sum(0) / mask.sum(0)).flatten(1)
    naive = torch.cov(filled.T, correction=0)
    assert (naive - covariance).norm() > 0.2 * covariance.norm()


def test_components_of_incomplete_images_are_those_of_maximum_likelihood(exact, monkeypatch):
    from tigon.data import principal
    from tigon.data.incomplete import fitted

    monkeypatch.setattr(principal, "fitted", lambda *model: fitted(*model, 3000, 1e-7))
    images, mask, mean, covariance = exact
    within = 4.0 * images.abs().max()  # images are in [-1, 1]
    data = as_data((images / within).float(), mask=mask)
    found = principal_components(data, 2)
    assert (found.mean * within - mean).abs().max() < 0.02
    widths = (found.deviations**2 - found.noise).sqrt()[:, None] * found.directions
    own = widths.T @ widths + found.noise * torch.eye(6)
    assert (own.double() * within**2 - covariance).norm() < 0.02 * covariance.norm()
    z = found.scores(data.batch(torch.arange(3)).images, mask[:3].float())
    for row, here, score in zip(images[:3].flatten(1), mask[:3].flatten(1) > 0, z, strict=True):
        some = covariance[here][:, here]
        towards = torch.linalg.solve(some, (row - mean)[here])
        wanted = covariance[:, here] @ towards + mean
        hidden = found.decode(score[None]).flatten().double() * within
        assert (hidden - wanted)[~here].abs().sum() < 0.05


def test_missing_values_have_no_influence_and_ones_change_nothing():
    """Bitwise: other values behind the mask, and a mask of ones as none."""
    images, mask = observed()
    other = torch.where(mask > 0, images, torch.full_like(images, torch.nan))
    runs = [
        learned(images * mask, mask, 20),
        learned(torch.where(mask > 0, images, 9.0), mask, 20),
    ]
    assert all(torch.equal(one, two) for one, two in zip(*runs, strict=True))
    data = [as_data((x / 8).float(), mask=mask) for x in (images, other)]
    batches = [one.batch(torch.arange(5)) for one in data]
    assert torch.equal(batches[0].images, batches[1].images)
    runs = [learned(images, known, 20) for known in (torch.ones_like(images), None)]
    assert all(torch.equal(one, two) for one, two in zip(*runs, strict=True))
