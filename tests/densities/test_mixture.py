"""A mixture of normal densities."""

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

import tigon
from small import mixture_of
from tigon.densities import mixture as module

WEIGHTS = torch.tensor([0.2, 0.5, 0.3])
MEANS = torch.tensor([[-2.0, 0.0], [1.5, 1.0], [1.0, -2.0]])
ROOTS = torch.tensor([[[0.5, 0.0], [0.3, 0.4]], [[1.0, 0.0], [-0.5, 0.2]], [[0.6, 0.0], [0.0, 1]]])


def known():
    """The mixture of these three, and torch's own."""
    parts = MultivariateNormal(MEANS, scale_tril=ROOTS)
    return mixture_of(WEIGHTS, MEANS, ROOTS), MixtureSameFamily(Categorical(WEIGHTS), parts)


def test_its_log_density_is_that_of_torch_and_its_gradient_too():
    mixture, other = known()
    x = (3 * torch.randn(50, 2, generator=tigon.make_rng(0))).requires_grad_()
    found, expected = mixture.log_prob(x), other.log_prob(x)
    assert torch.allclose(found, expected, atol=1e-4)
    slopes = [torch.autograd.grad(v.sum(), x)[0] for v in (found, expected)]
    assert torch.allclose(*slopes, atol=1e-3)


def test_its_draws_have_its_means_and_covariances():
    mixture, other = known()
    x = mixture.sample(torch.empty(60_000, 2), tigon.make_rng(1))
    nearest = other.component_distribution.log_prob(x[:, None]).argmax(1)
    assert torch.allclose(nearest.bincount() / len(x), WEIGHTS, atol=0.01)
    covariance = sum(
        w * (root @ root.T + torch.outer(m, m))
        for w, m, root in zip(WEIGHTS, MEANS, ROOTS, strict=True)
    ) - torch.outer(other.mean, other.mean)
    assert torch.allclose(x.mean(0), other.mean, atol=4 * (5 / len(x)) ** 0.5)
    assert torch.allclose(torch.cov(x.T), covariance, atol=0.08)


def test_draws_of_a_row_depend_on_its_stream_alone():
    mixture, _ = known()
    whole = mixture.sample(torch.empty(6, 2), tigon.RowRng(0, 0, range(6)))
    part = mixture.sample(torch.empty(2, 2), tigon.RowRng(0, 0, range(3, 5)))
    assert torch.equal(whole[3:5], part)


def test_a_fit_finds_the_mixture_that_drew_the_points():
    _, other = known()
    torch.manual_seed(0)
    x, unseen = other.sample((20_000,)), other.sample((20_000,))
    mixture = tigon.GaussianMixture(2, 3)
    mixture.fit(x, 50, tigon.make_rng("fit", 0))
    less = other.log_prob(unseen) - mixture.log_prob(unseen)
    assert less.mean() < 0.02
    order = mixture.means[:, 1].argsort()
    assert torch.allclose(mixture.weights[order], WEIGHTS[[2, 0, 1]], atol=0.03)
    assert torch.allclose(mixture.means[order], MEANS[[2, 0, 1]], atol=0.15)


def test_every_sweep_raises_what_it_maximises():
    """The log-likelihood of the points, and of kappa draws of N(0, I) in each component."""
    x = torch.randn(60, 3, generator=tigon.make_rng(2)).double().exp()
    mixture = tigon.GaussianMixture(3, 4).double()

    def goal():
        roots = torch.linalg.inv(mixture.inverses)
        away = mixture.inverses.square().sum((1, 2)) + torch.einsum(
            "kij,kj->ki", mixture.inverses, mixture.means
        ).square().sum(1)
        volume = roots.diagonal(dim1=1, dim2=2).log().sum(1)
        prior = module.KNOWN * -(away / 2 + volume) + mixture.weights.log()
        return (mixture.log_prob(x).sum() + prior.sum()).item()

    mixture.fit(x, 0, tigon.make_rng(3))
    values = [goal()]
    for _ in range(20):
        mixture.fit(x, 1)
        values.append(goal())
    assert all(later > before - 1e-9 for before, later in zip(values, values[1:], strict=False))
    assert values[-1] > values[0] + 1


def test_it_follows_points_that_are_mapped():
    mixture, _ = known()
    x = torch.randn(20, 2, generator=tigon.make_rng(4))
    before = mixture.log_prob(x)
    mean, root = torch.tensor([0.3, -0.5]), torch.tensor([[2.0, 0.0], [-0.4, 0.5]])
    mixture.map(mean, root)
    after = mixture.log_prob(torch.linalg.solve(root, (x - mean).T).T)
    assert torch.allclose(after, before + math.log(2.0 * 0.5), atol=1e-4)


def test_it_is_the_normal_density_at_first_and_stays_near_it_with_few_points():
    mixture = tigon.GaussianMixture(2, 10)
    normal = MultivariateNormal(torch.zeros(2), torch.eye(2))
    x = torch.randn(100, 2, generator=tigon.make_rng(5))
    assert torch.allclose(mixture.log_prob(x), normal.log_prob(x), atol=1e-5)
    mixture.fit(x[:10], 20, tigon.make_rng(6))
    assert mixture.means.any()
    assert (mixture.log_prob(x) - normal.log_prob(x)).abs().max() < 0.6


def test_points_that_are_all_the_same_are_fitted():
    mixture = tigon.GaussianMixture(2, 3)
    mixture.fit(torch.full((5, 2), 0.4), 5, tigon.make_rng(7))
    assert mixture.log_prob(torch.zeros(1, 2)).isfinite().all()


@pytest.mark.parametrize("numbers", [(0, 3), (2, 0)])
def test_too_few_numbers_are_refused(numbers):
    with pytest.raises(ValueError, match="a mixture needs at least 1 component of 1 number"):
        tigon.GaussianMixture(*numbers)


def apart():
    weights, means = torch.tensor([0.3, 0.7]), torch.tensor([[-3.0, 0.5], [3.0, -0.5]])
    roots = torch.tensor([[[0.8, 0.0], [0.4, 0.5]], [[0.6, 0.0], [-0.3, 0.9]]])
    return mixture_of(weights, means, roots), roots @ roots.mT


def test_its_moments_are_those_of_many_draws():
    mixture, _ = apart()
    draws = mixture.sample(torch.empty(200_000, 2), tigon.make_rng("draws", 0)).double()
    mean, covariance = mixture.moments()
    assert torch.allclose(draws.mean(0), mean, atol=0.03)
    assert torch.allclose(torch.cov(draws.T), covariance, atol=0.1)


def test_distance_and_precision_are_those_of_the_component_that_is_near():
    mixture, covariances = apart()
    x = torch.tensor([[-3.2, 0.9], [3.5, -1.5]])
    away = x - mixture.means
    inverses = torch.linalg.inv(covariances)
    expected = torch.einsum("ki,kij,kj->k", away, inverses, away)
    assert torch.allclose(mixture.squared_distance(x), expected, rtol=1e-4)
    assert torch.allclose(mixture.precision(x), inverses, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_draws_have_the_type_that_is_asked_for(dtype):
    mixture, _ = apart()
    draws = mixture.to(dtype).sample(torch.empty(4000, 2, dtype=dtype), tigon.make_rng("draws", 0))
    assert draws.dtype is dtype
    assert torch.allclose(draws.double().mean(0), mixture.moments()[0], atol=0.2)
