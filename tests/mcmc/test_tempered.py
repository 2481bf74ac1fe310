from dataclasses import dataclass

import pytest
import torch

from targets import correlated_gaussian
from tigon.densities.log_density import value_and_grad
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.kernel import Info, State
from tigon.mcmc.langevin import MALA, Langevin, UnderdampedLangevin
from tigon.mcmc.preconditioning import Preconditioned
from tigon.mcmc.tempered import ReplicaExchange
from tigon.random.streams import RowRng, make_rng, normal, uniform


@dataclass(frozen=True)
class RandomWalk:
    """A user's kernel: Metropolis with a normal proposal, as the protocol asks."""

    step_size: float = 0.8
    temperature: float = 1.0
    gradient_evaluations: int = 1

    def init(self, log_density, x, step_size=None):
        value, gradient = value_and_grad(log_density, x)
        return State(x, value, gradient, torch.full_like(value, self.step_size))

    def step(self, log_density, state, rng):
        proposal = state.x + self.step_size * normal(rng, state.x)
        value, gradient = value_and_grad(log_density, proposal)
        ratio = (value - state.log_density) / self.temperature
        probability = ratio.clamp(max=0).exp()
        yes = uniform(rng, state.x) < probability
        x, gradient = (
            torch.where(yes[:, None], new, old)
            for new, old in ((proposal, state.x), (gradient, state.gradient))
        )
        value = torch.where(yes, value, state.log_density)
        return state._replace(x=x, log_density=value, gradient=gradient), Info(probability)


INNER = pytest.mark.parametrize(
    "inner", [MALA(0.5), Langevin(0.3), HMC(0.3, 3), UnderdampedLangevin(0.3), RandomWalk()]
)


def two_modes(x):
    """N(-4, 1) and N(4, 1), the right one three times as likely."""
    return torch.logaddexp(-((x + 4) ** 2).sum(1) / 2, 1.0986 - ((x - 4) ** 2).sum(1) / 2)


class Still:
    """A kernel that does not move, so that exchanges are seen alone."""

    step_size, gradient_evaluations, temperature = 1.0, 0, 1.0

    def step(self, log_density, state, rng):
        return state, Info(torch.ones_like(state.log_density))


@dataclass(frozen=True)
class At(Still):
    temperature: float = 1.0


@pytest.mark.parametrize("own", [1.0, 0.5])
def test_neighbours_exchange_from_the_hottest_pair_down_as_the_equation_says(own):
    """Every uniform and every ratio by hand; a point can come all the way down in one step."""
    temperatures, count = (1.0, 2.0, 5.0), 500
    x = torch.randn(3, count, 1, generator=make_rng(0), dtype=torch.float64)
    states = [State(p, *value_and_grad(two_modes, p), torch.ones(count)) for p in x]
    state = states[0]._replace(others=tuple(states[1:]))
    kernel = ReplicaExchange(At(own), temperatures)
    moved, info = kernel.step(two_modes, state, make_rng(1))

    rng, rows, probabilities = make_rng(1), [p.clone() for p in x], {}
    for k in (1, 0):
        difference = (1 / temperatures[k] - 1 / temperatures[k + 1]) / own
        ratio = difference * (two_modes(rows[k + 1]) - two_modes(rows[k]))
        probabilities[k] = ratio.exp().clamp(max=1)
        swap = torch.rand(count, generator=rng, dtype=torch.float64) < probabilities[k]
        a, b = rows[k].clone(), rows[k + 1].clone()
        rows[k][swap], rows[k + 1][swap] = b[swap], a[swap]
    assert torch.allclose(info.swap_prob, torch.stack([probabilities[0], probabilities[1]], 1))
    assert ((rows[0] == x[2]) & (x[0] != x[2])).any()
    for replica, expected in zip((moved, *moved.others), rows, strict=True):
        assert torch.equal(replica.x, expected)
        value, gradient = value_and_grad(two_modes, expected)
        assert torch.allclose(replica.log_density, value)
        assert torch.allclose(replica.gradient, gradient)


def test_the_temperature_of_a_kernel_inside_another_counts_in_exchanges():
    x = torch.randn(2, 50, 1, generator=make_rng(0), dtype=torch.float64)
    cold, hot = (State(p, *value_and_grad(two_modes, p), torch.ones(50)) for p in x)
    state, round_scale = cold._replace(others=(hot,)), torch.ones(1, dtype=torch.float64)
    plain, wrapped = (
        ReplicaExchange(kernel, (1.0, 3.0)).step(two_modes, state, make_rng(1))[1].swap_prob
        for kernel in (At(0.5), Preconditioned(At(0.5), round_scale))
    )
    assert torch.equal(plain, wrapped) and 0 < plain.min() < 1


def test_step_sizes_and_momenta_belong_to_the_temperature_and_stay_there():
    kernel = ReplicaExchange(UnderdampedLangevin(0.3), (1.0, 1.0001))
    target = correlated_gaussian()
    state = kernel.init(target, torch.zeros(3, 3, dtype=torch.float64))
    hot = state.others[0]._replace(step_size=torch.full((3,), 0.7, dtype=torch.float64))
    state = state._replace(others=(hot,))
    moved, info = kernel.step(target, state, make_rng(0))
    assert (info.swap_prob > 0.9).all()
    assert (moved.step_size == 0.3).all() and (moved.others[0].step_size == 0.7).all()
    inner = UnderdampedLangevin(0.3).step(target, state._replace(others=()), make_rng(0))[0]
    assert torch.equal(moved.momentum, inner.momentum)
    assert not torch.equal(moved.x, inner.x)


@INNER
def test_a_step_costs_the_kernels_evaluations_for_each_replica_and_exchanges_none(inner):
    target = correlated_gaussian()
    chains = MCMC(ReplicaExchange(inner, (1.0, 2.0, 4.0)), 5)
    draws = chains.run(target, torch.zeros(2, 3, dtype=torch.float64), make_rng(0))
    assert target.calls == 1 + 5 * 3 * inner.gradient_evaluations == chains.gradient_evaluations
    assert draws.swap_prob.shape == (2, 2) and (draws.swap_prob > 0).all()


@INNER
def test_a_chain_does_not_depend_on_the_other_rows(inner):
    target, chains = correlated_gaussian(), MCMC(ReplicaExchange(inner, (1.0, 3.0)), 10)
    x = torch.randn(3, 3, generator=make_rng(0), dtype=torch.float64)
    together = chains.run(target, x, RowRng(0, 0, [4, 8, 6]))
    alone = chains.run(target, x[[2]], RowRng(0, 0, [6]))
    assert torch.equal(together.x[[2]], alone.x)
    assert torch.equal(together.swap_prob[[2]], alone.swap_prob)


@pytest.mark.parametrize(
    "inner", [MALA(1.2), Langevin(0.8), HMC(0.6, 3), UnderdampedLangevin(0.6), RandomWalk(1.5)]
)
def test_replicas_cross_between_modes_where_the_kernel_alone_cannot(inner):
    """Three quarters of the draws are at the right mode, though all chains begin at the left."""
    x = torch.full((300, 1), -4.0, dtype=torch.float64)
    alone = MCMC(inner, 150).run(two_modes, x, make_rng(0))
    assert (alone.x > 0).double().mean() < 0.2
    kernel = ReplicaExchange(inner, (1.0, 2.5, 6.0, 15.0))
    draws = MCMC(kernel, 150).run(two_modes, x, make_rng(0), keep=1)
    right = (draws.trajectory[100:] > 0).double().mean()
    assert 0.62 < right < 0.88


def test_a_users_own_kernel_and_a_lambda_do_in_chains_alone():
    x = torch.zeros(4000, 2, dtype=torch.float64)
    draws = MCMC(RandomWalk(), 60).run(lambda x: -(x**2).sum(1) / 2, x, make_rng(0))
    assert (draws.x.mean(0)).abs().max() < 5 / 4000**0.5
    assert (draws.x.var(0) - 1).abs().max() < 5 * (2 / 4000) ** 0.5


@pytest.mark.parametrize("temperatures", [(), (1.0,), (2.0, 4.0), (1.0, 1.0), (1.0, 4.0, 2.0)])
def test_temperatures_that_do_not_rise_from_1_are_refused(temperatures):
    with pytest.raises(ValueError, match="increase from 1"):
        ReplicaExchange(MALA(), temperatures)


def test_a_replica_at_density_zero_takes_what_is_finite_and_no_other_replica_takes_what_is_not():
    nan, inf = float("nan"), float("inf")
    cold = torch.tensor([-inf, -inf, -inf, -inf, -1.0, -1.0, -1.0, -1.0, nan])
    hot = torch.tensor([-3.0, -inf, nan, inf, inf, nan, -inf, -1.0, -1.0])
    gradient = torch.tensor([0.0] * 7 + [nan, 0.0])[:, None]
    state, other = (
        State(torch.full((9, 1), number), value, gradient * number, torch.ones(9))
        for number, value in ((0.0, cold), (1.0, hot))
    )
    kernel = ReplicaExchange(At(), (1.0, 2.0))
    moved, info = kernel.step(two_modes, state._replace(others=(other,)), make_rng(0))
    assert info.swap_prob[:, 0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert moved.x[:, 0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0]
