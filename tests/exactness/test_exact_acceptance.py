"""Acceptance rates against numerical integration."""

import numpy as np
import pytest
import scipy.stats as st
import torch

from targets import normal_line, two_wells
from tigon.mcmc.adaptation import DualAveraging, StepSizeAdaptation
from tigon.mcmc.chain import MCMC, warm_up
from tigon.mcmc.hmc import HMC
from tigon.mcmc.langevin import MALA
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness

LINES = {"normal": normal_line(), "wells": two_wells()}


def value_and_slope(line, x):
    """Log-density and its derivative at an array of any shape."""
    at = torch.from_numpy(x).reshape(-1, 1).requires_grad_(True)
    value = line(at)
    (slope,) = torch.autograd.grad(value.sum(), at)
    return value.detach().numpy().reshape(x.shape), slope.numpy().reshape(x.shape)


def plane(line):
    """A grid of (x, standard normal noise), and the probability of each of its points."""
    x, noise = np.meshgrid(
        np.linspace(-line.reach, line.reach, 601), np.linspace(-8, 8, 301), indexing="ij"
    )
    value, _ = value_and_slope(line, x)
    mass = np.exp(value - value.max()) * st.norm.pdf(noise)
    return x, noise, mass / mass.sum()


def expected_of_mala(line, s, temperature):
    """The double integral of p(x) q(x' | x) min(1, p(x') q(x | x') / (p(x) q(x' | x)))."""
    x, noise, mass = plane(line.at(temperature))
    value, slope = value_and_slope(line, x)
    width = s * temperature**0.5
    to = x + s**2 / 2 * slope + width * noise
    new_value, new_slope = value_and_slope(line, to)
    forth = st.norm(x + s**2 / 2 * slope, width).logpdf(to)
    back = st.norm(to + s**2 / 2 * new_slope, width).logpdf(x)
    ratio = (new_value - value) / temperature + back - forth
    return (mass * np.exp(np.minimum(ratio, 0))).sum()


def expected_of_hmc(line, s, steps, temperature):
    """The same over momenta, by leapfrog steps of arrays."""
    x, noise, mass = plane(line.at(temperature))
    p = temperature**0.5 * noise
    value, slope = value_and_slope(line, x)
    energy = p**2 / 2 - value
    for _ in range(steps):
        p = p + s / 2 * slope
        x = x + s * p
        value, slope = value_and_slope(line, x)
        p = p + s / 2 * slope
    rise = (p**2 / 2 - value - energy) / temperature
    return (mass * np.exp(np.minimum(-rise, 0))).sum()


def measured(kernel, line, count=40000):
    """The mean acceptance of one step from exact draws, and its standard error."""
    x = line.at(kernel.temperature).sample(count, make_rng(1))
    accepted = MCMC(kernel, 1).run(line, x, make_rng(2)).accept_prob
    return accepted.mean().item(), accepted.std().item() / count**0.5


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("step_size", [0.3, 0.8, 1.4])
@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_malas_acceptance_is_its_integral(line, step_size, temperature):
    mean, error = measured(MALA(step_size, temperature), line)
    assert abs(mean - expected_of_mala(line, step_size, temperature)) < 4.5 * error


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_hmcs_acceptance_is_its_integral(line, temperature):
    mean, error = measured(HMC(0.8, 3, 0.0, temperature), line)
    assert abs(mean - expected_of_hmc(line, 0.8, 3, temperature)) < 4.5 * error


@pytest.mark.parametrize("kernel", [MALA, lambda s: HMC(s, 3)])
@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_acceptance_falls_from_one_to_none_as_steps_grow(line, kernel):
    found = [measured(kernel(s), line)[0] for s in (0.01, 0.5, 1.0, 3.0, 30.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.9999
    assert found[-1] < 0.01


@pytest.mark.parametrize("rule", [DualAveraging, StepSizeAdaptation])
@pytest.mark.parametrize(("kernel", "wanted"), [(MALA(0.01), 0.574), (HMC(0.01, 4), 0.8)])
def test_adapted_step_sizes_lead_to_the_wanted_acceptance(kernel, wanted, rule):
    line, count = two_wells(), 300
    x = line.sample(count, make_rng(0))
    found = warm_up(kernel, line, x, make_rng(1), 1000, rule(wanted))
    draws = MCMC(kernel, 100).run(line, found.x, make_rng(2), found.step_size)
    assert abs(draws.accept_prob.mean() - wanted) < 0.03
