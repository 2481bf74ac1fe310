"""Brackets of log p contain what is known: linear generators, Gaussian descriptors, tilted priors.

They hold with a probability of 0.999, and are checked as they are, without a margin.
"""

import math

import pytest
import torch
from linear_models import linear_model, marginal, posterior
from torch import nn

from tigon.densities.gaussian import Gaussian
from tigon.densities.mixture import GaussianMixture
from tigon.inference.likelihood import log_likelihood, log_partition, simulated
from tigon.mcmc.annealed import AIS
from tigon.models.energy import EnergyModel, short_run
from tigon.models.energy_prior import EnergyPrior
from tigon.models.generator import GeneratorModel
from tigon.random.streams import RowRng, make_rng

pytestmark = pytest.mark.exactness


def linear_case(dim, case, count=1):
    """A linear generator of 8 x 8 images, images that it drew, their latents and exact log p."""
    rng = make_rng("linear", dim, case)
    model = linear_model(rng, sigma=0.5, shape=(1, 8, 8), dim=dim).double()
    with torch.no_grad():
        for part in model.network.first.parameters():
            part.mul_(0.3)
    images, latents = simulated(model, count, rng)
    exact = torch.distributions.MultivariateNormal(*marginal(model)).log_prob(images.flatten(1))
    return model, images, latents, exact


def found_of(case, start, how):
    """log p of a case's images, and the exact one."""
    model, images, latents, exact = case
    rng = RowRng(0, 0, range(how.chains * len(images)))
    return log_likelihood(model, images, rng, how, latents, start), exact


FROM_MODE = [(2, 1), (10, 1)] + [pytest.param(d, 20, marks=pytest.mark.slow) for d in (2, 10, 50)]


@pytest.mark.parametrize(("dim", "cases"), FROM_MODE)
def test_the_mode_of_a_linear_generator_gives_its_exact_likelihood(dim, cases):
    """Laplace's approximation is the posterior, and no weight differs from another."""
    for case in range(cases):
        found, exact = found_of(linear_case(dim, case), "mode", AIS(2, 2))
        assert torch.allclose(found.below, exact, atol=1e-4, rtol=0)
        assert torch.allclose(found.above, exact, atol=1e-4, rtol=0)
        assert found.lower < exact < found.upper


FROM_PRIOR = [
    pytest.param(2, 40, 2, 6.0),
    pytest.param(2, 100, 20, 6.0, marks=pytest.mark.slow),
    pytest.param(10, 300, 20, 6.0, marks=pytest.mark.slow),
    pytest.param(50, 400, 20, 10.0, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("dim", "temperatures", "cases", "wide"), FROM_PRIOR)
def test_chains_from_the_prior_bracket_a_linear_generators_likelihood(
    dim, temperatures, cases, wide
):
    """Of each of two images that it drew, and of their mean, which is bracketed more closely."""
    widths = []
    for case in range(cases):
        found, exact = found_of(linear_case(dim, case, 2), "prior", AIS(8, temperatures))
        assert (found.lower < exact).all() and (exact < found.upper).all(), (found, exact)
        assert found.mean.lower < exact.mean() < found.mean.upper
        assert found.mean.lower > found.lower.mean() and found.mean.upper < found.upper.mean()
        widths.append(found.mean.upper - found.mean.lower)
    assert sum(widths) / cases < wide, widths


def test_weights_of_both_directions_have_the_mean_that_is_known():
    """E[w] = Z and E[1 / w backwards] = 1 / Z, over many chains at few temperatures."""
    model, image, _, exact = linear_case(2, 0)
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
    for side in (found.below, found.above):
        assert side.error < 0.2
        assert abs(side.value - exact.item()) < 4.5 * side.error


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
    widths = []
    for case in range(cases):
        model, exact, mean, covariance = quadratic_case(case)
        rng, draws = make_rng(case, 2), None
        if given:
            root = torch.linalg.cholesky(covariance)
            z = torch.randn(8, 16, generator=rng, dtype=torch.float64)
            draws = (mean + z @ root.T).unflatten(1, (1, 4, 4))
        found = log_partition(model, rng, AIS(8, temperatures), draws)
        assert found.lower < exact < found.upper
        widths.append(found.upper - found.lower)
        image = mean.clamp(-1, 1).view(1, 1, 4, 4)
        of_image = log_likelihood(model, image, rng, constant=found)
        law = torch.distributions.MultivariateNormal(mean, covariance)
        assert of_image.lower < law.log_prob(image.flatten(1)) < of_image.upper
    assert sum(widths) / cases < 5, widths


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
    assert found.lower < log_z < found.upper < found.lower + 0.5
    assert abs(found.below.value - log_z) < 0.05

    weight, bias = (part.detach() for part in plain.network.first.parameters())
    covariance = weight @ weight.T / shrink + 0.25 * torch.eye(6).double()
    law = torch.distributions.MultivariateNormal(bias + weight @ mean, covariance)
    image, _ = simulated(model, 1, make_rng(5))
    assert not model.exact_latents
    got = log_likelihood(model, image, make_rng(6), AIS(16, 40), constant=found)
    exact = law.log_prob(image.flatten(1)).item()
    assert got.lower < exact < got.upper
    assert abs(got.below.item() - exact) < 0.2


def test_the_constant_of_a_standard_normal_prior_is_known():
    model = linear_model(make_rng(3), dim=2).double()
    found = log_partition(model, make_rng(0))
    assert found.lower == found.upper == pytest.approx(math.log(2 * math.pi))


def test_a_mixture_as_the_prior_gives_a_mixture_of_images():
    """Of a linear generator, sum w_k N(y; b + W m_k, W C_k W^T + sigma^2 I); its constant is 0."""
    plain = linear_model(make_rng(3), sigma=0.5, dim=2).double()
    prior = GaussianMixture(2, 3)
    z = torch.randn(300, 2, generator=make_rng(4)) + torch.arange(300)[:, None] % 3
    prior.fit(z, 20, make_rng(5))
    model = GeneratorModel(plain.network, sigma=0.5, prior=prior).double()
    constant = log_partition(model, make_rng(0))
    assert constant.lower == constant.upper == 0 and model.exact_latents

    weight, bias = (part.detach() for part in plain.network.first.parameters())
    roots = torch.linalg.inv(prior.inverses)
    covariances = weight @ roots @ roots.mT @ weight.T + 0.25 * torch.eye(6).double()
    law = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(prior.weights),
        torch.distributions.MultivariateNormal(bias + prior.means @ weight.T, covariances),
    )
    images, latents = simulated(model, 4, make_rng(6))
    exact = law.log_prob(images.flatten(1))
    rng = RowRng(0, 0, range(16 * 4))
    got = log_likelihood(model, images, rng, AIS(16, 40), latents, constant=constant)
    assert (got.lower < exact).all() and (exact < got.upper).all()
    assert (got.below - exact).abs().max() < 0.2
