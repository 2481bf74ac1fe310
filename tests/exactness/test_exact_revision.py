"""A generator with one latent, and a descriptor that must add what it lacks."""

import pytest
import torch
from torch import nn

import tigon
from tigon.data.batches import Batch
from tigon.learners.cooperative import CooperativeLearner
from tigon.models.energy import short_run


class Line(nn.Module):
    """y = a z + b on an image of two pixels, with one latent."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(1, 2)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([[0.5], [0.5]]))
            self.first.bias.zero_()

    def forward(self, z):
        return self.first(z).view(-1, 1, 1, 2)


class Quadratic(nn.Module):
    """f(x) = a x - x P x / 2: what makes a normal density of another."""

    def __init__(self):
        super().__init__()
        self.a, self.p = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))

    @property
    def precision(self):
        one, two, both = self.p
        return torch.stack([torch.stack([one, both]), torch.stack([both, two])])

    def forward(self, x):
        x = x.flatten(1)
        return x @ self.a - 0.5 * ((x @ self.precision) * x).sum(1)


@pytest.mark.exactness
def test_the_revision_adds_what_the_generator_lacks():
    """One latent spans a line; revised images, and the descriptor, have the images' moments."""
    count, scale = 1000, 1.0
    covariance = torch.tensor([[0.5, 0.2], [0.2, 0.3]])
    mean = torch.tensor([0.3, -0.2])
    raw = torch.randn(count, 2, generator=tigon.make_rng(0))
    raw = (raw - raw.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(raw.T)).T)
    images = (raw @ torch.linalg.cholesky(covariance).T + mean).view(-1, 1, 1, 2)
    quadratic = Quadratic()
    chains = short_run(25, 0.3, 1.0, noiseless_last_step=False)
    starts = torch.zeros(1, 1, 1, 1)
    descriptor = tigon.EnergyModel(quadratic, scale, 0.0, chains, starts, (1, 2))
    model = tigon.CooperativeModel(Line(), descriptor, 1, sigma=0.4)
    mcmc = tigon.MCMC(tigon.MALA(0.5), 2)
    learner = CooperativeLearner(model, count, mcmc, lead=0.0)
    optimizer = torch.optim.Adam(learner.parameters(), 0.05)
    late, seen = [], []
    for iteration in range(360):
        optimizer.param_groups[0]["lr"] = 0.1 if iteration < 200 else 0.005
        batch = Batch(images, torch.arange(count))
        samples = learner.run_chains(batch, tigon.make_rng("toy", iteration))
        loss, _ = learner(batch, samples)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if iteration >= 280:
            seen.append(learner._revision)
            late.append(torch.cat([quadratic.a, quadratic.p]).detach().clone())
    revised = torch.cat([one.revised for one in seen]).flatten(1)
    proposed = torch.cat([one.proposed for one in seen]).flatten(1)
    assert torch.linalg.eigvalsh(torch.cov(proposed.T))[0] < 0.01
    assert torch.allclose(revised.mean(0), mean, atol=0.02)
    assert torch.allclose(torch.cov(revised.T), covariance, atol=0.02)
    with torch.no_grad():
        found = torch.stack(late).mean(0)
        quadratic.a.copy_(found[:2]), quadratic.p.copy_(found[2:])
        exact = torch.linalg.inv(quadratic.precision + torch.eye(2) / scale**2)
    assert torch.allclose(exact, covariance, rtol=0.1, atol=0.02)
    assert torch.allclose(exact @ quadratic.a.detach(), mean, atol=0.03)
    own = model.sample(4000, tigon.make_rng(1)).flatten(1)
    assert torch.allclose(torch.cov(own.T), covariance, rtol=0.15, atol=0.04)


@pytest.mark.exactness
@pytest.mark.parametrize("noiseless", [False, True])
def test_images_are_as_many_steps_from_the_generators(noiseless):
    """With linear drift, mean and covariance after n steps are known."""
    count, steps, size, temperature = 40_000, 4, 0.5, 0.3
    quadratic = Quadratic()
    with torch.no_grad():
        quadratic.a.copy_(torch.tensor([1.0, -0.6]))
        quadratic.p.copy_(torch.tensor([1.5, 0.4, 0.5]))
    descriptor = tigon.EnergyModel(
        quadratic,
        1.0,
        0.0,
        short_run(steps, size, temperature, noiseless_last_step=noiseless),
        torch.zeros(1, 1, 1, 1),
        (1, 2),
    )
    line = Line()
    line.first.bias.data = torch.tensor([2.0, 1.0])
    images = tigon.CooperativeModel(line, descriptor, 1).sample(count, tigon.make_rng(0))
    precision = (quadratic.precision + torch.eye(2)).detach().double()
    step = torch.eye(2).double() - size**2 / 2 * precision
    powers = [torch.linalg.matrix_power(step, k) for k in range(steps + 1)]
    exact = torch.linalg.solve(precision, quadratic.a.detach().double())
    start, direction = line.first.bias.double(), line.first.weight.double()
    mean = exact + powers[-1] @ (start - exact)
    noisy = powers[1:-1] if noiseless else powers[:-1]
    covariance = size**2 * temperature * sum(power @ power for power in noisy)
    covariance = covariance + powers[-1] @ direction @ direction.T @ powers[-1]
    found = images.flatten(1).double()
    error = (covariance.diagonal() / count).sqrt()
    assert ((found.mean(0) - mean).abs() < 4 * error).all()
    square = torch.outer(covariance.diagonal(), covariance.diagonal()) + covariance**2
    assert ((torch.cov(found.T) - covariance).abs() < 4 * (square / count).sqrt()).all()
