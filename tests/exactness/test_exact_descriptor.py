"""A quadratic descriptor is a Gaussian: learned by contrast, it must be that of its images."""

import pytest
import torch
from torch import nn

from targets import CorrelatedGaussian, assert_standard_normal
from tigon.data.batches import Batch
from tigon.inference.compose import Composed
from tigon.learners import descriptor
from tigon.learners.descriptor import DescriptorLearner
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.langevin import MALA
from tigon.models.energy import EnergyModel, short_run
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness

SCALE, LOC = 1.3, 0.2
STARTS = torch.zeros(1, 1, 2, 2, dtype=torch.float64)


class Quadratic(nn.Module):
    """f(y) = -y' A y / 2 + b' y for `unit` times images of four pixels, A symmetric."""

    def __init__(self, unit=1.0):
        super().__init__()
        self.unit = unit
        near = (1 - 1 / unit) * torch.eye(4, dtype=torch.float64)  # the size is known
        self.root = nn.Parameter(near)
        self.slope = nn.Parameter(torch.zeros(4, dtype=torch.float64))

    def matrix(self):
        return (self.root + self.root.T) / 2

    def forward(self, images):
        y = self.unit * images.flatten(1)
        return y @ self.slope - ((y @ self.matrix()) * y).sum(1) / 2


def observed(count):
    """Images (N, 1, 2, 2) of a correlated Gaussian."""
    mix = torch.tensor(
        [[1.0, 0.0, 0.0, 0.0], [0.3, 0.9, 0.0, 0.0], [0.0, -0.3, 0.8, 0.0], [0.2, 0.0, 0.2, 0.9]]
    ).double()
    noise = torch.randn(count, 4, generator=make_rng(1), dtype=torch.float64)
    shift = torch.tensor([0.5, -0.3, 0.0, 0.4]).double()
    return (noise @ mix.T + shift).unflatten(1, (1, 2, 2))


def learned(images, chains, iterations, rate=0.05, mask=None, unit=1.0):
    """Mean and precision of the model, averaged over the last half of the iterations."""
    model = EnergyModel(Quadratic(unit), SCALE, LOC, chains, STARTS)
    learner = DescriptorLearner(model)
    optimizer = torch.optim.Adam(learner.parameters(), rate)
    batch, rng, kept = Batch(images, torch.arange(len(images)), mask), make_rng(2), []
    for iteration in range(iterations):
        optimizer.param_groups[0]["lr"] = rate * 0.04 ** (2 * min(0.5, iteration / iterations))
        loss, _ = learner(batch, learner.run_chains(batch, rng))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if iteration >= iterations / 2:
            kept.append((model.network.matrix().detach(), model.network.slope.detach().clone()))
    matrix, slope = (torch.stack(part).mean(0) for part in zip(*kept, strict=True))
    precision = unit**2 * matrix + torch.eye(4).double() / SCALE**2
    return torch.linalg.solve(precision, unit * slope + LOC / SCALE**2), precision


def assert_is_the_images_gaussian(found, images, tolerance):
    """The mean in standard deviations, and the precision in the images' own coordinates."""
    mean, precision = found
    y = images.flatten(1)
    root = torch.linalg.cholesky(torch.cov(y.T, correction=0))
    away = torch.linalg.solve_triangular(root, (mean - y.mean(0))[:, None], upper=False)
    assert away.abs().max() < tolerance
    assert (root.T @ precision @ root - torch.eye(4)).abs().max() < tolerance


CHAINS = {"HMC": MCMC(HMC(0.35, 4, 0.4), 5), "MALA": MCMC(MALA(0.7), 40)}


@pytest.mark.parametrize("chains", [CHAINS["HMC"]], ids=["HMC"])
def test_a_quadratic_descriptor_becomes_the_gaussian_of_its_images(chains):
    images = observed(300)
    assert_is_the_images_gaussian(learned(images, chains, 400), images, 0.03)


@pytest.mark.slow
@pytest.mark.parametrize("chains", CHAINS.values(), ids=CHAINS)
def test_a_quadratic_descriptor_learned_for_long_is_closer(chains):
    images = observed(400)
    assert_is_the_images_gaussian(learned(images, chains, 1200), images, 0.015)


@pytest.mark.slow
def test_of_incomplete_images_it_becomes_the_gaussian_of_complete_ones(monkeypatch):
    """Two or three of four pixels are observed; all images are well within [-1, 1]."""
    monkeypatch.setattr(descriptor, "energy_distance", lambda samples, *_: samples.new_zeros(()))
    images = observed(5000) / 8
    hidden = torch.rand(len(images), 4, generator=make_rng(4)).argsort(1)
    hidden[: len(images) // 2] += 1  # the first half lack one pixel, the others two
    mask = (hidden >= 2).double().unflatten(1, (1, 2, 2))
    chains = MCMC(HMC(0.35 / 8, 4, 0.4), 6)
    found = learned(images.masked_fill(mask == 0, 0.9), chains, 400, mask=mask, unit=8.0)
    assert_is_the_images_gaussian(found, images, 0.1)


def quadratic_descriptor():
    """A correlated Gaussian descriptor, its mean, and its precision."""
    model = EnergyModel(Quadratic(), SCALE, LOC, starts=STARTS)
    root = torch.tensor([[0.6, 0.3, 0, 0], [0.1, 0.9, -0.3, 0], [0, 0, 0.5, 0.2], [0, 0, 0, 1]])
    with torch.no_grad():
        model.network.root.copy_(root)
        model.network.slope.copy_(torch.tensor([0.5, -0.3, 0.0, 0.4]))
        precision = model.network.matrix() + torch.eye(4).double() / SCALE**2
        mean = torch.linalg.solve(precision, model.network.slope + LOC / SCALE**2)
    return model, mean, precision


@pytest.mark.parametrize("noiseless", [False, True], ids=["noise to the end", "noiseless last"])
@pytest.mark.parametrize("temperature", [0.25, 1.0])
def test_chains_at_a_temperature_sample_the_tempered_density(temperature, noiseless):
    """N(mean, T P^-1), P the precision of p, with the known bias of Langevin steps of size s.

    The noiseless last step shrinks what came before by I - s^2/2 P, and does nothing else.
    """
    model, mean, precision = quadratic_descriptor()
    s = 0.5
    model.chains = short_run(150, s, temperature, noiseless_last_step=noiseless)
    images = model.sample(20000, make_rng(3), chunk=20000)
    covariance = temperature * torch.linalg.inv(precision - s**2 / 4 * precision @ precision)
    if noiseless:
        last = torch.eye(4).double() - s**2 / 2 * precision
        covariance = last @ covariance @ last
    assert_standard_normal(CorrelatedGaussian(mean, covariance).whiten(images.flatten(1)))


def test_with_no_network_chains_at_a_temperature_sample_a_narrower_reference():
    """Its standard deviation is scale sqrt(T), not scale: 0.022 with 0.7 and the default 0.001."""
    s, temperature = 0.15, 0.001
    chains = short_run(400, s, temperature, noiseless_last_step=False)
    model = EnergyModel(Quadratic(), 0.7, chains=chains, starts=STARTS)
    images = model.sample(4000, make_rng(3), chunk=4000)
    width = 0.7 * temperature**0.5 / (1 - s**2 / 4 / 0.7**2) ** 0.5
    assert abs(width - 0.022) < 0.0005
    assert_standard_normal(images.flatten(1) / width)


@pytest.mark.slow
def test_learning_with_chains_at_a_temperature_is_maximum_likelihood_of_the_tempered_density():
    """Where chains do reach it: p^(1/T), not p, becomes the Gaussian of the images."""
    images, temperature = observed(300), 0.25
    chains = MCMC(HMC(0.35 / temperature**0.5, 4, 0.4, temperature), 5)
    mean, precision = learned(images, chains, 400, 0.05 * temperature)
    assert_is_the_images_gaussian((mean, precision / temperature), images, 0.03)


@pytest.mark.parametrize(("weights", "temperature"), [((0.7, 0.6), 1.0), ((1.5, -0.5), 2.0)])
def test_a_composition_of_descriptors_samples_the_gaussian_of_its_weighted_precisions(
    weights, temperature
):
    models = [quadratic_descriptor()[0], quadratic_descriptor()[0]]
    with torch.no_grad():
        models[1].network.root.mul_(0.4).add_(0.2 * torch.eye(4))
        models[1].network.slope.neg_()
    precision, towards = torch.zeros(4, 4).double(), torch.zeros(4).double()
    for model, weight in zip(models, weights, strict=True):
        model.chains = MCMC(MALA(0.8), 150)
        reference = torch.eye(4).double() / SCALE**2
        precision += weight / temperature * (model.network.matrix().detach() + reference)
        towards += weight / temperature * (model.network.slope.detach() + LOC / SCALE**2)
    both = Composed(models, weights, temperature=temperature)
    images = both.sample(8000, make_rng(5), chunk=8000)
    covariance = torch.linalg.inv(precision)
    exact = CorrelatedGaussian(covariance @ towards, covariance)
    assert_standard_normal(exact.whiten(images.flatten(1)))
