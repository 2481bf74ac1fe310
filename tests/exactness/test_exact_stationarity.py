"""Started from exact draws, every kernel keeps them exact; the unadjusted have a known bias."""

import pytest
import torch

from targets import (
    Banana,
    Bimodal,
    CorrelatedGaussian,
    Funnel,
    assert_standard_normal,
    correlated_gaussian,
    two_wells,
)
from tigon.densities.log_density import value_and_grad
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.kernel import tempered
from tigon.mcmc.langevin import MALA, Langevin, UnderdampedLangevin
from tigon.mcmc.preconditioning import Preconditioned
from tigon.mcmc.tempered import ReplicaExchange
from tigon.random.streams import RowRng, make_rng

pytestmark = pytest.mark.exactness

SCALE = torch.tensor([0.6, 1.0, 1.5], dtype=torch.float64)
TARGETS = {
    "gaussian": (correlated_gaussian(), 0.8),
    "funnel": (Funnel(), 0.7),
    "banana": (Banana(), 0.6),
    "wells": (two_wells(), 0.7),
}
KERNELS = {
    "MALA": lambda s, t, dim: MALA(s, t),
    "HMC": lambda s, t, dim: HMC(0.9 * s, 4, 0.3, t),
    "HMC-one-step": lambda s, t, dim: HMC(s, 1, 0.3, t),
    "preconditioned-MALA": lambda s, t, dim: Preconditioned(MALA(s, t), SCALE[:dim]),
    "replicas": lambda s, t, dim: ReplicaExchange(MALA(s, t), (1.0, 1.7, 3.0)),
}


def begin(kernel, target, temperature, count, rng):
    """The state of chains, and of hotter replicas, at exact draws of what each is to sample."""
    state = kernel.init(target, target.at(temperature).sample(count, rng))
    hotter = getattr(kernel, "temperatures", ())[1:]
    draws = [target.at(temperature * hot).sample(count, rng) for hot in hotter]
    return state._replace(others=tuple(kernel.kernel.init(target, x) for x in draws))


def assert_exact(state, kernel, target, temperature):
    """Check the chain and each hotter replica."""
    assert_standard_normal(target.at(temperature).whiten(state.x))
    hotter = getattr(kernel, "temperatures", ())[1:]
    for hot, other in zip(hotter, state.others, strict=True):
        assert_standard_normal(target.at(temperature * hot).whiten(other.x))


def keeps_exact(kernel, target, temperature, count, lengths=(2, 10)):
    """Check after each of the lengths; the states cache what belongs to their points."""
    state = begin(kernel, target, temperature, count, make_rng("draws", count))
    rng = make_rng("steps", count)
    for steps in lengths:
        draws = MCMC(kernel, steps).run(target, state, rng)
        state = draws.state
        assert 0.2 < draws.accept_prob.mean() < 0.97
        assert_exact(state, kernel, target, temperature)
    for part in (state, *state.others):
        value, gradient = value_and_grad(target, part.x)
        assert torch.allclose(part.log_density, value, rtol=1e-9, atol=1e-9)
        assert torch.allclose(part.gradient, gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_keeps_exact_draws_exact(kernel, target, temperature):
    density, size = TARGETS[target]
    dim = density.sample(1, make_rng(0)).shape[1]
    keeps_exact(KERNELS[kernel](size, temperature, dim), density, temperature, 20000)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.6, 1.5])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_keeps_very_many_exact_draws_exact(kernel, target, temperature):
    density, size = TARGETS[target]
    dim = density.sample(1, make_rng(0)).shape[1]
    made = KERNELS[kernel](size, temperature, dim)
    keeps_exact(made, density, temperature, 200000, (1, 2, 20))


def test_replicas_of_a_preconditioned_kernel_keep_exact_draws_exact_at_its_own_temperature():
    density, size = TARGETS["banana"]
    inner = Preconditioned(MALA(size, 0.6), SCALE[:2])
    keeps_exact(ReplicaExchange(inner, (1.0, 1.7, 3.0)), density, 0.6, 20000)


@pytest.mark.parametrize("kernel", [MALA(1.2), HMC(0.9, 4, 0.3)])
def test_a_mixture_stays_a_mixture(kernel):
    target = Bimodal()
    x = target.sample(20000, make_rng(1))
    draws = MCMC(kernel, 12).run(target, x, make_rng(2))
    assert_standard_normal(target.whiten(draws.x))


def test_chains_with_streams_of_their_own_are_independent_and_exact():
    target = correlated_gaussian()
    x = target.sample(1, make_rng(0)).expand(2000, -1)
    draws = MCMC(HMC(0.8, 3, 0.2), 12).run(target, x, RowRng(0, 0, range(2000)))
    assert_standard_normal(target.whiten(draws.x))


def test_temperatures_multiply_around_a_kernel():
    """T = 2 times 0.3 of the kernel, through a preconditioner, is 0.6."""
    target = Banana()
    kernel = Preconditioned(MALA(0.6, 0.3), SCALE[:2])
    x = target.at(0.6).sample(20000, make_rng(1))
    draws = MCMC(tempered(kernel, 2.0), 8).run(target, x, make_rng(2))
    assert_standard_normal(target.at(0.6).whiten(draws.x))


def biased(target, step_size, temperature):
    """Where unadjusted Langevin is stationary: covariance T (P - s^2/4 P^2)^-1, P the precision.

    On N(0, 1) that is the variance 1 / (1 - s^2/4).
    """
    precision = torch.linalg.inv(target.covariance)
    inner = precision - step_size**2 / 4 * precision @ precision
    return CorrelatedGaussian(target.mean, temperature * torch.linalg.inv(inner))


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_unadjusted_langevin_has_exactly_the_bias_of_its_step_size(temperature):
    target, s = correlated_gaussian(), 0.8
    expected = biased(target, s, temperature)
    x = expected.sample(20000, make_rng(1))
    draws = MCMC(Langevin(s, temperature), 10).run(target, x, make_rng(2))
    assert_standard_normal(expected.whiten(draws.x))


@pytest.mark.parametrize("step_size", [0.1, 0.8])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_underdamped_langevin_is_exact_in_x_on_a_gaussian_at_any_stable_step(
    step_size, temperature
):
    target = correlated_gaussian()
    kernel = UnderdampedLangevin(step_size, 1.5, temperature)
    x = target.at(temperature).sample(20000, make_rng(1))
    draws = MCMC(kernel, int(10 / step_size)).run(target, x, make_rng(2))
    assert_standard_normal(target.at(temperature).whiten(draws.x))


def test_underdamped_langevins_momentum_is_narrower_by_a_quarter_of_the_step_squared():
    """On N(0, 1) BAOAB's momentum has the variance T (1 - s^2/4)."""
    s, temperature = 0.9, 0.7
    kernel = UnderdampedLangevin(s, 1.5, temperature)
    x = torch.zeros(40000, 1, dtype=torch.float64)
    draws = MCMC(kernel, 30).run(lambda x: -(x**2).sum(1) / 2, x, make_rng(2))
    width = (temperature * (1 - s**2 / 4)) ** 0.5
    assert_standard_normal(
        torch.cat([draws.x / temperature**0.5, draws.state.momentum / width], 1)
    )
