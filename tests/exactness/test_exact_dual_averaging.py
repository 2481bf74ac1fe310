"""Dual averaging of step sizes, number by number, against the published algorithm."""

import math

import pytest
import torch

from tigon.mcmc.adaptation import DualAveraging, averaged_step_size
from tigon.mcmc.kernel import Info, State
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness


def at(sizes):
    """Return a state with these step sizes, (B,)."""
    return State(torch.zeros(len(sizes), 1), torch.zeros(len(sizes)), torch.zeros(1), sizes)


def hoffman_and_gelman(first, accepted, target, gamma, t0, kappa, limits=(1e-30, 1e30)):
    """Their algorithm 5 in plain Python: one chain's step sizes, and their averages.

    Limits bound the sizes that are used, whose average is taken, and nothing else.
    """
    mu, shortfall, log_average = math.log(10 * first), 0.0, 0.0
    sizes, averages = [], []
    for m, a in enumerate(accepted, start=1):
        shortfall = (1 - 1 / (m + t0)) * shortfall + (target - a) / (m + t0)
        log_size = mu - math.sqrt(m) / gamma * shortfall
        log_size = min(max(log_size, math.log(limits[0])), math.log(limits[1]))
        weight = m**-kappa
        log_average = weight * log_size + (1 - weight) * log_average
        sizes.append(math.exp(log_size))
        averages.append(math.exp(log_average))
    return sizes, averages


def test_dual_averaging_is_that_of_hoffman_and_gelman_for_each_chain_number_by_number():
    numbers = {"target": 0.8, "gamma": 0.07, "delay": 8.0, "decay": 0.6}
    rule = DualAveraging(**numbers, smallest=1e-30, largest=1e30)
    first = torch.tensor([0.1, 0.1, 3.0], dtype=torch.float64)
    accepted = torch.rand(40, 3, generator=make_rng(0), dtype=torch.float64)
    expected = [
        hoffman_and_gelman(first[i].item(), accepted[:, i].tolist(), *numbers.values())
        for i in range(3)
    ]
    state = at(first)
    for m in range(40):
        state = rule.update(state, Info(accepted[m]))
        average = averaged_step_size(state.step_size, state.adaptation_state)
        for i, (sizes, averages) in enumerate(expected):
            assert math.isclose(state.step_size[i], sizes[m], rel_tol=1e-9)
            assert math.isclose(average[i], averages[m], rel_tol=1e-9)
    assert (state.adaptation_state[:, 0] == 40).all()


@pytest.mark.parametrize("pushed", [1.0, 0.0], ids=["largest", "smallest"])
def test_a_chain_pushed_against_a_limit_and_released_is_where_hoffman_and_gelman_put_it(pushed):
    """The centre is that of the first step, however long the limit has held; so when rescaled."""
    numbers = {"target": 0.6, "gamma": 0.2, "delay": 10.0, "decay": 0.75}
    limits = (0.05, 0.4)
    released = torch.rand(200, generator=make_rng(0), dtype=torch.float64) * 0.5
    accepted = torch.cat([torch.full((40,), pushed).double(), (1 - pushed) * 0.5 + released])
    expected = hoffman_and_gelman(0.1, accepted.tolist(), *numbers.values(), limits)
    assert expected[0][39] == pytest.approx(limits[1] if pushed else limits[0])
    inside = [limits[0] * 1.01 < size < limits[1] * 0.99 for size in expected[0][40:]]
    assert sum(inside) > 10
    rule = DualAveraging(**numbers, smallest=limits[0], largest=limits[1])
    longer = DualAveraging(**numbers, smallest=7 * limits[0], largest=7 * limits[1])
    state = at(torch.tensor([0.1], dtype=torch.float64))
    for m, accept in enumerate(accepted):
        if m == 60:
            rule, state = longer, state._replace(step_size=7 * state.step_size)
        state = rule.update(state, Info(accept[None]))
        scale = 7 if m >= 60 else 1
        average = averaged_step_size(state.step_size, state.adaptation_state)
        assert math.isclose(state.step_size, scale * expected[0][m], rel_tol=1e-9)
        assert math.isclose(average, scale * expected[1][m], rel_tol=1e-9)
