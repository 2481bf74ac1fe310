"""A prior of latents that is learned: its draws, and what it becomes."""

import pytest
import torch
from torch import nn

import tigon
from small import mixture_of
from tigon.data.batches import Batch
from tigon.learners.latent_ebm import LatentEBMLearner
from tigon.models.energy_prior import EnergyPrior


class Linear(nn.Module):
    """y = z on an image of two pixels, which is not learned."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        nn.init.eye_(self.first.weight)
        nn.init.zeros_(self.first.bias)
        self.requires_grad_(False)

    def forward(self, z):
        return self.first(z).view(-1, 1, 1, 2)


class Gauss(nn.Module):
    """f(z) = a z - sum of b z^2 / 2: the tilts that make a normal density of N(0, I)."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))

    def forward(self, z):
        return z @ self.a - 0.5 * z.square() @ self.b


@pytest.mark.exactness
def test_the_prior_becomes_the_normal_density_of_maximum_likelihood():
    """With y = z + noise, it has the images' mean, and their variance less that of the noise."""
    count, sigma = 400, 0.3
    raw = torch.randn(count, 2, generator=tigon.make_rng(0))
    raw = (raw - raw.mean(0)) / raw.std(0, unbiased=False)
    mean, deviation = torch.tensor([0.4, -0.2]), torch.tensor([0.8, 0.6])
    images = (mean + deviation * raw).view(-1, 1, 1, 2)
    prior = EnergyPrior(Gauss(), 2, tigon.MCMC(tigon.MALA(0.4), 20))
    model = tigon.GeneratorModel(Linear(), prior=prior, sigma=sigma)
    learner = LatentEBMLearner(model, count, tigon.MCMC(tigon.MALA(0.3), 3))
    optimizer = torch.optim.Adam(prior.parameters(), 0.1)
    late = []
    for iteration in range(300):
        optimizer.param_groups[0]["lr"] = 0.1 if iteration < 120 else 0.01
        batch = Batch(images, torch.arange(count))
        samples = learner.run_chains(batch, tigon.RowRng(0, iteration, range(count)))
        loss, metrics = learner(batch, samples)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        late.append(torch.stack([prior.network.a, prior.network.b]).detach())
    a, b = torch.stack(late[160:]).mean(0)
    variance = deviation**2 - sigma**2
    assert torch.allclose(1 / (1 + b), variance, rtol=0.06)
    assert torch.allclose(a / (1 + b), mean, atol=0.04)
    assert abs(metrics["prior_gap"].item()) < 0.2


@pytest.mark.exactness
def test_a_mixture_becomes_that_of_the_images_less_the_noise():
    """With y = z + noise, up to the draws of N(0, I) that each component has seen besides."""
    each, sigma = torch.tensor([600, 1400]), 0.3
    means = torch.tensor([[-2.0, 0.5], [1.5, -0.5]])
    roots = torch.tensor([[[0.8, 0.0], [0.4, 0.5]], [[0.6, 0.0], [-0.3, 0.9]]])
    raw = [torch.randn(n, 2, generator=tigon.make_rng(k)) for k, n in enumerate(each.tolist())]
    z = torch.cat([m + r @ root.T for m, root, r in zip(means, roots, raw, strict=True)])
    images = z + sigma * torch.randn(z.shape, generator=tigon.make_rng(2))
    images, count = images.view(-1, 1, 1, 2), len(z)
    known = tigon.GaussianMixture(2, 2)  # EM with the latents themselves
    known.fit(z, 100, tigon.make_rng(3))
    prior = tigon.GaussianMixture(2, 2)
    model = tigon.GeneratorModel(Linear(), prior=prior, sigma=sigma)
    learner = tigon.GeneratorLearner(model, count, tigon.MCMC(tigon.MALA(0.3), 5))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.0)
    late = []
    for iteration in range(120):
        batch = Batch(images, torch.arange(count))
        learner.run_chains(batch, tigon.RowRng(0, iteration, range(count)))
        learner.after_update(optimizer)
        if iteration >= 70:  # 64 was the last fit that began anew
            left = prior.means[:, 0].argsort()
            late.append([prior.weights[left], prior.means[left], prior.inverses[left].inverse()])
    weights, centres, found = (torch.stack(part).mean(0) for part in zip(*late, strict=True))
    left = known.means[:, 0].argsort()
    assert torch.allclose(weights, known.weights[left], atol=0.03)
    assert torch.allclose(centres, known.means[left], atol=0.08)
    assert torch.allclose(found, known.inverses[left].inverse(), atol=0.08)


@pytest.mark.exactness
def test_expansion_leaves_the_density_of_images_that_a_mixture_gives():
    """Each component's images keep their mean b + W m_k and covariance W C_k W^T."""
    model = tigon.GeneratorModel(Linear(), prior=tigon.GaussianMixture(2, 3))
    learner = tigon.GeneratorLearner(model, 400, expand=True)
    learner.store.points.mul_(0.6).add_(torch.arange(400)[:, None] % 3 - 0.5)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    learner._fit.moved(400)
    learner.after_update(optimizer)

    def of_images():
        first, prior = model.network.first, model.prior
        roots = first.weight @ prior.inverses.inverse()
        return first.bias + prior.means @ first.weight.T, roots @ roots.mT

    (means, covariances), before = of_images(), learner.store.points.clone()
    learner.measure_latents()
    learner.after_update(optimizer)
    moved, turned = of_images()
    assert not torch.allclose(learner.store.points, before, atol=0.1)
    assert torch.allclose(moved, means, atol=1e-5)
    assert torch.allclose(turned, covariances, atol=1e-5)


class Quadratic(nn.Module):
    """f(z) = a z - z P z / 2, so that exp(f) N(0, I) is normal: N((I + P)^-1 a, (I + P)^-1)."""

    def __init__(self, a, p):
        super().__init__()
        self.a, self.p = nn.Parameter(torch.tensor(a)), nn.Parameter(torch.tensor(p))

    def forward(self, z):
        return z @ self.a - 0.5 * ((z @ self.p) * z).sum(1)


@pytest.mark.exactness
def test_draws_have_the_mean_and_the_covariance_of_the_tilted_density():
    network = Quadratic([1.0, -0.5, 0.0], [[2.0, 0.6, 0.0], [0.6, 0.5, 0.0], [0.0, 0.0, -0.4]])
    count = 40_000
    prior = tigon.EnergyPrior(network, 3)
    z = prior.sample(torch.empty(count, 3), tigon.make_rng(0)).double()
    covariance = torch.linalg.inv(torch.eye(3) + network.p.detach()).double()
    mean = covariance @ network.a.detach().double()
    error = (covariance.diagonal() / count).sqrt()
    assert ((z.mean(0) - mean).abs() < 4 * error).all()
    found, spread = torch.cov(z.T), torch.outer(covariance.diagonal(), covariance.diagonal())
    assert ((found - covariance).abs() < 4 * (2 * spread / count).sqrt()).all()


class Slope(nn.Module):
    """f(z) = a z."""

    def forward(self, z):
        return z @ torch.tensor([0.8, -0.6]).to(z)


@pytest.mark.exactness
def test_draws_of_a_tilted_mixture_have_its_weights_means_and_covariances():
    """exp(a z) N(z; m, C) is N(z; m + C a, C), times exp(a m + a C a / 2)."""
    weights, means = torch.tensor([0.3, 0.7]), torch.tensor([[-1.0, 0.5], [1.0, -0.5]])
    roots = torch.tensor([[[0.8, 0.0], [0.4, 0.5]], [[0.6, 0.0], [-0.3, 0.9]]])
    base = mixture_of(weights, means, roots)
    slope, count = torch.tensor([0.8, -0.6]), 40_000
    chains = tigon.MCMC(tigon.MALA(0.6), 200)
    prior = tigon.EnergyPrior(Slope(), 2, chains, base)
    z = prior.sample(torch.empty(count, 2), tigon.make_rng(0)).double()
    covariances = (roots @ roots.mT).double()
    slope, means = slope.double(), base.means.double()
    moved = covariances @ slope
    raised = means @ slope + moved @ slope / 2
    weights = (base.weights.double().log() + raised).softmax(0)
    means = means + moved
    mean = weights @ means
    squares = covariances + means[:, :, None] * means[:, None]
    covariance = torch.einsum("k,kij->ij", weights, squares) - torch.outer(mean, mean)
    error = (covariance.diagonal() / count).sqrt()
    assert ((z.mean(0) - mean).abs() < 5 * error).all()
    found, spread = torch.cov(z.T), torch.outer(covariance.diagonal(), covariance.diagonal())
    assert ((found - covariance).abs() < 5 * (2 * spread / count).sqrt()).all()
