"""Brackets of log p contain what is known: linear generators, Gaussian descriptors, tilted priors.

A lower bound exceeds log Z by b or more with a probability of at most exp(-b), by Markov's
inequality; where chains differ little, by so many standard errors. The smaller margin counts.
"""

import math

import pytest
import torch
from linear_models import linear_model, marginal, posterior
from torch import nn

from tigon.densities.gaussian import Gaussian
from tigon.inference.likelihood import log_likelihood, log_partition, simulated
from tigon.mcmc.annealed import AIS
from tigon.models.energy import EnergyModel, short_run
from tigon.models.energy_prior import EnergyPrior
from tigon.models.generator import GeneratorModel
from tigon.random.streams import RowRng, make_rng

pytestmark = pytest.mark.exactness
MARKOV = math.log(1e4)  # of forty such checks, one fails by chance once in 250 times
ROUNDING = 1e-6  # of a log-likelihood, by the finite differences and sums behind it


def margin(error):
    return min(MARKOV, 4.5 * float(error)) + ROUNDING


def assert_contains(lower, upper, exact):
    """Check a bracket, each end a pair of value and standard error."""
    assert lower[0] <= exact + margin(lower[1]), (lower, exact)
    assert upper[0] >= exact - margin(upper[1]), (upper, exact)


def linear_case(dim, case):
    """A linear generator of 8 x 8 images, one of its images, its latents, and its exact log p."""
    rng = make_rng("linear", dim, case)
    model = linear_model(rng, sigma=0.5, shape=(1, 8, 8), dim=dim).double()
    with torch.no_grad():
        for part in model.network.first.parameters():
            part.mul_(0.3)
    image, latents = simulated(model, 1, rng)
    exact = torch.distributions.MultivariateNormal(*marginal(model)).log_prob(image.flatten(1))
    return model, image, latents, exact.item()


def bracket_of(case, start, how):
    model, image, latents, exact = case
    rng = RowRng(0, 0, range(how.chains))
    found = log_likelihood(model, image, rng, how, latents, start)
    ends = [(found.lower, found.lower_error), (found.upper, found.upper_error)]
    return [(value.item(), error.item()) for value, error in ends], exact


FROM_MODE = [(2, 1), (10, 1)] + [pytest.param(d, 20, marks=pytest.mark.slow) for d in (2, 10, 50)]


@pytest.mark.parametrize(("dim", "cases"), FROM_MODE)
def test_the_mode_of_a_linear_generator_gives_its_exact_likelihood(dim, cases):
    """Laplace's approximation is the posterior, and no weight differs from another."""
    for case in range(cases):
        (lower, upper), exact = bracket_of(linear_case(dim, case), "mode", AIS(2, 2))
        assert abs(lower[0] - exact) < 1e-4 and abs(upper[0] - exact) < 1e-4


FROM_PRIOR = [
    pytest.param(2, 40, 2, 2.0),
    pytest.param(2, 100, 20, 1.0, marks=pytest.mark.slow),
    pytest.param(10, 300, 20, 3.0, marks=pytest.mark.slow),
    pytest.param(50, 400, 20, 30.0, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("dim", "temperatures", "cases", "wide"), FROM_PRIOR)
def test_chains_from_the_prior_bracket_a_linear_generators_likelihood(
    dim, temperatures, cases, wide
):
    widths = []
    for case in range(cases):
        (lower, upper), exact = bracket_of(linear_case(dim, case), "prior", AIS(8, temperatures))
        assert_contains(lower, upper, exact)
        widths.append(upper[0] - lower[0])
    assert sum(widths) / cases < wide, widths


def test_weights_of_both_directions_have_the_mean_that_is_known():
    """E[w] = Z and E[1 / w backwards] = 1 / Z, over many chains at few temperatures."""
    model, image, latents, exact = linear_case(2, 0)
    mean, covariance = posterior(model, image)
    root, rng = torch.linalg.cholesky(covariance), make_rng(1)
    count = 2000
    draws = mean + torch.randn(count, 2, generator=rng, dtype=torch.float64) @ root.T

    def target(z):
        prior = Gaussian().log_prob(z)
        images = image.expand(len(z), -1, -1, -1)
        noise = Gaussian(0.0, float(model.sigma)).log_prob(images - model(z))
        return prior + noise

    found = AIS(count, 12).bracket(target, mean, rng, draws)
    for side in (found.lower, found.upper):
        assert side.error < 0.2
        assert abs(side.value - exact) < 4.5 * side.error


class Quadratic(nn.Module):
    """f(x) = -x^T A x / 2 + b^T x, of images of 4 x 4."""

    def __init__(self, rng):
        super().__init__()
        half = torch.randn(16, 16, generator=rng, dtype=torch.float64) * 0.5
        self.matrix = nn.Parameter(half @ half.T)
        self.slope = nn.Parameter(torch.randn(16, generator=rng, dtype=torch.float64))

    def forward(self, x):
        flat = x.flatten(1)
        return flat @ self.slope - (flat @ self.matrix * flat).sum(1) / 2


def quadratic_case(case, scale=0.8, loc=0.1):
    """A descriptor that is a Gaussian, its log Z, and its mean and covariance."""
    network = Quadratic(make_rng("quadratic", case))
    model = EnergyModel(
        network,
        scale,
        loc,
        short_run(3, 0.1, 1.0),
        torch.zeros(1, 1, 4, 4, dtype=torch.float64),
    )
    precision = network.matrix.detach() + torch.eye(16).double() / scale**2
    towards = network.slope.detach() + loc / scale**2
    mean = torch.linalg.solve(precision, towards)
    log_z = (towards @ mean - 16 * loc**2 / scale**2) / 2
    log_z -= torch.logdet(precision) / 2 + 16 * math.log(scale)
    return model, log_z.item(), mean, torch.linalg.inv(precision)


@pytest.mark.parametrize(
    ("cases", "temperatures"), [(2, 60), pytest.param(20, 200, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("given", [True, False], ids=["exact draws", "resampled ends"])
def test_log_z_of_a_quadratic_descriptor_is_within_its_bracket(cases, temperatures, given):
    for case in range(cases):
        model, exact, mean, covariance = quadratic_case(case)
        rng, draws = make_rng(case, 2), None
        if given:
            root = torch.linalg.cholesky(covariance)
            z = torch.randn(8, 16, generator=rng, dtype=torch.float64)
            draws = (mean + z @ root.T).unflatten(1, (1, 4, 4))
        found = log_partition(model, rng, AIS(8, temperatures), draws)
        assert_contains(found.lower[:2], found.upper[:2], exact)
        assert found.upper.value - found.lower.value < 1.5
        image = mean.clamp(-1, 1).view(1, 1, 4, 4)
        of_image = log_likelihood(model, image, rng, constant=found)
        law = torch.distributions.MultivariateNormal(mean, covariance)
        log_p = law.log_prob(image.flatten(1)).item()
        assert_contains(
            (of_image.lower.item(), found.upper.error),
            (of_image.upper.item(), found.lower.error),
            log_p,
        )


class Slope(nn.Module):
    """f(z) = b^T z - c |z|^2 / 2: the tilted prior is a Gaussian."""

    def forward(self, z):
        return 0.7 * z[:, 0] - 0.4 * z[:, 1] - 0.5 * (z**2).sum(1) / 2


def test_a_learned_priors_constant_is_part_of_the_likelihood():
    """A tilted Gaussian prior N(b / (1 + c), I / (1 + c)), of a linear generator."""
    plain = linear_model(make_rng(3), sigma=0.5, dim=2).double()
    model = GeneratorModel(plain.network, sigma=0.5, prior=EnergyPrior(Slope(), 2))
    model = model.double()
    tilt, shrink = torch.tensor([0.7, -0.4], dtype=torch.float64), 1.5
    mean = tilt / shrink
    log_z = math.log(2 * math.pi / shrink) + (tilt @ mean).item() / 2
    found = log_partition(model, make_rng(4), AIS(64, 50))
    assert_contains(found.lower[:2], found.upper[:2], log_z)
    assert abs(found.lower.value - log_z) < 0.05

    weight, bias = (part.detach() for part in plain.network.first.parameters())
    covariance = weight @ weight.T / shrink + 0.25 * torch.eye(6).double()
    law = torch.distributions.MultivariateNormal(bias + weight @ mean, covariance)
    image, _ = simulated(model, 1, make_rng(5))
    assert not model.exact_latents
    got = log_likelihood(model, image, make_rng(6), AIS(16, 40), constant=found)
    exact = law.log_prob(image.flatten(1)).item()
    assert_contains((got.lower, got.lower_error), (got.upper, got.upper_error), exact)
    assert abs(got.lower.item() - exact) < 0.2


def test_the_constant_of_a_standard_normal_prior_is_found_without_error():
    model = linear_model(make_rng(3), dim=2).double()
    found = log_partition(model, make_rng(0), AIS(4, 3))
    for side in (found.lower, found.upper):
        assert abs(side.value - math.log(2 * math.pi)) < 1e-12
