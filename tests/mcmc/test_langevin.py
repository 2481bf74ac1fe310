"""Langevin steps of (2) and (5), number by number; MALA's draws, by means and covariances."""

import math

import pytest
import torch
from torch import nn

from targets import correlated_gaussian
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA, Langevin, UnderdampedLangevin
from tigon.models.energy import EnergyModel
from tigon.models.generator import GeneratorModel
from tigon.random.streams import RowRng, make_rng


def test_one_step_is_equation_2():
    """With f(z) = a z + b for two pixels, every term of (2) can be written down."""
    sigma, s = 0.3, 0.2
    a, b = torch.tensor([[0.5], [-1.5]]).double(), torch.tensor([0.1, 0.2]).double()
    network = nn.Linear(1, 2).double()
    with torch.no_grad():
        network.weight.copy_(a)
        network.bias.copy_(b)
    model = GeneratorModel(network, 1, sigma)
    images = torch.tensor([[0.7, -0.4], [0.0, 0.9]]).double()
    z = torch.tensor([[0.25], [-1.0]]).double()

    kernel = Langevin(s)
    posterior = model.posterior(images)
    state, _ = kernel.step(posterior, kernel.init(posterior, z), make_rng(3))

    noise = torch.randn(2, 1, generator=make_rng(3), dtype=torch.float64)
    for i in range(2):
        residual = [images[i, p] - (a[p, 0] * z[i, 0] + b[p]) for p in range(2)]
        push = sum(residual[p] * a[p, 0] for p in range(2)) / sigma**2
        expected = z[i, 0] + s * noise[i, 0] + s**2 / 2 * (push - z[i, 0])
        assert math.isclose(state.x[i, 0], expected, rel_tol=1e-12)


def test_one_step_is_equation_5():
    """With f(y) = c . y, df/dy = c: Y' = Y - s^2/2 [Y / scale^2 - c] + s U."""
    scale, s = 0.39, 0.05
    c = torch.tensor([2.0, -1.0, 0.5]).double()
    model = EnergyModel(lambda y: y @ c, scale)
    y = torch.tensor([[0.1, 0.2, -0.9], [0.0, -0.5, 0.3]]).double()
    kernel = Langevin(s)
    state, _ = kernel.step(model, kernel.init(model, y), make_rng(4))
    noise = torch.randn(2, 3, generator=make_rng(4), dtype=torch.float64)
    expected = y - s**2 / 2 * (y / scale**2 - c) + s * noise
    assert torch.allclose(state.x, expected, rtol=1e-12)


def test_temperature_scales_the_noise_by_its_root_and_leaves_the_drift():
    target = correlated_gaussian()
    x = torch.ones(5, 3, dtype=torch.float64)

    def moved(temperature):
        kernel = Langevin(0.1, temperature)
        return kernel.step(target, kernel.init(target, x), make_rng(0))[0].x

    drift = moved(0.0)
    assert torch.allclose(moved(0.25) - drift, 0.5 * (moved(1.0) - drift))


def test_unadjusted_langevin_has_the_variance_that_its_step_size_gives():
    """On N(0, 1) the recursion x' = (1 - s^2/2) x + s U has the variance 1 / (1 - s^2 / 4)."""
    s = 1.0
    x = torch.zeros(20000, 1, dtype=torch.float64)
    draws = MCMC(Langevin(s), 60).run(lambda x: -(x**2).sum(1) / 2, x, make_rng(0))
    expected = 1 / (1 - s**2 / 4)
    assert abs(draws.x.var() / expected - 1) < 5 * (2 / 20000) ** 0.5


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_mala_keeps_exact_draws_exact(temperature):
    """Started from p^(1/T), chains stay there: mean, covariance and tails, at a large step."""
    target, count = correlated_gaussian(), 40000
    exact = correlated_gaussian()
    exact.covariance = exact.covariance * temperature
    x = exact.sample(count, make_rng(1))
    draws = MCMC(MALA(0.6, temperature), 15).run(target, x, make_rng(2))
    assert 0.3 < draws.accept_prob.mean() < 0.9
    root = torch.linalg.cholesky(exact.covariance)
    whitened = torch.linalg.solve_triangular(root, (draws.x - exact.mean).T, upper=False).T
    assert whitened.mean(0).abs().max() < 4.5 / count**0.5
    off = whitened.T @ whitened / count - torch.eye(3)
    assert off.abs().max() < 4.5 * (2 / count) ** 0.5
    tail = (whitened.abs() > 1.96).double().mean(0)
    assert (tail - 0.05).abs().max() < 4.5 * (0.05 * 0.95 / count) ** 0.5


def test_mala_finds_the_density_from_afar():
    target, count = correlated_gaussian(), 20000
    x = torch.full((count, 3), 3.0, dtype=torch.float64)
    draws = MCMC(MALA(0.6), 150).run(target, x, make_rng(2))
    assert (draws.x.mean(0) - target.mean).abs().max() < 4.5 * 1.4 / count**0.5
    covariance = torch.cov(draws.x.T)
    assert (covariance - target.covariance).abs().max() < 4.5 * 2 * (2 / count) ** 0.5


def test_mala_accepts_with_the_ratio_of_metropolis_and_hastings():
    """The acceptance of one step, from the densities of target and proposal by torch."""
    s, temperature = 0.7, 0.8
    kernel, x = MALA(s, temperature), torch.tensor([[0.3], [2.0], [-1.2]]).double()

    def log_density(x):
        return -(x**4).sum(1)

    state = kernel.init(log_density, x)
    _, info = kernel.step(log_density, state, make_rng(9))
    noise = torch.randn(3, 1, generator=make_rng(9), dtype=torch.float64)
    proposal = x + s**2 / 2 * (-4 * x**3) + s * temperature**0.5 * noise

    def proposal_density(to, start):
        mean = start - s**2 / 2 * 4 * start**3
        return torch.distributions.Normal(mean, s * temperature**0.5).log_prob(to)[:, 0]

    ratio = (log_density(proposal) - log_density(x)) / temperature
    ratio = ratio + proposal_density(x, proposal) - proposal_density(proposal, x)
    assert torch.allclose(info.accept_prob, ratio.exp().clamp(max=1))


@pytest.mark.parametrize("kernel", [Langevin(0.3), MALA(0.3), UnderdampedLangevin(0.3)])
def test_a_step_costs_one_gradient_evaluation(kernel):
    target = correlated_gaussian()
    chains = MCMC(kernel, 7)
    chains.run(target, torch.zeros(2, 3, dtype=torch.float64), make_rng(0))
    assert target.calls == 1 + 7 == chains.gradient_evaluations


@pytest.mark.parametrize("kernel", [Langevin(0.3), MALA(0.3), UnderdampedLangevin(0.3)])
def test_a_chain_does_not_depend_on_the_other_rows(kernel):
    target, chains = correlated_gaussian(), MCMC(kernel, 10)
    x = torch.randn(3, 3, generator=make_rng(0), dtype=torch.float64)
    together = chains.run(target, x, RowRng(0, 0, [4, 8, 6]))
    alone = chains.run(target, x[[2]], RowRng(0, 0, [6]))
    assert torch.equal(together.x[[2]], alone.x)
    assert torch.equal(together.accept_prob[[2]], alone.accept_prob)


@pytest.mark.parametrize("temperature", [1.0, 0.4, 0.0])
def test_underdamped_steps_are_the_splitting_number_by_number(temperature):
    """B, A, O, A, B in plain Python, twice, with a different step size for each chain."""
    friction, sizes = 1.5, torch.tensor([0.2, 0.5], dtype=torch.float64)
    kernel = UnderdampedLangevin(0.9, friction, temperature)
    x = torch.tensor([[0.3], [-1.4]], dtype=torch.float64)

    def log_density(x):
        return -(x**4).sum(1) / 4

    rng = make_rng(5)
    state = kernel.init(log_density, x, sizes)
    for _ in range(2):
        state, info = kernel.step(log_density, state, rng)
        assert (info.accept_prob == 1).all()
    rng, root = make_rng(5), math.sqrt(temperature)
    draws = [torch.randn(2, 1, generator=rng, dtype=torch.float64) for _ in range(3)]
    for i in range(2):
        s, q, p = sizes[i].item(), x[i].item(), root * draws[0][i].item()
        kept = math.exp(-friction * s)
        for noise in draws[1:]:
            p -= s / 2 * q**3
            q += s / 2 * p
            p = kept * p + root * math.sqrt(1 - kept**2) * noise[i].item()
            q += s / 2 * p
            p -= s / 2 * q**3
        assert math.isclose(state.x[i, 0], q, rel_tol=1e-12)
        assert math.isclose(state.momentum[i, 0], p, rel_tol=1e-12)


def test_momentum_is_carried_from_one_run_to_the_next():
    """Two runs are one, by the state; from the points alone the momentum is drawn anew."""
    target, x = correlated_gaussian(), torch.zeros(4, 3, dtype=torch.float64)
    whole = MCMC(UnderdampedLangevin(0.3), 8).run(target, x, make_rng(0))
    rng, half = make_rng(0), MCMC(UnderdampedLangevin(0.3), 4)
    first = half.run(target, x, rng)
    assert torch.equal(half.run(target, first.state, rng).x, whole.x)
    without = half.run(target, first.x, make_rng(1))
    assert not torch.equal(without.x, half.run(target, first.state, make_rng(1)).x)


@pytest.mark.parametrize(
    "kernel, numbers",
    [
        (Langevin, {"step_size": 0.0}),
        (Langevin, {"temperature": -0.1}),
        (Langevin, {"temperature": float("nan")}),
        (MALA, {"step_size": -1.0}),
        (MALA, {"temperature": 0.0}),
        (UnderdampedLangevin, {"step_size": float("nan")}),
        (UnderdampedLangevin, {"friction": 0.0}),
        (UnderdampedLangevin, {"temperature": -1.0}),
    ],
)
def test_numbers_out_of_their_range_are_refused_by_name(kernel, numbers):
    with pytest.raises(ValueError, match=next(iter(numbers))):
        kernel(**numbers)
