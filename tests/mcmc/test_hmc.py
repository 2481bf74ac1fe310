import math

import pytest
import torch

from targets import correlated_gaussian
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC, leapfrog
from tigon.mcmc.langevin import MALA
from tigon.random.streams import RowRng, make_rng


def quartic(x):
    """log p(x) = -|x|_4^4 / 4, whose gradient is -x^3."""
    return -(x**4).sum(1) / 4


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_one_step_is_what_the_book_says_number_by_number(temperature):
    """Neal's leapfrog and acceptance in plain Python, with the same noise."""
    s, steps = 0.35, 3
    kernel = HMC(s, steps, jitter=0.0, temperature=temperature)
    x = torch.tensor([[0.3], [-1.4], [2.0]], dtype=torch.float64)
    state, info = kernel.step(quartic, kernel.init(quartic, x), make_rng(4))
    rng = make_rng(4)
    noise = torch.randn(3, 1, generator=rng, dtype=torch.float64)
    uniform = torch.rand(3, generator=rng, dtype=torch.float64)
    for i in range(3):
        q = x[i].item()
        p = first = math.sqrt(temperature) * noise[i].item()
        for _ in range(steps):
            p -= s / 2 * q**3
            q += s * p
            p -= s / 2 * q**3
        before, after = first**2 / 2 + x[i].item() ** 4 / 4, p**2 / 2 + q**4 / 4
        probability = min(1.0, math.exp((before - after) / temperature))
        assert math.isclose(info.accept_prob[i], probability, rel_tol=1e-10)
        end = q if uniform[i] < probability else x[i].item()
        assert math.isclose(state.x[i, 0], end, rel_tol=1e-10)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_one_leapfrog_step_without_jitter_is_mala(temperature):
    target, x = correlated_gaussian(), torch.zeros(50, 3, dtype=torch.float64)
    hmc = MCMC(HMC(0.7, 1, jitter=0.0, temperature=temperature), 20)
    mala = MCMC(MALA(0.7, temperature), 20)
    one, other = (chains.run(target, x, make_rng(0)) for chains in (hmc, mala))
    assert torch.allclose(one.x, other.x, rtol=1e-10, atol=1e-10)
    assert torch.allclose(one.accept_prob, other.accept_prob, rtol=1e-10)


def test_a_trajectory_goes_back_the_way_it_came():
    x, momentum = torch.randn(2, 4, 2, generator=make_rng(0), dtype=torch.float64)
    sizes = torch.tensor([0.1, 0.2, 0.3, 0.05]).double()
    begin = HMC().init(quartic, x)
    end, after = leapfrog(quartic, begin, momentum, sizes, 7)
    back, reversed_momentum = leapfrog(quartic, end, -after, sizes, 7)
    assert torch.allclose(back.x, x, atol=1e-12)
    assert torch.allclose(reversed_momentum, -momentum, atol=1e-12)
    assert (end.x - x).abs().min() > 1e-3


def test_jitter_spreads_each_chains_step_size_evenly_about_its_own():
    """On a flat density a step moves x by s p: the ratio to the momentum tells the size drawn."""
    count = 4000
    x, own = torch.zeros(count, 1, dtype=torch.float64), torch.tensor([0.5, 2.0]).repeat(2000)

    def flat(x):
        return 0 * x.sum(1)

    kernel = HMC(1.0, 1, jitter=0.4)
    state, info = kernel.step(flat, kernel.init(flat, x, own.double()), make_rng(3))
    momentum = torch.randn(count, 1, generator=make_rng(3), dtype=torch.float64)
    drawn = (state.x / momentum)[:, 0] / own
    assert (info.accept_prob == 1).all() and torch.equal(state.step_size, own.double())
    assert 0.6 <= drawn.min() < 0.605 and 1.395 < drawn.max() <= 1.4
    assert abs(drawn.mean() - 1) < 4 * 0.8 / (12 * count) ** 0.5
    assert abs(drawn.var() / (0.8**2 / 12) - 1) < 0.05


def test_a_step_costs_as_many_gradient_evaluations_as_leapfrog_steps():
    target, chains = correlated_gaussian(), MCMC(HMC(0.3, 4), 7)
    chains.run(target, torch.zeros(2, 3, dtype=torch.float64), make_rng(0))
    assert target.calls == 1 + 4 * 7 == chains.gradient_evaluations


def test_a_chain_does_not_depend_on_the_other_rows():
    target, chains = correlated_gaussian(), MCMC(HMC(0.4, 3), 10)
    x = torch.randn(3, 3, generator=make_rng(0), dtype=torch.float64)
    together = chains.run(target, x, RowRng(0, 0, [4, 8, 6]))
    alone = chains.run(target, x[[2]], RowRng(0, 0, [6]))
    assert torch.equal(together.x[[2]], alone.x)
    assert torch.equal(together.accept_prob[[2]], alone.accept_prob)


def test_a_trajectory_that_leaves_the_finite_numbers_is_rejected():
    x = torch.tensor([[1.0], [30.0]])
    kernel = HMC(0.5, 10)
    state, info = kernel.step(quartic, kernel.init(quartic, x), make_rng(0))
    assert info.accept_prob[1] == 0 and state.x[1] == 30
    assert state.gradient.isfinite().all()


@pytest.mark.parametrize(
    "numbers",
    [
        {"step_size": 0.0},
        {"step_size": float("nan")},
        {"leapfrog_steps": 0},
        {"jitter": 1.0},
        {"jitter": -0.1},
        {"temperature": 0.0},
    ],
)
def test_numbers_out_of_their_range_are_refused_by_name(numbers):
    with pytest.raises(ValueError, match=next(iter(numbers))):
        HMC(**numbers)
